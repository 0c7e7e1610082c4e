"""Options and output shared by the commands about sessions: the record, the operator, and a session in words."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from acquisition.config import load
from acquisition.daemon import gateway
from acquisition.examination.rules import Rules
from acquisition.store import timestamps
from acquisition.text import KEY, clean

F = TypeVar("F", bound=Callable[..., Any])
NAMED = ("name", "what", "at", "text")
"""Fields of an entry that its line shows anyway."""
_AGO = re.compile(r"-(\d+(?:\.\d+)?)\s*(s|m|min)?")


def options(command: F) -> F:
    """Add -c, --data, --by and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="As JSON."),
        click.option("--by", help="Who does this (default: this account)."),
        click.option(
            "--data", type=click.Path(path_type=Path), envvar="PERFUSION_DATA", help="The folder of the record."
        ),
        click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML."),
    ):
        command = option(command)
    return command


def directory(path: Path | None, data: Path | None) -> Path:
    """The folder of the record that the options name."""
    if path is not None:
        return load(path, bench=False).store
    if data is None:
        raise click.UsageError("name the record by -c FILE or by --data DIR (or in PERFUSION_DATA)")
    return data


def send(path: Path | None, data: Path | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """Have a request done for the record that the options name, by the rules of the study where a file gives them."""
    if path is None:
        return gateway.send(directory(path, data), request)
    config = load(path, bench=False)
    return gateway.send(config.store, request, Rules.of(config))


def operator(by: str | None) -> str:
    """Who does this: as it was said, else the name of this account."""
    if by is not None:
        return clean(by, KEY)
    try:
        return clean(getpass.getuser(), KEY)
    except (KeyError, OSError):
        raise click.UsageError("this account has no name: say who does this, by --by") from None


def ask(path: Path | None, data: Path | None, by: str | None, as_json: bool, do: str, **request: Any) -> int:
    """Send a request and show the session after it."""
    fields = {key: value for key, value in request.items() if value is not None}
    answer = send(path, data, {"do": do, **fields, "by": operator(by)})
    tell(answer, as_json)
    if do == "session.start" and not as_json:
        tell_checks(answer["checks"], started=True)
    return 0


def tell(answer: dict[str, Any], as_json: bool) -> None:
    """Show a session: what was done, where it stands and what may come next."""
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    if answer.get("committed") is False:
        click.echo("not on the disk yet: the record is not writing; look at `perfusion watch`", err=True)
    tell_warnings(answer)
    if "done" in answer:
        click.echo(answer["done"])
    simulated = " SIMULATED" if answer["simulated"] else ""
    limb = f" {answer['limb']}" if answer["limb"] else ""
    head = f"{answer['session']} {answer['protocol']} {answer['subject']} {answer['visit']}{limb}{simulated}"
    if answer["state"] != "open":
        reason = f": {answer['reason']}" if answer["reason"] else ""
        click.echo(f"{head}: {answer['state']}{reason}")
        return
    planned = "" if answer["planned_s"] is None else f" of {answer['planned_s']:.0f}"
    click.echo(f"{head}: {answer['phase']}, {answer['elapsed_s']:.0f}{planned} s")
    click.echo(f"  {answer['say']}")
    for mark in answer["marks"]:
        values = f" --value {'|'.join(mark['values'])}" if mark["values"] else ""
        opens = f", begins {mark['opens']}" if mark["opens"] else ""
        click.echo(f"  mark {mark['name']}{values}   {mark['say']}{opens}")


def tell_warnings(answer: Mapping[str, Any]) -> None:
    """Say at the error stream what is doubtful about what was done."""
    for warning in answer.get("warnings", ()):
        click.echo(f"warning: {warning}", err=True)


def tell_checks(checks: Iterable[Mapping[str, Any]], started: bool = False) -> None:
    """Show a pre-flight list: what is in order, to be looked at, or unanswered, which a start makes final."""
    for each in checks:
        must = ", without which nothing starts" if each.get("stops") else ""
        how = "nobody has answered" if started else f"answer with --check {each['name']}=…{must}"
        silent = how if each["state"] == "unanswered" else ""
        found = each["found"] or silent
        asked = f" (wanted: {each['wanted']})" if each["state"] != "ok" and each["wanted"] else ""
        click.echo(f"  {each['state']:<10} {each['say']}: {found}{asked}")


def tell_items(answer: dict[str, Any]) -> None:
    """Show every entry of a session with what was corrected."""
    for stage in answer["stages"]:
        early = f"   early: {stage['early']}" if stage["early"] else ""
        click.echo(f"{stage['start']}  phase {stage['phase']}{early}")
    for item in answer["items"]:
        struck = "   STRUCK" if item["struck"] else ""
        fields = {k: v for k, v in item["fields"].items() if k not in NAMED and v not in (None, "", [])}
        shown = " ".join(f"{key}={value}" for key, value in fields.items())
        click.echo(f"{item['time']}  {item['entry']:>3} {item['kind']} {item['name']} {shown}".rstrip() + struck)
        for each in item["corrections"]:
            click.echo(f"      {_correction(each)}")
    for each in answer["corrections"]:
        click.echo(f"{each['time']}  session {_correction(each)}")


def _correction(each: Mapping[str, Any]) -> str:
    old, new = (each["shown"][name] or "nothing" for name in ("old", "new"))
    what = "struck" if each["field"] == "struck" else f"{each['field']}: {old} -> {new}"
    return f"{what} ({each['reason']}, {each['by']})"


def moment(text: str | None) -> dict[str, Any]:
    """`ago` or `at` of a request: -4s, -2m, or an ISO 8601 time (UTC unless it says otherwise)."""
    if text is None:
        return {}
    if found := _AGO.fullmatch(text.strip()):
        return {"ago": float(found[1]) * (60.0 if found[2] in ("m", "min") else 1.0)}
    return {"at": instant(text)}


def instant(text: str, ago: bool = True) -> str:
    """An ISO 8601 time of the wall clock, as it was said; `ago` says whether -4s would have done too."""
    try:
        timestamps.key(text)
    except ValueError:
        such = "-4s or 2026-03-01T09:30:00Z" if ago else "2026-03-01T09:30:00Z (UTC unless it says otherwise)"
        raise click.BadParameter(f"{text!r} is no time, such as {such}", param_hint="--at") from None
    return text
