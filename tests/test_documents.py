"""Documents: what they promise to be there is there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_within_the_project_leads_somewhere(document):
    lost = [to for to in LINK.findall(document.read_text("utf-8")) if not (document.parent / to).exists()]
    assert lost == []


def test_every_decision_has_a_number_of_its_own():
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("decision", sorted((ROOT / "docs" / "decisions").glob("*.md")), ids=lambda path: path.stem)
def test_every_decision_says_in_its_third_line_what_became_of_it_and_when(decision):
    title, _, state, after, *rest = decision.read_text("utf-8").splitlines()
    assert title.startswith(f"# {int(decision.stem[:4])}. ")
    assert re.match(r"(Proposed|Accepted|Rejected|Superseded by \[decision \d+\]\(\S+\)), 20\d\d-\d\d-\d\d\.", state)
    assert after == ""
    assert [word for word in ("Context", "Decision", "Consequences") if f"**{word}.**" not in "\n".join(rest)] == []


def test_every_page_is_named_by_the_readme():
    named = set(LINK.findall((ROOT / "README.md").read_text("utf-8")))
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages <= named


def test_every_function_that_the_page_of_indices_names_exists():
    page = (ROOT / "docs" / "indices.md").read_text("utf-8")
    table = page.split("## Functions")[1].split("## ")[0]
    named = re.findall(r"`([a-z_.0-9]+)\.([A-Za-z_0-9]+)`", table)
    assert len(named) > 60
    lost = [f"{m}.{f}" for m, f in named if not hasattr(import_module(f"acquisition.signals.{m}"), f)]
    assert lost == []
