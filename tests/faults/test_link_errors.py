"""The eight errors of a link (IEC 61784-3), for every driver: what is seen, what is marked, and what slips through."""

import random
import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from acquisition.driverkit.registry import drivers
from drivers.ascii.profile import Grammar
from tests.contract.pairs import DISTINCT
from tests.faults.link import DELAY, ERRORS, trial, undisturbed
from tests.proof.pages import SECTIONS, put

PAGE = Path(__file__).parents[2] / "docs" / "link_errors.md"
FEW, MANY = 3, 60
CHECKED = {"ascii", "csafe", "intellivue"}
"""Drivers whose messages carry a checksum: here no flipped bit may pass, in the short test either."""
OUTCOMES = ("detected", "flagged", "told", "pause", "harmless", "slipped")


def outcomes(name, error, count, clean):
    """Verdicts of so many trials, each of its own message; the same at every call."""
    chance = random.Random(f"{name} {error}")
    found = (trial(name, error, clean, chance) for _ in range(count))
    return [verdict for verdict in found if verdict is not None]


def on_the_page(name):
    """Error -> share that slipped through by the page, for the errors that the page has of this driver."""
    found, section = {}, ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ").strip("`")
        cells = [cell.strip() for cell in line.split("|")]
        if section == name and len(cells) > 9 and cells[1] in ERRORS and cells[3] != "0":
            found[cells[1]] = cells[9]
    return found


@pytest.mark.parametrize("name", DISTINCT)
def test_no_error_does_more_than_the_page_says(name):
    clean, known = undisturbed(name), on_the_page(name)
    for error in ERRORS:
        kinds = Counter(verdict.outcome for verdict in outcomes(name, error, FEW, clean))
        if known.get(error) == "0 %" or (error == "corruption" and name in CHECKED) or error == "loss":
            assert not kinds["slipped"], f"{error} slips through {name}"


@pytest.mark.parametrize("error", ERRORS)
def test_the_judge_sees_what_a_driver_without_checks_lets_through(error, monkeypatch):
    """The example profile with its checksum unread: a flipped digit becomes another value, and the judge says so."""
    monkeypatch.setattr(Grammar, "_sound", lambda self, match: True)
    verdicts = outcomes("ascii", error, 40, undisturbed("ascii"))
    outcomes_of = {verdict.outcome for verdict in verdicts}
    assert ("slipped" in outcomes_of) == (error in {"corruption", "masquerade"})
    assert ("told" in outcomes_of) == (error == "insertion")


@pytest.mark.proof
@pytest.mark.parametrize("name", DISTINCT)
def test_the_page_of_link_errors_is_measured_anew(name):
    clean = undisturbed(name)
    rows = [_row(error, outcomes(name, error, MANY, clean)) for error in ERRORS]
    text = f"## `{name}`\n\n{drivers()[name].about.names[name]}\n\n{_HEAD}" + "".join(f"{r}\n" for r in rows)
    put(PAGE, _INTRODUCTION, SECTIONS, DISTINCT, name, text)
    assert name not in CHECKED or rows[0].endswith("| 0 % |")


def _row(error, verdicts):
    if not verdicts:
        return f"| {error} | cannot be: the instrument has one kind of message | 0 | | | | | | |"
    kinds = Counter(verdict.outcome for verdict in verdicts)
    why = Counter(re.sub(r"[:,] b['\"].*", "", reason) for verdict in verdicts for reason in set(verdict.why))
    wrong = Counter(kind for verdict in verdicts if verdict.outcome in ("told", "slipped") for kind in verdict.wrong)
    by = "; ".join(_most(why)[:3]) or ("the pause" if kinds["pause"] else "")
    if kinds["slipped"] == len(verdicts):
        word = "undetectable"
    elif kinds["slipped"]:
        word = "detected in part"
    elif kinds["told"]:
        word = "told"
    elif kinds["harmless"] == len(verdicts):
        word = "harmless"
    elif kinds["flagged"] and not kinds["detected"]:
        word = "flagged"
    else:
        word = "detected" if kinds["detected"] else "shows as a pause"
    if wrong:
        word += f" ({', '.join(_most(wrong))})"
    seen = by if by else "nothing"
    shares = [f"{round(100 * kinds[outcome] / len(verdicts))} %" for outcome in OUTCOMES]
    return f"| {error} | {word}; by: {seen} | {len(verdicts)} | " + " | ".join(shares) + " |"


def _most(counted):
    return sorted(counted, key=lambda each: (-counted[each], each))


_HEAD = (
    "| error | verdict, and what shows it | trials | detected | flagged | told | pause | harmless | slips through |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)
_PARAGRAPHS = (
    "A serial line, a converter or a network can do eight things to a message (IEC 61784-3). For each driver and each "
    f"error `make proof` lets {MANY} conversations with the simulator suffer one such error, each at another message, "
    "and compares every sample with what the instrument sent. It writes this page.",
    *(f"* **{error}**: {what}." for error, what in ERRORS.items()),
    "An error is *detected* where no wrong sample is recorded and the record says that something was amiss (noise, an "
    "alarm, lost samples, a new connection); *flagged* where a wrong sample is recorded with its quality marked; "
    "*told* where it is recorded as good, and an event beside it says that something was amiss; a *pause* where a "
    "sample is missing and only the times show it; *harmless* where all samples are right and none is missing. It "
    "*slips through* where a sample that was not sent so, not then, or not once more is recorded as good, and "
    f"nothing tells. A sample that carries no time of its own and comes {DELAY:g} s late is counted as wrong, too.",
    "Insertion and masquerade are messages of a second instrument of the same kind. Where a protocol carries neither "
    "number nor address, no driver can tell them from its own: whoever needs that chooses an instrument whose protocol "
    "does, and wires each line to one instrument. The same holds for a flipped bit where a protocol has no checksum: "
    "what then remains is the range of the channel (RANGE), and a median that looks at more samples than one.",
    "Where answers bear no number, a driver waits for one answer at a time. Of one that nobody waits for, or that did "
    "not come, it says so, and marks what comes next as QUESTIONABLE: it may be the answer to an earlier question. An "
    "inserted message that comes before the true one is thus recorded, and given away by the true one that follows. "
    "A digitiser that streams without numbers is checked by the clock: a step in the count of its samples that stays "
    "and is longer than 30 ms is told, and lost samples are counted. Any stream without times of its own that comes "
    "at another rate than its own is told and QUESTIONABLE (decision 16).",
)
_INTRODUCTION = "# Errors of the link, driver by driver\n\n" + "".join(
    textwrap.fill(each, 118, subsequent_indent="  " * each.startswith("* "))
    + ("\n" if each.startswith("* ") else "\n\n")
    for each in _PARAGRAPHS
).replace(".\nAn error", ".\n\nAn error")
