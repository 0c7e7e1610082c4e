"""Patterns that a site writes, made safe: no line of any content can make one take long."""

from __future__ import annotations

import re

LONGEST = 2000
"""Characters of a pattern."""

_TOKEN = re.compile(
    r"""\\.                              # an escape
    | \[\^?\]?(?:\\.|[^\]\\])*\]        # a set of characters
    | \(\?                              # what begins a group of a special kind
    | (?P<repeat>[*+?]|\{(?=[\d,])\d*,?\d*\})(?P<mode>[+?]?)""",
    re.VERBOSE | re.DOTALL,
)


def compile_safely(text: str) -> re.Pattern[bytes]:
    """Compile with every repetition possessive: it takes what it can get and gives nothing back.

    A match then takes a time that grows as the line does, whatever the line holds; only alternatives are tried one
    after the other. ValueError where the pattern is none, is too long or has a lazy repetition.
    """
    if len(text) > LONGEST:
        raise ValueError(f"the pattern is longer than {LONGEST} characters")
    try:
        return re.compile(_TOKEN.sub(_possessive, text).encode("ascii"))
    except UnicodeEncodeError as error:
        raise ValueError(f"the character {text[error.start]!r} is not ASCII; write its byte as \\xNN") from None
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None


def _possessive(token: re.Match[str]) -> str:
    if token["repeat"] is None:
        return token[0]
    if token["mode"] == "?":
        raise ValueError(f"the lazy repetition {token[0]!r} is not allowed; exclude what must follow: [^,]*")
    return token["repeat"] + "+"
