"""Answers of the digitisers: blocks, identities, errors, scan lists, readings, moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from acquisition.model import Floats
from drivers.keysight_daq.digits import numbers

OVERLOAD = 9.9e37
NOT_A_NUMBER = 9.91e37


@dataclass(frozen=True, slots=True)
class Block:
    """A definite-length block (IEEE 488.2, 8.7.9): `#`, the number of digits, the length, so many bytes."""

    payload: bytes

    def encode(self) -> bytes:
        """The block without the LF that ends an answer."""
        length = b"%d" % len(self.payload)
        return b"#%d%s%s" % (len(length), length, self.payload)

    @classmethod
    def decode(cls, answer: bytes) -> Block:
        """Read an answer, with or without its LF; ValueError where it is no whole block."""
        digits = int(answer[1:2]) if answer[:1] == b"#" else 0
        length = int(answer[2 : 2 + digits])
        payload = answer[2 + digits : 2 + digits + length]
        if not digits or len(payload) < length or answer[2 + digits + length :].rstrip(b"\n"):
            raise ValueError(f"no whole block: {answer[:40]!r}")
        return cls(payload)


@dataclass(frozen=True, slots=True)
class Identity:
    """What `*IDN?` answers: four fields between commas."""

    maker: str
    model: str
    serial: str
    firmware: str

    def encode(self) -> bytes:
        """The answer without its LF."""
        return ",".join((self.maker, self.model, self.serial, self.firmware)).encode()

    @classmethod
    def decode(cls, answer: bytes) -> Identity:
        """Read an answer; ValueError where it has not four fields."""
        maker, model, serial, firmware = (field.strip() for field in answer.decode("ascii").split(",", 3))
        return cls(maker, model, serial, firmware)


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the error queue, as `SYST:ERR?` answers it: `-113,"Undefined header"`; 0 is none."""

    number: int
    text: str

    def encode(self) -> bytes:
        """The answer without its LF."""
        return f'{self.number:+d},"{self.text}"'.encode()

    @classmethod
    def decode(cls, answer: bytes) -> Fault:
        """Read an answer; ValueError where it is none."""
        number, _, text = answer.decode("ascii").strip().partition(",")
        return cls(int(number), text.strip('"'))


@dataclass(frozen=True, slots=True)
class ScanList:
    """Terminals in the order they are scanned, always ascending: `(@101,102,103)`."""

    terminals: tuple[int, ...]

    def encode(self) -> bytes:
        """The list as a parameter, and as the payload of the answer to ROUT:SCAN?."""
        return b"(@%s)" % b",".join(b"%d" % terminal for terminal in self.terminals)

    @classmethod
    def decode(cls, text: bytes) -> ScanList:
        """Read a list, ranges (`101:104`) too; ValueError where it is none."""
        inside = re.fullmatch(rb"\(@([\d,: ]*)\)", text.strip())
        if inside is None:
            raise ValueError(f"no scan list: {text[:40]!r}")
        found: set[int] = set()
        for part in filter(None, inside[1].replace(b" ", b"").split(b",")):
            first, _, last = part.partition(b":")
            found.update(range(int(first), int(last or first) + 1))
        return cls(tuple(sorted(found)))


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings as R? sends them with FORM:READ:TIME ON (TYPE REL) and CHAN ON: value, seconds, channel.

    table (n, 3): volts, seconds since the scan began, terminal. The width of the time varies.
    """

    table: Floats

    def encode(self) -> bytes:
        """The payload of the block: `+8.11900000E-03,00000000.370,101,...`."""
        n = len(self.table)
        return (b",".join([b"%+.8E,%012.3f,%d"] * n)) % tuple(self.table.ravel().tolist())

    @classmethod
    def decode(cls, payload: bytes) -> Rows:
        """Read the payload of a block; ValueError where a field is no number or one is missing."""
        return cls(numbers(payload, 3))


@dataclass(frozen=True, slots=True)
class Reals:
    """Readings as R? sends them with FORM:DATA REAL,64 and FORM:BORD NORM: volts (n,), big-endian."""

    volts: Floats

    def encode(self) -> bytes:
        """The payload of the block."""
        return self.volts.astype(">f8").tobytes()

    @classmethod
    def decode(cls, payload: bytes) -> Reals:
        """Read the payload of a block; ValueError where it is no whole number of readings."""
        return cls(np.frombuffer(payload, ">f8").astype(np.float64))


def figures(answer: bytes) -> tuple[float, ...]:
    """Numbers between commas; ValueError where one is none."""
    return tuple(float(field) for field in answer.split(b","))


def moment(date: bytes, time: bytes) -> datetime:
    """The instrument's clock from `yyyy,mm,dd` and `hh,mm,ss.sss`; ValueError where that is no moment."""
    year, month, day = (int(part) for part in date.split(b","))
    hour, minute, second = time.split(b",")
    return datetime(year, month, day, int(hour), int(minute)) + timedelta(seconds=float(second))


def scan_times(answer: bytes) -> tuple[datetime, datetime | None]:
    """When the scan began and, where the instrument has a clock, the present; ValueError where they are no moments."""
    started, *clock = answer.split(b";")
    return scan_start(started), moment(*clock) if len(clock) == 2 else None


def scan_start(answer: bytes) -> datetime:
    """The answer to SYST:TIME:SCAN?, `yyyy,mm,dd,hh,mm,ss.sss`; ValueError where it is none."""
    date, time = answer.split(b",")[:3], answer.split(b",")[3:]
    return moment(b",".join(date), b",".join(time))
