"""Takes what people ask of sessions, decides, and hands the events to the record: for the daemon and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from acquisition.errors import Refused
from acquisition.examination import decisions, fields
from acquisition.examination.binding import bind, check_units
from acquisition.examination.description import describe, summarise
from acquisition.examination.frozen import freeze
from acquisition.examination.preflight import must_not_start, preflight
from acquisition.examination.protocol import load
from acquisition.examination.requests import (
    AddNote,
    Correct,
    GoOn,
    Keep,
    List,
    Look,
    Observe,
    Request,
    SetMark,
    Show,
    Start,
    Stop,
    Visit,
    parse,
)
from acquisition.examination.rules import Rules
from acquisition.examination.session import SessionLog
from acquisition.model import Alarm, Event, Header
from acquisition.store import timestamps
from acquisition.store.runs import ALARM as CLOCK
from acquisition.store.wall import Wall

SECOND = 1_000_000_000
ENTRIES = "entries"
"""The protocol of what is entered apart from any examination."""
ANEW = "the record was begun anew: what was measured longer ago is in the one before alone, if that still exists"
"""The note in a session whose record vanished."""
AT_THE_BEDSIDE = (Start, Look, SetMark, GoOn)
"""What makes no sense while nothing is recorded."""


class SessionService:
    """Keeps the book of sessions. Every accepted request is one event, published before the answer is given.

    `now` gives time keys, `headers` the streams that are recorded, `bench` a snapshot of the instruments, `rules` are
    the study's; while one of the `alarms` blocks, no session begins; `wall` maps time keys to the wall clock. Not for
    several threads at once.
    """

    def __init__(
        self,
        events: Iterable[Event],
        now: Callable[[], int],
        publish: Callable[[Event], None],
        *,
        headers: Callable[[], Sequence[Header]] = tuple,
        bench: Callable[[], Mapping[str, Any]] = dict,
        rules: Rules | None = None,
        recording: bool = True,
        alarms: Callable[[], Sequence[Alarm]] = tuple,
        wall: Callable[[], Wall] = Wall,
    ) -> None:
        self.session_log = SessionLog()
        for event in events:
            self.session_log = self.session_log.after(event)
        self._now = now
        self._publish = publish
        self._headers = headers
        self._bench = bench
        self._rules = rules or Rules()
        self._recording = recording
        self._alarms = alarms
        self._wall = wall

    def resume(self) -> None:
        """Say that an open session goes on after the service was away."""
        event = decisions.resume(self.session_log, self._now())
        if event is not None:
            self._accept(event)

    def go_on_anew(self) -> None:
        """Go on in a new record, which holds the session that goes on, with a note of it, and no other one."""
        session = self.session_log.current
        self.session_log = SessionLog({} if session is None else {session.id: session})
        if session is not None:
            self._accept(decisions.note(self.session_log, self._now(), ANEW, "service", session.id))

    def present(self) -> dict[str, Any]:
        """The session that goes on, described; empty where none does. From any thread."""
        session = self.session_log.current
        return {} if session is None else describe(session, self._now(), self._wall())

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked and describe the session after it; Refused where it cannot be."""
        asked = parse(request)
        if isinstance(asked, List):
            wall = self._wall()
            return {"sessions": [summarise(session, wall) for session in self.session_log.sessions.values()]}
        if isinstance(asked, Show):
            return self._show(asked.session)
        if isinstance(asked, AT_THE_BEDSIDE) and not self._recording:
            raise Refused(
                "nothing is being recorded",
                str(request["do"]),
                "no daemon runs on this record",
                "perfusion run -c FILE",
            )
        if isinstance(asked, Start | Look):
            self._check_alarms()
        if isinstance(asked, Look):
            return self._look(asked)
        if isinstance(asked, Visit):
            if (known := self._entries_of(asked)) is not None:
                return self._show(known)
            self._check_alarms(CLOCK)
        event = self._decide(asked)
        self._accept(event)
        return {**self._show(str(event.details["session"])), "done": event.text}

    def _show(self, key: str | None) -> dict[str, Any]:
        return describe(self.session_log.chosen(key), self._now(), self._wall())

    def _decide(self, asked: Request) -> Event:
        now = self._now()
        match asked:
            case Start():
                return self._start(asked, now)
            case SetMark():
                at = now - round(asked.ago * SECOND) if asked.at is None else self._key(asked.at, None, now)
                return decisions.mark(self.session_log, now, asked.name, at, asked.value, asked.by, asked.early)
            case AddNote():
                return decisions.note(self.session_log, now, asked.text, asked.by, asked.session)
            case GoOn():
                return decisions.advance(self.session_log, now, asked.early, asked.by)
            case Stop():
                return decisions.stop(self.session_log, now, asked.reason, asked.by)
            case Keep():
                return decisions.keep(self.session_log, now, asked.reason, asked.by, asked.session)
            case Correct():
                value = self._key(asked.value, asked.session, now) if asked.field == "at" else asked.value
                return decisions.correct(
                    self.session_log, now, asked.entry, asked.field, value, asked.reason, asked.by, asked.session,
                    self._rules, self._today(now),
                )  # fmt: skip
            case Visit():
                about = {**self._about(asked), "limb": "", "by": asked.by}
                protocol = load(ENTRIES, self._rules.beside)
                return decisions.visit(self.session_log, now, ENTRIES, protocol, about, self._rules.pattern)
            case Observe():
                return decisions.observe(self.session_log, now, asked.fields, asked.by, asked.session, self._today(now))
        raise Refused(f"{type(asked).__name__} decides nothing")

    def _today(self, now: int) -> date:
        return datetime.fromtimestamp(self._wall().of(now) / 1e9, UTC).date()

    def _key(self, at: Any, session: str | None, now: int) -> Any:
        """The key of a time of the wall clock, which several runs may have: the one in the session; a key as it is."""
        if not isinstance(at, str):
            return at
        try:
            utc = timestamps.key(at)
        except ValueError:
            raise Refused(
                f"{fields.shown(at)!r} is no time", "at", remedy="an ISO 8601 time, such as 2026-03-01T09:30:00Z"
            ) from None
        found = self.session_log.current if session is None else self.session_log.sessions.get(session)
        return self._wall().key(utc, found.start, found.stop or now) if found else self._wall().key(utc)

    def _look(self, asked: Look) -> dict[str, Any]:
        protocol = load(asked.protocol, self._rules.beside)
        if asked.subject is not None or asked.visit is not None:
            decisions.must_be_free(self.session_log)
            self._about(asked)
        headers = list(self._headers())
        bindings = bind(protocol, headers, asked.bind)
        check_units(bindings, headers)
        freeze(protocol, bindings, headers, self._rules.beside)
        checks = preflight(protocol, bindings, asked.checks, self._bench(), self._wall().of(self._now()))
        return {"protocol": asked.protocol, "checks": [check.as_dict() for check in checks]}

    def _start(self, asked: Start, now: int) -> Event:
        protocol = load(asked.protocol, self._rules.beside)
        # Before anything is looked up: a refused code must not be the second thing somebody hears of.
        said = self._about(asked)
        headers = list(self._headers())
        bindings = bind(protocol, headers, asked.bind)
        check_units(bindings, headers)
        checks = preflight(protocol, bindings, asked.checks, self._bench(), self._wall().of(now))
        must_not_start(checks)
        about = {
            **said,
            "by": asked.by,
            "bindings": bindings,
            "conditions": asked.conditions,
            "checks": [check.as_dict() for check in checks],
            "simulated": any(header.simulated for header in headers),
            **freeze(protocol, bindings, headers, self._rules.beside),
        }
        return decisions.start(self.session_log, now, asked.protocol, protocol, about, self._rules.pattern)

    def _about(self, asked: Start | Look | Visit) -> dict[str, str]:
        """What the request says of `fields.ABOUT`, by the validators that correct it too."""
        said = {name: getattr(asked, name) for name in fields.ABOUT if name in asked.__struct_fields__}
        return {name: fields.about(name, value, self._rules) for name, value in said.items() if value is not None}

    def _check_alarms(self, kind: str | None = None) -> None:
        """Refuse while an alarm (of that kind) blocks."""
        for alarm in self._alarms():
            if alarm.blocks and kind in (None, alarm.kind):
                raise Refused(alarm.text, "session start", remedy=alarm.remedy)

    def _entries_of(self, asked: Visit) -> str | None:
        same = (ENTRIES, asked.subject, asked.visit)
        for session in self.session_log.sessions.values():
            about = session.about
            if not session.open and (about["protocol"], about["subject"], about["visit"]) == same:
                return session.id
        return None

    def _accept(self, event: Event) -> None:
        self._publish(event)
        self.session_log = self.session_log.after(event)
