"""Takes what people ask of sessions, decides, and hands the events to the record: for the daemon and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from acquisition.errors import Refused
from acquisition.examination import decisions, participant
from acquisition.examination.binding import bind, check_units
from acquisition.examination.description import describe, summarise
from acquisition.examination.preflight import must_not_start, preflight
from acquisition.examination.protocol import load
from acquisition.examination.rules import Rules
from acquisition.examination.session import Book
from acquisition.model import Alarm, Event, Header

SECOND = 1_000_000_000
ENTRIES = "entries"
"""The protocol of what is entered apart from any examination."""
ANEW = "the record was begun anew: what was measured longer ago is in the one before alone, if that still exists"
"""The note in a session whose record vanished."""
NUMBERS = {"time_constant": "time_constant=0.2 (s)", "sensor_temperature": "sensor_temperature=44 (Cel)"}
"""Conditions that are numbers, and how they are said."""
Word = Annotated[str, Meta(min_length=1, max_length=64)]
Text = Annotated[str, Meta(max_length=2000)]
Ago = Annotated[float, Meta(ge=0, le=86400)]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """A request of the control socket."""


class Start(Ask, frozen=True, tag="session.start"):
    """Begin a session."""

    protocol: Word
    subject: str
    visit: Word
    limb: Literal["", "left", "right", "both"] = ""
    site: Text = ""
    by: Text = ""
    bind: dict[str, list[str]] = {}
    conditions: dict[Literal["model", "probe", "time_constant", "calibration", "sensor_temperature", "position"],
                     str | float] = {}  # fmt: skip
    checks: dict[Word, Annotated[str, Meta(max_length=200)]] = {}


class Look(Ask, frozen=True, tag="session.check"):
    """Answer the list of what to look at before a session of this protocol, and start nothing."""

    protocol: Word
    bind: dict[str, list[str]] = {}
    checks: dict[Word, Annotated[str, Meta(max_length=200)]] = {}
    by: Text = ""


class SetMark(Ask, frozen=True, tag="session.mark"):
    """Set a mark, `ago` s before now, or at a time key."""

    name: Word
    ago: Ago = 0.0
    at: int | None = None
    value: str | None = None
    early: Text = ""
    by: Text = ""


class AddNote(Ask, frozen=True, tag="session.note"):
    """Write a remark."""

    text: Text
    session: str | None = None
    by: Text = ""


class GoOn(Ask, frozen=True, tag="session.next"):
    """Go on to the next phase."""

    early: Text = ""
    by: Text = ""


class Stop(Ask, frozen=True, tag="session.stop"):
    """End the session."""

    reason: Text = ""
    by: Text = ""


class Keep(Ask, frozen=True, tag="session.keep"):
    """Keep the samples of a session that is over, whatever the record's retention says."""

    reason: Text = ""
    session: str | None = None
    by: Text = ""


class Correct(Ask, frozen=True, tag="session.correct"):
    """Change one field of an entry, or of the session without `entry`; `ago` and `at` say a mark's time."""

    reason: Text
    field: Word
    entry: int | None = None
    value: Any = None
    session: str | None = None
    by: Text = ""


class Observe(Ask, frozen=True, tag="session.observe"):
    """Enter what a person measured or saw; `fields` say what."""

    fields: dict[str, Any]
    session: str | None = None
    by: Text = ""


class Visit(Ask, frozen=True, tag="session.visit"):
    """Answer the session that takes what is entered apart from any examination; opened where the visit has none."""

    subject: str
    visit: Word
    by: Text = ""


class Show(Ask, frozen=True, tag="session.show"):
    """Describe a session, the present one by default."""

    session: str | None = None


class List(Ask, frozen=True, tag="session.list"):
    """Describe every session in a line."""


Request = Start | Look | SetMark | AddNote | GoOn | Stop | Keep | Correct | Observe | Visit | Show | List
ASKS: tuple[type[Ask], ...] = (Start, Look, SetMark, AddNote, GoOn, Stop, Keep, Correct, Observe, Visit, Show, List)
REQUESTS = tuple(str(each.__struct_config__.tag) for each in ASKS)
"""What the socket may be asked about sessions."""
AT_THE_BEDSIDE = (Start, Look, SetMark, GoOn)
"""What makes no sense while nothing is recorded."""


