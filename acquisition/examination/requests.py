"""Requests about sessions: what may be asked, each field with its type, and what of it is made clean at this border."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from acquisition.errors import Refused
from acquisition.examination import fields
from acquisition.examination.fields import Key, Limb, Text, Word
from acquisition.text import KEY, clean

NUMBERS = {"time_constant": "time_constant=0.2 (s)", "sensor_temperature": "sensor_temperature=44 (Cel)"}
"""Conditions that are numbers, and how they are said."""
Ago = Annotated[float, Meta(ge=0, le=86400)]
Name = Annotated[str, Meta(max_length=KEY)]
Checked = dict[Word, Annotated[str, Meta(max_length=200)]]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """A request of the control socket."""


class Start(Ask, frozen=True, tag="session.start"):
    """Begin a session."""

    protocol: Word
    subject: Word
    visit: Word
    limb: Limb = ""
    site: Text = ""
    by: Name = ""
    bind: dict[str, list[str]] = {}
    conditions: dict[Literal["model", "probe", "time_constant", "calibration", "sensor_temperature", "position"],
                     str | float] = {}  # fmt: skip
    checks: Checked = {}


class Look(Ask, frozen=True, tag="session.check"):
    """Answer the list of what to look at before a session of this protocol, and start nothing.

    With a subject or a visit, which a start would refuse, it is refused as well, and so while a session goes on.
    """

    protocol: Word
    subject: Word | None = None
    visit: Word | None = None
    site: Text = ""
    bind: dict[str, list[str]] = {}
    checks: Checked = {}
    by: Name = ""


class SetMark(Ask, frozen=True, tag="session.mark"):
    """Set a mark, `ago` s before now, or at a time key or an ISO 8601 time of the wall clock."""

    name: Word
    ago: Ago = 0.0
    at: Key | Word | None = None
    value: Word | None = None
    early: Text = ""
    by: Name = ""


class AddNote(Ask, frozen=True, tag="session.note"):
    """Write a remark."""

    text: Text
    session: Word | None = None
    by: Name = ""


class GoOn(Ask, frozen=True, tag="session.next"):
    """Go on to the next phase."""

    early: Text = ""
    by: Name = ""


class Stop(Ask, frozen=True, tag="session.stop"):
    """End the session."""

    reason: Text = ""
    by: Name = ""


class Keep(Ask, frozen=True, tag="session.keep"):
    """Keep the samples of a session that is over, whatever the record's retention says."""

    reason: Text = ""
    session: Word | None = None
    by: Name = ""


class Correct(Ask, frozen=True, tag="session.correct"):
    """Change one field of an entry, or of the session without `entry`; each kind of entry says what `value` may be.

    A mark's time is said as in `SetMark.at`.
    """

    reason: Text
    field: Word
    entry: int | None = None
    value: Any = None
    session: Word | None = None
    by: Name = ""


class Observe(Ask, frozen=True, tag="session.observe"):
    """Enter what a person measured or saw; `fields` say what."""

    fields: dict[str, Any]
    session: Word | None = None
    by: Name = ""


class Visit(Ask, frozen=True, tag="session.visit"):
    """Answer the session that takes what is entered apart from any examination; opened where the visit has none."""

    subject: Word
    visit: Word
    by: Name = ""


class Show(Ask, frozen=True, tag="session.show"):
    """Describe a session, the present one by default."""

    session: Word | None = None


class List(Ask, frozen=True, tag="session.list"):
    """Describe every session in a line."""


Request = Start | Look | SetMark | AddNote | GoOn | Stop | Keep | Correct | Observe | Visit | Show | List
ASKS: tuple[type[Ask], ...] = (Start, Look, SetMark, AddNote, GoOn, Stop, Keep, Correct, Observe, Visit, Show, List)
REQUESTS = tuple(str(each.__struct_config__.tag) for each in ASKS)
"""What the socket may be asked about sessions."""

_KINDS = {str(each.__struct_config__.tag): each for each in ASKS}
_WORDS = frozenset({"protocol", "subject", "visit", "session", "name", "field", "limb"})
"""Fields that name something: they are refused, not made clean. All other texts are free."""
_CHECKED_LATER = frozenset({"value", "fields"})
"""What the entry that it belongs to checks and makes clean."""


def parse(request: Mapping[str, Any]) -> Request:
    """What is asked, with every type right and every text clean; Refused says in words what is not."""
    do = request.get("do")
    kind = _KINDS.get(do) if isinstance(do, str) else None
    if kind is None:
        raise Refused("this is no request about sessions", "request", remedy=f"one of: {', '.join(REQUESTS)}")
    fields.plain(request)
    asked: Request = fields.convert(request, kind, where=str(do))
    names = [name for name in asked.__struct_fields__ if name not in _CHECKED_LATER]
    changed = {name: _clean(name, getattr(asked, name)) for name in names}
    if isinstance(asked, Start):
        changed["conditions"] = {name: _condition(name, said) for name, said in changed["conditions"].items()}
    return msgspec.structs.replace(asked, **changed)


def _clean(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return fields.word(value, name) if name in _WORDS else clean(value)
    if isinstance(value, dict):
        return {fields.word(key, name): _clean("", each) for key, each in value.items()}
    return [clean(each) for each in value] if isinstance(value, list) else value


def _condition(name: str, value: str | float) -> str | float:
    if name in NUMBERS and isinstance(value, str):
        raise Refused(
            f"{name} is a number, not {value!r}", "--condition", remedy=f"such as --condition {NUMBERS[name]}"
        )
    return fields.text(value, name) if isinstance(value, str) else value
