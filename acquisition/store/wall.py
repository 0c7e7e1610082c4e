"""The wall clock of the record's instants: a piecewise map from time keys and back, each run by its own clock."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from acquisition.model import Nanoseconds
from acquisition.store.timestamps import FIRST, LAST

STEP = "clock"
"""The kind of the event that a step of the wall clock within a run leaves; details: `utc`, ns, at the event's time."""
MENDED = "clock-mended"
"""The kind of the event that corrects a run's clock; details: `run`, and its true `utc` (ns) at its start."""
LEAST = 60_000_000_000
"""Nanoseconds by which the wall clock must have been stepped within a run for its times to follow: smaller steps would
only part neighbouring samples, and change no date."""


@dataclass(frozen=True, slots=True)
class Piece:
    """From the time key `start` on (ns), up to the next piece, the wall clock is `shift` ns later than the keys."""

    start: int
    shift: int


class Wall:
    """Maps time keys to the wall clock (UTC, ns), and back, by `pieces`; without any it is the identity.

    What lies before the first piece goes with it. Several keys may have the same wall time: a clock that ran ahead in
    one run shows the times of a later one.
    """

    __slots__ = ("_keys", "_shifts", "pieces")

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self.pieces: tuple[Piece, ...] = tuple(_merged(pieces))
        self._keys = [piece.start for piece in self.pieces]
        self._shifts = [piece.shift for piece in self.pieces]

    @property
    def identity(self) -> bool:
        """Whether every key is its own wall time."""
        return not any(self._shifts)

    def shift(self, key: int) -> int:
        """What to add to a time key, ns."""
        return self._shifts[max(bisect_right(self._keys, key) - 1, 0)] if self._shifts else 0

    def of(self, key: int) -> int:
        """The wall time of a time key, ns."""
        return key + self.shift(key)

    def of_all(self, keys: Nanoseconds) -> Nanoseconds:
        """The wall times (n,) of time keys (n,), ns; the keys themselves where they need no change."""
        if self.identity:
            return keys
        places = np.maximum(np.searchsorted(np.array(self._keys, np.int64), keys, side="right") - 1, 0)
        shifted: Nanoseconds = keys + np.array(self._shifts, np.int64)[places]
        return shifted

    def spans(self, start: int | None, stop: int | None) -> list[tuple[int, int, int]]:
        """The spans of keys [begin, end) whose wall time is in [start, stop), in order, each with its shift, ns."""
        low, high = FIRST if start is None else start, LAST if stop is None else stop
        if not self.pieces:
            return [(low, high, 0)] if low < high else []
        found = []
        for number, piece in enumerate(self.pieces):
            least = self._keys[number] if number else FIRST
            most = self._keys[number + 1] if number + 1 < len(self._keys) else LAST
            begin = least if start is None else max(least, low - piece.shift)
            end = most if stop is None else min(most, high - piece.shift)
            if begin < end:
                found.append((begin, end, piece.shift))
        return found

    def key(self, wall: int, since: int = FIRST, until: int = LAST) -> int:
        """The time key of a wall time, ns: of several the latest from `since` to `until`, else the one nearest to them.

        A wall time that no run knows, as before a step forward, has the key where the clock passed it by.
        """
        keys = [begin for begin, _, _ in self.spans(wall, wall + 1)] or [self._passed(wall)]
        inside = [key for key in keys if since <= key <= until]
        return inside[-1] if inside else min(keys, key=lambda key: max(since - key, key - until))

    def stepped(self, key: int, utc: int) -> Wall:
        """The map once the wall clock is known to show `utc` at `key`; the same where that is no step of `LEAST`."""
        shift = utc - key
        return self if abs(shift - self.shift(key)) < LEAST else Wall((*self.pieces, Piece(key, shift)))

    def begun(self, key: int, utc: int) -> Wall:
        """The map once a run begins at `key`, when the wall clock shows `utc`."""
        return Wall((*self.pieces, Piece(key, utc - key)))

    def _passed(self, wall: int) -> int:
        for start, shift in zip(self._keys[1:], self._shifts[1:], strict=True):
            if start + shift > wall:
                return start
        return self._keys[-1]


def read(connection: apsw.Connection) -> Wall:
    """The map of a record, from its runs, the steps of the clock within them, and what was corrected."""
    runs = list(connection.execute("SELECT run, utc, anchor FROM run ORDER BY run"))
    mended = {int(body["run"]): int(body["utc"]) for _, body in _details(connection, MENDED)}
    pieces = {run: Piece(anchor, mended.get(run, utc) - anchor) for run, utc, anchor in runs}
    anchors = [anchor for _, _, anchor in runs]
    found = list(pieces.values())
    for time, body in _details(connection, STEP):
        place = bisect_right(anchors, time) - 1
        if place < 0 or "utc" not in body or runs[place][0] in mended:
            continue  # a correction is of the whole run: its clock counts from there
        shift = int(body["utc"]) - time
        last = max((each for each in found if each.start <= time), key=lambda each: each.start)
        if abs(shift - last.shift) >= LEAST:
            found.append(Piece(time, shift))
    return Wall(found)


def _details(connection: apsw.Connection, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for time, text in connection.execute("SELECT time, body FROM event WHERE kind = ? ORDER BY id", (kind,)):
        details = json.loads(text).get("details")
        if isinstance(details, dict):
            yield time, details


def _merged(pieces: Iterable[Piece]) -> Iterator[Piece]:
    last: Piece | None = None
    for piece in sorted(pieces, key=lambda each: each.start):
        if last is None or piece.shift != last.shift:
            yield piece
            last = piece
