"""Sessions as they follow from their events: what was started, marked, said, measured, corrected and stopped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from acquisition.errors import Refused
from acquisition.model import Event
from acquisition.text import clean

KINDS = frozenset({"session", "mark", "note", "observation", "correction"})
"""The kinds of events that sessions are made of."""
_EMPTY: Mapping[str, Any] = MappingProxyType({})
TEXTS = ("protocol", "subject", "visit", "limb", "site", "by")
"""What a session is about in words. Older versions took other values by correction: they are shown as such."""


@dataclass(frozen=True, slots=True)
class Correction:
    """One change of one field: both values, why, by whom and when (time key)."""

    field: str
    old: Any
    new: Any
    reason: str
    by: str
    time: int


@dataclass(frozen=True, slots=True)
class Item:
    """A mark, note or observation: `number` in its session, `entered` when it was said (time key).

    `fields` hold the present values; the first ones are in `corrections` for ever. A struck item is
    kept and does not count.
    """

    number: int
    kind: str
    entered: int
    fields: Mapping[str, Any]
    phase: str = ""
    by: str = ""
    struck: bool = False
    corrections: tuple[Correction, ...] = ()

    @property
    def name(self) -> str:
        """What it is: the mark's name, the observation's word, or the note's text."""
        return str(self.fields.get("name") or self.fields.get("what") or self.fields.get("text", ""))

    @property
    def at(self) -> int:
        """When it took place (time key); a mark may be set later than that."""
        return int(self.fields.get("at", self.entered))

    def first(self, name: str) -> Any:
        """The value of a field before any correction."""
        return next((c.old for c in self.corrections if c.field == name), self.fields.get(name))


