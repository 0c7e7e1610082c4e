"""The values that travel through the service: channels, streams, readings, chunks, gaps and events.

What is made for every read of a port is a `msgspec.Struct`, the rest are dataclasses: see
docs/decisions/0014-what-each-read-makes.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acquisition.text import KEY, clean, clean_details

Floats = NDArray[np.float64]
Nanoseconds = NDArray[np.int64]
Flags = NDArray[np.uint8]


class Quality(IntFlag):
    """What is known against a value; 0 is a value with nothing against it."""

    GOOD = 0
    INVALID = 1
    """The instrument itself says that the value is none."""
    RANGE = 2
    """Outside what the channel can mean."""
    QUESTIONABLE = 4
    CALIBRATING = 8
    SUSPECT = 16
    """Plausible on the wire, implausible in the body: stuck, or a leak."""
    DEMO = 32
    """The instrument is in a test or demonstration mode."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of a stream; `unit` in UCUM, `low` and `high` in that unit, `stale_after` in seconds."""

    name: str
    unit: str
    low: float | None = None
    high: float | None = None
    stale_after: float | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """Channels that are sampled together; `rate` in Hz, None when irregular.

    `interval` s: about how often the samples of a stream without a rate come, None where nobody says.
    """

    name: str
    channels: tuple[Channel, ...]
    rate: float | None = None
    interval: float | None = None

    def stale_after(self, channel: Channel) -> float:
        """Seconds after which a value of `channel` is no longer live: its own, or max(2 s, 2.5 intervals)."""
        if channel.stale_after is not None:
            return channel.stale_after
        return max(2.0, 2.5 / self.rate) if self.rate else 2.0


@dataclass(frozen=True, slots=True)
class Header:
    """A stream as it is recorded: which device, by which driver, and how far its meaning is confirmed."""

    device: str
    stream: Stream
    driver: str
    confidence: str
    source: str
    simulated: bool = False
    profile: str = ""
    placement: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """The pair that names the stream in the record: (device, stream)."""
        return self.device, self.stream.name


@dataclass(frozen=True, slots=True)
class TimeBase:
    """The instrument's own clock behind `device_time`.

    `token` changes when that clock starts anew (a new scan, a restart): equal tokens mean one unbroken
    time line, over reconnections too. `origin` is the host's monotonic second at which the
    instrument's clock read zero, as well as the driver knows it, else None.
    """

    token: str
    origin: float | None = None


class Readings(msgspec.Struct, frozen=True, gc=False):
    """What a driver yields: n consecutive samples of one stream, none missing between them.

    values (n, c) float64, NaN = none; quality (n, c) uint8 of `Quality`; device_time (n,) s on `base`,
    or None; `lost` samples are known to be missing before the first. `fresh` is False where the
    instrument still held later samples: their arrival then says nothing about when they were taken.
    """

    stream: str
    values: Floats
    quality: Flags
    device_time: Floats | None = None
    base: TimeBase | None = None
    lost: int = 0
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Notice:
    """What a driver has to say beside samples: `kind` is noise, alarm, identity, state, overflow, warning or unfit.

    An identity carries `model` and `serial` in `details`; noise carries `bytes`, how many were skipped. A state is the
    instrument's own (the belt stopped): it is recorded as kind `instrument`, since the kind `state` is the device's.
    Unfit is an instrument that reports that it cannot do what is configured: its connection ends, with the `cause` and
    the `remedy` of the details.
    Text and details are clean and bounded, whatever an instrument says of itself.
    """

    kind: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", clean(self.text))
        object.__setattr__(self, "details", clean_details(self.details))


class Instant(msgspec.Struct, frozen=True, gc=False):
    """Both host clocks read together, in ns."""

    monotonic: int
    utc: int

    @property
    def seconds(self) -> float:
        """The monotonic clock in seconds, as drivers are handed it."""
        return self.monotonic / 1e9


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a stream: after the sample at `start`, before the one at `stop` (time keys, ns).

    `after` and `before` are the sequence numbers on both sides; `missing` says how many samples are
    known to be gone, 0 when the link was away and nothing was lost, None when nobody can know.
    """

    start: int
    stop: int
    after: int
    before: int
    cause: str
    missing: int | None = None


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """Consecutive samples of one stream on their way through the service; its arrays are read-only.

    `first` is the sequence number of the first sample: the next chunk's is `first + len(chunk)`, or
    samples are missing and that chunk carries the `gap`. time (n,) int64 ns: the instant of each
    sample, strictly increasing per stream over all runs. `arrived`: when its last byte was read.
    """

    header: Header
    run: int
    connection: int
    first: int
    arrived: Instant
    time: Nanoseconds
    values: Floats
    quality: Flags
    device_time: Floats | None = None
    gap: Gap | None = None

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, for the record's chain and for people: a state, a notice, a clock step.

    `time` is a time key (ns) on the same axis as the samples; `device` is empty for the service itself. Its texts and
    details are clean, whoever made it and from whatever record it was read.
    """

    kind: str
    time: int
    device: str
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", clean(self.kind, KEY))
        object.__setattr__(self, "device", clean(self.device, KEY))
        object.__setattr__(self, "text", clean(self.text))
        object.__setattr__(self, "details", clean_details(self.details, items=sys.maxsize))


@dataclass(frozen=True, slots=True)
class Alarm:
    """A fault of the service itself that stands until it is over: shown wherever people look, not only when it came.

    One of each `kind` stands at a time; `since` is a time key (ns). While one `blocks`, no examination begins.
    """

    kind: str
    text: str
    remedy: str
    blocks: bool
    since: int
