"""State transitions of a session: each request becomes an event, or is refused with what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import msgspec

from acquisition.errors import Refused
from acquisition.examination import fields as validators
from acquisition.examination import observation, participant
from acquisition.examination.fields import Key, Text
from acquisition.examination.protocol import MarkRule, Protocol
from acquisition.examination.rules import Rules
from acquisition.examination.session import Item, Session, SessionLog
from acquisition.model import Event

SECOND = 1_000_000_000
NO_VALUE = "leave the value out; perfusion session note … takes words"


def must_be_free(session_log: SessionLog) -> None:
    """Refuse a start while a session goes on."""
    if session_log.current is not None:
        raise Refused(
            f"the session {session_log.current.id} goes on",
            "session start",
            remedy="perfusion session stop, then start",
        )


def start(
    session_log: SessionLog,
    now: int,
    name: str,
    protocol: Protocol,
    about: Mapping[str, Any],
    pattern: str = participant.DEFAULT,
) -> Event:
    """Begin a session; refused while another goes on."""
    must_be_free(session_log)
    participant.check(str(about["subject"]), pattern)
    key, details = _opened("start", session_log, name, protocol, about)
    return Event("session", now, "", f"session {key} started: {name}", details)


def visit(
    session_log: SessionLog,
    now: int,
    name: str,
    protocol: Protocol,
    about: Mapping[str, Any],
    pattern: str = participant.DEFAULT,
) -> Event:
    """Open a place for entries of a visit apart from any examination; it is over at once and takes entries for ever."""
    participant.check(str(about["subject"]), pattern)
    key, details = _opened("visit", session_log, name, protocol, about)
    return Event("session", now, "", f"session {key} takes the entries of a visit", details)


def _opened(
    do: str, session_log: SessionLog, name: str, protocol: Protocol, about: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """The key of a new session and the details of the event that opens it, the whole protocol among them."""
    content = {"protocol": name, "version": protocol.version, "content": msgspec.to_builtins(protocol)}
    key = session_log.next_id
    return key, {"do": do, "session": key, "phase": protocol.phase[0].name, "about": {**about, **content}}


def mark(
    session_log: SessionLog,
    now: int,
    name: str,
    at: int | None = None,
    value: str | None = None,
    by: str = "",
    early: str = "",
) -> Event:
    """Set a mark, now or at an earlier time key; it opens the phase that its rule names."""
    session, protocol = _current(session_log, "mark")
    rule = _rule(session, protocol, name)
    moment = _moment(session, now, at)
    if rule.values and value not in rule.values:
        said = "needs a value" if value is None else f"cannot be {value!r}"
        raise Refused(f"the mark {name} {said}", "mark", remedy=f"one of: {', '.join(rule.values)}")
    if not rule.values and value is not None:
        raise Refused(f"the mark {name} takes no value", "mark", remedy=NO_VALUE)
    _only_once(session, rule)
    if rule.opens:
        _check_length(session, protocol, moment, early)
    fields = {"name": name, "at": moment, **({"value": value} if value is not None else {})}
    extra = {"opens": rule.opens} if rule.opens else {}
    return _entry(session, now, "mark", rule.say, fields, by, early=early, **extra)


def note(session_log: SessionLog, now: int, text: str, by: str = "", session: str | None = None) -> Event:
    """Write a remark; it may follow the session's end."""
    found = _named(session_log, session, "note")
    said = _note(text)
    return _entry(found, now, "note", said, {"text": said}, by)


def observe(
    session_log: SessionLog,
    now: int,
    fields: Mapping[str, Any],
    by: str = "",
    session: str | None = None,
    today: date | None = None,
) -> Event:
    """Enter what a person measured or saw; it may follow the session's end, and no day of it the day after `today`."""
    found = _named(session_log, session, "observe")
    plain = checked(fields, today)
    return _entry(found, now, "observation", f"{plain['what']} entered", plain, by)


