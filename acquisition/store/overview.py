"""Traces of any length from a thousand points: least, greatest and mean values kept at several resolutions.

Level 1 has a bucket for every 256 samples of a block and a row for each block; a row of each further level
joins four of the level below, and a bucket four buckets. What no level covers yet, or what is damaged, is
taken from the level below and in the end from the samples themselves.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import apsw
import numpy as np

from acquisition.model import Flags, Floats, Nanoseconds
from acquisition.store import rows, tiers
from acquisition.store.rows import Samples

BUCKET = 256
FAN = 4
FINE = 3
"""A point of a trace is made of buckets at most a third as long as itself."""
TOGETHER = 4096
"""Samples of fresh rows that are put into bins at once."""
INSERT = "INSERT INTO overview VALUES (?,?,?,?,?,?,?,?,?)"
_FIXED = struct.Struct("<7q")
_SHAPE = struct.Struct("<2I")
_PLANES = 1 << 31
"""Marks a body that is compressed."""
LEVEL, _RAW = 6, -15

OverviewRow = tuple[int, int, int, int, int, int, int, bytes, int]
"""stream, level, first, following, run, start, stop, body, crc: sequence numbers and time keys of what it covers."""


@dataclass(frozen=True, slots=True)
class Buckets:
    """Stretches of consecutive samples.

    start, stop (b,) ns: time keys of the first and the last sample; per channel (b, c): the count of values,
    the least, the greatest and their mean (NaN where there is none), and every quality flag met.
    """

    start: Nanoseconds
    stop: Nanoseconds
    count: Nanoseconds
    low: Floats
    high: Floats
    mean: Floats
    quality: Flags

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True)
class Overview:
    """A trace of equal bins.

    edges (points + 1,) ns; per channel (points, c): the count of values, the least, the greatest and their
    mean (NaN where there is none), and every quality flag met. Where it is drawn from stored buckets, a bin
    may reach over its edge by a third of its length.
    """

    channels: tuple[str, ...]
    edges: Nanoseconds
    count: Nanoseconds
    low: Floats
    high: Floats
    mean: Floats
    quality: Flags


def summarise(samples: Samples) -> Buckets:
    """The level 1 buckets of a block."""
    heads = np.arange(0, len(samples), BUCKET)
    return merge(single(samples), heads)


def single(samples: Samples) -> Buckets:
    """A bucket for each sample."""
    finite = np.isfinite(samples.values)
    values = np.where(finite, samples.values, np.nan)
    return Buckets(samples.time, samples.time, finite.astype(np.int64), values, values, values, samples.quality)


def merge(buckets: Buckets, heads: Any) -> Buckets:
    """Join buckets into one for each group that begins at an index of `heads`."""
    count = np.add.reduceat(buckets.count, heads, axis=0)
    total = np.add.reduceat(np.where(buckets.count > 0, buckets.mean * buckets.count, 0.0), heads, axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    last = np.append(heads[1:], len(buckets)) - 1
    return Buckets(
        buckets.start[heads],
        buckets.stop[last],
        count,
        np.fmin.reduceat(buckets.low, heads, axis=0),
        np.fmax.reduceat(buckets.high, heads, axis=0),
        mean,
        np.bitwise_or.reduceat(buckets.quality, heads, axis=0),
    )


def pack(stream: int, level: int, first: int, following: int, run: int, buckets: Buckets) -> OverviewRow:
    """A row of the table `overview`.

    Level 1, three quarters of it all, is compressed to a third; the others, from which days are drawn, are not.
    """
    b, c = buckets.low.shape
    start, stop = buckets.start, buckets.stop
    if level == 1:
        start, stop = np.diff(start, prepend=start[:1]), stop - start
    arrays = (start, stop, buckets.count, buckets.low, buckets.high, buckets.mean, buckets.quality)
    parts = [np.ascontiguousarray(a, dtype=kind) for a, (kind, _) in zip(arrays, _layout(b, c), strict=True)]
    if level == 1:
        body = _SHAPE.pack(b | _PLANES, c) + _squeeze(parts)
    else:
        body = _SHAPE.pack(b, c) + b"".join(part.tobytes() for part in parts)
    fixed = (stream, level, first, following, run, int(buckets.start[0]), int(buckets.stop[-1]))
    return (*fixed, body, _checksum(fixed, body))


def _squeeze(parts: Iterable[Any]) -> bytes:
    """Arrays as bytes of equal significance side by side, compressed."""
    planes = b"".join(part.view(np.uint8).reshape(-1, part.dtype.itemsize).T.tobytes() for part in parts)
    # Without tables of its own a body is a tenth larger, and read twice as fast.
    packer = zlib.compressobj(LEVEL, wbits=_RAW, strategy=zlib.Z_FIXED)
    return packer.compress(planes) + packer.flush()


def unpack(group: Sequence[OverviewRow]) -> Buckets | None:
    """The buckets of rows of one run and size, one after another; None where any of them is damaged."""
    try:
        if any(_checksum(row[:7], row[7]) != row[8] for row in group):
            return None
    except (TypeError, struct.error):  # a flipped bit turned a column into another type
        return None
    b, c = _SHAPE.unpack_from(group[0][7])
    planes, b = b >= _PLANES, b & ~_PLANES
    layout = _layout(b, c)
    length = sum(np.dtype(kind).itemsize * size for kind, size in layout)
    bodies = [row[7][_SHAPE.size :] for row in group]
    bodies = [zlib.decompress(body, _RAW, length) for body in bodies] if planes else bodies
    table = np.frombuffer(b"".join(bodies), np.uint8).reshape(len(group), -1)
    at = 0
    parts: list[Any] = []
    for kind, size in layout:
        width = np.dtype(kind).itemsize
        part = table[:, at : at + size * width]
        if planes:
            part = part.reshape(len(group), width, size).swapaxes(1, 2)
        parts.append(np.ascontiguousarray(part).view(kind).reshape(len(group) * b, -1))
        at += size * width
    start, stop, count, low, high, mean, quality = parts
    start, stop = start.ravel(), stop.ravel()
    if planes:
        start = (np.cumsum(start.reshape(-1, b), axis=1) + np.array([[row[5]] for row in group])).ravel()
        stop = start + stop
    return Buckets(start, stop, count.astype(np.int64), low, high, mean.astype(np.float64), quality)


def _layout(b: int, c: int) -> tuple[tuple[str, int], ...]:
    """Type and size of each array of a body with b buckets of c channels."""
    n = b * c
    return ("<i8", b), ("<i8", b), ("<u4", n), ("<f8", n), ("<f8", n), ("<f4", n), ("u1", n)


def concatenate(parts: Sequence[Buckets]) -> Buckets:
    """Buckets one after another."""
    if len(parts) == 1:
        return parts[0]
    return Buckets(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Buckets)))


def fold(connection: apsw.Connection, fresh: OverviewRow) -> list[OverviewRow]:
    """The rows of higher levels that become complete with a fresh row of level 1."""
    query = """SELECT * FROM overview WHERE stream = ?1 AND level = ?2 AND run = ?3 AND first >=
               coalesce((SELECT max(following) FROM overview WHERE stream = ?1 AND level = ?2 + 1), 0)
               ORDER BY first DESC LIMIT ?4"""
    made: list[OverviewRow] = []
    while True:
        stream, level, _, following, run = fresh[:5]
        below = [fresh, *connection.execute(query, (stream, level, run, FAN - 1))][::-1]
        parts = [part for part in (unpack([row]) for row in below) if part is not None]
        if len(parts) < FAN:
            return made  # not yet, or a damaged row: this stretch stays at the lower level
        buckets = concatenate(parts)
        folded = merge(buckets, np.arange(0, len(buckets), FAN))
        fresh = pack(stream, level + 1, below[0][2], following, run, folded)
        made.append(fresh)


def draw(
    connection: apsw.Connection,
    stream: int,
    columns: dict[int, list[int]],
    widths: dict[int, int],
    edges: Nanoseconds,
    exact: bool,
) -> Buckets | None:
    """The stream's samples within `edges` as one bucket per bin that has any; None where there are none.

    `columns` says which columns to take in a run, -1 for a channel that the run has not; `exact` bins hold
    no sample from beyond their edges.
    """
    begin, end = int(edges[0]), int(edges[-1])
    with connection:  # one snapshot
        first, following = tiers.row_before(connection, stream, begin), tiers.row_behind(connection, stream, end)
        cover = _Cover(connection, stream, columns, widths, edges, exact)
        parts = [part for part in cover.walk(cover.coarsest(), first, following) if len(part)]
    if not parts:
        return None
    buckets = concatenate(parts)
    bins = np.searchsorted(edges, buckets.start, side="right") - 1
    return merge(buckets, np.flatnonzero(np.diff(bins, prepend=-1)))


@dataclass(frozen=True, slots=True)
class _Cover:
    connection: apsw.Connection
    stream: int
    columns: dict[int, list[int]]
    widths: dict[int, int]
    edges: Nanoseconds
    exact: bool

    def coarsest(self) -> int:
        """The level to begin at: the highest one whose buckets are likely to be short enough."""
        # Each level is looked up by itself: GROUP BY would read every row of the stream.
        query = "SELECT * FROM overview WHERE stream = ? AND level = ? LIMIT 1"
        level = 0
        while row := next(self.connection.execute(query, (self.stream, level + 1)), None):
            buckets = unpack([row])
            if buckets is not None and int((buckets.stop - buckets.start).max()) > self._longest():
                break
            level += 1
        return level

    def walk(self, level: int, first: int, following: int) -> Iterator[Buckets]:
        """Buckets over the samples from `first` to before `following`, from this level and where need be from below."""
        if first >= following:
            return
        if level == 0:
            yield from self._samples(first, following)
            return
        query = """SELECT * FROM overview WHERE stream = ?1 AND level = ?2 AND following > ?3 AND first < ?4 AND
                   first >= coalesce((SELECT max(first) FROM overview
                                      WHERE stream = ?1 AND level = ?2 AND first <= ?3), ?3) ORDER BY first"""
        at = first
        for group in _alike(self.connection.execute(query, (self.stream, level, first, following))):
            yield from self.walk(level - 1, at, group[0][2])
            yield from self._cover(level, group, first, following)
            at = max(at, group[-1][3])
        yield from self.walk(level - 1, at, following)

    def _cover(self, level: int, group: list[OverviewRow], first: int, following: int) -> Iterator[Buckets]:
        buckets = unpack(group) if group[0][4] in self.columns else None
        if buckets is not None and self._fit(buckets):
            yield self._take(buckets, self.columns[group[0][4]])
        elif len(group) > 1:
            half = len(group) // 2
            yield from self._cover(level, group[:half], first, following)
            yield from self._cover(level, group[half:], first, following)
        else:
            yield from self.walk(level - 1, max(first, group[0][2]), min(following, group[0][3]))

    def _fit(self, buckets: Buckets) -> bool:
        if self.exact:
            left, right = (np.searchsorted(self.edges, times, side="right") for times in (buckets.start, buckets.stop))
            return bool((left == right).all())
        return int((buckets.stop - buckets.start).max()) <= self._longest()

    def _longest(self) -> int:
        share = 1 if self.exact else FINE
        return int(self.edges[-1] - self.edges[0]) // (len(self.edges) - 1) // share

    def _samples(self, first: int, following: int) -> Iterator[Buckets]:
        start = tiers.row_at(self.connection, self.stream, first)
        held = {run: [column for column in pick if column >= 0] for run, pick in self.columns.items()}
        parts: list[Samples] = []
        count = 0
        for row in tiers.walk(self.connection, self.stream, self.widths, start, columns=held, before=following):
            if row.samples is None:
                continue
            samples = rows.cut(row.samples, first - row.samples.first, following - row.samples.first)
            samples = rows.cut(samples, *np.searchsorted(samples.time, self.edges[[0, -1]]).tolist())
            # Fresh rows hold few samples each: they are looked at together.
            if parts and (samples.run != parts[0].run or count >= TOGETHER):
                yield self._bins(parts, held)
                parts, count = [], 0
            if len(samples):
                parts.append(samples)
                count += len(samples)
        if parts:
            yield self._bins(parts, held)

    def _bins(self, parts: list[Samples], held: dict[int, list[int]]) -> Buckets:
        samples = rows.join(parts)
        order = {column: place for place, column in enumerate(held[samples.run])}
        pick = [order.get(column, -1) for column in self.columns[samples.run]]
        return self._take(merge(single(samples), self._heads(samples.time)), pick)

    def _heads(self, time: Nanoseconds) -> Any:
        """Where each bin that has samples begins: few numbers are then carried on, however many samples there are."""
        inner = slice(*np.searchsorted(self.edges, time[[0, -1]], side="right").tolist())
        heads = np.searchsorted(time, self.edges[inner])
        return np.concatenate(([0], heads[np.diff(heads, prepend=0) > 0]))

    def _take(self, buckets: Buckets, pick: list[int]) -> Buckets:
        keep = slice(*np.searchsorted(buckets.start, self.edges[[0, -1]]))
        none = [index for index, column in enumerate(pick) if column < 0]

        def select(array: Any, missing: float) -> Any:
            picked = array[keep][:, pick]
            picked[:, none] = missing
            return picked

        return Buckets(
            buckets.start[keep],
            buckets.stop[keep],
            select(buckets.count, 0),
            select(buckets.low, np.nan),
            select(buckets.high, np.nan),
            select(buckets.mean, np.nan),
            select(buckets.quality, 0),
        )


def _alike(found: Iterable[Any]) -> list[list[OverviewRow]]:
    """Rows that go on without a hole, of one run and shape, together."""
    groups: list[list[OverviewRow]] = []
    for row in found:
        last = groups[-1][-1] if groups else None
        if last is not None and last[3:5] == (row[2], row[4]) and last[7][: _SHAPE.size] == row[7][: _SHAPE.size]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _checksum(fixed: Sequence[int], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_FIXED.pack(*fixed)))
