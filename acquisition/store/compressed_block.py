"""Some thousand samples of a stream as one compressed blob, bit for bit the same when they come back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter

import msgspec
import numpy as np

from acquisition.model import Nanoseconds
from acquisition.store import packing
from acquisition.store.packing import Array, Grid, Plain
from acquisition.store.rows import Samples, checksum

COLUMNS = "stream, run, connection, first, n, start, stop, body, crc"
INSERT = f"INSERT INTO block ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"
BlockRow = tuple[int, int, int, int, int, int, int, bytes, int]


class Residual(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Times as what is left of them after the monotonic instant of the arrival that brought each."""

    packed: bytes


class Stepped(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Times as the intervals within an arrival, all alike where the source is steady, and those between arrivals.

    `within` has an interval in place of each of those too, so that reading is quick.
    """

    first: int
    within: bytes
    between: bytes


class Leading(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """Times from which the arrivals are told: by how much the monotonic instant of each is later than its last sample.

    The instants in `Body.arrived` are empty then.
    """

    time: Plain | Stepped
    delays: bytes


class Body(msgspec.Struct, frozen=True, array_like=True):
    """A block as it is stored; `arrived` are the samples of each arrival, its monotonic instant, and UTC beside it."""

    time: Plain | Residual | Leading
    arrived: tuple[bytes, bytes, bytes]
    values: tuple[Plain | Grid, ...]
    quality: bytes | None
    device_time: Plain | Grid | None


def pack(stream: int, samples: Samples) -> BlockRow:
    """Compress samples into a row of the table `block`."""
    fixed = (
        stream,
        samples.run,
        samples.connection,
        samples.first,
        len(samples),
        int(samples.time[0]),
        int(samples.time[-1]),
    )
    body = encode(samples)
    return (*fixed, body, checksum(fixed, (body,)))


def unpack(row: BlockRow, columns: Sequence[int] | None = None) -> Samples | None:
    """Turn a row into arrays; None where it is damaged. `columns` as for `decode`."""
    try:
        if checksum(row[:7], row[7:8]) != row[8]:
            return None
        return decode(row[7], row[1], row[2], row[3], columns)
    except (TypeError, IndexError, struct.error):  # a flipped bit turned a number into another type, or a header
        return None


def encode(samples: Samples) -> bytes:
    """The bytes of a block."""
    counts, monotonic, utc = samples.arrived.T
    device_time = samples.device_time
    time, instants = _encode_time(samples.time, counts, monotonic)
    body = Body(
        time,
        (packing.pack(counts), instants, packing.pack(utc - monotonic)),
        tuple(packing.encode_floats(column) for column in samples.values.T),
        packing.pack8(samples.quality.T.ravel()) if samples.quality.any() else None,
        None if device_time is None else packing.encode_floats(device_time),
    )
    return msgspec.msgpack.encode(body)


def decode(body: bytes, run: int, connection: int, first: int, columns: Sequence[int] | None = None) -> Samples:
    """The samples of a block; with `columns` only those channels, and no arrivals: a plot needs no more."""
    parts = msgspec.msgpack.decode(body, type=Body)
    whole = columns is None
    time, arrived = _decode_time(parts, whole)
    if columns is None:
        columns = range(len(parts.values))
    values = np.empty((len(time), len(columns)))
    for index, column in enumerate(columns):
        packing.decode_floats(parts.values[column], values[:, index])
    quality = np.zeros(values.shape, np.uint8)
    if parts.quality is not None:
        quality = np.ascontiguousarray(packing.unpack(parts.quality).reshape(-1, len(time))[columns].T)
    device_time = None
    if parts.device_time is not None:
        packing.decode_floats(parts.device_time, device_time := np.empty(len(time)))
    return Samples(run, connection, first, time, values, quality, device_time, arrived)


def same(one: Samples, other: Samples) -> bool:
    """Whether both hold the same bits."""
    pairs: Sequence[tuple[Array, Array]] = (
        (one.time, other.time),
        (one.values, other.values),
        (one.quality, other.quality),
        (one.arrived, other.arrived),
    )
    if one.device_time is not None and other.device_time is not None:
        pairs = (*pairs, (one.device_time, other.device_time))
    return (
        (one.run, one.connection, one.first) == (other.run, other.connection, other.first)
        and (one.device_time is None) == (other.device_time is None)
        and all(a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)
    )


def _encode_time(
    time: Nanoseconds, counts: Nanoseconds, monotonic: Nanoseconds
) -> tuple[Plain | Residual | Leading, bytes]:
    """The smallest of the ways to keep times and monotonic instants, and the instants that go with it."""
    plain, instants = Plain(packing.pack(time)), packing.pack(monotonic)
    if int(counts.sum()) != len(time) or not (counts > 0).all():
        return plain, instants
    residual = Residual(packing.pack(time - np.repeat(monotonic, counts)))
    last = np.cumsum(counts) - 1
    delays = packing.pack(monotonic - time[last])
    ways: list[tuple[int, Plain | Residual | Leading, bytes]] = [
        (len(plain.packed) + len(instants), plain, instants),
        (len(residual.packed) + len(instants), residual, instants),
        (len(plain.packed) + len(delays), Leading(plain, delays), b""),
    ]
    if len(counts) < len(time):
        within, new = np.diff(time), last[:-1]
        between = packing.pack(within[new])
        within[new] = np.delete(within, new)[0]
        stepped = Stepped(int(time[0]), packing.pack(within), between)
        ways.append((len(stepped.within) + len(stepped.between) + len(delays), Leading(stepped, delays), b""))
    _, smallest, instants = min(ways, key=itemgetter(0))
    return smallest, instants


def _decode_time(parts: Body, whole: bool) -> tuple[Nanoseconds, Nanoseconds]:
    """Times (n,) and, where `whole`, the arrivals (k, 3), else none of them."""
    kept = parts.time
    own = kept.time if isinstance(kept, Leading) else kept
    counts = packing.unpack(parts.arrived[0])
    time: Nanoseconds
    if isinstance(own, Stepped):
        time = np.empty(int(counts.sum()), np.int64)
        time[0], time[1:] = own.first, packing.unpack(own.within)
        time[np.cumsum(counts[:-1])] = packing.unpack(own.between)
        np.cumsum(time, out=time)
    else:
        time = packing.unpack(own.packed)
    if not whole and not isinstance(kept, Residual):
        return time, np.zeros((0, 3), np.int64)
    if isinstance(kept, Leading):
        monotonic = time[np.cumsum(counts) - 1] + packing.unpack(kept.delays)
    else:
        monotonic = packing.unpack(parts.arrived[1])
    if isinstance(kept, Residual):
        time += np.repeat(monotonic, counts)
    arrived = np.stack([counts, monotonic, packing.unpack(parts.arrived[2]) + monotonic], axis=1)
    return time, arrived if whole else arrived[:0]