def checked(fields: Mapping[str, Any], today: date | None = None) -> dict[str, Any]:
    """The plain values of an observation with their defaults; Refused says what does not fit.

    A day beyond the one after `today` (UTC), which is today somewhere, has not come yet.
    """
    validators.plain(fields)
    try:
        plain: dict[str, Any] = msgspec.to_builtins(observation.parse(fields))
    except ValueError as error:
        raise Refused(str(error), "observe") from None
    for name, value in plain.items():
        if isinstance(value, str):
            validators.text(value, name)
    on = plain.get("on")
    if today is not None and on is not None and date.fromisoformat(on) > today + timedelta(days=1):
        raise Refused(
            f"on: {on} has not come yet", "observe", f"a typing error: this computer's clock shows {today}",
            "the day on which it happened, such as 2026-02-27",
        )  # fmt: skip
    return plain


def advance(session_log: SessionLog, now: int, early: str = "", by: str = "") -> Event:
    """Go on to the next phase; before its least time only with a reason."""
    session, protocol = _current(session_log, "session next")
    following = protocol.after(session.phase)
    if following is None:
        raise Refused(f"{session.phase} is the last phase", "session next", remedy="perfusion session stop")
    opener = next((rule for rule in protocol.mark if rule.opens == following.name), None)
    if opener is not None:
        raise Refused(
            f"{following.name} begins with the mark {opener.name}", "session next",
            remedy=f"perfusion session mark {opener.name}",
        )  # fmt: skip
    _check_length(session, protocol, now, early)
    details = {"do": "next", "session": session.id, "phase": following.name, "by": by}
    return Event("session", now, "", following.say, {**details, **({"early": early} if early else {})})


def stop(session_log: SessionLog, now: int, reason: str = "", by: str = "") -> Event:
    """End the session: completed in its last phase with its required marks, else aborted, which needs a reason."""
    session, protocol = _current(session_log, "session stop")
    lacking = [rule.name for rule in protocol.mark if rule.required and not session.marks(rule.name)]
    phases = [phase.name for phase in protocol.phase]
    left = phases[phases.index(session.phase) + 1 :]
    short = _remaining(session, protocol, now)
    if (lacking or left or short > 0) and len(reason.strip()) < 3:
        why = [f"the marks {', '.join(lacking)}"] if lacking else []
        why += [f"the phases {', '.join(left)}"] if left else []
        why += [f"{short:.0f} s of {session.phase}"] if short > 0 else []
        raise Refused(
            f"the protocol is not complete: it lacks {' and '.join(why)}", f"session {session.id}",
            remedy="say why, in three letters or more: perfusion session stop --reason …",
        )  # fmt: skip
    complete = not (lacking or left or short > 0)
    details = {
        "do": "stop", "session": session.id, "outcome": "completed" if complete else "aborted",
        "reason": validators.text(reason, "reason"), "lacking": lacking, "by": by,
    }  # fmt: skip
    return Event("session", now, "", f"session {session.id} {details['outcome']}", details)


def keep(session_log: SessionLog, now: int, reason: str = "", by: str = "", session: str | None = None) -> Event:
    """Keep the samples of a session, from its start to its end, for ever; the latest one by default."""
    if session is None and session_log.current is None and session_log.sessions:
        session = list(session_log.sessions)[-1]
    found = _named(session_log, session, "session keep")
    if found.stop is None:
        raise Refused(f"the session {found.id} goes on", "session keep", remedy="perfusion session stop, then keep")
    details = {
        "session": found.id, "from": found.start, "to": found.stop,
        "reason": validators.text(reason, "reason"), "by": by,
    }  # fmt: skip
    return Event("keep", now, "", f"the samples of session {found.id} are kept", details)


def resume(session_log: SessionLog, now: int) -> Event | None:
    """Say that a session goes on after the service was away, None where none was open."""
    session = session_log.current
    if session is None:
        return None
    away = (now - session.last) / SECOND
    details = {"do": "resume", "session": session.id, "phase": session.phase, "since": session.last}
    return Event("session", now, "", f"session {session.id} goes on, {away:.0f} s after its last entry", details)


