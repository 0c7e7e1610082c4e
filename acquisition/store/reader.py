"""The reading side of a record: exact samples, columns for plots, gaps and events; beside a writing daemon too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from acquisition.errors import StoreError
from acquisition.model import Flags, Floats, Gap, Header, Nanoseconds, Quality
from acquisition.store import names, overview, rows, schema, tiers, wall
from acquisition.store import runs as run_history
from acquisition.store.arguments import chosen, optional, text, whole
from acquisition.store.journal import EVENTS, cursor_checksum
from acquisition.store.moments import FIRST, LAST, When, key, named
from acquisition.store.overview import Overview
from acquisition.store.rows import Samples
from acquisition.store.runs import Doubt, Run, Stepped
from acquisition.store.wall import Wall

MOST = 1 << 24
"""Samples that memory is made ready for at first, however many a damaged file says there are."""

Spans = Sequence[tuple[int | None, int | None]]
"""From which key to before which, each; None for an open end."""

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
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


def _told(method: Callable[Concatenate[Store, P], T]) -> Callable[Concatenate[Store, P], T]:
    @wraps(method)
    def wrapper(self: Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        with schema.telling(self.path):
            return method(self, *args, **kwargs)

    return wrapper


class Store:
    """Reads a record, given its folder or file, also while a daemon writes it.

    Rows whose checksum fails are never served, but counted in `damaged`. Remotes read by sequence number
    (`ends`, `after`, `events`, `cursors`), people by time (`read`, `blocks`, `columns`, `overview`).
    """

    def __init__(self, path: Path | str, *, vfs: str = "") -> None:
        self.path = schema.locate(Path(path))
        self.damaged: set[str] = set()
        self._headers: dict[int, dict[int, Header]] = {}
        self._connection = schema.open_reader(self.path, vfs=vfs)
        self._files = schema.identities(self.path)
        self._closed = False

    @property
    def record(self) -> str:
        """What names this record among all, wherever it is copied to."""
        self._check_open()
        with schema.telling(self.path):
            return schema.name(self._connection)

    @property
    def moved(self) -> bool:
        """Whether other files than the open ones stand at the path now: what is written there is not seen here."""
        return schema.identities(self.path) != self._files

    def check_place(self) -> None:
        """StoreError where other files than the open ones stand at the path now."""
        if self.moved:
            raise StoreError("it is another one now, or gone", str(self.path))

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is read afterwards is a StoreError that says so."""
        self._closed = True
        self._connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise schema.closed(self.path)

    @_told
    def streams(self) -> list[StreamInfo]:
        """Every stream with its latest header, by device and name."""
        found = []
        query = """SELECT s.id, s.device, s.name,
                   (SELECT header FROM header h WHERE h.stream = s.id ORDER BY run DESC LIMIT 1),
                   (SELECT coalesce(sum(n), 0) FROM chunk c WHERE c.stream = s.id)
                   + (SELECT coalesce(sum(n), 0) FROM block b WHERE b.stream = s.id),
                   coalesce((SELECT min(start) FROM block b WHERE b.stream = s.id),
                            (SELECT min(start) FROM chunk c WHERE c.stream = s.id)),
                   coalesce((SELECT max(stop) FROM chunk c WHERE c.stream = s.id),
                            (SELECT max(stop) FROM block b WHERE b.stream = s.id))
                   FROM stream s ORDER BY s.device, s.name"""
        for number, device, name, header, samples, first, last in list(self._connection.execute(query)):
            parsed = tiers.parse_header(header)
            gaps = tuple(self.gaps(device, name))
            found.append(StreamInfo(device, name, parsed, samples, first, last, gaps, number))
        return found

    @_told
    def ends(self) -> dict[int, int]:
        """The next sequence number of every stream, by its number: what a remote has yet to reach."""
        return tiers.ends(self._connection)

    def headers(self, stream: int) -> dict[int, Header]:
        """The header of a stream, given its number, in each run."""
        return self._headers_of(whole(stream, "stream"))

    @_told
    def _headers_of(self, stream: int) -> dict[int, Header]:
        newest = next(self._connection.execute("SELECT max(run) FROM header WHERE stream = ?", (stream,)))[0]
        known = self._headers.get(stream)
        if known is None or newest not in known:  # a header is never changed, so those that are known stay right
            known = self._headers[stream] = tiers.headers(self._connection, stream)
        return known

    def after(self, stream: int, sequence: int, limit: int = 5000) -> Samples | None:
        """The next accepted samples of a stream from a sequence number on, None where there are none yet.

        At most `limit` consecutive ones of one run and connection; `first` is later than `sequence` where
        those before it are missing. The next call takes `following`. The same number always names the
        same sample, in whichever tier it is stored.
        """
        return self._after(whole(stream, "stream"), whole(sequence, "sequence"), whole(limit, "limit"))

    @_told
    def _after(self, stream: int, sequence: int, limit: int) -> Samples | None:
        channels = tiers.widths(self.headers(stream))
        parts: list[Samples] = []
        count = 0
        for row in tiers.walk(self._connection, stream, channels, sequence):
            if row.samples is None:
                self.damaged.add(row.name)
                continue
            samples = rows.cut(row.samples, sequence - row.samples.first, len(row.samples))
            if not len(samples):
                continue
            sequence = samples.following
            if parts and not rows.continues(parts[-1], samples):
                break
            parts.append(rows.cut(samples, 0, limit - count))
            count += len(parts[-1])
            if count >= limit:
                break
        return rows.join(parts) if parts else None

    @_told
    def cursors(self) -> dict[str, Cursor]:
        """How far every remote has acknowledged."""
        found: dict[str, Cursor] = {}
        for name, stream, following, crc in self._connection.execute("SELECT * FROM cursor ORDER BY name, stream"):
            cursor = found.setdefault(name, Cursor(name, {}, 0))
            if cursor_checksum(name, stream, following) != crc:
                continue  # a damaged position counts as none: delivering again is harmless
            if stream == EVENTS:
                found[name] = replace(cursor, event=following - 1)
            else:
                cursor.positions[stream] = following
        return found

    @_told
    def head(self) -> tuple[int, str]:
        """Number and hash of the newest event, to be witnessed outside; (0, "") where there is none."""
        newest = self._connection.execute("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1")
        return next(((number, digest.hex()) for number, digest in newest), (0, ""))

    def read(
        self,
        device: str,
        channels: Sequence[str] | str | None = None,
        start: When | None = None,
        stop: When | None = None,
        stream: str | None = None,
    ) -> Block:
        """Samples of one device with start <= time < stop, exactly as they were accepted.

        Whole numbers are time keys in ns. Python's or numpy's times and ISO 8601 text (UTC where they name no zone) are
        of the wall clock, each run by its own (`wall`); the block's `time` are keys in any case.
        Channels of one stream come as that stream's rows. Channels of several streams are merged by time:
        each stream's sample has a row of its own where the others have none there, NaN and INVALID. Where
        streams share a channel's name, it is `stream.channel`; the name alone is then an error.
        """
        name, part = text(device, "device"), optional(stream, "stream")
        return self._read(name, chosen(channels), self._spans(start, stop), part)

    @_told
    def _read(self, device: str, channels: Sequence[str] | str | None, spans: Spans, stream: str | None) -> Block:
        own = [i for i in self.streams() if i.device == device and (stream is None or i.stream == stream)]
        held = {info.stream: [c.name for c in info.header.stream.channels] for info in own}
        where = f"{self.path}, device {device!r}"
        wanted = [channels] if isinstance(channels, str) else list(names.labels(held) if channels is None else channels)
        found = {name: names.find(held, name, where) for name in wanted}
        unknown = [name for name, place in found.items() if place is None]
        if not own or unknown:
            what = f"no channel {unknown[0]!r}" if own else "no such device or stream"
            known = ", ".join(names.labels(held) if own else [f"{i.device}/{i.stream}" for i in self.streams()])
            raise StoreError(f"the record has {what}", where, remedy=f"it holds: {known or 'nothing'}")
        parts = []
        for info in own:
            chosen = {name: place[1] for name, place in found.items() if place is not None and place[0] == info.stream}
            if chosen:
                blocks = self._blocks(device, info.stream, list(chosen.values()), spans)
                parts.append(_join(list(chosen), blocks, self._expected(info.number, spans)))
        return _merge(parts, wanted)

    def _expected(self, number: int, spans: Spans) -> int:
        """About how many samples of a stream lie there."""
        total = 0
        for low, high in spans:
            before = 0 if low is None else tiers.row_before(self._connection, number, low)
            behind = tiers.row_behind(self._connection, number, tiers.MANY if high is None else high)
            total += max(behind - before, 0)
        return min(total, MOST)

    def _spans(self, start: When | None, stop: When | None) -> Spans:
        """The spans of keys from `start` to `stop`: one, unless times of the wall clock fall into several runs."""
        low, high = _ends(start, stop)
        if not named(start) and not named(stop):
            return [(low, high)]
        found = self.wall().spans(low if named(start) else None, high if named(stop) else None)
        least, most = FIRST if named(start) or low is None else low, LAST if named(stop) or high is None else high
        held = [(max(begin, least), min(end, most)) for begin, end, _ in found]
        return _touching((begin, end) for begin, end in held if begin < end)

    def blocks(
        self,
        device: str,
        stream: str,
        channels: Sequence[str],
        start: When | None = None,
        stop: When | None = None,
    ) -> Iterator[Block]:
        """Samples of one stream, piece by piece in order of sequence; a long record never stands in memory whole."""
        spans = self._spans(start, stop)
        asked = chosen(channels) or ()
        wanted = [asked] if isinstance(asked, str) else asked
        return self._blocks(text(device, "device"), text(stream, "stream"), wanted, spans)

    def _blocks(self, device: str, stream: str, channels: Sequence[str], spans: Spans) -> Iterator[Block]:
        self._check_open()
        for low, high in spans:
            yield from self._within(device, stream, channels, low, high)

    def _within(
        self, device: str, stream: str, channels: Sequence[str], low: int | None, high: int | None
    ) -> Iterator[Block]:
        pieces = self._samples(device, stream, channels, low, high)
        while True:
            with schema.telling(self.path):
                samples, places = next(pieces, (None, []))
            if samples is None:
                return
            left = 0 if low is None else int(np.searchsorted(samples.time, low))
            right = len(samples) if high is None else int(np.searchsorted(samples.time, high))
            if left >= right:
                continue
            part = rows.cut(samples, left, right)
            values, quality = part.values, part.quality
            if -1 in places:
                values, quality = _pick(values, places, np.nan), _pick(quality, places, int(Quality.INVALID))
            yield Block(tuple(channels), part.time, values, quality, part.device_time)

    def columns(self, device: str, stream: str, channel: str, start: int, stop: int, points: int) -> Columns:
        """The channel's least and greatest value in each of `points` equal bins of [start, stop) ns."""
        drawn = self.overview(device, [channel], start, stop, points, stream)
        return Columns(drawn.edges, drawn.low[:, 0], drawn.high[:, 0])

    def overview(
        self,
        device: str,
        channels: Sequence[str] | str | None = None,
        start: When | None = None,
        stop: When | None = None,
        points: int = 1000,
        stream: str | None = None,
        exact: bool = False,
    ) -> Overview:
        """Channels of a device drawn from `points` equal bins of [start, stop): the cost hardly grows with the span.

        With `exact` no bin reaches over its edges, which costs a look at the samples around each edge.
        Channels and times are named as in `read`, and what is not said is all there is; a channel that the
        record does not hold is empty. Where a time of the wall clock is named, the bins and their `edges` are of it,
        and each holds whatever any run recorded then.
        """
        text(device, "device"), optional(stream, "stream")
        wanted, ends = chosen(channels), _ends(start, stop)
        if whole(points, "points") < 1:
            raise ValueError(f"an overview of {points} points: at least one is needed")
        shown = self.wall() if named(start) or named(stop) else None
        begin, end = ends
        if wanted is None or begin is None or end is None:
            wanted, begin, end = self._whole(device, stream, wanted, begin, end)
        if shown is not None:
            begin, end = (at if named(when) else shown.of(at) for at, when in ((begin, start), (end, stop)))
        if end <= begin:
            raise ValueError("an overview needs a start and a later stop")
        spans = [(begin, end, 0)] if shown is None else shown.spans(begin, end)
        edges = begin + np.linspace(0, end - begin, points + 1).astype(np.int64)
        self._check_open()
        with schema.telling(self.path):
            every = [wanted] if isinstance(wanted, str) else wanted
            return self._draw(device, every, edges, spans, stream, exact or len(spans) > 1)

    def _whole(
        self,
        device: str,
        stream: str | None,
        channels: Sequence[str] | str | None,
        start: int | None,
        stop: int | None,
    ) -> tuple[Sequence[str] | str, int, int]:
        """Every channel of a device, and from its first sample to its last, where nothing else is said."""
        own = [i for i in self.streams() if i.device == device and stream in (None, i.stream) and i.first is not None]
        if not own:
            raise StoreError("the record holds no samples of this device", f"{self.path}, device {device!r}")
        every = list(names.labels({i.stream: [c.name for c in i.header.stream.channels] for i in own}))
        first, last = min(i.first for i in own if i.first is not None), max(i.last for i in own if i.last is not None)
        return (
            every if channels is None else channels,
            first if start is None else start,
            last + 1 if stop is None else stop,
        )

    def _draw(
        self,
        device: str,
        channels: Sequence[str],
        edges: Nanoseconds,
        spans: Sequence[tuple[int, int, int]],
        stream: str | None,
        exact: bool,
    ) -> Overview:
        shape = (len(edges) - 1, len(channels))
        count, quality = np.zeros(shape, np.int64), np.zeros(shape, np.uint8)
        low, high, mean = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        numbers = {
            name: number
            for number, name in self._connection.execute("SELECT id, name FROM stream WHERE device = ?", (device,))
            if stream is None or name == stream
        }
        held = {
            name: {run: [c.name for c in header.stream.channels] for run, header in self.headers(number).items()}
            for name, number in numbers.items()
        }
        ever = {name: list(dict.fromkeys(c for each in runs.values() for c in each)) for name, runs in held.items()}
        found = [names.find(ever, channel, f"{self.path}, device {device!r}") for channel in channels]
        for name, number in numbers.items():
            own = {i: place[1] for i, place in enumerate(found) if place is not None and place[0] == name}
            if not own:
                continue
            picks = {run: [_index(each, channel) for channel in own.values()] for run, each in held[name].items()}
            headers = self.headers(number)
            for start, stop, shift in spans:
                # The bins that the span has a part in, as keys.
                inner = edges[(edges > start + shift) & (edges < stop + shift)] - shift
                parts = np.concatenate([[start], inner, [stop]])
                drawn = overview.draw(self._connection, number, picks, tiers.widths(headers), parts, exact)
                if drawn is None:
                    continue
                bins = np.ix_(np.searchsorted(edges, drawn.start + shift, side="right") - 1, np.array(list(own)))
                low[bins], high[bins] = np.fmin(low[bins], drawn.low), np.fmax(high[bins], drawn.high)
                mean[bins] = _mean_of_both(mean[bins], count[bins], drawn.mean, drawn.count)
                count[bins], quality[bins] = count[bins] + drawn.count, quality[bins] | drawn.quality
        return Overview(tuple(channels), edges, count, low, high, mean, quality)

    def gaps(self, device: str | None = None, stream: str | None = None) -> list[Gap]:
        """The gap records, in order of time."""
        return self._gaps(optional(device, "device"), optional(stream, "stream"))

    @_told
    def _gaps(self, device: str | None, stream: str | None) -> list[Gap]:
        return [
            Gap(b["from"], b["to"], b["after"], b["before"], b["text"], b["missing"])
            for b in (row.body for row in self.events("gap", device, stream))
        ]

    def events(
        self,
        kind: str | None = None,
        device: str | None = None,
        stream: str | None = None,
        since: int = 0,
        limit: int = -1,
    ) -> list[Recorded]:
        """Events after id `since`, oldest first; at most `limit`, unless that is negative."""
        named = (optional(kind, "kind"), optional(device, "device"), optional(stream, "stream"))
        return self._events(*named, whole(since, "since"), whole(limit, "limit"))

    @_told
    def _events(
        self, kind: str | None, device: str | None, stream: str | None, since: int, limit: int
    ) -> list[Recorded]:
        query = """SELECT id, time, kind, device, stream, body, hash FROM event WHERE id > ?1
                   AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR device = ?3) AND (?4 IS NULL OR stream = ?4)
                   ORDER BY id LIMIT ?5"""
        found = self._connection.execute(query, (since, kind, device, stream, limit))
        return [Recorded(i, t, k, d, s, json.loads(body), digest.hex()) for i, t, k, d, s, body, digest in found]

    @_told
    def wall(self) -> Wall:
        """The map from time keys to the wall clock and back, as far as the record has got."""
        return wall.read(self._connection)

    @_told
    def history(self) -> list[Run]:
        """Every run in order, with its ends on both clocks."""
        return run_history.read(self._connection)

    @_told
    def accepted(self) -> int:
        """The last run whose clock a person has accepted, 0 where none was."""
        return run_history.accepted(self._connection)

    @_told
    def doubt(self, utc: int) -> Doubt | None:
        """What speaks against a clock that shows `utc` (ns), of all runs that ended."""
        return run_history.doubt(self.history(), self.accepted(), utc)

    @_told
    def stepped(self) -> Stepped | None:
        """A far step of the clock within a run that nobody has spoken of since; None where there is none."""
        return run_history.stepped(self._connection)

    @_told
    def runs(self) -> dict[int, dict[str, Any]]:
        """Every run: its start on both clocks, its anchor, and what it said about itself."""
        return {
            run: {"utc": utc, "monotonic": monotonic, "anchor": anchor, **json.loads(about)}
            for run, utc, monotonic, anchor, about in self._connection.execute("SELECT * FROM run ORDER BY run")
        }

    def _samples(
        self, device: str, stream: str, channels: Sequence[str], start: int | None, stop: int | None
    ) -> Iterator[tuple[Samples | None, list[int]]]:
        """Rows with only these channels, and where each channel stands in them; -1 where that run has it not."""
        number = tiers.number(self._connection, device, stream)
        if number is None:
            return
        headers = self.headers(number)
        known = {run: [c.name for c in header.stream.channels] for run, header in headers.items()}
        columns = {run: [held.index(name) for name in channels if name in held] for run, held in known.items()}
        places = {run: _places([name in held for name in channels]) for run, held in known.items()}
        first = 0 if start is None else tiers.row_before(self._connection, number, start)
        for row in tiers.walk(self._connection, number, tiers.widths(headers), first, columns=columns):
            if row.samples is None:
                self.damaged.add(row.name)
                continue
            if stop is not None and row.samples.time[0] >= stop:
                return
            yield rows.cut(row.samples, first - row.samples.first, len(row.samples)), places[row.run]
            first = max(first, row.samples.following)


