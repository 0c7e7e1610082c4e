"""`perfusion observe`: what a person measures or sees, entered into a session."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from acquisition.cli.desk import ask, options, send, tell_warnings
from acquisition.errors import PerfusionError
from acquisition.examination import decisions
from acquisition.examination.observation import INTERCURRENT
from acquisition.signals.staging import Symptoms

F = TypeVar("F", bound=Callable[..., Any])


class Extent(click.ParamType[float]):
    """A length, answered in millimetres: 32, 32mm or 3.2cm."""

    name = "length"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of millimetres; a usage error for anything else."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(mm|cm)?", str(value))
        if found is None:
            self.fail(f"{value!r} is no length such as 32mm or 3.2cm", param, ctx)
        return float(found[1]) * (10.0 if found[2] == "cm" else 1.0)


SIDE = click.option("--side", "--limb", type=click.Choice(["left", "right"]), required=True)
SESSION = click.option("--session", "which", help="A session that is over (default: the present one).")
SUBJECT = click.option("--subject", help="With --visit: for a participant apart from any session.")
VISIT = click.option("--visit", help="With --subject.")
EXTENT = Extent()
POSITION = click.option(
    "--position", type=click.Choice(["supine", "sitting", "standing"]), default="supine", show_default=True
)


def placed(command: F) -> F:
    """Add the options that say into which session or visit an entry goes, and who makes it."""
    return SESSION(SUBJECT(VISIT(options(command))))


@click.group()
def observe() -> None:
    """Enter pain, ulcers, pressures, what was not done and what happened."""


@observe.command()
@click.argument("mark", type=click.FloatRange(min=0))
@click.option("--line", type=float, default=100.0, show_default=True, help="Length of the printed line, mm.")
@click.option(
    "--question", type=click.Choice(["now", "rest", "worst-24h", "mean-24h", "walking", "dressing"]),
    default="now",
    show_default=True,
)  # fmt: skip
@click.option("--context", type=click.Choice(["rest", "walking", "dressing"]), help="What the question was about.")
@click.option("--recall", metavar="NOW|24h|7d", help="Over how long the participant looked back.")
@click.option("--scale", type=click.Choice(["paper", "screen", "spoken"]), default="paper", show_default=True)
@click.option("--side", type=click.Choice(["left", "right"]))
@placed
def vas(which: str | None, **fields: Any) -> int:
    """Enter pain: MARK mm from the left end of the line."""
    return _enter("vas", which, fields)


@observe.command()
@SIDE
@click.option("--site", required=True, help="Such as heel.")
@click.option("--ulcer", "--id", default="index", show_default=True, help="The same word at every visit.")
@click.option("--length", type=EXTENT, help="Longest extent, such as 32mm; millimetres unless told.")
@click.option("--width", type=EXTENT, help="Longest extent across the length.")
@click.option(
    "--method", type=click.Choice(["ellipse", "rectangle", "kundin", "trace"]),
    help="Of the area: by length and width an ellipse unless told, or a trace with --outline.",
)  # fmt: skip
@click.option("--outline", type=click.Path(path_type=Path), help="A traced outline: CSV of x,y in pixels.")
@click.option("--mm-per-pixel", type=float, multiple=True, help="Scale of the picture; twice for two rulers.")
@click.option("--epithelialised-days", type=float, help="For how long it has been closed.")
@click.option("--photograph", default="", help="The picture's number.")
@click.option("--photograph-sha256", "--photo-sha256", help="The SHA-256 of the picture's file.")
@click.option("--rater", help="Who measured it.")
@click.option("--debrided", type=click.Choice(["yes", "no"]), help="Whether it was debrided before.")
@placed
def ulcer(which: str | None, outline: Path | None, debrided: str | None, method: str | None, **fields: Any) -> int:
    """Enter an ulcer by length and width, or by a traced outline."""
    if outline is not None and method not in (None, "trace"):
        raise click.UsageError(f"an outline is traced: --method trace, not {method}")
    if outline is None and method == "trace":
        raise click.UsageError("a trace needs its --outline FILE and --mm-per-pixel")
    fields["method"] = None if method == "trace" else method
    if debrided is not None:
        fields["debrided"] = debrided == "yes"
    if outline is not None:
        fields["outline"] = _points(outline)
    return _enter("ulcer", which, fields)


@observe.command()
@SIDE
@click.option("--dorsalis-pedis", "--dp", type=float, help="mmHg; 0 where no pulse was found.")
@click.option("--posterior-tibial", "--pt", type=float, help="mmHg.")
@click.option("--toe", type=float, help="mmHg.")
@click.option("--brachial-left", type=float, help="mmHg.")
@click.option("--brachial-right", type=float, help="mmHg.")
@click.option(
    "--method", type=click.Choice(["doppler", "oscillometric", "photoplethysmograph", "laser-doppler"]),
    default="doppler", show_default=True,
)  # fmt: skip
@click.option("--moment", type=click.Choice(["rest", "after-exercise"]), default="rest", show_default=True)
@POSITION
@placed
def abi(which: str | None, **fields: Any) -> int:
    """Enter the systolic pressures of one leg and both arms."""
    return _enter("abi", which, fields)


@observe.command()
@click.argument("systolic", type=float)
@click.argument("diastolic", type=float)
@click.option("--mean", type=float, help="As the monitor says it, mmHg.")
@click.option("--arm", type=click.Choice(["left", "right"]), default="left", show_default=True)
@POSITION
@placed
def pressure(which: str | None, **fields: Any) -> int:
    """Enter the blood pressure of an arm, mmHg."""
    return _enter("pressure", which, fields)


@observe.command("map")
@click.argument("mean", type=float)
@click.option("--arm", type=click.Choice(["left", "right"]), default="left", show_default=True)
@POSITION
@placed
def mean_pressure(which: str | None, **fields: Any) -> int:
    """Enter the mean arterial pressure that a monitor shows, mmHg."""
    return _enter("map", which, fields)


@observe.command()
@click.argument("electrode")
@click.argument("reading", type=float)
@click.option("--calibrated", type=float, help="What it read in air when it was calibrated (else by the barometer).")
@placed
def recheck(which: str | None, **fields: Any) -> int:
    """Enter what ELECTRODE (such as calf) reads in air after the measurement, mmHg: its drift follows."""
    return _enter("recheck", which, fields)


@observe.command()
@SIDE
@click.option("--wound", type=click.IntRange(0, 3), help="Grade of the wound, 0 to 3.")
@click.option("--infection", type=click.IntRange(0, 3), help="Grade of the foot infection, 0 to 3.")
@click.option("--rater", help="Who graded it.")
@placed
def wifi(which: str | None, **fields: Any) -> int:
    """Enter the grades of wound and foot infection of WIfI; the ischaemia grade follows from the pressures."""
    return _enter("wifi", which, fields)


@observe.command()
@SIDE
@click.option("--grade", "infection", type=click.IntRange(0, 3), required=True, help="0 to 3, as WIfI grades it.")
@click.option("--rater", help="Who graded it.")
@placed
def infection(which: str | None, **fields: Any) -> int:
    """Enter the grade of a foot infection alone; an infection as something that happened is an `event`."""
    return _enter("wifi", which, fields)


@observe.command()
@SIDE
@click.option("--symptoms", type=click.Choice([s.replace("_", "-") for s in Symptoms]), help="What a clinician finds.")
@click.option("--rutherford", type=click.IntRange(0, 6), help="The same as a category: 0 none to 6 major tissue loss.")
@click.option("--fontaine", type=click.Choice(["I", "IIa", "IIb", "III", "IV"]), help="Where a clinician says so.")
@click.option("--rater", help="Who says so.")
@placed
def stage(which: str | None, symptoms: str | None, rutherford: int | None, **fields: Any) -> int:
    """Enter the stage of a leg's arterial disease: symptoms or Rutherford category, Fontaine stage, or both."""
    named = None if symptoms is None else Symptoms(symptoms.replace("-", "_"))
    if rutherford is not None:
        category = list(Symptoms)[rutherford]
        if named not in (None, category):
            raise click.UsageError(f"--rutherford {rutherford} is {category.replace('_', '-')}, not {symptoms}")
        named = category
    return _enter("stage", which, {**fields, "symptoms": named})


