"""A Woodway treadmill in its US dialect, as an independent host knows it."""

from __future__ import annotations

import math
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from drivers.woodway import (
    ANSWER,
    COMMAND_DIGITS,
    GRADE,
    GRADE_TO,
    INVALID_COMMAND,
    INVALID_DATA,
    LINE,
    MPH,
    REVISION,
    SPEED_TO,
    START,
    START_WATCHED,
    STATUS_BYTES,
    STOP,
    STOP_ALL,
    TEST,
    TIMED_OUT,
    Frame,
)
from simulators.simkit.instrument import Instrument, Plan

LIMIT = 29.9

Positive = Annotated[float, Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`revision` of the firmware; `timer` s of silence after which a watched belt stops (no source states it).

    `ramp` mph/s, `grade_ramp` %/s, `delay` s before an answer; `state`: the byte that answers C0.
    `negative_zero`: a standing belt has the sign of a reversed one.
    """

    revision: Annotated[int, Meta(ge=0, lt=2**32)] = 0x00010203
    timer: Positive = 1.0
    ramp: Positive = 0.5
    grade_ramp: Positive = 0.5
    delay: Annotated[float, Meta(ge=0)] = 0.004
    state: Annotated[int, Meta(ge=0, le=255)] = 0
    negative_zero: bool = False


class Woodway(Instrument):
    """The belt follows the bench's `belt_speed` (km/h) and `belt_grade` (%) until the host sends a command A0-AA.

    The ledger gets one row for each speed sent, stream `belt`: speed km/h, grade as last sent, running.
    """

    names = ("woodway",)
    Options = Options
    not_modelled = (
        "the meaning of the state byte",
        "what a second belt of a split treadmill does",
        "whether the second of two commands in a row is lost",
    )
    serial = LINE

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self._at = 0.0
        self._heard = -math.inf
        self._due: list[tuple[float, bytes]] = []
        self._watched = False
        self._faults: set[str] = set()
        self.reset(0.0)

    @property
    def speed(self) -> float:
        """The belt's speed, km/h; negative is backwards."""
        return self._speed * MPH

    def receive(self, data: bytes, at: float) -> None:
        """Take commands and requests, each answered after the delay."""
        self.advance(at)
        self._heard = at
        for byte in data:
            if byte >= 0xA0:
                self._incoming = bytes((byte,))
            elif self._incoming:
                self._incoming += bytes((byte,))
            if not self._incoming:
                continue
            code, digits = self._incoming[0], self._incoming[1:]
            if digits and not digits.isdigit():
                self._incoming = b""
            elif len(digits) == COMMAND_DIGITS.get(code, 0):
                self._incoming = b""
                self._due.append((at + self._options.delay, self._answer(Frame(code, digits), at).encode()))

    def advance(self, at: float) -> None:
        """Move the belt, send what is due, and stop a watched belt whose host is silent."""
        if self._watched and at >= self._missed():
            self._settle(self._missed())
            self._watched = False
            self._target, self._target_grade = 0.0, 0.0
            self.send(Frame(TIMED_OUT).encode())
        self._settle(at)
        while self._due and self._due[0][0] <= at:
            self.send(self._due.pop(0)[1])

    def deadline(self) -> float | None:
        """The next answer, or the end of patience with a silent host."""
        due = [self._due[0][0]] if self._due else []
        if self._watched:
            due.append(self._missed())
        return min(due, default=None)

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: alarm (it misses its host once), out-of-range (speed), wrong-identity (a Trackmaster answers C3)."""
        if kind not in ("alarm", "out-of-range", "wrong-identity"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        if kind == "alarm" and on:
            self._due.append((self._at, Frame(TIMED_OUT).encode()))
        return True

    def reset(self, at: float) -> None:
        """Lose power and come back with a standing belt that follows the bench."""
        self._at = max(at, self._at)
        self._incoming = b""
        self._due.clear()
        self._host = self._engaged = False
        self._watched = False
        self._speed = self._grade = self._set = self._target = self._target_grade = 0.0
        self._shown_grade: float | None = None

    def _missed(self) -> float:
        return self._heard + self._options.timer * self.plan.patience

    def _answer(self, frame: Frame, at: float) -> Frame:
        code = frame.code
        if code in STATUS_BYTES:
            return self._report(code, at)
        if code not in COMMAND_DIGITS:
            return Frame(INVALID_COMMAND)
        self._host = True
        if code == SPEED_TO:
            mph = frame.mph
            if mph is None or abs(mph) > LIMIT:
                return Frame(INVALID_DATA)
            self._set = mph
            self._target = mph if self._engaged else self._target
        elif code == GRADE_TO:
            if frame.percent > LIMIT:
                return Frame(INVALID_DATA)
            self._target_grade = frame.percent
        elif code in (START, START_WATCHED):
            self._engaged, self._watched, self._target = True, code == START_WATCHED, self._set
        elif code == STOP:
            self._engaged, self._watched, self._target = False, False, 0.0
        elif code == STOP_ALL:
            self._set = self._target = self._target_grade = 0.0
        return Frame(code + ANSWER)

    def _report(self, code: int, at: float) -> Frame:
        answer = code + ANSWER
        if code == TEST:
            return Frame(answer, bytes((self._options.state,)))
        if code == REVISION and "wrong-identity" in self._faults:
            return Frame(answer, b"0020")
        if code == REVISION:
            return Frame(answer, self._options.revision.to_bytes(4, "big"))
        if code == GRADE:
            frame = Frame.grade(answer, self._grade)
            self._shown_grade = frame.percent
            return frame
        frame = Frame.speed(answer, 99.9 if "out-of-range" in self._faults else self._speed)
        if self._options.negative_zero and not frame.mph:
            frame = Frame(answer, b"3000")
        mph = frame.mph or 0.0
        row = [mph * MPH, self._shown_grade, float(mph != 0)]
        self.plan.ledger({"stream": "belt", "device_time": at, "values": row})
        return frame

    def _settle(self, at: float) -> None:
        seconds = max(at - self._at, 0.0)
        self._at = max(at, self._at)
        if self._host:
            self._speed = _towards(self._speed, self._target, self._options.ramp * seconds)
            self._grade = _towards(self._grade, self._target_grade, self._options.grade_ramp * seconds)
        else:
            now = np.array([self._at])
            self._speed = self._set = self._target = float(self.plan.bench.values("belt_speed", now)[0]) / MPH
            self._grade = self._target_grade = float(self.plan.bench.values("belt_grade", now)[0])
            self._engaged = self._speed != 0.0


def _towards(value: float, target: float, step: float) -> float:
    return value + min(max(target - value, -step), step)
