"""`perfusion clock`: by which clock each run was recorded, and what people say and correct about it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from acquisition.cli.desk import directory, instant, operator, options
from acquisition.cli.tables import show_table
from acquisition.daemon.timekeeping import send
from acquisition.store import Store, timestamps
from acquisition.store.runs import Run, said
from acquisition.timing.clock import Clock

_OFFSET = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?[dhms])+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)([dhms])")
_UNITS = {"d": 86400e9, "h": 3600e9, "m": 60e9, "s": 1e9}


@click.group(invoke_without_command=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="PERFUSION_DATA", help="The folder of the record.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def clock(ctx: click.Context, path: Path | None, data: Path | None, as_json: bool) -> int:
    """Show by which clock each run was recorded; accept a clock that is in doubt, mend one that was wrong."""
    return _show(directory(path, data), as_json) if ctx.invoked_subcommand is None else 0


@clock.command()
@options
def show(path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Show every run with its times, and what speaks against the present clock."""
    del by
    return _show(directory(path, data), as_json)


@clock.command()
@click.option("--reason", required=True, help="Why the present clock is right; compare it with another first.")
@options
def accept(reason: str, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Say that this computer's clock is right, although the record ended later; sessions can then be started."""
    return _tell(directory(path, data), {"do": "clock.accept", "reason": reason, "by": operator(by)}, as_json)


@clock.command()
@click.argument("run", type=int)
@click.option(
    "--utc", "begun", metavar="TIME", help="When the run truly began (ISO 8601, UTC unless it says otherwise)."
)
@click.option(
    "--offset", metavar="[+-]N[d|h|m|s]…", help="What to add to the times that its clock showed: -3000d, +1h."
)
@click.option("--reason", required=True, help="How that is known; the first time stays in the record.")
@options
def mend(
    run: int,
    begun: str | None,
    offset: str | None,
    reason: str,
    path: Path | None,
    data: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Give a run whose clock was wrong its true time: its sessions, days and exports follow, nothing is rewritten."""
    if (begun is None) == (offset is None):
        raise click.UsageError("say one of --utc TIME or --offset")
    said_so = {"utc": timestamps.key(instant(begun))} if begun is not None else {"offset": _offset(offset or "")}
    request = {"do": "clock.mend", "run": run, "reason": reason, "by": operator(by), **said_so}
    return _tell(directory(path, data), request, as_json)


def _tell(folder: Path, request: dict[str, Any], as_json: bool) -> int:
    answer = send(folder, request)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return 0
    if answer["committed"] is False:
        click.echo("not on the disk yet: the record is not writing; look at `perfusion watch`", err=True)
    click.echo(answer["done"])
    with Store(folder) as store:
        doubt = store.doubt(Clock().now().utc) or store.stepped()
    if doubt is not None and request["do"] != "clock.accept":
        click.echo(f"{doubt.text}\n  next: {doubt.remedy}", err=True)
    return 0


def _show(folder: Path, as_json: bool) -> int:
    with Store(folder) as store:
        known, accepted = store.history(), store.accepted()
        doubt = store.doubt(Clock().now().utc) or store.stepped()
    if as_json:
        told = None if doubt is None else {"text": doubt.text, "remedy": doubt.remedy}
        runs = [_row(run, accepted) for run in known]
        click.echo(json.dumps({"runs": runs, "doubt": told}, indent=2, ensure_ascii=False))
        return 0
    columns = ("run", "began", "ended", "its clock said", "axis ahead by", "")
    rows = [
        (str(run.number), said(run.began), said(run.ended), "" if run.said == run.began else said(run.said),
         _span(run.anchor - run.began), "accepted" if run.number == accepted else "")
        for run in known
    ]  # fmt: skip
    show_table(columns, rows, "the record has no run yet")
    if doubt is not None:
        click.echo(f"{doubt.text}\n  next: {doubt.remedy}")
    return 0


def _row(run: Run, accepted: int) -> dict[str, Any]:
    return {
        "run": run.number,
        "began": said(run.began),
        "ended": said(run.ended),
        "clock_said": said(run.said),
        "axis_ahead_s": (run.anchor - run.began) / 1e9,
        "mended": run.said != run.began,
        "accepted": run.number == accepted,
    }


def _span(ns: int) -> str:
    """A length of time in words, empty for nothing."""
    days, hours = divmod(round(abs(ns) / 36e9) / 100, 24)
    text = f"{days:.0f} d " * (days > 0) + f"{hours:.2f} h"
    return "" if not ns else ("-" if ns < 0 else "") + text


def _offset(text: str) -> int:
    """Nanoseconds of an offset such as -3000d or +1h30m."""
    found = _OFFSET.fullmatch(text.strip())
    if found is None:
        raise click.BadParameter(f"{text!r} is no offset such as -3000d, +1h30m or -90s", param_hint="--offset")
    total = sum(round(float(number) * _UNITS[unit]) for number, unit in _PART.findall(found[2]))
    return -total if found[1] == "-" else total
