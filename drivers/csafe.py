"""CSAFE treadmills: frames, units, and a driver that only asks.

Source: Concept2 "PM CSAFE Communication Definition" Rev 0.27 (framing, status byte, commands, time-outs),
after FitLinxx' CSAFE Protocol Framework V1; units and slave behaviour from two independent open
implementations (csafe-fitness, MIT; a console's slave by Matrix). RS-232, 9600 baud, 8N1:
F1 | stuffed(contents | XOR checksum) | F2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import reduce
from operator import xor
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.derived import Derivation, Distance
from acquisition.driver import About, Driver, Serial, Setup
from acquisition.framing import Cutter
from acquisition.model import Channel, Notice, Quality, Readings, Stream

LINE = Serial(9600)
EXTENDED, BEGIN, END, ESCAPE = 0xF0, 0xF1, 0xF2, 0xF3
LONGEST = 2 * 120 + 2
"""Bytes of the longest frame, every one stuffed (Concept2: 120 unstuffed)."""

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

    def quantity(self, code: int, units: dict[int, float]) -> float | None:
        """A block's number times its unit's factor; None where the block is absent or in another kind of unit."""
        data = self.blocks.get(code, b"")
        if len(data) < 3 or data[2] not in units:
            return None
        return int.from_bytes(data[:2], "little") * units[data[2]]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`interval`: seconds of a poll."""

    interval: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.5


