"""A Trackmaster treadmill, byte by byte: what its service manual says, with each open point as an option."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from drivers.trackmaster.frames import (
    ANSWER,
    AUTO_STOP,
    BELT_STATUS,
    COMMAND_DIGITS,
    COOL_DOWN,
    ECHO,
    FAULT,
    GRADE,
    GRADE_TO,
    ILLEGAL,
    KMH,
    LINE,
    OUT_OF_RANGE,
    RESET_COUNTERS,
    RUNNING,
    RUNNING_UNWATCHED,
    SELF_TEST,
    SET_GRADE,
    SET_SPEED,
    SPEED,
    SPEED_TO,
    START,
    START_UNWATCHED,
    STATUS_DIGITS,
    STOP,
    STOPPED,
    UNKNOWN_STATUS,
    Frame,
)
from simulators.simkit.instrument import Example, Instrument, Plan

SILENCE = 0.5
"""Seconds without a byte after which a watched belt stops (TMX manual, command A0)."""
LOCKOUT, LOCKOUT_ENDS = 3.0, 20.0
TEST_SPEED = 3.0
"""The self-test's belt speed; the GE manual tells of 14 stages and not of their speeds."""

Seconds = Annotated[float, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs between treadmills and firmwares, and what may go wrong.

    `unit` of speeds; `min_speed`, `max_speed` in it, `max_grade` %; `ramp` in units of speed per second,
    `grade_ramp` %/s. `delay` s between a command's last byte and its answer. `one_command`: a command that
    comes before the answer to the one before it takes its place (JAS text). `watched`: the firmware has the
    stop on loss of communication. `echo`: what follows an acknowledgement once command AC switched it on.
    `counters`: the zeros of TMX, or the older weights of the JAS text. `lockout`: a start within 3 s of
    power-up at zero grade is refused. `unknown_status`: the answer to a status request that does not exist.
    `self_test`: a letter T at power-up; whoever echoes it moves the belt. Faults, (from, seconds):
    `emergency_stop` takes the power away, `speed_fault` reports 999.9; `runaway`, (from, speed), adds to the
    belt's speed.
    """

    unit: Literal["mph", "kmh"] = "mph"
    min_speed: Positive = 0.2
    max_speed: Positive = 15.0
    max_grade: Positive = 25.0
    ramp: Positive = 0.5
    grade_ramp: Positive = 0.5
    delay: Seconds = 0.004
    one_command: bool = True
    watched: bool = True
    echo: Literal["off", "data", "code+data"] = "off"
    counters: Literal["zero", "jas"] = "zero"
    lockout: bool = False
    unknown_status: Literal["DF", "BF"] = "DF"
    self_test: bool = False
    emergency_stop: tuple[Seconds, Positive] | None = None
    speed_fault: tuple[Seconds, Positive] | None = None
    runaway: tuple[Seconds, Positive] | None = None


class Trackmaster(Instrument):
    """The belt follows the bench's `belt_speed` (km/h) and `belt_grade` (%) until the host sends a command A0-AB.

    From then on it obeys the host, with ramps, until it loses power. After that it stands until the
    bench's belt has stood too, as after somebody pressed START again. On the console's word it runs
    unwatched (Medisoft: A1 equals the START key).

    The ledger gets one row for each actual speed (D1) sent, stream `belt`: speed km/h, grade, set speed,
    set grade, running, as last sent to the host; None where nothing or 999.9 was sent. The driver asks for the speed
    last, so a row is a sample of the driver's, unless bytes or the connection were lost.
    """

    names = ("trackmaster",)
    Options = Options
    not_modelled = (
        "the reported speed as an average of 2 s, and its correction at most every 4 s (FVX manual 9-2)",
        "the stop by itself at 1 mph from the set speed (FVX manual 9-2)",
        "the weight of the participant and the slip of the belt",
        "what each stage of the power-up self-test does, and its end",
        "the times, energy and protocol that the older counters show; of them only the distance counts",
    )
    serial = LINE

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """A belt in miles per hour."""
        return Example({"unit": "mph"}, simulator={"unit": "mph"})

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self._at = 0.0
        self._odometer = self._walked = 0.0
        self._incoming = b""
        self._pending: tuple[Frame, float] | None = None
        self._heard = -math.inf
        self._power_loss = self._options.emergency_stop
        self._faults: set[str] = set()
        self._power_up(-math.inf)
        self._held = False

    @property
    def speed(self) -> float:
        """The belt's speed, km/h."""
        return self._speed.value * KMH[self._options.unit]

    @property
    def grade(self) -> float:
        """The belt's grade, %."""
        return self._grade.value

    @property
    def status(self) -> bytes:
        """The belt status, as on the wire."""
        return self._status

    def receive(self, data: bytes, at: float) -> None:
        """Take commands and status requests, each answered after the delay."""
        self.advance(at)
        if self._dark_until is not None:
            return
        self._locked &= at - self._heard < LOCKOUT_ENDS
        self._heard = at
        for byte in data:
            self._byte(byte, at)

    def advance(self, at: float) -> None:
        """Move the belt, answer what is due, and notice that the host is silent."""
        while (due := self.deadline()) is not None and due <= at:
            self._settle(due)
            if self._power_loss is not None and self._power_loss[0] <= due:
                self.lose_power(due, self._power_loss[1])
                self._power_loss = None
            elif self._dark_until is not None:
                self.reset(due)
            elif self._pending is not None and self._pending[1] <= due:
                frame, self._pending = self._pending[0], None
                self._obey(frame, due)
            else:
                self._auto_stop()
        self._settle(at)

    def deadline(self) -> float | None:
        """The next answer, the end of patience with a silent host, or the next fault."""
        due = [] if self._power_loss is None else [self._power_loss[0]]
        if self._dark_until is not None:
            return min([*due, self._dark_until])
        if self._pending is not None:
            due.append(self._pending[1])
        if self._status == RUNNING and self._options.watched and not self._ending:
            due.append(self._heard + SILENCE * self.plan.patience)
        return min(due, default=None)

    def reset(self, at: float) -> None:
        """Lose power and come back at once."""
        self._settle(at)
        self._power_up(at)
        if self._options.self_test:
            self.send(SELF_TEST)
            self._may_echo = True

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: alarm (speed 999.9), out-of-range (speed 45.0), counter-wrap (distance, where it counts)."""
        if kind not in ("alarm", "out-of-range", "counter-wrap"):
            return False
        if kind == "counter-wrap" and self._options.counters != "jas":
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        if kind == "counter-wrap" and on:
            self._walked = self._odometer - 99.9
        return True

    def lose_power(self, at: float, seconds: float) -> None:
        """Press the emergency stop and release it later: the link is silent meanwhile."""
        self._settle(at)
        self._power_up(at, at + seconds)

    def _power_up(self, at: float, dark_until: float | None = None) -> None:
        self._powered = at
        self._dark_until = dark_until
        self._status = STOPPED
        self._speed = _Ramp(self._options.ramp)
        self._grade = _Ramp(self._options.grade_ramp)
        self._set_speed = self._set_grade = 0
        self._host = self._ending = self._echoing = self._locked = self._may_echo = False
        self._held = True
        self._incoming, self._pending = b"", None
        self._shown: dict[int, float | None] = {}

    def _byte(self, byte: int, at: float) -> None:
        if byte >= 0xA0:
            self._incoming = bytes((byte,))
        elif self._incoming:
            self._incoming += bytes((byte,))
        elif self._may_echo and bytes((byte,)) == SELF_TEST:
            self._run_self_test()
        self._may_echo = False
        if not self._incoming:
            return
        code, digits = self._incoming[0], self._incoming[1:]
        if digits and not digits.isdigit():
            self._incoming = b""
        elif len(digits) == COMMAND_DIGITS.get(code, 0):
            self._incoming = b""
            self._queue(Frame(code, digits), at)

    def _queue(self, frame: Frame, at: float) -> None:
        if self._pending is not None and not self._options.one_command:
            self._obey(self._pending[0], at)
        self._pending = (frame, at + self._options.delay)

    def _obey(self, frame: Frame, at: float) -> None:
        code = frame.code
        if BELT_STATUS <= code <= 0xCF:
            self._report(code, at)
            return
        if code not in COMMAND_DIGITS:
            self.send(Frame(ILLEGAL).encode())
            return
        echoing = self._echoing
        refusal = self._command(frame, at)
        if refusal is not None:
            self.send(Frame(refusal).encode())
            return
        echo = {"off": b"", "data": frame.digits, "code+data": frame.encode()}[self._options.echo]
        self.send(Frame(code + ANSWER).encode() + (echo if echoing else b""))

    def _command(self, frame: Frame, at: float) -> int | None:
        """Do what the command says; answer the refusal, None where it is accepted."""
        code = frame.code
        if code in (START, START_UNWATCHED):
            return self._start(RUNNING if code == START else RUNNING_UNWATCHED, at)
        if code == SPEED_TO:
            if not self._options.min_speed <= frame.tenths / 10 <= self._options.max_speed:
                return OUT_OF_RANGE
            self._take_over()
            self._set_speed = frame.tenths
            if self._status != STOPPED and not self._ending:
                self._speed.target = frame.tenths / 10
        elif code == GRADE_TO:
            if frame.tenths % 5 or frame.tenths / 10 > self._options.max_grade:
                return OUT_OF_RANGE
            self._take_over()
            self._set_grade = frame.tenths
            self._grade.target = frame.tenths / 10
        elif code == STOP:
            self._take_over()
            self._locked = False
            self._status, self._speed.target, self._ending = STOPPED, 0.0, False
        elif code == RESET_COUNTERS:
            self._walked = self._odometer
        elif code == AUTO_STOP:
            self._auto_stop()
        elif code == COOL_DOWN:
            self._take_over()
            self._minimum()
            if self._status != STOPPED:
                self._speed.target = self._options.min_speed
        elif code == ECHO:
            self._echoing = not self._echoing
        return None

    def _start(self, status: bytes, at: float) -> int | None:
        self._take_over()
        if self._options.lockout:
            self._locked |= at - self._powered < LOCKOUT and self._grade.value == 0.0
            if self._locked:
                return ILLEGAL
        self._status, self._ending = status, False
        self._speed.target = max(self._set_speed / 10, self._options.min_speed)
        return None

    def _auto_stop(self) -> None:
        """Speed and grade to their minimum, then the belt stops (AA, and what a silent host brings about)."""
        self._take_over()
        self._minimum()
        self._speed.target = 0.0
        self._ending = self._status != STOPPED

    def _minimum(self) -> None:
        self._set_speed, self._set_grade = round(self._options.min_speed * 10), 0
        self._grade.target = 0.0

    def _take_over(self) -> None:
        if not self._host:
            self._host, self._held = True, False
            self._set_speed, self._set_grade = round(self._speed.value * 10), round(self._grade.value * 2) * 5
            self._speed.target, self._grade.target = self._speed.value, self._grade.value

    def _run_self_test(self) -> None:
        self._take_over()
        self._status, self._speed.target = RUNNING_UNWATCHED, TEST_SPEED

    def _settle(self, at: float) -> None:
        seconds = max(at - self._at, 0.0)
        self._at = max(at, self._at)
        before = self._speed.value
        if self._host or self._dark_until is not None:
            self._speed.move(seconds)
            self._grade.move(seconds)
            if self._ending and self._speed.value <= self._options.min_speed:
                self._status, self._ending = STOPPED, False
        else:
            self._follow_bench()
        if self._options.runaway is not None and at >= self._options.runaway[0] and self._status != STOPPED:
            self._speed.value = self._speed.target + self._options.runaway[1]
        self._odometer += (before + self._speed.value) / 2 * seconds / 3600

    def _follow_bench(self) -> None:
        now = np.array([self._at])
        speed = float(self.plan.bench.values("belt_speed", now)[0]) / KMH[self._options.unit]
        self._held = self._held and speed > 0.0
        if self._held:
            return
        self._speed.value = speed
        self._grade.value = float(self.plan.bench.values("belt_grade", now)[0])
        self._status = RUNNING_UNWATCHED if speed > 0.0 else STOPPED
        self._set_speed, self._set_grade = round(speed * 10), round(self._grade.value * 2) * 5

    def _report(self, code: int, at: float) -> None:
        digits = STATUS_DIGITS.get(code)
        if digits is None:
            self.send(Frame(UNKNOWN_STATUS if self._options.unknown_status == "DF" else ILLEGAL).encode())
            return
        if code == BELT_STATUS:
            self._shown[code] = float(self._status != STOPPED)
            self.send(Frame(code + ANSWER, self._status).encode())
            return
        number = self._counter(code, at)
        self.send(Frame(code + ANSWER, b"%0*d" % (digits, number)).encode())
        kmh = KMH[self._options.unit] if code in (SPEED, SET_SPEED) else 1.0
        self._shown[code] = None if code == SPEED and number == FAULT else number / 10 * kmh
        if code == SPEED:
            row = [self._shown.get(each) for each in (SPEED, GRADE, SET_SPEED, SET_GRADE, BELT_STATUS)]
            self.plan.ledger({"stream": "belt", "device_time": at, "values": row})

    def _counter(self, code: int, at: float) -> int:
        fault = self._options.speed_fault
        if code == SPEED and ("alarm" in self._faults or (fault is not None and fault[0] <= at < sum(fault))):
            return FAULT
        if code == SPEED and "out-of-range" in self._faults:
            return 450
        if code == 0xC7 and self._options.counters == "jas":
            return round((self._odometer - self._walked) * 100) % 10000
        return {
            SPEED: round(self._speed.value * 10),
            GRADE: round(self._grade.value * 10),
            SET_SPEED: self._set_speed,
            SET_GRADE: self._set_grade,
        }.get(code, 0)


class _Ramp:
    """A quantity that moves towards its target at a constant rate, per second."""

    def __init__(self, rate: float) -> None:
        self.value = self.target = 0.0
        self._rate = rate

    def move(self, seconds: float) -> None:
        step = self._rate * seconds
        self.value += min(max(self.target - self.value, -step), step)
