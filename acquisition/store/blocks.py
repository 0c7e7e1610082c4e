"""Some thousand samples of a stream as one compressed blob, bit for bit the same when they come back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from acquisition.model import Floats, Nanoseconds
from acquisition.store.rows import Samples, checksum

COLUMNS = "stream, run, connection, first, n, start, stop, body, crc"
INSERT = f"INSERT INTO block ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)"
DECIMALS = range(7)
"""Decimal places of the grids that an instrument's values are tried on."""
OFF_GRID = 0.1
"""The share of values that may lie off the grid before it is not worth having."""

BlockRow = tuple[int, int, int, int, int, int, int, bytes, int]
Array = NDArray[Any]


class Plain(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Numbers as they are."""

    packed: bytes


class Grid(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Values that are integers / 10**decimals; `places` and `bits` hold those that are not, NaN among them."""

    decimals: int
    packed: bytes
    places: bytes
    bits: bytes


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
        (_pack(counts), instants, _pack(utc - monotonic)),
        tuple(_encode_floats(column) for column in samples.values.T),
        _pack8(samples.quality.T.ravel()) if samples.quality.any() else None,
        None if device_time is None else _encode_floats(device_time),
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
        _decode_floats(parts.values[column], values[:, index])
    quality = np.zeros(values.shape, np.uint8)
    if parts.quality is not None:
        quality = np.ascontiguousarray(_unpack(parts.quality).reshape(-1, len(time))[columns].T)
    device_time = None
    if parts.device_time is not None:
        _decode_floats(parts.device_time, device_time := np.empty(len(time)))
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
    plain, instants = Plain(_pack(time)), _pack(monotonic)
    if int(counts.sum()) != len(time) or not (counts > 0).all():
        return plain, instants
    residual = Residual(_pack(time - np.repeat(monotonic, counts)))
    last = np.cumsum(counts) - 1
    delays = _pack(monotonic - time[last])
    ways: list[tuple[int, Plain | Residual | Leading, bytes]] = [
        (len(plain.packed) + len(instants), plain, instants),
        (len(residual.packed) + len(instants), residual, instants),
        (len(plain.packed) + len(delays), Leading(plain, delays), b""),
    ]
    if len(counts) < len(time):
        within, new = np.diff(time), last[:-1]
        between = _pack(within[new])
        within[new] = np.delete(within, new)[0]
        stepped = Stepped(int(time[0]), _pack(within), between)
        ways.append((len(stepped.within) + len(stepped.between) + len(delays), Leading(stepped, delays), b""))
    _, smallest, instants = min(ways, key=itemgetter(0))
    return smallest, instants


def _decode_time(parts: Body, whole: bool) -> tuple[Nanoseconds, Nanoseconds]:
    """Times (n,) and, where `whole`, the arrivals (k, 3), else none of them."""
    kept = parts.time
    own = kept.time if isinstance(kept, Leading) else kept
    counts = _unpack(parts.arrived[0])
    time: Nanoseconds
    if isinstance(own, Stepped):
        time = np.empty(int(counts.sum()), np.int64)
        time[0], time[1:] = own.first, _unpack(own.within)
        time[np.cumsum(counts[:-1])] = _unpack(own.between)
        np.cumsum(time, out=time)
    else:
        time = _unpack(own.packed)
    if not whole and not isinstance(kept, Residual):
        return time, np.zeros((0, 3), np.int64)
    if isinstance(kept, Leading):
        monotonic = time[np.cumsum(counts) - 1] + _unpack(kept.delays)
    else:
        monotonic = _unpack(parts.arrived[1])
    if isinstance(kept, Residual):
        time += np.repeat(monotonic, counts)
    arrived = np.stack([counts, monotonic, _unpack(parts.arrived[2]) + monotonic], axis=1)
    return time, arrived if whole else arrived[:0]


def _encode_floats(values: Floats) -> Plain | Grid:
    values = np.ascontiguousarray(values, dtype=np.float64)
    plain = _pack(values)
    grid = _grid(values)
    return Plain(plain) if grid is None or len(grid.packed) + len(grid.bits) >= len(plain) else grid


def _grid(values: Floats) -> Grid | None:
    """The coarsest decimal grid that most values lie on exactly, None where there is none."""
    bits = values.view(np.int64)
    finite = np.isfinite(values) & (np.abs(values) < 1e9)
    clean = np.where(finite, values, 0.0)
    for decimals in DECIMALS:
        scale = 10.0**decimals
        whole = np.rint(clean * scale)
        # Compared as bits, so that a negative zero counts as off the grid too.
        off = np.flatnonzero((whole / scale + 0.0).view(np.int64) != bits)
        if len(off) <= OFF_GRID * len(values):
            break
    else:
        return None
    whole = whole.astype(np.int64)
    for place in off.tolist():  # few; a neighbour's value costs nothing to compress
        whole[place] = whole[place - 1] if place else 0
    return Grid(decimals, _pack(whole), _pack(off.astype(np.int64)), _pack(bits[off]))


def _decode_floats(column: Plain | Grid, to: Floats) -> None:
    if isinstance(column, Plain):
        to[:] = _unpack(column.packed)
        return
    np.divide(_unpack(column.packed), 10.0**column.decimals, out=to)
    to.view(np.int64)[_unpack(column.places)] = _unpack(column.bits)


def _pack(array: Array) -> bytes:
    return bytes(standalone.simple_compress(np.ascontiguousarray(array), ChunkConfig()))


def _pack8(array: Array) -> bytes:
    return bytes(standalone.simple_compress(np.ascontiguousarray(array), ChunkConfig(enable_8_bit=True)))


def _unpack(packed: bytes) -> Any:
    array = standalone.simple_decompress(packed)
    return np.zeros(0, np.int64) if array is None else array
