"""Frames of CSAFE equipment, its status byte, and its units.

Source: Concept2 "PM CSAFE Communication Definition" Rev 0.27 (framing, status byte, commands, time-outs),
after FitLinxx' CSAFE Protocol Framework V1; units and slave behaviour from two independent open
implementations (csafe-fitness, MIT; a console's slave by Matrix). RS-232, 9600 baud, 8N1:
F1 | stuffed(contents | XOR checksum) | F2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from operator import xor

from acquisition.driverkit.driver import Serial

LINE = Serial(9600)
EXTENDED, BEGIN, END, ESCAPE = 0xF0, 0xF1, 0xF2, 0xF3
LONGEST = 2 * 120 + 2
"""Bytes of the longest frame, every one stuffed (Concept2: 120 unstuffed)."""

GO_IDLE, GO_IN_USE, GO_FINISHED, GO_READY = 0x82, 0x85, 0x86, 0x87
SET_SPEED, SET_GRADE = 0x25, 0x28
GET_STATUS = 0x80
VERSION, SERIAL = 0x91, 0x94
TIME, HORIZONTAL, SPEED, GRADE = 0xA0, 0xA1, 0xA5, 0xA8
FIRST_SHORT = 0x80
"""Commands from here on are one byte; those below carry a count and data."""

KMH = {
    16: 1.609344, 17: 0.1609344, 18: 0.01609344, 19: 0.018288, 48: 1.0, 49: 0.1, 50: 0.01, 51: 0.06,
}  # fmt: skip
"""Kilometres per hour for one of each unit of speed: mph, ft/min, km/h, m/min and their fractions."""
PACE = {55: 96.56064, 56: 60.0, 57: 3600.0, 58: 5793.6384}
"""Units of pace: km/h = this over the number (min/mile, min/km, s/km, s/mile)."""
METRES = {
    1: 1609.344, 2: 160.9344, 3: 16.09344, 4: 1.609344, 5: 0.3048, 6: 0.0254, 10: 3.048,
    33: 1000.0, 34: 100.0, 35: 10.0, 36: 1.0, 37: 0.1, 38: 0.01,
}  # fmt: skip
PERCENT = {74: 1.0, 75: 0.01, 76: 0.1}


class State(IntEnum):
    """The equipment's state, the low four bits of every status."""

    ERROR, READY, IDLE, HAVE_ID = 0, 1, 2, 3
    IN_USE, PAUSED, FINISHED, MANUAL, OFFLINE = 5, 6, 7, 8, 9


class Previous(IntEnum):
    """What became of the frame before, bits 4 and 5 of the status."""

    OK, REJECTED, BAD, NOT_READY = range(4)


def encode(contents: bytes) -> bytes:
    """The frame around unstuffed contents; the checksum is stuffed like them."""
    body = contents + bytes((reduce(xor, contents, 0),))
    stuffed = b"".join(bytes((ESCAPE, b & 3)) if EXTENDED <= b <= ESCAPE else bytes((b,)) for b in body)
    return bytes((BEGIN,)) + stuffed + bytes((END,))


def decode(frame: bytes) -> bytes | None:
    """The contents of a frame from its first to its last byte; None where stuffing or checksum is wrong."""
    body = bytearray()
    stuffed = iter(frame[1:-1])
    for byte in stuffed:
        if byte == ESCAPE:
            byte = EXTENDED + next(stuffed, 4)
            if byte > ESCAPE:
                return None
        body.append(byte)
    return None if reduce(xor, body, 0) else bytes(body[:-1])


def cut(buffer: bytes) -> int:
    """Find a good standard frame at the start of the buffer; a new start flag begins anew, as in every receiver."""
    if buffer[0] != BEGIN:
        start = buffer.find(BEGIN)
        return -start if start > 0 else -len(buffer)
    end = buffer.find(END)
    again = max(buffer.rfind(flag, 1, end if end >= 0 else None) for flag in (BEGIN, EXTENDED))
    if again > 0:
        return -again
    if end < 0:
        return 0
    return end + 1 if decode(buffer[: end + 1]) is not None else -(end + 1)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the equipment says: its status byte, the complete data blocks, and what was left over."""

    status: int
    blocks: dict[int, bytes]
    rest: bytes = b""

    @classmethod
    def of(cls, contents: bytes) -> Reply:
        """Read contents leniently: a block with a wrong count ends the reading and spoils nothing before it."""
        blocks: dict[int, bytes] = {}
        position = 1
        while position + 1 < len(contents):
            end = position + 2 + contents[position + 1]
            if end > len(contents):
                break
            blocks[contents[position]] = contents[position + 2 : end]
            position = end
        return cls(contents[0], blocks, contents[position:])

    def contents(self) -> bytes:
        """Status and blocks as the contents of a frame."""
        blocks = b"".join(bytes((code, len(data))) + data for code, data in self.blocks.items())
        return bytes((self.status,)) + blocks + self.rest

    @property
    def toggle(self) -> bool:
        """Flips with each frame that the equipment accepts."""
        return bool(self.status & 0x80)

    @property
    def previous(self) -> Previous:
        """What became of the frame that this answers."""
        return Previous(self.status >> 4 & 3)

    @property
    def state(self) -> int:
        """The equipment's state, a `State` where a document names it."""
        return self.status & 0x0F

    @property
    def state_name(self) -> str:
        """The state in words."""
        return State(self.state).name.replace("_", " ").lower() if self.state in list(State) else "unnamed"

    def quantity(self, code: int, units: dict[int, float]) -> float | None:
        """A block's number times its unit's factor; None where the block is absent or in another kind of unit."""
        data = self.blocks.get(code, b"")
        if len(data) < 3 or data[2] not in units:
            return None
        return int.from_bytes(data[:2], "little") * units[data[2]]
