"""Attributes of Data Export messages: numbers, lists, FLOAT, numeric values, and the objects that carry them."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from drivers.intellivue.frames import Malformed

Attributes: TypeAlias = tuple[tuple[int, bytes], ...]

NUMERICS, MDS = 0x0006, 0x0021
SYSTEM_IDENTIFICATION, SYSTEM_PRODUCTION = 0x080B, 0x080C
HANDLE, LABEL, LABEL_STRING = 0x0921, 0x0924, 0x0927
NUMERIC, COMPOUND_NUMERIC = 0x0950, 0x094B
MODEL, PRODUCTION, SYSTEM_ID = 0x0928, 0x092D, 0x0984
TIME_PERIOD = 0xF13E
NO_DATE = b"\xff" * 8

INVALID, QUESTIONABLE, UNAVAILABLE, CALIBRATING = 0x8000, 0x4000, 0x2000, 0x1000
TEST, DEMO, EARLY = 0x0800, 0x0400, 0x0040

TICK = 1 / 8000
"""Seconds of one step of the monitor's relative time (1/8 ms)."""


class Reader:
    """Reads big-endian numbers one after the other; Malformed where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        taken = self._data[self._at : self._at + n]
        if len(taken) < n:
            raise Malformed("the message ends too early")
        self._at += n
        return taken

    def u8(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two bytes."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4), "big")

    def block(self) -> bytes:
        """The next block, which begins with its length (u16)."""
        return self.take(self.u16())

    def list(self) -> tuple[int, Reader]:
        """The next list: how many elements, and their bytes."""
        count = self.u16()
        return count, Reader(self.block())

    def attributes(self) -> Attributes:
        """The next attribute list."""
        count, body = self.list()
        return tuple((body.u16(), body.block()) for _ in range(count))


def pack_list(elements: Sequence[bytes]) -> bytes:
    """A list: count, length in bytes, elements."""
    body = b"".join(elements)
    return struct.pack(">HH", len(elements), len(body)) + body


def pack_attributes(attributes: Attributes) -> bytes:
    """An attribute list."""
    return pack_list([struct.pack(">HH", code, len(value)) + value for code, value in attributes])


def encode_float(value: float, decimals: int) -> int:
    """FLOAT with so many decimals: exponent (8 bits), mantissa (24 bits); NaN for what is not finite."""
    mantissa = round(value * 10**decimals) if math.isfinite(value) else 0x7FFFFF
    exponent = -decimals if math.isfinite(value) else 0
    return (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF


def decode_float(raw: int) -> float:
    """FLOAT to a number; NaN, not at this resolution, the infinities and the reserved mantissa are all NaN."""
    exponent = (raw >> 24 ^ 0x80) - 0x80
    mantissa = (raw & 0xFFFFFF ^ 0x800000) - 0x800000
    if mantissa >= 0x7FFFFE or mantissa <= -0x7FFFFE:
        return math.nan
    return float(mantissa * 10**exponent) if exponent >= 0 else mantissa / 10**-exponent


@dataclass(frozen=True, slots=True)
class Numeric:
    """One numeric observed value: what it is, its state, its unit and the value as FLOAT."""

    physio: int
    state: int
    unit: int
    raw: int

    @property
    def value(self) -> float:
        """The number, NaN for none."""
        return decode_float(self.raw)

    def encode(self) -> bytes:
        """Ten bytes."""
        return struct.pack(">HHHI", self.physio, self.state, self.unit, self.raw)

    @classmethod
    def decode(cls, data: bytes) -> Numeric:
        """From ten bytes."""
        if len(data) != 10:
            raise Malformed("no numeric value")
        return cls(*struct.unpack(">HHHI", data))


@dataclass(frozen=True, slots=True)
class Observed:
    """One object of a poll reply: its handle within a context, and its attributes."""

    context: int
    handle: int
    attributes: Attributes

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """All numeric values of the object, from single and compound values."""
        found = []
        for code, value in self.attributes:
            if code == NUMERIC:
                found.append(Numeric.decode(value))
            elif code == COMPOUND_NUMERIC:
                count, body = Reader(value).list()
                found.extend(Numeric.decode(body.take(10)) for _ in range(count))
        return tuple(found)

    @property
    def label(self) -> str:
        """What the monitor's screen calls it, empty where it does not say."""
        for code, value in self.attributes:
            if code == LABEL_STRING and len(value) >= 2:
                return text(value[2:], "utf-16-be")
        return ""


def text(data: bytes, encoding: str = "ascii") -> str:
    """A string up to its first NUL."""
    return data.decode(encoding, "replace").split("\0", 1)[0].strip()


def identity_of(attributes: Attributes) -> dict[str, str]:
    """Model, manufacturer and serial (the system id in hexadecimal) as far as the attributes hold them."""
    found = {}
    for code, value in attributes:
        if code == MODEL:
            reader = Reader(value)
            found["manufacturer"], found["model"] = text(reader.block()), text(reader.block())
        elif code == SYSTEM_ID:
            found["serial"] = Reader(value).block().hex()
    return found
