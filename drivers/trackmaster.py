"""Trackmaster and Full Vision treadmills (TMX, FVX): frames and the reading driver.

Source: Full Vision TMX428/TMX428CP/TMX58 service manual 317-160-406 Rev 4 (May 2021), chapter 8, pages
63-65, and FVX/TMX field service manual Rev 5 (August 2006), chapter 9. One code byte A0-DF, then ASCII
digits; 4800 baud, 8N1; no checksum, no addresses. The treadmill speaks when asked, but for one letter 'T'
at power-up, which must never be echoed: an echo starts a self-test that moves the belt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.derived import Derivation, Distance
from acquisition.driver import About, Driver, Serial, Setup
from acquisition.framing import Cutter, Skipped
from acquisition.model import Channel, Notice, Quality, Readings, Stream

LINE = Serial(4800)
KMH: dict[str, float] = {"mph": 1.609344, "kmh": 1.0}
"""Kilometres per hour for one of the treadmill's units of speed; the unit is not on the wire."""

BELT_STATUS, SPEED, GRADE, SET_SPEED, SET_GRADE = range(0xC0, 0xC5)
ANSWER = 0x10
"""What an answer's code has more than its request's."""
OUT_OF_RANGE, ILLEGAL, UNKNOWN_STATUS = 0xBE, 0xBF, 0xDF
FAULT = 9999
"""The actual speed 999.9: emergency stop or a fault of the speed loop."""
SELF_TEST = b"T"

STOPPED, RUNNING, RUNNING_UNWATCHED = b"1", b"2", b"3"
"""Belt status: the last is running without the stop on loss of communication."""

COMMAND_DIGITS = dict.fromkeys(range(0xA0, 0xAD), 0) | {0xA3: 4, 0xA4: 4, 0xA5: 4, 0xA6: 2, 0xA7: 2, 0xA9: 4}
STATUS_DIGITS = dict.fromkeys(range(0xC1, 0xCE), 4) | {BELT_STATUS: 1, 0xC8: 2, 0xC9: 2}
REFUSALS = {
    OUT_OF_RANGE: "data out of range",
    ILLEGAL: "illegal or unrecognised command",
    UNKNOWN_STATUS: "unrecognised status request",
}
ANSWER_DIGITS = (
    {code + ANSWER: 0 for code in COMMAND_DIGITS}
    | {code + ANSWER: digits for code, digits in STATUS_DIGITS.items()}
    | dict.fromkeys(REFUSALS, 0)
)
LONGEST = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """A request or an answer: one code byte and its ASCII digits."""

    code: int
    digits: bytes = b""

    @classmethod
    def of(cls, code: int, tenths: int) -> Frame:
        """A frame with a number of tenths in four digits."""
        return cls(code, b"%04d" % tenths)

    @classmethod
    def decode(cls, frame: bytes) -> Frame:
        """Take a frame that `cut` found."""
        return cls(frame[0], frame[1:])

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return bytes((self.code,)) + self.digits

    @property
    def tenths(self) -> int:
        """The digits as a number."""
        return int(self.digits)


