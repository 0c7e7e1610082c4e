"""Reads a record for a remote: the next samples of what a range has yet to deliver, as lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from acquisition.model import Header
from acquisition.remotes import line_protocol
from acquisition.remotes.batch import Batch, Origin
from acquisition.remotes.outbox import Range
from acquisition.store import Store, rows
from acquisition.store.rows import Samples

STRETCH = 20_000
"""Samples read at once where many wait, so that a compressed block is not unpacked once for each batch."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the samples of one stream stand in a server: measurement, and tags in order of their names."""

    measurement: str
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Shipment:
    """Where each stream goes: its measurement, and the tags of the station."""

    measurement: Callable[[Header], str]
    tags: Mapping[str, str]

    def place(self, header: Header) -> Place:
        """Where the samples of a stream go."""
        simulated = {"simulated": "true"} if header.simulated else {}
        tags = {**self.tags, "device": header.device, "stream": header.stream.name, **simulated}
        return Place(self.measurement(header), tuple(sorted(tags.items())))

    def encode(self, header: Header, samples: Samples) -> str:
        """Samples of one stream as lines."""
        place = self.place(header)
        channels = [channel.name for channel in header.stream.channels]
        return line_protocol.encode(place.measurement, dict(place.tags), channels, samples)


@dataclass(slots=True)
class Load:
    """A batch, where each stream stands once it is delivered, the oldest time in it, and whether more waits."""

    batch: Batch
    positions: dict[int, int]
    reached: dict[int, int]
    oldest: int | None = None
    more: bool = False


class RangeReader:
    """Reads one range after the other of one record; keeps at most one stretch of samples that it has read ahead."""

    def __init__(self, store: Store, shipment: Shipment) -> None:
        self._store = store
        self._shipment = shipment
        self._headers: dict[int, dict[int, Header]] = {}
        self._ahead: tuple[int, Samples] | None = None

    def load(self, part: Range, ends: Mapping[int, int], limit: int) -> Load:
        """At most `limit` samples of a range, from the streams that are furthest behind in time."""
        load = Load(Batch(), {}, {})
        waiting = [stream for stream in ends if part.positions.get(stream, 0) < part.end(stream, ends)]
        for stream in sorted(waiting, key=lambda each: part.reached.get(each, 0)):
            self._take(load, part, stream, part.end(stream, ends), limit)
            if load.batch.size >= limit:
                break
        load.more = any(load.positions.get(s, part.positions.get(s, 0)) < part.end(s, ends) for s in waiting)
        return load

    def header(self, stream: int, run: int) -> Header:
        """The header of a stream in a run."""
        known = self._headers.get(stream)
        if known is None or run not in known:
            known = self._headers[stream] = self._store.headers(stream)
        return known[run]

    def _take(self, load: Load, part: Range, stream: int, stop: int, limit: int) -> None:
        position = part.positions.get(stream, 0)
        while position < stop and (room := limit - load.batch.size) > 0:
            samples = self._next(stream, position, stop, room)
            if samples is None:
                position = stop  # the rest is a hole; its gap record says why
                break
            header = self.header(stream, samples.run)
            origin = Origin(header.device, header.stream.name, samples.first)
            load.batch.add(origin, self._shipment.encode(header, samples), len(samples))
            oldest = int(samples.time[0])
            load.oldest = oldest if load.oldest is None else min(oldest, load.oldest)
            load.reached[stream] = int(samples.time[-1])
            position = samples.following
        load.positions[stream] = position

    def _next(self, stream: int, position: int, stop: int, limit: int) -> Samples | None:
        ahead = self._ahead
        if ahead is None or ahead[0] != stream or not ahead[1].first <= position < ahead[1].following:
            found = self._store.after(stream, position, min(STRETCH, stop - position))
            if found is None:
                return None
            ahead = (stream, found)
        samples = ahead[1]
        begin = max(position - samples.first, 0)
        end = min(begin + limit, stop - samples.first)
        self._ahead = ahead if end < len(samples) else None
        return rows.cut(samples, begin, end) if end > begin else None
