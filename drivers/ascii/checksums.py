"""Checksums of ASCII lines: sums of bytes and two cyclic redundancy checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from operator import xor
from types import MappingProxyType
from typing import Literal

Kind = Literal["none", "sum8", "xor8", "crc16-x25", "crc16-modbus"]


def _table(polynomial: int) -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


_X25, _MODBUS = _table(0x8408), _table(0xA001)


def _crc(table: tuple[int, ...], data: bytes) -> int:
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


CHECKSUMS: Mapping[str, tuple[int, Callable[[bytes], int]]] = MappingProxyType(
    {
        "sum8": (2, lambda data: sum(data) & 0xFF),
        "xor8": (2, lambda data: reduce(xor, data, 0)),
        "crc16-x25": (4, lambda data: _crc(_X25, data) ^ 0xFFFF),
        "crc16-modbus": (4, lambda data: _crc(_MODBUS, data)),
    }
)
"""Kind -> hexadecimal digits and function. The CRCs are reflected, begin at FFFF; X.25 inverts its result."""


def digits(kind: str, data: bytes, low_first: bool = False) -> bytes:
    """The checksum as upper-case hexadecimal digits; of two bytes the high one first unless `low_first`."""
    count, compute = CHECKSUMS[kind]
    value = compute(data)
    if low_first and count == 4:
        value = value >> 8 | (value & 0xFF) << 8
    return b"%0*X" % (count, value)
