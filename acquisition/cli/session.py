"""`perfusion session`: examinations from start to stop, with their marks, notes and corrections."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from acquisition.analysis import heat
from acquisition.analysis.session_data import CONDITIONS, SessionData
from acquisition.cli.desk import ask, directory, instant, moment, options, send, tell, tell_checks, tell_items
from acquisition.cli.tables import show_table
from acquisition.daemon import gateway
from acquisition.errors import Refused
from acquisition.examination.description import describe, summarise
from acquisition.examination.observation import TEXTS
from acquisition.examination.session import replay
from acquisition.store import Store

LIMBS = ("left", "right", "both", "none")


@click.group()
def session() -> None:
    """Run an examination: start, mark what happens, go on, stop; correct with a reason."""


@session.command()
@click.option("--protocol", required=True, help="Such as porh, tcpo2-rest or walking-constant.")
@click.option("--subject", required=True, help="The participant's code; never a name.")
@click.option("--visit", required=True, help="Such as baseline or month-3.")
@click.option("--limb", type=click.Choice(LIMBS), default="none", show_default=True)
@click.option("--site", default="", help="Where the probes are, such as dorsum of the foot.")
@click.option(
    "--condition", "said", multiple=True, metavar="NAME=VALUE", help=f"How it is measured: {', '.join(CONDITIONS)}."
)
@click.option("--bind", "bound", multiple=True, metavar="ROLE=DEVICE/STREAM/CHANNEL", help="Which channel is what.")
@click.option("--check", "answers", multiple=True, metavar="NAME=ANSWER", help="An answer of the pre-flight list.")
@click.option("--yes", is_flag=True, help="Ask nothing at a terminal; answers nothing either.")
@options
def start(
    protocol: str,
    subject: str,
    visit: str,
    limb: str,
    site: str,
    said: tuple[str, ...],
    bound: tuple[str, ...],
    answers: tuple[str, ...],
    yes: bool,
    path: Path | None,
    data: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Start a session on the running daemon, after the pre-flight list; at a terminal it asks what is unanswered."""
    checks = _answers(answers)
    if not (yes or as_json) and sys.stdin.isatty():
        # What the start would refuse is refused before anybody answers a question.
        look = {"do": "session.check", "protocol": protocol, "bind": _bindings(bound)}
        about = {"subject": subject, "visit": visit, "site": site}
        checks = _asked(
            lambda said, **more: send(path, data, {**look, **more, "checks": said})["checks"], checks, about
        )
    return ask(
        path, data, by, as_json, "session.start",
        protocol=protocol, subject=subject, visit=visit, limb="" if limb == "none" else limb, site=site,
        bind=_bindings(bound), conditions=dict(_pair(each, "--condition") for each in said), checks=checks,
    )  # fmt: skip


