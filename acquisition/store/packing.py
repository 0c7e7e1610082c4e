"""Arrays as compressed bytes, bit for bit the same when they come back."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pcodec import ChunkConfig, standalone

from acquisition.model import Floats

DECIMALS = range(7)
"""Decimal places of the grids that an instrument's values are tried on."""
OFF_GRID = 0.1
"""The share of values that may lie off the grid before it is not worth having."""

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


def pack(array: Array) -> bytes:
    """Compress (n,) numbers of 16 bits or more."""
    return bytes(standalone.simple_compress(np.ascontiguousarray(array), ChunkConfig()))


def pack8(array: Array) -> bytes:
    """Compress (n,) numbers of 8 bits."""
    return bytes(standalone.simple_compress(np.ascontiguousarray(array), ChunkConfig(enable_8_bit=True)))


def unpack(packed: bytes) -> Any:
    """The (n,) numbers of `pack` or `pack8`."""
    array = standalone.simple_decompress(packed)
    return np.zeros(0, np.int64) if array is None else array


def encode_floats(values: Floats) -> Plain | Grid:
    """Compress (n,) values as integers of their decimal grid where they have one and that is smaller."""
    values = np.ascontiguousarray(values, dtype=np.float64)
    plain = pack(values)
    grid = _grid(values)
    return Plain(plain) if grid is None or len(grid.packed) + len(grid.bits) >= len(plain) else grid


def decode_floats(column: Plain | Grid, to: Floats | None = None) -> Floats:
    """The (n,) values of `encode_floats`, written into `to` where that is given."""
    packed = unpack(column.packed)
    if to is None:
        to = np.empty(len(packed))
    if isinstance(column, Plain):
        to[:] = packed
        return to
    np.divide(packed, 10.0**column.decimals, out=to)
    if column.places:
        to.view(np.int64)[unpack(column.places)] = unpack(column.bits)
    return to


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
    if not len(off):
        return Grid(decimals, pack(whole), b"", b"")
    for place in off.tolist():  # few; a neighbour's value costs nothing to compress
        whole[place] = whole[place - 1] if place else 0
    return Grid(decimals, pack(whole), pack(off.astype(np.int64)), pack(bits[off]))
