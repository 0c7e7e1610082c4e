"""Least, greatest and mean values of consecutive samples, and the rows of the table `overview` that keep them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import msgspec
import numpy as np

from acquisition.model import Flags, Floats, Nanoseconds
from acquisition.store import packing
from acquisition.store.packing import Grid, Plain
from acquisition.store.rows import Samples

BUCKET = 256
"""Samples in a bucket of level 1."""
INSERT = "INSERT INTO overview VALUES (?,?,?,?,?,?,?,?,?)"
_FIXED = struct.Struct("<7q")

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


class Body(msgspec.Struct, frozen=True, array_like=True):
    """Buckets as they are stored: times as steps and lengths, the others channel after channel."""

    channels: int
    steps: bytes
    lengths: bytes
    count: bytes
    low: Plain | Grid
    high: Plain | Grid
    mean: bytes
    quality: bytes | None


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


def concatenate(parts: Sequence[Buckets]) -> Buckets:
    """Buckets one after another."""
    if len(parts) == 1:
        return parts[0]
    return Buckets(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Buckets)))


def pack(stream: int, level: int, first: int, following: int, run: int, buckets: Buckets) -> OverviewRow:
    """A row of the table `overview`; means keep seven digits, all else every bit."""
    start, stop = buckets.start, buckets.stop
    body = msgspec.msgpack.encode(
        Body(
            buckets.low.shape[1],
            packing.pack(np.diff(start)),
            packing.pack(stop - start),
            packing.pack(buckets.count.astype(np.uint32).T.ravel()),
            packing.encode_floats(buckets.low.T.ravel()),
            packing.encode_floats(buckets.high.T.ravel()),
            packing.pack(buckets.mean.astype(np.float32).T.ravel()),
            packing.pack8(buckets.quality.T.ravel()) if buckets.quality.any() else None,
        )
    )
    fixed = (stream, level, first, following, run, int(start[0]), int(stop[-1]))
    return (*fixed, body, _checksum(fixed, body))


def unpack(rows: Sequence[OverviewRow], columns: Sequence[int] | None = None) -> Buckets | None:
    """The buckets of rows of one run, one after another, of all channels or of `columns`.

    None where any of them is damaged, or of another version.
    """
    try:
        if any(_checksum(row[:7], row[7]) != row[8] for row in rows):
            return None
        bodies = [msgspec.msgpack.decode(row[7], type=Body) for row in rows]
    except (TypeError, struct.error, msgspec.MsgspecError):  # a flipped bit turned a column into another type
        return None

    def channels(parts: Iterable[Any]) -> Any:
        table = np.concatenate([part.reshape(bodies[0].channels, -1) for part in parts], axis=1)
        return (table if columns is None else table[columns]).T

    lengths = [packing.unpack(body.lengths) for body in bodies]
    start = np.concatenate(
        [np.cumsum(np.append(row[5], packing.unpack(body.steps))) for row, body in zip(rows, bodies, strict=True)]
    )
    count = channels(packing.unpack(body.count) for body in bodies).astype(np.int64)
    quality = [
        np.zeros(len(each) * body.channels, np.uint8) if body.quality is None else packing.unpack(body.quality)
        for each, body in zip(lengths, bodies, strict=True)
    ]
    return Buckets(
        start,
        start + np.concatenate(lengths),
        count,
        channels(packing.decode_floats(body.low) for body in bodies),
        channels(packing.decode_floats(body.high) for body in bodies),
        channels(packing.unpack(body.mean) for body in bodies).astype(np.float64),
        channels(quality),
    )


def _checksum(fixed: Sequence[int], body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(_FIXED.pack(*fixed)))