class Csafe(Driver):
    """Asks for time, distance, speed and grade in one frame, or one by one where the equipment rejects that.

    A sample's instant is the arrival of the last reply of a round; each time that it does not come, and each round
    that is given up before, counts as one sample lost on the way. A reply bears no number: for `LATE` seconds after
    one that did not come, or that nobody waited for, it may belong to an earlier request, so that samples are
    QUESTIONABLE. A block that the equipment
    leaves out is no zero: its value is none. Status frames come unasked too; one without data answers the open request
    only where its toggle bit has flipped.
    """

    about = About(
        names={"csafe": "any treadmill with a CSAFE port"},
        kind="treadmill",
        links=("serial", "tcp"),
        confidence="partly documented",
        source="Concept2 PM CSAFE Communication Definition Rev 0.27; FitLinxx CSAFE framework as implemented openly",
        unconfirmed=(
            "the state In Use, or a speed in any other state, is taken as a running belt",
            "grades are unsigned in every source: a decline is not defined",
            "no public source shows a treadmill that obeys speeds while it runs: this driver only reads",
        ),
    )
    Options = Options

    POLL = bytes((TIME, HORIZONTAL, SPEED, GRADE))
    IDENTITY = bytes((VERSION, SERIAL))
    ANSWER_WITHIN = 0.5
    PAUSE = 0.05
    TRIES = 3
    LATE = 3.0

    silence = 4.0
    serial = LINE
    streams = (
        Stream(
            "belt",
            (Channel("speed", "km/h", 0.0, 40.0), Channel("grade", "%", 0.0, 50.0), Channel("running", "1", 0.0, 1.0)),
        ),
        Stream("console", (Channel("odometer", "m", 0.0), Channel("elapsed", "s", 0.0))),
    )
    queries = tuple(
        re.compile(re.escape(encode(contents)), re.DOTALL)
        for contents in (IDENTITY, POLL, *(bytes((code,)) for code in POLL + IDENTITY))
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._cutter = Cutter(cut, LONGEST)
        self._plan = [self.POLL]
        self._left: list[bytes] = []
        self._asked: bytes | None = None
        self._tries = 0
        self._due: float | None = None
        self._round_at = 0.0
        self._blocks: dict[int, bytes] = {}
        self._identifying = True
        self._toggle: bool | None = None
        self._state: int | None = None
        self._said: set[str] = set()
        self._put_off = False
        self._lost = 0
        self._doubtful_until = -math.inf

    def derivations(self) -> tuple[Derivation, ...]:
        """The distance walked, integrated from the speed beside what the console counts."""
        return (Distance(patience=self.setup.patience),)

    def start(self, at: float) -> None:
        """Ask who is there."""
        self._round_at = at
        self._left = [self.IDENTITY]
        self._ask(at)

    def poll(self, at: float) -> None:
        """Send what is due, or again what was not answered."""
        if self._asked is None:
            if not self._left:
                self._round_at = at
                self._blocks.clear()
                self._left = list(self._plan)
            self._ask(at)
            return
        given_up = self._tries >= self.TRIES
        if not self._put_off:
            self._doubtful_until = at + self.LATE * self.setup.patience
        self._lost += not self._identifying and (given_up or not (self._left or self._put_off))
        if given_up:
            self._left.clear()
            self._identifying = False
            self._rest(at)
        else:
            self._send(self._asked, at)

    def deadline(self) -> float | None:
        """When the next request is due, or the open one times out."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take replies and status frames; the last reply of a round completes a sample."""
        for piece in self._cutter.feed(data):
            contents = decode(piece) if isinstance(piece, bytes) else None
            if contents:
                yield from self._take(Reply.of(contents), at)
            elif not isinstance(piece, bytes):
                yield Notice("noise", "bytes that belong to no good frame", {"bytes": len(piece.data)})

    def _ask(self, at: float) -> None:
        self._tries = 0
        self._send(self._left.pop(0), at)

    def _send(self, contents: bytes, at: float) -> None:
        self._asked = contents
        self._put_off = False
        self._tries += 1
        self._due = at + self.ANSWER_WITHIN * self.setup.patience
        self.send(encode(contents))

    def _rest(self, at: float) -> None:
        pause = at + self.PAUSE * self.setup.patience
        self._asked = None
        self._due = pause if self._left else max(self._round_at + self.setup.options.interval, pause)

    def _take(self, reply: Reply, at: float) -> Iterator[Readings | Notice]:
        yield from self._changes(reply)
        asked = self._asked
        known, self._toggle = self._toggle, reply.toggle
        answers = bool(reply.blocks) or (known is not None and reply.toggle != known)
        if asked is None and reply.blocks:
            self._doubtful_until = at + self.LATE * self.setup.patience
            yield Notice("noise", "a reply that nobody waits for", {"bytes": len(encode(reply.contents()))})
        if asked is None or not answers:
            return
        if reply.previous in (Previous.BAD, Previous.NOT_READY):
            self._put_off = True  # asked again when its time is over
            return
        self._blocks.update(reply.blocks)
        if reply.previous is Previous.REJECTED and len(asked) > 1:
            self._left = [bytes((code,)) for code in asked]
            if asked == self.POLL:
                self._plan = list(self._left)
        elif self._left:
            pass
        elif self._identifying:
            self._identifying = False
            yield from _identity(self._blocks)
        else:
            yield from self._samples(reply, at)
        self._rest(at)

    def _changes(self, reply: Reply) -> Iterator[Notice]:
        if reply.state != self._state:
            self._state = reply.state
            name = State(reply.state).name.replace("_", " ").lower() if reply.state in list(State) else "unnamed"
            kind = "alarm" if reply.state == State.ERROR else "state"
            yield Notice(kind, f"the equipment's state is {name}", {"state": reply.state})
        if reply.rest:
            yield from self._once(f"a data block with a wrong count was left out: {reply.rest.hex(' ')}")

    def _samples(self, reply: Reply, at: float) -> Iterator[Readings | Notice]:
        collected = Reply(reply.status, self._blocks)
        unknown = [code for code, units in _UNITS.items() if self._foreign(code, units)]
        for code in unknown:
            yield from self._once(f"block {code:02X} has unit {self._blocks[code][2]}, which does not measure this")
        speed, grade, metres = (collected.quantity(code, units) for code, units in _UNITS.items())
        pace = self._blocks.get(SPEED, b"")
        if len(pace) >= 3 and pace[2] in PACE:
            number = int.from_bytes(pace[:2], "little")
            speed = PACE[pace[2]] / number if number else 0.0
        yield self._row("belt", [speed, grade, float(reply.state == State.IN_USE or bool(speed))], at)
        clock = self._blocks.get(TIME, b"")
        seconds = clock[0] * 3600.0 + clock[1] * 60.0 + clock[2] if len(clock) >= 3 else None
        yield self._row("console", [metres, seconds], at)
        self._lost = 0

    def _row(self, stream: str, numbers: list[float | None], at: float) -> Readings:
        values = np.array([[np.nan if number is None else number for number in numbers]])
        quality = np.where(np.isnan(values), np.uint8(Quality.INVALID), np.uint8(Quality.GOOD))
        quality[values > _HIGHEST[stream]] = Quality.RANGE
        if at < self._doubtful_until:
            quality[np.isfinite(values)] |= np.uint8(Quality.QUESTIONABLE)
        return Readings(stream, values, quality, lost=self._lost)

    def _foreign(self, code: int, units: dict[int, float]) -> bool:
        data = self._blocks.get(code, b"")
        return len(data) >= 3 and data[2] not in units and not (code == SPEED and data[2] in PACE)

    def _once(self, text: str) -> Iterator[Notice]:
        if text not in self._said and len(self._said) < 100:
            self._said.add(text)
            yield Notice("warning", text)


_UNITS = {SPEED: KMH, GRADE: PERCENT, HORIZONTAL: METRES}
_HIGHEST = {stream.name: [channel.high or np.inf for channel in stream.channels] for stream in Csafe.streams}


def _identity(blocks: dict[int, bytes]) -> Iterator[Notice]:
    """Who is there: manufacturer, class, model, version and release as numbers, and the serial number's letters."""
    version, serial = blocks.get(VERSION), blocks.get(SERIAL)
    if version is None and serial is None:
        return
    model = ".".join(str(byte) for byte in version or b"")
    number = (serial or b"").decode("ascii", "replace").strip("\0 ")
    details = {"model": model, "serial": number}
    yield Notice("identity", f"CSAFE equipment, version {model or 'unknown'}, serial number {number}", details)
