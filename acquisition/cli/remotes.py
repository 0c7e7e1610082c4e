"""`perfusion remotes`: how far each remote of a record is, and letting go of one that is gone for good."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from acquisition.cli.desk import operator
from acquisition.cli.tables import show_table
from acquisition.config import load
from acquisition.control_socket.client import NoDaemon, Unanswered, ask
from acquisition.remotes import registry
from acquisition.remotes.registry import RemoteLag
from acquisition.store import Store
from acquisition.store.schema import locate
from acquisition.store.wall import Wall


@click.command()
@click.argument("path", metavar="[DIR]", type=click.Path(path_type=Path), required=False)
@click.option(
    "-c", "--config", "config", type=click.Path(path_type=Path), help="The bench, as TOML: what is configured."
)
@click.option("--forget", metavar="NAME", help="Let retention wait for this remote no longer; needs --reason.")
@click.option("--reason", help="Why, for the record.")
@click.option("--by", help="Who does this (default: this account).")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def remotes(
    path: Path | None, config: Path | None, forget: str | None, reason: str | None, by: str | None, as_json: bool
) -> int:
    """Show what each remote of a record has acknowledged, or let go of one that is gone for good."""
    if path is None and config is None:
        raise click.UsageError("name the record by its folder, or by -c FILE")
    bench = None if config is None else load(config)
    present = None if bench is None else registry.configured(bench)
    file = locate(path or (bench.store if bench else Path()))
    directory = file.parent
    if forget is not None:
        return _forget(directory, forget, reason, by, present or (), as_json)
    if reason is not None:
        raise click.UsageError("--reason needs --forget")
    with Store(file) as store:
        held, wall = registry.known(store), store.wall()
    _show(held, wall, present, _states(directory), as_json)
    return 0


def _forget(
    directory: Path, name: str, reason: str | None, by: str | None, present: Collection[str], as_json: bool
) -> int:
    if not reason:
        raise click.UsageError("--forget needs --reason: what is not acknowledged may then be removed from the record")
    gone = registry.let_go(directory, name, reason, operator(by), present)
    if as_json:
        click.echo(json.dumps(gone))
    else:
        click.echo(f"{name}: retention no longer waits for it; {gone['not_acknowledged']} samples not acknowledged")
    return 0


def _show(
    held: list[RemoteLag], wall: Wall, present: Collection[str] | None, states: dict[str, Any], as_json: bool
) -> None:
    if as_json:
        rows = [
            asdict(each)
            | {
                "waiting_since": _time(each.waiting_since, wall),
                "configured": None if present is None else each.name in present,
                "state": states.get(each.name, {}).get("state"),
                "reason": states.get(each.name, {}).get("reason"),
            }
            for each in held
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    show_table(
        ("remote", "acknowledged", "behind", "waiting since", "events", "behind", "configured", "state"),
        [
            (
                each.name,
                str(each.acknowledged),
                str(each.behind),
                _time(each.waiting_since, wall) or "",
                str(each.events),
                str(each.events_behind),
                "?" if present is None else "yes" if each.name in present else "NO",
                _stated(states.get(each.name, {})),
            )
            for each in held
        ],
        "the record knows no remote",
    )
    if present is not None:
        for each in held:
            if each.name not in present:
                click.echo(f"{each.name} is not configured, but holds back retention: --forget {each.name}", err=True)


def _states(directory: Path) -> dict[str, Any]:
    """How each remote stands by the daemon's word, where one runs."""
    try:
        return {each["name"]: each for each in ask(directory, {"do": "snapshot"})["remotes"]}
    except NoDaemon:
        return {}
    except Unanswered as error:
        click.echo(f"how they stand is not known: {error}", err=True)
        return {}


def _stated(standing: Mapping[str, Any]) -> str:
    """The state of a remote, and why where it is not well."""
    state, reason = standing.get("state", ""), standing.get("reason", "")
    return f"{state}: {reason}" if reason else state


def _time(key: int | None, wall: Wall) -> str | None:
    return None if key is None else datetime.fromtimestamp(wall.of(key) // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
