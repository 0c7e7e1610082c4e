"""Validators of the fields that people fill in: one each, for entering and for correcting, and refusals in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from acquisition.config import toml
from acquisition.errors import Refused
from acquisition.examination import participant
from acquisition.examination.rules import Rules
from acquisition.text import LIMIT, clean, is_clean

T = TypeVar("T")
Word = Annotated[str, Meta(min_length=1, max_length=64)]
"""An identifier: it is never made clean, as it would then be another one."""
Text = Annotated[str, Meta(max_length=LIMIT)]
Key = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""A time key, ns."""
Limb = Literal["", "left", "right", "both"]
ABOUT: Mapping[str, Any] = {"subject": Word, "visit": Word, "limb": Limb, "site": Text}
"""What of a session's start may be corrected."""
DEPTH = 8
"""How deep what is asked may be nested: an outline takes four."""
UNNAMED = ("subject",)
"""Fields whose refused text is not repeated: it may be the very name that must not be written anywhere."""


def about(field: str, value: Any, rules: Rules) -> str:
    """The value of a field of `ABOUT` as it may be written; Refused where it may not."""
    if field not in ABOUT:
        raise Refused(
            f"{shown(field)} of a session cannot be corrected", "correct", remedy=f"one of: {', '.join(ABOUT)}"
        )
    said: str = convert(value, ABOUT[field], field)
    if field == "site":
        return text(said, field)
    if field == "limb":
        return said
    word(said, field)
    if field == "subject":
        return participant.check(said, rules.pattern)
    if rules.visits and said not in rules.visits:
        raise Refused(
            f"the study has no visit {said!r}", "--visit", "a typing error", f"one of: {', '.join(rules.visits)}"
        )
    return said


def word(value: str, field: str) -> str:
    """An identifier that may stay as it is; Refused where characters of it would be changed."""
    if not is_clean(value) or "\ufffd" in value:
        raise Refused(
            f"{field} holds characters that cannot be seen or written", field,
            "bytes that are no UTF-8, a control character, or letters that are composed in another way",
            f"type {field} anew, with letters, digits and signs of this keyboard",
        )  # fmt: skip
    return value


def text(value: str, field: str) -> str:
    """A free text, clean and bounded; Refused where it is too long or identifies a person."""
    said = clean(value, len(value) + LIMIT)
    if len(said) > LIMIT:
        raise Refused(f"{field} is {len(said)} characters long", field, remedy=f"at most {LIMIT}: say it in two notes")
    return participant.check_text(said, field)


def plain(value: Any) -> None:
    """Refuse what no field can be: a number that is not finite or beyond 64 bit, and what is nested too deep."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if depth > DEPTH:
            raise Refused("the request is nested too deep", "request", remedy=f"at most {DEPTH} levels")
        if isinstance(each, Mapping):
            waiting += [(inner, depth + 1) for inner in each.values()]
        elif isinstance(each, list | tuple):
            waiting += [(inner, depth + 1) for inner in each]
        elif isinstance(each, float) and not math.isfinite(each):
            raise Refused("a number of the request is infinite, or none", "request", remedy="leave it away, or say it")
        elif isinstance(each, int) and not -(2**63) <= each < 2**63:
            raise Refused("a number of the request is too large", "request", remedy="at most 9223372036854775807")


def convert(raw: Any, kind: type[T] | Any, field: str = "", where: str = "") -> T:
    """Fit raw values into a type; Refused says in words which field cannot be what it is, and what it can be."""
    try:
        fitted: T = msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        what, allowed = explain(toml.misfit(error, raw, kind), field)
        raise Refused(what, where or field or "request", remedy=allowed) from None
    except UnicodeError:  # the converter looks up a word that cannot be encoded
        raise Refused(
            f"{field or 'a word of the request'} holds characters that cannot be written",
            where or field or "request",
            "bytes that are no UTF-8",
            "type it anew",
        ) from None
    return fitted


def explain(found: toml.Misfit, field: str = "") -> tuple[str, str]:
    """What is wrong and what is allowed, in words; `field` is what the whole is called."""
    allowed = found.allowed.replace("text in quotes", "text").replace("''", "nothing")
    name = shown(found.key.removeprefix(".")) or field or "the request"
    for end, what in ((toml.EACH, "a value of"), (toml.IN_KEY, "a name in")):
        if name.endswith(end):
            name = f"{what} {name.removesuffix(end)}"
    if found.why == "unknown":
        return f"there is no field {shown(found.name)!r}", f"the fields are: {allowed}"
    if found.why == "missing":
        return f"the field {name!r} is missing", f"it is {allowed}"
    return f"{name} cannot be {_said(found.value, name)}", f"it is {allowed}"


def shown(word: str) -> str:
    """A word of a request as a refusal may repeat it."""
    return clean(word, 64)


def _said(value: Any, name: str) -> str:
    match value:
        case str():
            return "this text" if name in UNNAMED else repr(shown(value))
        case bool() | None:
            return {True: "true", False: "false", None: "nothing"}[value]
        case int() | float():
            return f"{value:g}" if isinstance(value, float) else str(value)
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
    return "what it is"