@dataclass(frozen=True, slots=True)
class EnteredPhase:
    """A phase that was entered: when (time key), by which mark, and why early where it was."""

    phase: str
    start: int
    by_mark: int | None = None
    early: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One examination of one participant. Time keys are ns on the record's axis.

    `about` holds what was said at the start: protocol, its version and content, subject, visit,
    limb, operator, bindings (role -> channels).
    """

    id: str
    start: int
    about: Mapping[str, Any]
    stages: tuple[EnteredPhase, ...]
    items: tuple[Item, ...] = ()
    stop: int | None = None
    outcome: str = ""
    reason: str = ""
    last: int = 0
    corrections: tuple[Correction, ...] = ()

    @property
    def open(self) -> bool:
        """Whether it goes on."""
        return self.stop is None

    @property
    def phase(self) -> str:
        """The present phase."""
        return self.stages[-1].phase

    @property
    def valid(self) -> tuple[Item, ...]:
        """The items that count."""
        return tuple(item for item in self.items if not item.struck)

    def marks(self, name: str | None = None) -> tuple[Item, ...]:
        """The marks that count, in the order in which they took place."""
        found = [i for i in self.valid if i.kind == "mark" and (name is None or i.name == name)]
        return tuple(sorted(found, key=lambda item: item.at))

    def observations(self, what: str | None = None) -> tuple[Item, ...]:
        """The observations that count, in the order of entry."""
        return tuple(i for i in self.valid if i.kind == "observation" and (what is None or i.name == what))

    def item(self, number: int) -> Item | None:
        """The item of that number, struck or not."""
        return next((item for item in self.items if item.number == number), None)

    def window(self, phase: str) -> tuple[int, int | None] | None:
        """From when until when a phase lasted (time keys), None where it was never entered."""
        starts = [stage.start for stage in self.stages]
        for k, stage in enumerate(self.stages):
            if stage.phase == phase:
                return stage.start, starts[k + 1] if k + 1 < len(starts) else self.stop
        return None


@dataclass(frozen=True, slots=True)
class SessionLog:
    """Every session of a record, by id in order of start."""

    sessions: Mapping[str, Session] = field(default_factory=dict)

    @property
    def current(self) -> Session | None:
        """The session that goes on, None where none does."""
        return next((s for s in reversed(list(self.sessions.values())) if s.open), None)

    def chosen(self, key: str | None = None) -> Session:
        """The session of that name, by default the present or latest one; Refused where there is none."""
        if key is None and self.sessions:
            return self.current or list(self.sessions.values())[-1]
        if key is not None and key in self.sessions:
            return self.sessions[key]
        raise Refused(
            f"there is no session {key or 'yet'}",
            remedy=f"known: {', '.join(self.sessions)}" if self.sessions else "perfusion session start",
        )

    @property
    def next_id(self) -> str:
        """What the next session is called."""
        # A record that took the place of another begins with the session that went on, whatever its number.
        return f"s{max((int(key[1:]) for key in self.sessions if key[1:].isdecimal()), default=0) + 1}"

    def after(self, event: Event) -> SessionLog:
        """The book once an event has happened; other kinds of events change nothing."""
        if event.kind not in KINDS or "session" not in event.details:
            return self
        key = str(event.details["session"])
        session = _evolve(self.sessions.get(key), event)
        return self if session is None else SessionLog({**self.sessions, key: session})


def replay(events: Iterable[Event]) -> SessionLog:
    """The book that events lead to: what was known before a crash is known after it."""
    session_log = SessionLog()
    for event in events:
        session_log = session_log.after(event)
    return session_log


def _evolve(session: Session | None, event: Event) -> Session | None:
    details = event.details
    if session is None:
        return _begun(event) if details.get("do") in ("start", "visit") else None
    session = replace(session, last=event.time)
    match event.kind:
        case "session":
            return _moved(session, event)
        case "correction":
            return _corrected(session, event)
    session = replace(session, items=(*session.items, _item(session, event)))
    if details.get("opens"):
        fields = session.items[-1]
        stage = EnteredPhase(str(details["opens"]), fields.at, fields.number, str(details.get("early", "")))
        return replace(session, stages=(*session.stages, stage))
    return session


def _begun(event: Event) -> Session:
    details = event.details
    stage = EnteredPhase(str(details["phase"]), event.time)
    about = {name: _said(value) if name in TEXTS else value for name, value in details["about"].items()}
    begun = Session(str(details["session"]), event.time, about, (stage,), last=event.time)
    # Entries of a visit are no examination that goes on: others may be started beside it.
    return begun if details["do"] == "start" else replace(begun, stop=event.time, outcome="completed")


def _moved(session: Session, event: Event) -> Session:
    details = event.details
    if details.get("do") == "next":
        stage = EnteredPhase(str(details["phase"]), event.time, early=str(details.get("early", "")))
        return replace(session, stages=(*session.stages, stage))
    if details.get("do") == "stop":
        return replace(session, stop=event.time, outcome=str(details["outcome"]), reason=str(details.get("reason", "")))
    return session


def _item(session: Session, event: Event) -> Item:
    details = event.details
    return Item(
        int(details["n"]), event.kind, event.time, dict(details.get("fields", _EMPTY)), session.phase,
        str(details.get("by", "")),
    )  # fmt: skip


def _corrected(session: Session, event: Event) -> Session:
    details = event.details
    correction = Correction(
        str(details["field"]), details.get("old"), details.get("new"), str(details["reason"]),
        str(details.get("by", "")), event.time,
    )  # fmt: skip
    number = details.get("n")
    if number is None:
        said = _said(correction.new) if correction.field in TEXTS else correction.new
        about = {**session.about, correction.field: said}
        return replace(session, about=about, corrections=(*session.corrections, correction))
    items = tuple(_amended(item, correction) if item.number == number else item for item in session.items)
    session = replace(session, items=items)
    amended = session.item(int(number))
    if amended is not None and correction.field == "at":
        # A phase begins when its mark took place.
        stages = tuple(replace(s, start=amended.at) if s.by_mark == amended.number else s for s in session.stages)
        return replace(session, stages=stages)
    if amended is not None and correction.field == "struck":
        return replace(session, stages=tuple(s for s in session.stages if s.by_mark != amended.number))
    return session


def _amended(item: Item, correction: Correction) -> Item:
    if correction.field == "struck":
        return replace(item, struck=True, corrections=(*item.corrections, correction))
    new = correction.new
    if correction.field == "at":
        # Older versions took a time that is none; then the one before stands.
        new = _moment(new, item.at)
    elif item.kind == "note":
        new = _said(new)
    fields = {**item.fields, correction.field: new}
    return replace(item, fields=fields, corrections=(*item.corrections, correction))


def _said(value: Any) -> str:
    """A value that should be a text; in words where it is none."""
    return value if isinstance(value, str) else f"(no text: {clean(json.dumps(value), 64)})"


def _moment(value: Any, otherwise: int) -> int:
    try:
        moment = int(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else otherwise
    except (ValueError, OverflowError):
        return otherwise
    return moment if 0 <= moment < 2**63 else otherwise
