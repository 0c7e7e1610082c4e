"""Values that a reader of a record returns: samples, columns for plots, streams, cursors, events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from acquisition.model import Flags, Floats, Gap, Header, Nanoseconds


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """Samples of a stream: time (n,) int64 ns, values (n, c), quality (n, c), device_time (n,) s or None.

    It unpacks as `time, values, quality`.
    """

    channels: tuple[str, ...]
    time: Nanoseconds
    values: Floats
    quality: Flags
    device_time: Floats | None = None

    def __len__(self) -> int:
        return len(self.time)

    def __iter__(self) -> Iterator[Nanoseconds | Floats | Flags]:
        return iter((self.time, self.values, self.quality))


@dataclass(frozen=True, slots=True)
class Columns:
    """A trace for drawing: per bin the least and greatest value, NaN where the bin is empty.

    edges (points + 1,) int64 ns; low, high (points,).
    """

    edges: Nanoseconds
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What the record holds of one stream; `first` and `last` are time keys, `number` is its number in this record."""

    device: str
    stream: str
    header: Header
    samples: int
    first: int | None
    last: int | None
    gaps: tuple[Gap, ...]
    number: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a remote has acknowledged: the next sequence number by stream number, and the last event."""

    name: str
    positions: dict[int, int]
    event: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of the event chain."""

    id: int
    time: int
    kind: str
    device: str
    stream: str
    body: dict[str, Any]
    hash: str