def _ends(start: When | None, stop: When | None) -> tuple[int | None, int | None]:
    return None if start is None else key(start), None if stop is None else key(stop)


def _mean_of_both(mean: Floats, count: Nanoseconds, more: Floats, added: Nanoseconds) -> Floats:
    """The mean of `count` values and those `added`; of a part that is empty nothing is taken."""
    with np.errstate(invalid="ignore"):
        joined = mean + (more - mean) * (added / np.maximum(count + added, 1))
    found: Floats = np.where(count == 0, more, np.where(added == 0, mean, joined))
    return found


def _touching(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def _index(held: Sequence[str], channel: str) -> int:
    return held.index(channel) if channel in held else -1


def _places(held: Sequence[bool]) -> list[int]:
    """Numbers for what is held, -1 for what is not."""
    return [sum(held[:index]) if each else -1 for index, each in enumerate(held)]


def _pick(array: Any, columns: Sequence[int], missing: float) -> Any:
    """The columns of an array in that order; -1 stands for a column of `missing`."""
    picked = array[:, columns]
    picked[:, [index for index, column in enumerate(columns) if column < 0]] = missing
    return picked


def _join(channels: Sequence[str], blocks: Iterable[Block], expected: int) -> Block:
    """All samples in one block; each piece is let go of as soon as it is copied."""
    time, values = np.empty(expected, np.int64), np.empty((expected, len(channels)))
    quality = np.empty(values.shape, np.uint8)
    times: list[Floats] = []
    n = pieces = 0
    for block in blocks:
        place = slice(n, n := n + len(block))
        if n > len(time):
            time, values, quality = (_larger(each, 2 * n) for each in (time, values, quality))
        time[place], values[place], quality[place] = block.time, block.values, block.quality
        times += [] if block.device_time is None else [block.device_time]
        pieces += 1
    device_time = np.concatenate(times) if times and len(times) == pieces else None
    return Block(tuple(channels), time[:n], values[:n], quality[:n], device_time)


def _larger(array: Any, n: int) -> Any:
    larger = np.empty((n, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


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
