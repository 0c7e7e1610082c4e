"""The reading side of a record: exact samples, columns for plots, gaps and events; beside a writing daemon too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np

from acquisition.errors import StoreError
from acquisition.model import Flags, Floats, Gap, Header, Nanoseconds, Quality
from acquisition.store import rows, schema
from acquisition.store.rows import Row, Samples

When = int | datetime | None


@dataclass(frozen=True, slots=True)
class Block:
    """Samples of a stream: time (n,) int64 ns, values (n, c), quality (n, c), device_time (n,) s or None."""

    channels: tuple[str, ...]
    time: Nanoseconds
    values: Floats
    quality: Flags
    device_time: Floats | None = None

    def __len__(self) -> int:
        return len(self.time)


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
    """What the record holds of one stream; `first` and `last` are time keys."""

    device: str
    stream: str
    header: Header
    samples: int
    first: int | None
    last: int | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row of the event chain."""

    id: int
    time: int
    kind: str
    device: str
    stream: str
    body: dict[str, Any]


class Store:
    """Reads a record, given its folder or file.

    Rows whose checksum fails are never served, but counted in `damaged`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = schema.locate(Path(path))
        self.damaged: set[int] = set()
        self._connection = schema.open_reader(self.path)

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def streams(self) -> list[StreamInfo]:
        """Every stream with its latest header, by device and name."""
        found = []
        query = """SELECT s.device, s.name,
                   (SELECT header FROM header h WHERE h.stream = s.id ORDER BY run DESC LIMIT 1),
                   (SELECT coalesce(sum(n), 0) FROM chunk c WHERE c.stream = s.id),
                   (SELECT min(start) FROM chunk c WHERE c.stream = s.id),
                   (SELECT max(stop) FROM chunk c WHERE c.stream = s.id)
                   FROM stream s ORDER BY s.device, s.name"""
        for device, name, header, samples, first, last in list(self._connection.execute(query)):
            parsed = msgspec.json.decode(header, type=Header)
            found.append(StreamInfo(device, name, parsed, samples, first, last, tuple(self.gaps(device, name))))
        return found

    def read(
        self,
        device: str,
        channels: Sequence[str] | None = None,
        start: When = None,
        stop: When = None,
        stream: str | None = None,
    ) -> Block:
        """Samples of one device with start <= time < stop, exactly as they were accepted.

        Channels of one stream come as that stream's rows. Channels of several streams are merged by time:
        each stream's sample has a row of its own where the others have none there, NaN and INVALID.
        """
        parts = []
        for info in self.streams():
            if info.device != device or (stream is not None and info.stream != stream):
                continue
            own = [c.name for c in info.header.stream.channels if channels is None or c.name in channels]
            if own:
                parts.append(_join(own, list(self.blocks(device, info.stream, own, start, stop))))
        held = {name for part in parts for name in part.channels}
        wanted = list(channels) if channels is not None else [name for part in parts for name in part.channels]
        if not parts or (unknown := [name for name in wanted if name not in held]):
            known = ", ".join(f"{i.device}/{i.stream}" for i in self.streams()) or "nothing"
            what = f"no channel {unknown[0]!r}" if parts else "no such device or stream"
            raise StoreError(f"the record has {what}", f"{self.path}, device {device!r}", remedy=f"it holds: {known}")
        return _merge(parts, wanted)

    def blocks(
        self, device: str, stream: str, channels: Sequence[str], start: When = None, stop: When = None
    ) -> Iterator[Block]:
        """Samples of one stream, row by row in order of sequence; a long record never stands in memory whole."""
        low, high = _key(start), _key(stop)
        for samples, names in self._samples(device, stream, low, high):
            keep = slice(None)
            if low is not None or high is not None:
                left = 0 if low is None else int(np.searchsorted(samples.time, low))
                right = len(samples.time) if high is None else int(np.searchsorted(samples.time, high))
                if left >= right:
                    continue
                keep = slice(left, right)
            pick = [names.index(name) for name in channels]
            device_time = None if samples.device_time is None else samples.device_time[keep]
            values, quality = samples.values[keep], samples.quality[keep]
            if len(pick) != len(names) or pick != sorted(pick):
                values, quality = values[:, pick], quality[:, pick]
            yield Block(tuple(channels), samples.time[keep], values, quality, device_time)

    def columns(self, device: str, stream: str, channel: str, start: int, stop: int, points: int) -> Columns:
        """The channel's least and greatest value in each of `points` equal bins of [start, stop) ns."""
        edges = np.linspace(start, stop, points + 1).astype(np.int64)
        low, high = np.full(points, np.nan), np.full(points, np.nan)
        block = _join([channel], list(self.blocks(device, stream, [channel], start, stop)))
        values = block.values[:, 0]
        finite = np.isfinite(values)
        values, time = values[finite], block.time[finite]
        if len(time):
            bins = np.searchsorted(edges, time, side="right") - 1
            heads = np.flatnonzero(np.diff(bins, prepend=-1))
            low[bins[heads]] = np.minimum.reduceat(values, heads)
            high[bins[heads]] = np.maximum.reduceat(values, heads)
        return Columns(edges, low, high)

    def gaps(self, device: str | None = None, stream: str | None = None) -> list[Gap]:
        """The gap records, in order of time."""
        return [
            Gap(b["from"], b["to"], b["after"], b["before"], b["text"], b["missing"])
            for b in (row.body for row in self.events("gap", device, stream))
        ]

    def events(
        self, kind: str | None = None, device: str | None = None, stream: str | None = None, since: int = 0
    ) -> list[Recorded]:
        """Events after id `since`, oldest first."""
        query = """SELECT id, time, kind, device, stream, body FROM event WHERE id > ?1
                   AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR device = ?3) AND (?4 IS NULL OR stream = ?4)
                   ORDER BY id"""
        found = self._connection.execute(query, (since, kind, device, stream))
        return [Recorded(i, t, k, d, s, json.loads(body)) for i, t, k, d, s, body in found]

    def runs(self) -> dict[int, dict[str, Any]]:
        """Every run: its start on both clocks, its anchor, and what it said about itself."""
        return {
            run: {"utc": utc, "monotonic": monotonic, "anchor": anchor, **json.loads(about)}
            for run, utc, monotonic, anchor, about in self._connection.execute("SELECT * FROM run ORDER BY run")
        }

    def _samples(
        self, device: str, stream: str, start: int | None, stop: int | None
    ) -> Iterator[tuple[Samples, list[str]]]:
        found = list(self._connection.execute("SELECT id FROM stream WHERE device = ? AND name = ?", (device, stream)))
        if not found:
            return
        number = found[0][0]
        names = {
            run: [c.name for c in msgspec.json.decode(header, type=Header).stream.channels]
            for run, header in self._connection.execute("SELECT run, header FROM header WHERE stream = ?", (number,))
        }
        query = f"""SELECT id, {rows.COLUMNS} FROM chunk WHERE stream = ?1
                    AND (?2 IS NULL OR stop >= ?2) AND (?3 IS NULL OR start < ?3) ORDER BY first"""
        for identifier, *row in self._connection.execute(query, (number, start, stop)):
            channels = names.get(row[1])
            samples = None if channels is None else rows.unpack(_row(row), len(channels))
            if samples is None or channels is None:
                self.damaged.add(identifier)
                continue
            yield samples, channels