@observe.command("not-done")
@click.argument("measurement")
@click.option("--reason", required=True)
@placed
def not_done(which: str | None, **fields: Any) -> int:
    """Enter that a planned MEASUREMENT was not made, and why."""
    return _enter("not-done", which, fields)


@observe.command()
@click.argument("kind", type=click.Choice(["adverse", "instrument", "deviation", *INTERCURRENT]))
@click.argument("text", default="")
@click.option("--limb", type=click.Choice(["left", "right"]), help="Of an amputation or a revascularisation.")
@click.option("--on", metavar="DATE", help="The day on which it happened, such as 2026-02-27.")
@placed
def event(which: str | None, **fields: Any) -> int:
    """Enter what happened to the participant, to an instrument, or against the protocol.

    What changes an outcome by itself (amputation, revascularisation, infection, a vasoactive drug, death) stands beside
    the outcomes of its visit.
    """
    return _enter("event", which, fields)


def _enter(what: str, which: str | None, fields: dict[str, Any]) -> int:
    path, data, by, as_json = (fields.pop(key) for key in ("path", "data", "by", "as_json"))
    subject, visit = fields.pop("subject"), fields.pop("visit")
    entry = {"what": what, **{key: value for key, value in fields.items() if value is not None and value != ()}}
    decisions.checked(entry, datetime.now(UTC).date())  # before a place is made for it, which would stay empty
    which = _place(path, data, which, subject, visit)
    return ask(path, data, by, as_json, "session.observe", fields=entry, session=which)


def _place(
    path: Path | None, data: Path | None, which: str | None, subject: str | None, visit: str | None
) -> str | None:
    """The session that takes the entry: one that is named, or the one of a participant's visit."""
    if (subject is None) != (visit is None):
        raise click.UsageError("--subject and --visit belong together")
    if subject is None:
        return which
    if which is not None:
        raise click.UsageError("either --session, or --subject and --visit")
    answer = send(path, data, {"do": "session.visit", "subject": subject, "visit": visit})
    tell_warnings(answer)
    return str(answer["session"])


def _points(path: Path) -> list[list[float]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            return [[float(x), float(y)] for x, y in csv.reader(lines)]
    except (OSError, ValueError) as error:
        raise PerfusionError(
            f"the outline cannot be read ({error})", str(path), "no CSV of two numbers a row", "export x,y in pixels"
        ) from error
