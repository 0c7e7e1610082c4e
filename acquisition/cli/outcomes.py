"""`perfusion outcomes`: the indices of a session, or the table of a whole trial, computed from what is stored."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from acquisition import ucum
from acquisition.analysis.cuff import told
from acquisition.analysis.outcomes import Outcomes, outcomes
from acquisition.cli.desk import directory
from acquisition.cli.tables import show_table
from acquisition.config import load
from acquisition.config.tables import Study
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.live.labels import display_unit
from acquisition.store import Store
from acquisition.study import collection, trial

NO_PLAN = "without -c FILE the study has no visits, windows or limbs of its own, and the endpoints are the default ones"


@click.command("outcomes")
@click.argument("which", metavar="[SESSION]...", nargs=-1)
@click.option("--study", "whole", is_flag=True, help="The trial's table, of the records in the folders DIR...")
@click.option("--attempts", is_flag=True, help="Every closed session of them, and which attempt counts.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, one row an index.")
@click.option("--curves", is_flag=True, help="With --json of a session: time courses and spectra too.")
@click.option("--data", type=click.Path(path_type=Path), envvar="PERFUSION_DATA", help="The folder of the record.")
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML.")
def show_outcomes(
    which: tuple[str, ...],
    whole: bool,
    attempts: bool,
    as_json: bool,
    as_csv: bool,
    curves: bool,
    path: Path | None,
    data: Path | None,
) -> int:
    """Compute the outcomes of SESSION (default: the latest) anew from the record; with --study DIR... of a trial.

    The trial's table has one row for each participant, visit, limb and index: its value, its baseline, the change and
    what that is worth, the inclusion limits, and what is missing, was not done or happened in between. -c FILE says
    which visits, windows and endpoints the study has.
    """
    if as_json and as_csv:
        raise click.UsageError("either --json or --csv")
    plan = load(path, bench=False).tables.study if path else Study()
    if whole or attempts:
        if whole and path is None:
            click.echo(NO_PLAN, err=True)
        made = _attempts([Path(each) for each in which] or [directory(path, data)], plan)
        if attempts:
            _table(collection.rows(made), collection.ROWS, as_json, as_csv)
        else:
            _table(trial.rows(made, plan), trial.COLUMNS, as_json, as_csv)
        return 0
    if len(which) > 1:
        raise click.UsageError("one session; several folders go with --study")
    with Store(directory(path, data)) as store:
        session_log = replay(events(store))
        found = outcomes(store, session_log, session_log.chosen(which[0] if which else None), plan.wifi)
    if as_json:
        click.echo(json.dumps(found.as_dict(curves), indent=2, ensure_ascii=False, allow_nan=False))
    elif as_csv:
        _table(collection.rows([collection.Attempt(found, 1, False)]), _ROWS, False, True)
    else:
        _tell(found)
    return 0


def _attempts(folders: Sequence[Path], plan: Study) -> list[collection.Attempt]:
    with contextlib.ExitStack() as stack:
        opened = [(folder.name, stack.enter_context(Store(folder))) for folder in folders]
        return collection.attempts([(name, store, replay(events(store))) for name, store in opened], plan.wifi)


_ROWS = tuple(name for name in collection.ROWS if name not in ("record", "attempt", "counts", "site", "station"))


def _table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], as_json: bool, as_csv: bool) -> None:
    kept = [{name: row[name] for name in columns} for row in rows]
    if as_json:
        click.echo(json.dumps(kept, indent=2, ensure_ascii=False, allow_nan=False))
        return
    if as_csv:
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: _cell(v) for k, v in row.items()} for row in kept)
        return
    show_table(columns, [[_cell(value, 4) for value in row.values()] for row in kept], "nothing yet")


def _tell(found: Outcomes) -> None:
    plain = found.as_dict()
    words = (("SIMULATED", plain["simulated"]), ("PROVISIONAL", plain["provisional"]))
    marks = "".join(f" {word}" for word, shown in words if shown)
    click.echo(f"{plain['session']} {plain['protocol']} {plain['subject']} {plain['visit']} {plain['limb']}{marks}")
    rows = [
        (
            each["place"], each["name"], each["reads"] or _cell(each["value"], 4), _units(each),
            _cell(each["uncertainty"], 2), each["status"], each["reason"],
        )
        for each in plain["outcomes"]
    ]  # fmt: skip
    show_table(("of", "index", "value", "unit", "+-", "status", "reason"), rows, "nothing was measured")
    for remark in plain["remarks"]:
        click.echo(f"remark: {told(remark)}")
    verdict = plain["eligibility"]
    click.echo(f"inclusion limits: {verdict['verdict']}")
    for each in verdict.get("criteria", ()):
        shown = "not measured" if each["value"] is None else f"{each['value']:.4g}"
        reason = f" ({each['reason']})" if each["reason"] and each["value"] is not None else ""
        click.echo(f"  {each['name']} below {each['below']:g}: {shown}, {each['verdict']}{reason}")


def _units(outcome: Mapping[str, Any]) -> str:
    """The unit, and behind it the one in which the channel records the same quantity where that is another."""
    shown, recorded = _unit(outcome["unit"]), str(outcome["recorded_unit"])
    converted = ucum.conversion(recorded, outcome["unit"])
    return shown if converted is None or converted.same else f"{shown} (from {display_unit(recorded)})"


def _unit(unit: str) -> str:
    """The unit as people read it, those that are made of others too."""
    shown = display_unit(unit)
    return shown if shown != unit else unit.replace("[arb'U]", "PU").replace("mm[Hg]", "mmHg")


def _cell(value: Any, digits: int | None = None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}g}" if digits and isinstance(value, float) else str(value)
