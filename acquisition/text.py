"""Clean text: encodable, of one line, bounded, without what steers a terminal or hides from a reader."""

from __future__ import annotations

import logging
import math
import re
import sys
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec

log = logging.getLogger(__name__)

LIMIT = 2000
"""Characters that a text may have unless told otherwise."""
KEY = 200
DEPTH = 16
ITEMS = 100_000
"""How deep plain values may be nested, and how many there may be in one whole."""
MARKS = 30
"""Combining marks on one letter, as in Unicode's stream-safe text; bringing more of them in order takes n² time."""
CUT = "…"
"""Stands where something was cut off."""

_END = object()
_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, movements of the cursor
    # OSC, DCS: titles, links, keys; none holds the begin of another, so that each character is looked at once
    "|(?:\x1b[P\\]X^_]|[\x90\x9d\x98\x9e\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]"
)
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029\x0b\x0c]")
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""C0 and C1, and of Unicode the bidi controls, the zero-width and the other characters that nobody sees."""
_STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_UNSAYABLE = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""Lone surrogates, as `os.fsdecode` and JSON make them, and what Unicode says is no character."""


def clean(text: str, limit: int = LIMIT, *, lines: bool = False) -> str:
    """The text in NFC and in UTF-8's reach, at most `limit` characters; with `lines` its line ends stay.

    Line ends and tabs become spaces, sequences that steer a terminal and hidden characters go, and what cannot be said
    in UTF-8 becomes U+FFFD. Marks beyond `MARKS` on one letter go. A text that was cut ends in an ellipsis. What is
    clean already comes back as it is.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    whole = len(text) <= 4 * limit
    text = _SEQUENCE.sub("", text[: 4 * limit])
    text = _BREAK.sub("\n" if lines else " ", text).replace("\t", " ")
    text = _UNSAYABLE.sub("\ufffd", _HIDDEN.sub("", text))
    text = text if text.isascii() else _few_marks(unicodedata.normalize("NFC", _few_marks(text)))
    return text if whole and len(text) <= limit else text[: limit - 1] + CUT


def _few_marks(text: str) -> str:
    kept, marks = [], 0
    for each in text:
        marks = marks + 1 if unicodedata.combining(each) else 0
        if marks <= MARKS:
            kept.append(each)
    return "".join(kept)


def is_safe(text: str) -> bool:
    """Whether a text holds nothing that steers a terminal or turns the direction of reading; line ends may stand."""
    return _STEERING.search(text) is None


def is_clean(text: str, limit: int = LIMIT) -> bool:
    """Whether a text may stay as it is, such as an identifier that must not silently become another."""
    return clean(text, limit) == text


def clean_details(value: Any, limit: int = LIMIT, *, items: int = ITEMS) -> Any:
    """Plain values that any JSON encoder takes: every text and key clean, bounded in depth and in number.

    NaN and infinities become None, bytes hexadecimal, integers beyond 64 bit and what JSON does not know become text.
    """
    return _Cleaner(limit, items).plain(value, DEPTH)


def to_json(value: Any) -> bytes:
    """Plain values as JSON of one line; where JSON cannot say one of them, all are made clean, which is logged once."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeError, TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        _tell(type(error).__name__, clean(str(error), KEY))
        return msgspec.json.encode(clean_details(value, 64 * LIMIT, items=sys.maxsize))


@lru_cache(maxsize=64)
def _tell(kind: str, text: str) -> None:
    log.error("a value that JSON cannot say was replaced: %s: %s", kind, text)


class _Cleaner:
    """Counts what one whole holds."""

    def __init__(self, limit: int, items: int) -> None:
        self._limit = limit
        self._left = items

    def plain(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return clean(value, self._limit)
        if isinstance(value, Mapping):
            found: dict[str, Any] = {}
            for key in self._some(value, depth):
                if key is _END:
                    found[CUT] = CUT
                else:
                    found.setdefault(clean(str(key), KEY), self.plain(value[key], depth - 1))
            return found
        if isinstance(value, list | tuple | set | frozenset):
            return [CUT if each is _END else self.plain(each, depth - 1) for each in self._some(value, depth)]
        if hasattr(value, "tolist"):
            return self.plain(value.tolist(), depth)
        return self._scalar(value)

    def _some(self, values: Any, depth: int) -> Iterator[Any]:
        for each in values:
            if depth <= 0 or self._left <= 0:
                yield _END
                return
            self._left -= 1
            yield each

    def _scalar(self, value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if -(2**63) <= value < 2**64 else CUT if value.bit_length() > 4096 else str(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, bytes | bytearray | memoryview):
            return clean(bytes(value[: self._limit]).hex(), self._limit)
        return clean(str(value), self._limit)