def _row(row: list[Any]) -> Row:
    return tuple(row)


def _key(when: When) -> int | None:
    if not isinstance(when, datetime):
        return when
    moment = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(moment.timestamp() // 1) * 1_000_000_000 + moment.microsecond * 1000


def _join(channels: Sequence[str], blocks: Sequence[Block]) -> Block:
    if not blocks:
        none = (0, len(channels))
        return Block(tuple(channels), np.zeros(0, np.int64), np.zeros(none), np.zeros(none, np.uint8))
    times = [b.device_time for b in blocks if b.device_time is not None]
    return Block(
        tuple(channels),
        np.concatenate([b.time for b in blocks]),
        np.concatenate([b.values for b in blocks]),
        np.concatenate([b.quality for b in blocks]),
        np.concatenate(times) if len(times) == len(blocks) else None,
    )


def _merge(parts: Sequence[Block], wanted: Sequence[str]) -> Block:
    if len(parts) == 1 and list(parts[0].channels) == list(wanted):
        return parts[0]
    time = np.concatenate([part.time for part in parts])
    values = np.full((len(time), len(wanted)), np.nan)
    quality = np.full((len(time), len(wanted)), int(Quality.INVALID), np.uint8)
    row = 0
    for part in parts:
        for index, name in enumerate(part.channels):
            if name in wanted:
                column = list(wanted).index(name)
                values[row : row + len(part), column] = part.values[:, index]
                quality[row : row + len(part), column] = part.quality[:, index]
        row += len(part)
    order = np.argsort(time, kind="stable")
    return Block(tuple(wanted), time[order], values[order], quality[order])
