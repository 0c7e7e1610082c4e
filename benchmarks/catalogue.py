"""Catalogue of indices as a table of docs/indices.md: `python -m benchmarks.catalogue` writes it."""

from collections.abc import Iterator
from pathlib import Path

from acquisition.signals.catalogue import FAMILIES
from acquisition.signals.catalogue.flux import BAND_MEASURES, FLOWMOTION
from acquisition.signals.catalogue.index import FLUX, TCPO2, Index

PAGE = Path(__file__).parent.parent / "docs" / "indices.md"
BEGIN, END = "<!-- catalogue -->\n", "<!-- /catalogue -->\n"
GROUPS = {FLUX: "flux", TCPO2: "TcPO2"}
"""Long lists of conditions that have a name of their own in the text."""


def written(text: str) -> str:
    """Return the page with the catalogue of today between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table() + END + after


def table() -> str:
    """Every index by family; those of flowmotion once for all bands."""
    lines = ["\n", "| name | at length | unit | from | agree | SDC95 |\n", "|---|---|---|---|---|---|\n"]
    for family, indices in FAMILIES.items():
        lines.append(f"| **{family}** | | | | | |\n")
        lines += [_row(name, words, each) for name, words, each in _named(indices)]
    return "".join([*lines, "\n"])


def _named(indices: tuple[Index, ...]) -> Iterator[tuple[str, str, Index]]:
    if indices is not FLOWMOTION:
        yield from ((each.name, each.long_name, each) for each in indices)
        return
    known = {each.name: each for each in indices}
    for measure, _, words in BAND_MEASURES:
        yield f"BAND_{measure}", words, known[f"cardiac_{measure}"]


def _row(name: str, words: str, index: Index) -> str:
    limit = index.detectable
    unit = index.unit.replace("[arb'U]", "PU").replace("mm[Hg]", "mmHg").replace(".", " ")
    change = "" if limit is None else f"{limit.value:g} {'%' if limit.percent else unit}: {limit.source}"
    agree = GROUPS.get(index.comparable, ", ".join(index.comparable))
    return f"| `{name}` | {words} | {unit} | {', '.join(index.needs)} | {agree} | {change} |\n"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
