"""`perfusion verify` and `perfusion backup`: whether a record is whole, and a copy of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from acquisition.store import Report, check
from acquisition.store import backup as copy_record
from acquisition.text import clean


@click.command()
@click.argument("path", metavar="DIR-OR-FILE", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--head",
    is_flag=False,
    flag_value="",
    metavar="[N:HASH]",
    help="Show the newest event's number and hash, or compare the record with one that was noted earlier.",
)
def verify(path: Path | None, as_json: bool, head: str | None) -> int:
    """Check sequence, order, keys, gap records and integrity of a record; exit 5 where one fails."""
    if path is None:  # `--head DIR`: what follows the option is the record
        if not head:
            raise click.UsageError("Missing argument 'DIR-OR-FILE'.")
        path, head = Path(head), ""
    return _tell(check(path, _witness(head) if head else None), as_json, head is not None)


@click.command()
@click.argument("source", metavar="DIR-OR-FILE", type=click.Path(path_type=Path))
@click.argument("target", metavar="NEW-DIR-OR-FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The verdict on the copy as JSON.")
def backup(source: Path, target: Path, as_json: bool) -> int:
    """Copy a record, also while a daemon writes it, and verify the copy; exit 5 where it is damaged."""
    report = copy_record(source, target)
    click.echo(f"copied to {report.path}", err=True)
    return _tell(report, as_json, True)


def _tell(report: Report, as_json: bool, head: bool) -> int:
    if as_json:
        click.echo(json.dumps(report.document(), indent=2, ensure_ascii=False))
    else:
        click.echo("ok" if report.ok else "FAILED")
        for each in report.streams:
            missing = "unknown" if each.missing is None else each.missing
            click.echo(f"{each.device}/{each.stream}: {each.samples} samples, {each.gaps} gaps, missing {missing}")
        if head:
            click.echo(f"head {report.events}:{report.head}")
        for problem in report.problems:
            click.echo(f"problem: {clean(problem)}", err=True)
    return 0 if report.ok else 5


def _witness(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    if not number.isdigit() or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        raise click.BadParameter(f"{text!r} is no event such as 1207:9f2c… (64 hex digits)", param_hint="--head")
    return int(number), digest
