"""The chain of events: each row's hash covers the one before it, so that no row can change or vanish unseen."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

import apsw

GENESIS = bytes(32)


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8, no NaN."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        text.encode()
        return text
    except (TypeError, ValueError):  # what JSON cannot say is said in words
        return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def link(previous: bytes, row: tuple[int, int, str, str, str, str]) -> bytes:
    """The hash of an event row (id, time, kind, device, stream, body)."""
    return hashlib.sha256(previous + canonical(row).encode()).digest()


class Chain:
    """Appends events to a record inside the writer's transaction; where that fails, a new chain is made."""

    def __init__(self, connection: apsw.Connection) -> None:
        row = next(iter(connection.execute("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1")), None)
        self._id: int
        self._head: bytes
        self._id, self._head = row if row is not None else (0, GENESIS)
        self._connection = connection

    def append(self, time: int, kind: str, device: str, stream: str, body: Mapping[str, Any]) -> None:
        """Write one event."""
        row = (self._id + 1, time, _text(kind), _text(device), _text(stream), canonical(body))
        head = link(self._head, row)
        self._connection.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?)", (*row, head))
        self._id, self._head = row[0], head

    @property
    def position(self) -> tuple[int, bytes]:
        """Number and hash of the last event."""
        return self._id, self._head


def first_broken(connection: apsw.Connection) -> int | None:
    """The id of the first event that does not fit its predecessor, None where all fit."""
    previous, expected = GENESIS, 1
    try:
        for *row, digest in connection.execute(
            "SELECT id, time, kind, device, stream, body, hash FROM event ORDER BY id"
        ):
            if row[0] != expected or link(previous, tuple(row)) != digest:
                return expected
            previous, expected = digest, expected + 1
    except UnicodeDecodeError:
        return expected
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_text(str(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _text(str(value))


def _text(text: str) -> str:
    """The text, with what UTF-8 cannot carry (lone surrogates) escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