@session.command()
@click.option("--protocol", required=True, help="Such as porh, tcpo2-rest or walking-constant.")
@click.option("--bind", "bound", multiple=True, metavar="ROLE=DEVICE/STREAM/CHANNEL", help="Which channel is what.")
@click.option("--check", "answers", multiple=True, metavar="NAME=ANSWER", help="An answer of the list.")
@options
def check(
    protocol: str,
    bound: tuple[str, ...],
    answers: tuple[str, ...],
    path: Path | None,
    data: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Show the pre-flight list of a protocol: what the bench shows and what is to be answered; start nothing."""
    del by
    listed = send(
        path, data, {"do": "session.check", "protocol": protocol, "bind": _bindings(bound), "checks": _answers(answers)}
    )
    if as_json:
        click.echo(json.dumps(listed, indent=2, ensure_ascii=False))
    else:
        tell_checks(listed["checks"])
    return 0


@session.command()
@click.argument("name")
@click.option("--at", "when", metavar="-4s|TIME", help="When it took place, if earlier than now.")
@click.option("--value", help="What belongs to it, such as the reason of a stop.")
@click.option("--early", default="", help="Why the phase before was shorter than planned.")
@options
def mark(
    name: str,
    when: str | None,
    value: str | None,
    early: str,
    path: Path | None,
    data: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Mark that something happened: now, or some seconds ago."""
    return ask(path, data, by, as_json, "session.mark", name=name, value=value, early=early, **moment(when))


@session.command()
@click.argument("text")
@click.option("--session", "which", help="A session that is over.")
@options
def note(text: str, which: str | None, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Write a remark."""
    return ask(path, data, by, as_json, "session.note", text=text, session=which)


@session.command("next")
@click.option("--early", default="", help="Why the phase was shorter than planned.")
@options
def go_on(early: str, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Go on to the next phase."""
    return ask(path, data, by, as_json, "session.next", early=early)


@session.command()
@click.option("--reason", default="", help="Why, if the protocol is not complete.")
@options
def stop(reason: str, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """End the session."""
    return ask(path, data, by, as_json, "session.stop", reason=reason)


@session.command()
@click.argument("which", required=False)
@click.option("--reason", default="", help="Why.")
@options
def keep(which: str | None, reason: str, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Keep the samples of a session that is over (the latest by default), whatever the retention says."""
    return ask(path, data, by, as_json, "session.keep", session=which, reason=reason)


@session.command()
@click.argument("entry", type=int, required=False)
@click.option("--reason", required=True, help="Why; the first value stays in the record.")
@click.option("--at", "when", metavar="TIME", help="When a mark really took place.")
@click.option("--strike", is_flag=True, help="Take the entry back.")
@click.option("--set", "field", metavar="FIELD=VALUE", help="Another value; without ENTRY of the session itself.")
@click.option("--session", "which", help="A session that is over.")
@options
def correct(
    entry: int | None,
    reason: str,
    when: str | None,
    strike: bool,
    field: str | None,
    which: str | None,
    path: Path | None,
    data: Path | None,
    by: str | None,
    as_json: bool,
) -> int:
    """Correct an entry by its number (see `session show`), or the session itself."""
    if sum((when is not None, strike, field is not None)) != 1:
        raise click.UsageError("say one of --at TIME, --strike or --set FIELD=VALUE")
    name, value = _change(when, strike, field, entry is None)
    return ask(
        path, data, by, as_json, "session.correct",
        entry=entry, reason=reason, field=name, value=value, session=which,
    )  # fmt: skip


@session.command("list")
@options
def show_all(path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """List the sessions of a record, with or without a daemon."""
    del by
    with Store(directory(path, data)) as store:
        wall = store.wall()
        rows = [summarise(each, wall) for each in replay(gateway.events(store)).sessions.values()]
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    columns = ("session", "protocol", "subject", "visit", "limb", "start", "state", "phase", "entries")
    show_table(columns, [[str(row[name]) for name in columns] for row in rows], "no sessions")
    return 0


@session.command()
@click.argument("which", required=False)
@options
def show(which: str | None, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Show a session with every entry, by default the present or latest one; with or without a daemon."""
    from acquisition.analysis import cuff  # the filters behind it cost every other command a second

    del by
    with Store(directory(path, data)) as store:
        session_log = replay(gateway.events(store))
        found = session_log.chosen(which)
        # An open session is as old as the newest sample, not as its last entry.
        evidence = SessionData(store, found)
        answer = describe(found, found.start + round(evidence.end * 1e9), evidence.wall)
        answer["remarks"] = cuff.remarks_of(store, session_log, found.id)
    tell(answer, as_json)
    if not as_json:
        tell_checks(answer["checks"], started=True)
        tell_items(answer)
        for remark in answer["remarks"]:
            click.echo(f"remark: {cuff.told(remark)}")
    return 0


@session.command()
@click.argument("which", required=False)
@options
def live(which: str | None, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Show the provisional numbers of a session: lamps, slopes, RPI, distance, DROP."""
    # It loads filters for a second, for which no mark should wait.
    from acquisition.analysis.live import provisional

    del by
    with Store(directory(path, data)) as store:
        session_log = replay(gateway.events(store))
        found = session_log.chosen(which)
        now = provisional(SessionData(store, found), heat.before(store, session_log, found))
    if as_json:
        click.echo(json.dumps(now, indent=2, ensure_ascii=False, allow_nan=False))
        return 0
    click.echo(f"{now['session']}: {now['phase']}, PROVISIONAL")
    if now["flux"] is not None:
        pulse = now["flux"]["pulse"]
        beats = "" if pulse is None else f", pulse {pulse:.0f}/min"
        click.echo(f"  flux: {_number(now['flux']['value'], 'PU')}{beats}")
    if now["hyperaemia"] is not None:
        seen = now["hyperaemia"]
        levels = (("rest", seen["rest_flow"]), ("zero", seen["biological_zero"]), ("peak", seen["peak"]))
        known = "".join(f", {word} {value:.1f} PU" for word, value in levels if value is not None)
        click.echo(f"  {seen['phase']} for {seen['seconds']:.0f} s{known}")
    for name, band in (now["bands"] or {}).items():
        power = "not yet" if band["power"] is None else f"{band['power']:.2g}"
        click.echo(f"  {name}: {power} ({band['lag']:.0f} s behind)")
    for each in now["electrodes"]:
        ratio = now["rpi"].get(each["place"])
        wait = f", {each['countdown']:.0f} s to go" if each["countdown"] else ""
        number, slope = _number(each["value"], "mmHg"), _number(each["slope"], "mmHg/min", "+")
        rpi = "" if ratio is None else f", RPI {ratio:.2f}"
        click.echo(f"  {each['place']}: {number}, {slope}, {each['lamp']}{wait}{rpi}")
    for each in now["heat"]:
        limit = "" if each["limit"] is None else f" of {each['limit']:.0f}"
        minutes = "not known" if each["minutes"] is None else f"{each['minutes']:.0f}"
        click.echo(f"  heat {each['place']}: {minutes}{limit} min{', LIMIT REACHED' if each['alarm'] else ''}")
    if now["walk"] is not None:
        walk = now["walk"]
        doubt = ", UNCERTAIN: speed was missing" if walk["uncertain"] else ""
        click.echo(f"  belt: {walk['distance']:.1f} m in {walk['elapsed']:.0f} s{doubt}")
        for name, at in walk["marks"].items():
            click.echo(f"    {name}: {at['m']:.1f} m, {at['s']:.0f} s")
    for place, each in now["drop"].items():
        click.echo(f"  DROP {place}: {_number(each['now'], 'mmHg')}, least {_number(each['least'], 'mmHg')}")
    return 0


@session.command()
@click.argument("which", required=False)
@options
def suggest(which: str | None, path: Path | None, data: Path | None, by: str | None, as_json: bool) -> int:
    """Show the moments that the trace itself shows, and how to confirm each; nothing is marked by this."""
    # They load filters for a second, for which no mark should wait.
    from acquisition.analysis.suggestions import describe as describe_suggestion
    from acquisition.analysis.suggestions import suggestions

    del by
    with Store(directory(path, data)) as store:
        evidence = SessionData(store, replay(gateway.events(store)).chosen(which))
        found = [describe_suggestion(evidence, each) for each in suggestions(evidence)]
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False))
        return 0
    if not found:
        click.echo("the trace shows nothing that the protocol marks")
    for each in found:
        off = "" if each["marked_s"] is None else f", marked {each['marked_s'] - each['at_s']:+.1f} s from it"
        click.echo(f"{each['mark']} {each['time']} +-{each['error_s']:.1f} s: {each['why']}{off}")
        if each["confirm"]:
            click.echo(f"  {each['confirm']}")
    return 0


def _number(value: float | None, unit: str, sign: str = "") -> str:
    return "no value" if value is None else f"{value:{sign}.1f} {unit}"


def _answers(pairs: Sequence[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.BadParameter(f"{pair!r} is not NAME=ANSWER", param_hint="--check")
    return {name: answer for name, _, answer in (pair.partition("=") for pair in pairs)}


def _asked(look: Callable[..., list[dict[str, Any]]], known: dict[str, str], about: dict[str, str]) -> dict[str, str]:
    """Ask at the terminal what nobody has answered; an empty answer leaves it so, which may forbid the start.

    An answer that can be none is asked for again.
    """
    said = dict(known)
    for each in look(said, **about):
        while each["state"] == "unanswered":
            wanted = f"{each['name']}: {each['wanted']}{', must be answered' if each['stops'] else ''}"
            answer = click.prompt(f"{each['say']} ({wanted})", default="", show_default=False).strip()
            if not answer:
                break
            try:
                look({**said, each["name"]: answer})
            except Refused as refused:
                click.echo(f"perfusion: {refused}", err=True)
                continue
            said[each["name"]] = answer
            break
    return said


def _bindings(pairs: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        role, sign, address = pair.partition("=")
        if not sign or address.count("/") != 2:
            raise click.BadParameter(f"{pair!r} is not ROLE=DEVICE/STREAM/CHANNEL", param_hint="--bind")
        found.setdefault(role, []).append(address)
    return found


def _change(when: str | None, strike: bool, field: str | None, whole: bool) -> tuple[str, Any]:
    if strike:
        return "struck", True
    if when is not None:
        return "at", instant(when, ago=False)
    name, value = _pair(field or "", "--set")
    # A code or a remark that looks like a number is a text all the same.
    if (whole or name in ("text", "value", *TEXTS)) and not isinstance(value, str):
        value = (field or "").partition("=")[2]
    return name, value


def _pair(text: str, option: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint=option)
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
