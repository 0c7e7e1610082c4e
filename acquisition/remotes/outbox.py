"""Outbox of a remote: ranges of the record not received yet, the newest first, and one durable low-water mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RANGES = 32
"""More outages than this within one backlog share ranges."""


@dataclass(slots=True)
class Range:
    """Samples to deliver in order: from `positions` on, up to `until` (None: for ever), by stream number.

    `reached` is the time key of the last one delivered.
    """

    positions: dict[int, int] = field(default_factory=dict)
    until: dict[int, int] | None = None
    reached: dict[int, int] = field(default_factory=dict)

    def end(self, stream: int, ends: Mapping[int, int]) -> int:
        """Where this range ends in a stream whose record reaches `ends`."""
        return ends.get(stream, 0) if self.until is None else self.until.get(stream, 0)

    def pending(self, ends: Mapping[int, int]) -> int:
        """How many sequence numbers are still to be delivered."""
        return sum(max(self.end(stream, ends) - self.positions.get(stream, 0), 0) for stream in ends)


class Outbox:
    """Ranges of one remote, the oldest first; the last one is live and has no end.

    Only the low-water mark is kept over a restart. What lies above it and was delivered already is then
    delivered again, which is harmless: keys are stable.
    """

    def __init__(self, acknowledged: Mapping[int, int]) -> None:
        self.ranges = [Range(dict(acknowledged))]

    @property
    def live(self) -> Range:
        """The newest range."""
        return self.ranges[-1]

    def split(self, ends: Mapping[int, int]) -> None:
        """Leave what waits to a backlog and go on live from here."""
        self.live.until = dict(ends)
        self.ranges.append(Range(dict(ends)))
        if len(self.ranges) > RANGES:
            self._join()

    def _join(self) -> None:
        """Make one of the two neighbours with the least between them, which is then delivered once more."""
        between = [_between(a, b) for a, b in zip(self.ranges[:-2], self.ranges[1:-1], strict=True)]
        first = between.index(min(between))
        self.ranges[first].until = self.ranges[first + 1].until
        del self.ranges[first + 1]

    def backlog(self, ends: Mapping[int, int]) -> Range | None:
        """The oldest range that still has something; finished ones are forgotten."""
        while len(self.ranges) > 1 and not self.ranges[0].pending(ends):
            del self.ranges[0]
        return self.ranges[0] if len(self.ranges) > 1 else None

    def acknowledged(self, ends: Mapping[int, int]) -> dict[int, int]:
        """The low-water mark: everything before it was delivered."""
        mark = {}
        for stream in ends:
            unfinished = [r for r in self.ranges if r.positions.get(stream, 0) < r.end(stream, ends)]
            mark[stream] = (unfinished[0] if unfinished else self.live).positions.get(stream, 0)
        return mark

    def pending(self, ends: Mapping[int, int]) -> int:
        """How many sequence numbers are still to be delivered."""
        return sum(each.pending(ends) for each in self.ranges)


def _between(earlier: Range, later: Range) -> int:
    until = earlier.until or {}
    return sum(position - until.get(stream, 0) for stream, position in later.positions.items())