def cut(buffer: bytes) -> int:
    """Find an answer at the start of the buffer; codes are A0-DF and digits 30-39, so a code restarts it."""
    digits = ANSWER_DIGITS.get(buffer[0])
    if digits is None:
        return -1
    for position, byte in enumerate(buffer[1 : 1 + digits], 1):
        if not 0x30 <= byte <= 0x39:
            return -position
    return digits + 1 if len(buffer) > digits else 0


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`unit`: what the treadmill counts speed in, to be checked by measuring its belt; `interval` s of a poll."""

    unit: Literal["mph", "kmh"]
    interval: Annotated[float, Meta(ge=0.2, le=5.0)] = 0.25


class Trackmaster(Driver):
    """Asks for belt status, set speed and grade, actual grade and speed, one request at a time, a round each interval.

    A sample is a round whose requests were all answered; its instant is the arrival of the actual speed,
    which is asked for last. The treadmill buffers one command: the next is sent only after the answer, or
    after `ANSWER_WITHIN`. Each speed request without an answer counts as one sample lost on the way.
    """

    about = About(
        names={"trackmaster": "Trackmaster / Full Vision TMX and FVX, Medisoft RAM 870, Axelero Cardio"},
        kind="treadmill",
        links=("serial", "tcp"),
        confidence="documented",
        source="Full Vision TMX service manual 317-160-406 Rev 4 (2021) ch. 8; FVX/TMX field manual Rev 5 (2006) ch. 9",
        unconfirmed=(
            "the unit of speed is not on the wire: it is the configuration's word, check it on the moving belt",
            "the treadmill has no identity on the wire: a simulator cannot be told from a real one",
            "no checksum: a digit changed on the way to another digit is recorded as it arrived",
            "GE T2100-ST (9600 baud) very probably speaks the same commands; its command page is not public",
        ),
    )
    Options = Options

    ROUND = (BELT_STATUS, SET_SPEED, SET_GRADE, GRADE, SPEED)
    ANSWER_WITHIN = 0.15
    TRIES = 3
    silence = 2.0
    serial = LINE
    queries = (re.compile(b"[\xc0-\xc4]"),)
    streams = (
        Stream(
            "belt",
            (
                Channel("speed", "km/h", 0.0, 30.0),
                Channel("grade", "%", 0.0, 40.0),
                Channel("set_speed", "km/h", 0.0, 30.0),
                Channel("set_grade", "%", 0.0, 40.0),
                Channel("running", "1", 0.0, 1.0),
            ),
        ),
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._kmh = KMH[setup.options.unit]
        self._cutter = Cutter(cut, LONGEST)
        self._asked: int | None = None
        self._tries = 0
        self._due: float | None = None
        self._round_at = 0.0
        self._left: list[int] = []
        self._answers: dict[int, Frame] = {}
        self._refusals: dict[int, float] = {}
        self._lost = 0
        self._belt: bytes | None = None
        self._fault = False

    @classmethod
    def derivations(cls) -> tuple[Derivation, ...]:
        """The distance walked: the treadmill's own counters read zero (service manual, page 65)."""
        return (Distance(),)

    def start(self, at: float) -> None:
        """Begin the first round."""
        self._begin(at)

    def poll(self, at: float) -> None:
        """Begin a round, or ask again what was not answered in time."""
        if self._asked is None:
            self._begin(at)
            return
        if self._asked == SPEED:
            self._lost += 1
        if self._tries < self.TRIES:
            self._ask(self._asked, at)
        else:
            self._rest(at)

    def deadline(self) -> float | None:
        """When the next round begins or the open request times out."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take answers; the last one of a round completes a sample."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, bytes):
                yield from self._take(Frame.decode(piece), at)
            elif piece.data == SELF_TEST:
                yield Notice("state", "the treadmill was switched on: it offers its self-test, which is not answered")
            else:
                yield _noise(piece)

    def _begin(self, at: float) -> None:
        self._round_at = at
        self._answers.clear()
        self._left = [code for code in self.ROUND if code == SPEED or self._refusals.get(code, 0) < self.TRIES]
        self._next(at)

    def _next(self, at: float) -> None:
        self._tries = 0
        self._ask(self._left.pop(0), at)

    def _ask(self, code: int, at: float) -> None:
        self._asked = code
        self._tries += 1
        self._due = at + self.ANSWER_WITHIN * self.setup.patience
        self.send(Frame(code).encode())

    def _rest(self, at: float) -> None:
        self._asked = None
        self._due = max(self._round_at + self.setup.options.interval, at)

    def _take(self, answer: Frame, at: float) -> Iterator[Readings | Notice]:
        asked = self._asked
        if asked is not None and answer.code == asked + ANSWER:
            self._answers[asked] = answer
            self._refusals[asked] = -math.inf  # it is known here: a refusal after this is a garbled request
            if self._left:
                self._next(at)
                return
            self._rest(at)
            yield from self._changes()
            yield self._sample()
        elif asked is not None and answer.code in REFUSALS:
            yield from self._refused(asked, answer.code, at)
        else:
            if answer.code == SPEED + ANSWER:
                self._lost += 1
            yield Notice("noise", "an answer that nobody waits for", {"bytes": 1 + len(answer.digits)})

    def _refused(self, asked: int, code: int, at: float) -> Iterator[Notice]:
        """Ask again; what is only ever refused is left out from now on, except the speed itself."""
        self._refusals[asked] = self._refusals.get(asked, 0) + 1
        if self._refusals[asked] == self.TRIES:
            text = f"the treadmill refuses the request {asked:02X}: {code:02X}, {REFUSALS[code]}"
            yield Notice("warning", text, {"request": f"{asked:02X}", "answer": f"{code:02X}"})
        if self._tries < self.TRIES:
            self._ask(asked, at)
        elif self._left:
            self._next(at)
        else:
            self._rest(at)

    def _changes(self) -> Iterator[Notice]:
        """Say what is not as it was a round ago."""
        status = self._answers.get(BELT_STATUS)
        belt = status.digits if status else None
        if belt is not None and belt != self._belt:
            text = BELT.get(belt, f"the belt status is {belt.decode()}, which no document explains")
            yield Notice("state" if belt in BELT else "warning", text, {"belt": belt.decode()})
        self._belt = belt
        fault = self._answers[SPEED].tenths == FAULT
        if fault and not self._fault:
            yield Notice("alarm", "the treadmill reports the speed 999.9: emergency stop or a fault of its drive")
        elif self._fault and not fault:
            yield Notice("state", "the treadmill reports a speed again")
        self._fault = fault

    def _sample(self) -> Readings:
        running = {STOPPED: 0.0, RUNNING: 1.0, RUNNING_UNWATCHED: 1.0}.get(self._belt or b"", np.nan)
        speed, grade, set_speed, set_grade = (self._number(code) for code in (SPEED, GRADE, SET_SPEED, SET_GRADE))
        values = np.array([[speed * self._kmh, grade, set_speed * self._kmh, set_grade, running]])
        quality = np.where(np.isnan(values), np.uint8(Quality.INVALID), np.uint8(Quality.GOOD))
        quality[values > _HIGHEST] = Quality.RANGE
        lost, self._lost = self._lost, 0
        return Readings("belt", values, quality, lost=lost)

    def _number(self, code: int) -> float:
        answer = self._answers.get(code)
        if answer is None or (code == SPEED and answer.tenths == FAULT):
            return np.nan
        return answer.tenths / 10


BELT = {
    STOPPED: "the belt is stopped",
    RUNNING: "the belt is running; it stops by itself when the host falls silent",
    RUNNING_UNWATCHED: "the belt is running; it does not stop by itself when the host falls silent",
}
_HIGHEST = np.array([channel.high for channel in Trackmaster.streams[0].channels])


def _noise(piece: Skipped) -> Notice:
    return Notice("noise", "bytes that belong to no answer", {"bytes": len(piece.data)})