def correct(
    session_log: SessionLog, now: int, number: int | None, field: str, new: Any, reason: str, by: str = "",
    session: str | None = None, rules: Rules | None = None, today: date | None = None,
) -> Event:  # fmt: skip
    """Change one field of an item, or of the session where `number` is None; the first value stays in the record.

    Field `struck` takes an item back. A reason is mandatory. The new value passes what an entered one passes.
    """
    found = _named(session_log, session, "correct")
    if len(reason.strip()) < 3:
        raise Refused("a correction needs a reason", "correct", remedy="--reason …")
    validators.plain(new)
    reason = validators.text(reason, "reason")
    if number is None:
        new = validators.about(field, new, rules or Rules())
        old = found.about.get(field)
    else:
        item = _item(found, number)
        new = _amendment(found, item, field, new, now, today)
        old = False if field == "struck" else item.fields.get(field)
    if old == new:
        said = "at is that time" if field == "at" else f"{field} is {new!r}"
        raise Refused(f"{said} already", "correct", remedy="nothing is to be corrected")
    details = {"session": found.id, "n": number, "field": field, "old": old, "new": new, "reason": reason, "by": by}
    entry = "the session" if number is None else f"entry {number}"
    text = f"{entry} struck: {reason}" if field == "struck" else f"{field} of {entry} corrected: {reason}"
    return Event("correction", now, "", text, {k: v for k, v in details.items() if k != "n" or v is not None})


def protocol_of(session: Session) -> Protocol:
    """The protocol as it was when the session began, whatever its file says now."""
    return msgspec.convert(session.about["content"], Protocol)


def _amendment(session: Session, item: Item, field: str, new: Any, now: int, today: date | None) -> Any:
    """The new value of a field of an entry as it may be written, by what checks it when it is entered."""
    where = f"correct {item.number}"
    if item.struck:
        raise Refused(
            f"entry {item.number} is struck", f"session {session.id}", remedy="a struck entry stays so: enter it anew"
        )
    if field == "struck":
        if new is not True:
            raise Refused("an entry is only struck for good", where, remedy="struck is true; enter it anew instead")
        opened = any(stage.by_mark == item.number for stage in session.stages)
        if opened and session.stages[-1].by_mark != item.number:
            raise Refused(
                f"entry {item.number} opened a phase that another has followed", f"session {session.id}",
                remedy="correct its time instead",
            )  # fmt: skip
        return True
    if item.kind == "mark":
        return _mark_field(session, item, field, new, now)
    if item.kind == "observation":
        return _observation_field(item, field, new, where, today)
    if field != "text":
        raise Refused("a note has only its text", where, remedy="--set text=…, or --strike")
    return _note(validators.convert(new, Text, field, where))


def _observation_field(item: Item, field: str, new: Any, where: str, today: date | None) -> Any:
    if field == "what":
        raise Refused("an entry of another kind is another entry", where, remedy="--strike")
    try:
        return checked({**item.fields, field: new}, today)[field]
    except Refused as error:
        raise Refused(error.what, where, error.cause, error.remedy) from None


def _note(text: str) -> str:
    said = validators.text(text, "note")
    if not said.strip():
        raise Refused("the note is empty", "note")
    return said


def _mark_field(session: Session, item: Item, field: str, new: Any, now: int) -> Any:
    rule = next(rule for rule in protocol_of(session).mark if rule.name == item.name)
    if field == "value":
        if not rule.values:
            raise Refused(f"the mark {item.name} takes no value", "correct", remedy=NO_VALUE)
        if not isinstance(new, str) or new not in rule.values:
            said = repr(validators.shown(new)) if isinstance(new, str) else "this"
            raise Refused(f"{said} is no value of {item.name}", "correct", remedy=f"one of: {', '.join(rule.values)}")
        return new
    if field != "at":
        what = f"{validators.shown(field)} of a mark cannot be corrected"
        raise Refused(what, "correct", remedy="one of: at, value; or --strike")
    moment = _moment(session, now, validators.convert(new, Key, field, "correct"))
    opened = next((k for k, stage in enumerate(session.stages) if stage.by_mark == item.number), None)
    if opened is not None:
        before = session.stages[opened - 1].start if opened else session.start
        later = session.stages[opened + 1].start if opened + 1 < len(session.stages) else (session.stop or now)
        if not before <= moment <= later:
            raise Refused(
                "the phases would be out of order", f"session {session.id}, entry {item.number}",
                "the mark before, the one after, or the session's end lies on the other side of that time",
                "perfusion session show has every time (UTC); correct the neighbour first where it is wrong",
            )  # fmt: skip
    return moment


