"""The configuration that pages show is one that loads."""

import re
from pathlib import Path

import pytest

from acquisition.config import load

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = [
    (page, number, text)
    for page in ("tapes.md", "treadmills.md")
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL))
]


@pytest.mark.parametrize(("page", "number", "text"), BLOCKS, ids=[f"{page}-{number}" for page, number, _ in BLOCKS])
def test_an_entry_that_a_page_shows_loads(page, number, text, tmp_path):
    path = tmp_path / "bedside.toml"
    path.write_text(text, "utf-8")
    (device,) = load(path).devices
    assert device.table.control == ("force" if 'control = "force"' in text else "control = true" in text)
    assert device.table.tape == ("tape = true" in text)


def test_the_pages_show_entries():
    assert len(BLOCKS) == 4
