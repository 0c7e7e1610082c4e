"""The newest value and state of everything, for whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from acquisition.live import labels
from acquisition.model import Alarm, Channel, Chunk, Event, Floats, Header, Instant
from acquisition.store.wall import Wall

TRAIL = 60
"""Points of a sparkline, at least a second apart."""
RECENT = 100
"""Events that are kept for who comes later."""
UNHURRIED = 2.0
"""Seconds on the wall that any value may take to be seen, however fast the clock of a simulated bench runs."""

Record = Callable[[Instant, float], dict[str, Any]]


@dataclass(slots=True)
class StreamView:
    """What is known of one stream; its fields are replaced, never changed in place, so any thread may read them."""

    header: Header
    newest: Chunk | None = None
    samples: int = 0
    trail_key: int = 0
    trail: tuple[Floats, ...] = ()


@dataclass(slots=True)
class DeviceView:
    """What is known of one device; `noise` in bytes, `lost` in samples that are known to be missing."""

    name: str
    state: str = "CONNECTING"
    cause: str = ""
    since: int | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    streams: dict[str, StreamView] = field(default_factory=dict)
    gaps: int = 0
    lost: int = 0
    noise: int = 0
    connections: int = 0


class LiveState:
    """Keeps the newest of every channel and the state of every device; a subscriber of the bus.

    `put` belongs to the acquisition loop; everything else may be called from any thread. Whether a value is
    stale is decided when it is read, against the clock handed in, so that no timer can fail to say so.
    `record` describes the record, given both clocks and the speed; `session` the examination that goes on;
    `remotes` how each remote stands; `alarms` what stands against the service itself; `wall` maps time keys to the
    wall clock, by which all times in words are.
    """

    def __init__(
        self,
        record: Record | None = None,
        session: Callable[[], dict[str, Any]] = dict,
        remotes: Callable[[], list[dict[str, Any]]] = list,
        alarms: Callable[[], Sequence[Alarm]] = tuple,
        wall: Callable[[], Wall] = Wall,
    ) -> None:
        self.remotes = remotes
        self.alarms = alarms
        self.wall = wall
        self._record = record
        self._session = session
        self._devices: dict[str, DeviceView] = {}
        self._recent: tuple[Event, ...] = ()

    @property
    def headers(self) -> list[Header]:
        """Every stream known so far, by device in order of appearance."""
        return [stream.header for device in self._devices.values() for stream in device.streams.values()]

    @property
    def devices(self) -> tuple[DeviceView, ...]:
        """Every device known so far."""
        return tuple(self._devices.values())

    @property
    def recent(self) -> tuple[Event, ...]:
        """The latest events, oldest first."""
        return self._recent

    def expect(self, header: Header) -> None:
        """Show a stream before its first sample."""
        self._stream(header)

    def put(self, item: Chunk | Event) -> None:
        """Take note of one item; on the acquisition loop."""
        if isinstance(item, Chunk):
            self._chunk(item)
        else:
            self._event(item)

    def snapshot(self, now: Instant, key_now: int, speed: float) -> dict[str, Any]:
        """Describe everything as plain values for JSON; ages and limits in seconds on the wall."""
        wall = self.wall()
        return {
            "now": iso(wall.of(key_now)),
            "now_ms": key_now / 1e6,
            "wall_ms": wall.shift(key_now) / 1e6,
            "utc": iso(now.utc),
            "speed": speed,
            "devices": [_device(device, now, key_now, speed, wall) for device in self.devices],
            "record": self.snapshot_record(now, speed),
            "session": self._session(),
            "remotes": self.remotes(),
            "alarms": [{**asdict(alarm), "since": iso(wall.of(alarm.since))} for alarm in self.alarms()],
        }

    def snapshot_record(self, now: Instant, speed: float) -> dict[str, Any]:
        """Describe the record alone; empty where nothing is known of it."""
        return {} if self._record is None else self._record(now, speed)

    def _chunk(self, chunk: Chunk) -> None:
        device, stream = self._stream(chunk.header)
        stream.newest = chunk
        stream.samples += len(chunk)
        if chunk.gap is not None:
            device.gaps += 1
            device.lost += chunk.gap.missing or 0
        key = int(chunk.time[-1])
        if key - stream.trail_key >= 1_000_000_000:
            stream.trail_key = key
            stream.trail = (*stream.trail[1 - TRAIL :], chunk.values[-1])

    def _event(self, event: Event) -> None:
        if event.kind != "noise":
            self._recent = (*self._recent[1 - RECENT :], event)
        if not event.device:
            return
        device = self._device(event.device)
        details = event.details
        if event.kind == "state":
            device.state = str(details.get("state", event.text))
            device.cause = str(details.get("cause", ""))
            device.since = event.time
            device.connections += device.state == "STREAMING"
        elif event.kind == "noise":
            device.noise += int(details.get("bytes", 0))
        elif event.kind == "identity":
            device.identity = {key: str(details[key]) for key in ("model", "serial") if details.get(key)}

    def _device(self, name: str) -> DeviceView:
        device = self._devices.get(name)
        if device is None:
            device = DeviceView(name)
            # Copied, not extended: another thread may be going through the old one.
            self._devices = {**self._devices, name: device}
        return device

    def _stream(self, header: Header) -> tuple[DeviceView, StreamView]:
        device = self._device(header.device)
        name = header.stream.name
        stream = device.streams.get(name)
        if stream is None:
            stream = StreamView(header)
            device.streams = {**device.streams, name: stream}
        elif stream.header is not header:
            stream.header = header
        return device, stream


def iso(utc: int) -> str:
    """A wall time (ns) as ISO 8601 UTC with milliseconds."""
    moment = datetime.fromtimestamp(utc // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{utc % 1_000_000_000 // 1_000_000:03d}Z"


def stale_limit(header: Header, channel: Channel, speed: float) -> float:
    """Seconds on the wall after which a value of the channel is stale."""
    limit = header.stream.stale_after(channel)
    return max(min(limit, UNHURRIED), limit / speed)


def _device(device: DeviceView, now: Instant, key_now: int, speed: float, wall: Wall) -> dict[str, Any]:
    streams = tuple(device.streams.values())
    first = streams[0].header if streams else None
    return {
        "name": device.name,
        "state": device.state,
        "cause": device.cause,
        "since": None if device.since is None else iso(wall.of(device.since)),
        "simulated": any(stream.header.simulated for stream in streams),
        "driver": first.driver if first else "",
        "confidence": first.confidence if first else "",
        "placement": {k: v for k, v in first.placement.items() if v} if first else {},
        "identity": device.identity,
        "gaps": device.gaps,
        "lost": device.lost,
        "noise": device.noise,
        "channels": [
            _channel(device, stream, index, now, key_now, speed, wall)
            for stream in streams
            for index in range(len(stream.header.stream.channels))
        ],
    }


def _channel(
    device: DeviceView, stream: StreamView, index: int, now: Instant, key_now: int, speed: float, wall: Wall
) -> dict[str, Any]:
    header, newest = stream.header, stream.newest
    channel = header.stream.channels[index]
    limit = stale_limit(header, channel, speed)
    value, flags, key, age, lag = None, 0, None, None, None
    if newest is not None:
        key = int(newest.time[-1])
        flags = int(newest.quality[-1, index])
        raw = float(newest.values[-1, index])
        value = raw if np.isfinite(raw) else None
        age = (key_now - key) / 1e9 / speed
        lag = age - (now.monotonic - newest.arrived.monotonic) / 1e9 / speed
    stale = age is None or age > limit
    return {
        "stream": header.stream.name,
        "name": channel.name,
        "label": labels.label(header.stream.name, channel.name, len(device.streams) == 1),
        "unit": channel.unit,
        "display_unit": labels.display_unit(channel.unit),
        "decimals": labels.decimals(channel.unit),
        "value": value,
        "quality": labels.quality_names(flags),
        "word": "no data yet" if newest is None else labels.state_word(device.state, value, flags, stale),
        "time": None if key is None else iso(wall.of(key)),
        "age_s": age,
        "lag_s": lag,
        "stale": stale,
        "stale_after": limit,
        "low": channel.low,
        "high": channel.high,
        "confidence": header.confidence,
        "samples": stream.samples,
        "sparkline": [float(row[index]) if np.isfinite(row[index]) else None for row in stream.trail],
    }