def _current(session_log: SessionLog, where: str) -> tuple[Session, Protocol]:
    session = session_log.current
    if session is None:
        raise Refused("no session goes on", where, remedy="perfusion session start --protocol … --subject …")
    return session, protocol_of(session)


def _named(session_log: SessionLog, key: str | None, where: str) -> Session:
    if key is None:
        if session_log.current is None:
            raise Refused("no session goes on", where, remedy=_which(session_log))
        return session_log.current
    return session_log.chosen(key)


def _which(session_log: SessionLog) -> str:
    """How to name a session that is over: the latest as the example, with whose it is."""
    if not session_log.sessions:
        return "perfusion session start …, or with --subject and --visit an observation apart from any session"
    latest = list(session_log.sessions.values())[-1]
    about = " ".join(str(latest.about[name]) for name in ("protocol", "subject", "visit"))
    return f"name the one that is meant (perfusion session list); the latest, {about}, is --session {latest.id}"


def _item(session: Session, number: int) -> Item:
    item = session.item(number)
    if item is None:
        raise Refused(f"the session {session.id} has no entry {number}", "correct", remedy="perfusion session show")
    return item


def _rule(session: Session, protocol: Protocol, name: str) -> MarkRule:
    allowed = protocol.marks_in(session.phase)
    for rule in allowed:
        if rule.name == name:
            return rule
    known = next((rule for rule in protocol.mark if rule.name == name), None)
    now = f"now: {', '.join(rule.name for rule in allowed) or 'none'}"
    where = f"session {session.id}"
    if known is None:
        raise Refused(f"the protocol has no mark {name}", where, remedy=now)
    _only_once(session, known)
    following = protocol.after(session.phase)
    if following is not None and following.name in known.phases:
        opener = next((rule.name for rule in protocol.mark if rule.opens == following.name), None)
        how = "perfusion session next" if opener is None else f"perfusion session mark {opener}"
        now += f"; {name} belongs to the phase {following.name}, which begins with: {how}"
    raise Refused(f"{name} cannot be marked in the phase {session.phase}", where, remedy=now)


def _only_once(session: Session, rule: MarkRule) -> None:
    if session.marks(rule.name) and not rule.again:
        number = session.marks(rule.name)[0].number
        raise Refused(
            f"{rule.name} is already marked", f"session {session.id}, entry {number}",
            remedy=f"perfusion session correct {number} --at …, or --strike",
        )  # fmt: skip


def _moment(session: Session, now: int, at: int | None) -> int:
    moment = now if at is None else at
    if moment > now:
        raise Refused(
            "that moment has not come yet", f"session {session.id}",
            "a typing error, or a time of this zone: times are UTC unless they say otherwise",
            "such as -4s, 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00",
        )  # fmt: skip
    if moment < session.start:
        raise Refused(
            "that was before the session began", f"session {session.id}",
            "a typing error, or a time of this zone: times are UTC unless they say otherwise",
            "perfusion session show has the session's times (UTC)",
        )  # fmt: skip
    return moment


def _check_length(session: Session, protocol: Protocol, moment: int, early: str) -> None:
    left = _remaining(session, protocol, moment)
    if moment < session.stages[-1].start:
        raise Refused(
            f"that was before the phase {session.phase} began", f"session {session.id}",
            remedy="perfusion session show has the times (UTC); correct the phase's mark, or say a later time",
        )  # fmt: skip
    if left > 0 and len(early.strip()) < 3:
        raise Refused(
            f"the phase {session.phase} has {left:.0f} s to go", f"session {session.id}",
            remedy="wait, or say why: --early …",
        )  # fmt: skip


def _remaining(session: Session, protocol: Protocol, moment: int) -> float:
    """Seconds until the present phase has lasted its least."""
    return protocol.phase_named(session.phase).least - (moment - session.stages[-1].start) / SECOND


def _entry(session: Session, now: int, kind: str, text: str, fields: Mapping[str, Any], by: str, **extra: Any) -> Event:
    number = len(session.items) + 1
    details = {"session": session.id, "n": number, "fields": dict(fields), "by": by}
    return Event(kind, now, "", text, {**details, **{k: v for k, v in extra.items() if v}})
