"""Words of the tree: module docstrings begin with the noun that the module holds, and the glossary stands."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("acquisition", "benchmarks", "drivers", "perfusion", "simulators", "tests")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def begins_with_a_question(text):
    return re.match(r"(What|How|Who|Where|Whether)\b", text) is not None


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_docstring_begins_with_a_question(package):
    told = {path: ast.get_docstring(ast.parse(path.read_text())) for path in (ROOT / package).rglob("*.py")}
    assert told
    assert [str(path) for path, text in told.items() if text and begins_with_a_question(text)] == []


def test_every_module_outside_the_tests_says_what_it_holds():
    silent = [
        path for path in MODULES if "tests" not in path.parts and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_a_question_is_seen():
    assert begins_with_a_question("What the record holds.")
    assert not begins_with_a_question("Whatever a server answers.")


def test_the_glossary_names_each_word_once_with_its_standard_term():
    rows = [
        line.strip("| ").split(" | ") for line in (ROOT / "docs/glossary.md").read_text().splitlines() if "|" in line
    ]
    terms = rows[2:]
    assert all(len(row) == 3 and all(row) for row in terms)
    words = [row[0] for row in terms]
    assert words == sorted(words, key=str.lower)
    assert len(set(words)) == len(words) >= 30
