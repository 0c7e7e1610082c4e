"""What a remote has yet to receive: ranges of the record, the newest first, one durable low-water mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RANGES = 8
"""More outages than this within one backlog share its last range."""


@dataclass(slots=True)
class Range:
    """Samples to deliver in order: from `positions` on, up to `until` (None: for ever), by stream number."""

    positions: dict[int, int] = field(default_factory=dict)
    until: dict[int, int] | None = None

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

    def split(self, ends: Mapping[int, int]) -> bool:
        """Leave what waits to a backlog and go on live from here; False where there are too many already."""
        if len(self.ranges) >= RANGES:
            return False
        self.live.until = dict(ends)
        self.ranges.append(Range(dict(ends)))
        return True

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