class Clerk:
    """Keeps the book of sessions. Every accepted request is one event, published before the answer is given.

    `now` gives time keys, `headers` the streams that are recorded, `bench` a snapshot of the instruments, `rules` are
    the study's; while one of the `alarms` blocks, no session begins. Not for several threads at once.
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
    ) -> None:
        self.book = Book()
        for event in events:
            self.book = self.book.after(event)
        self._now = now
        self._publish = publish
        self._headers = headers
        self._bench = bench
        rules = rules or Rules()
        self._beside, self._pattern, self._visits = rules.beside, rules.pattern, rules.visits
        self._recording = recording
        self._alarms = alarms

    def resume(self) -> None:
        """Say that an open session goes on after the service was away."""
        event = decisions.resume(self.book, self._now())
        if event is not None:
            self._accept(event)

    def go_on_anew(self) -> None:
        """Go on in a new record, which holds the session that goes on, with a note of it, and no other one."""
        session = self.book.current
        self.book = Book({} if session is None else {session.id: session})
        if session is not None:
            self._accept(decisions.note(self.book, self._now(), ANEW, "service", session.id))

    def present(self) -> dict[str, Any]:
        """The session that goes on, described; empty where none does. From any thread."""
        session = self.book.current
        return {} if session is None else describe(session, self._now())

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Do what is asked and describe the session after it; Refused where it cannot be."""
        try:
            asked: Request = msgspec.convert(request, Request)
        except msgspec.ValidationError as error:
            raise Refused(str(error), str(request.get("do", "request"))) from None
        if isinstance(asked, List):
            return {"sessions": [summarise(session) for session in self.book.sessions.values()]}
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
        if isinstance(asked, Visit) and (known := self._entries_of(asked)) is not None:
            return self._show(known)
        event = self._decide(asked)
        self._accept(event)
        return {**self._show(str(event.details["session"])), "done": event.text}

    def _show(self, key: str | None) -> dict[str, Any]:
        return describe(self.book.chosen(key), self._now())

    def _decide(self, asked: Request) -> Event:
        now = self._now()
        match asked:
            case Start():
                return self._start(asked, now)
            case SetMark():
                at = asked.at if asked.at is not None else now - round(asked.ago * SECOND)
                return decisions.mark(self.book, now, asked.name, at, asked.value, asked.by, asked.early)
            case AddNote():
                return decisions.note(self.book, now, asked.text, asked.by, asked.session)
            case GoOn():
                return decisions.advance(self.book, now, asked.early, asked.by)
            case Stop():
                return decisions.stop(self.book, now, asked.reason, asked.by)
            case Keep():
                return decisions.keep(self.book, now, asked.reason, asked.by, asked.session)
            case Correct():
                if asked.entry is None and asked.field == "visit":
                    self._check_visit(str(asked.value))
                return decisions.correct(
                    self.book, now, asked.entry, asked.field, asked.value, asked.reason, asked.by, asked.session,
                    self._pattern,
                )  # fmt: skip
            case Visit():
                self._check_visit(asked.visit)
                about = {"subject": asked.subject, "visit": asked.visit, "limb": "", "by": asked.by}
                return decisions.visit(self.book, now, ENTRIES, load(ENTRIES, self._beside), about, self._pattern)
            case Observe():
                return decisions.observe(self.book, now, asked.fields, asked.by, asked.session)
        raise Refused(f"{type(asked).__name__} decides nothing")

    def _look(self, asked: Look) -> dict[str, Any]:
        protocol = load(asked.protocol, self._beside)
        headers = list(self._headers())
        bindings = bind(protocol, headers, asked.bind)
        check_units(bindings, headers)
        checks = preflight(protocol, bindings, asked.checks, self._bench(), self._now())
        return {"protocol": asked.protocol, "checks": [check.as_dict() for check in checks]}

    def _start(self, asked: Start, now: int) -> Event:
        protocol = load(asked.protocol, self._beside)
        # Before anything is looked up: a refused code must not be the second thing somebody hears of.
        participant.check(asked.subject, self._pattern)
        self._check_visit(asked.visit)
        headers = list(self._headers())
        bindings = bind(protocol, headers, asked.bind)
        check_units(bindings, headers)
        checks = preflight(protocol, bindings, asked.checks, self._bench(), now)
        must_not_start(checks)
        about = {
            "subject": asked.subject,
            "visit": asked.visit,
            "limb": asked.limb,
            "site": participant.check_text(asked.site, "site"),
            "by": asked.by,
            "bindings": bindings,
            "conditions": {name: _checked(value, name) for name, value in asked.conditions.items()},
            "checks": [check.as_dict() for check in checks],
            "simulated": any(header.simulated for header in headers),
        }
        return decisions.start(self.book, now, asked.protocol, protocol, about, self._pattern)

    def _check_alarms(self) -> None:
        for alarm in self._alarms():
            if alarm.blocks:
                raise Refused(alarm.text, "session start", remedy=alarm.remedy)

    def _check_visit(self, visit: str) -> None:
        if self._visits and visit not in self._visits:
            raise Refused(
                f"the study has no visit {visit!r}", "--visit", "a typing error", f"one of: {', '.join(self._visits)}"
            )

    def _entries_of(self, asked: Visit) -> str | None:
        same = (ENTRIES, asked.subject, asked.visit)
        for session in self.book.sessions.values():
            about = session.about
            if not session.open and (about["protocol"], about["subject"], about["visit"]) == same:
                return session.id
        return None

    def _accept(self, event: Event) -> None:
        self._publish(event)
        self.book = self.book.after(event)


def _checked(value: str | float, name: str) -> str | float:
    if name in NUMBERS and isinstance(value, str):
        raise Refused(
            f"{name} is a number, not {value!r}", "--condition", remedy=f"such as --condition {NUMBERS[name]}"
        )
    return participant.check_text(value, name) if isinstance(value, str) else value
