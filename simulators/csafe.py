"""A CSAFE treadmill: framing, status and state table of a console's slave, with what varies as options."""

from __future__ import annotations

from collections import deque
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from drivers.csafe.frames import (
    BEGIN,
    END,
    EXTENDED,
    FIRST_SHORT,
    GET_STATUS,
    GO_IN_USE,
    GRADE,
    HORIZONTAL,
    KMH,
    LINE,
    METRES,
    PERCENT,
    SERIAL,
    SET_GRADE,
    SET_SPEED,
    SPEED,
    TIME,
    VERSION,
    Previous,
    Reply,
    State,
    decode,
    encode,
)
from simulators.simkit.instrument import Instrument, Plan

FRAME_WITHIN = 0.15
"""Seconds from a frame's first flag to its last (Matrix slave)."""
PAUSED_FOR = 220.0
"""Seconds from Paused to Finished (Concept2)."""

_R, _I, _H, _U, _P, _F = State.READY, State.IDLE, State.HAVE_ID, State.IN_USE, State.PAUSED, State.FINISHED
MOVES: dict[int, tuple[frozenset[State], State | None]] = {
    0x81: (frozenset(State), _R),
    0x82: (frozenset({_R, _I, _H, _F}), _I),
    0x83: (frozenset({_I}), _H),
    0x85: (frozenset({_I, _H, _U, _P}), _U),
    0x86: (frozenset({_U, _P}), _F),
    0x87: (frozenset({_R, _I, _H, _F}), _R),
    0x88: (frozenset({_H}), None),
}
"""State commands: in which states they are accepted and where they lead (slave table of a Matrix console)."""
AUTO_UPLOAD, CAPABILITIES, UNITS = 0x01, 0x70, 0x93
UTILIZATION, ODOMETER, ERROR_CODE, SERVICE_CODE, PROGRAM = 0x99, 0x9B, 0x9C, 0x9D, 0xA4
MAX_FRAME = 96
SECONDARY, BROADCAST = 0xFD, 0xFF
"""Addresses of extended frames: the only equipment on the line, and everybody."""
CONFIGURE = frozenset({0x10, 0x11, 0x12, 0x13})
PRESETS = frozenset({*range(0x20, 0x2E), 0x30, 0x33, 0x35, 0x36, *range(0x40, 0x45)})


Positive = Annotated[float, Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs between consoles.

    `speed_unit`, `grade_unit`, `distance_unit`: unit codes. `toggles`: the status flips with each accepted
    frame. `offline`: whether data are answered in Offline and Manual. `unsolicited`: a status frame at
    power-up and at each local change of state. `combined`: several commands in a frame are accepted.
    `unsupported`: commands that are dropped without a word. `reject_unsupported`: they are rejected instead.
    `status_block`: GETSTATUS is answered by a block too. `wrong_count`: every reply ends with a block that
    has a byte more than it says (Life Fitness D2). `local`: a walk of the bench is Offline and not In Use.
    `not_ready_every`: each so-manieth frame is answered with Not Ready. `delay` s before a reply.

    A belt that a host moves: `obeys`: speeds and grades are taken In Use too (no public source shows that). `countdown`
    s from In Use to the belt's first movement; `ramp` km/h/s, `grade_ramp` %/s; what is above `max_speed` km/h or
    `max_grade` % is rejected.
    """

    speed_unit: Literal[16, 17, 18, 19, 48, 49, 50, 51, 82] = 49
    grade_unit: Literal[74, 75, 76] = 76
    distance_unit: Literal[1, 2, 3, 4, 33, 34, 35, 36, 37] = 36
    toggles: bool = True
    offline: Literal["suppress", "answer"] = "suppress"
    unsolicited: bool = False
    combined: bool = True
    unsupported: tuple[int, ...] = ()
    reject_unsupported: bool = False
    status_block: bool = False
    wrong_count: bool = False
    local: bool = False
    not_ready_every: Annotated[int, Meta(ge=0)] = 0
    delay: Annotated[float, Meta(ge=0)] = 0.003
    serial: str = "SIM000001"
    obeys: bool = False
    countdown: Annotated[float, Meta(ge=0)] = 0.0
    ramp: Positive = 0.8
    grade_ramp: Positive = 0.5
    max_speed: Positive = 25.0
    max_grade: Positive = 25.0


class Csafe(Instrument):
    """The belt follows the bench's `belt_speed` (km/h) and `belt_grade` (%) until a host starts it.

    A walk puts the console In Use, its end Paused and then Finished; a host's state commands act by the
    table in any other state. A host that has set a speed before GoInUse moves the belt from then on, until the power is
    lost: at the speed and grade that were set while the console is In Use, down to 0 when it is not. What becomes of
    the host is nothing to it. The console counts distance and time of the walk. The ledger gets a row
    for each reply with a speed (stream `belt`: speed km/h, grade, running) and for each with a distance
    (stream `console`: odometer m, elapsed s), as sent, None for what was left out.
    """

    names = ("csafe",)
    Options = Options
    not_modelled = (
        "programs, goals and the list of workouts: their commands are accepted and forgotten",
        "what a console makes of a speed in a unit that is not its own: here it converts it",
        "whether going Idle or Ready forgets a speed that was set (here not), and whether a belt that stops is lowered",
        "the time-out from Have ID to Idle, and the console's keys",
        "extended frames whose checksum counts the addresses in, as one source has it",
        "heart rate, power, calories and identity numbers: their requests are answered as not available",
    )
    serial = LINE

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self._state = State.READY
        self._toggle = False
        self._incoming = b""
        self._begun = 0.0
        self._pending: deque[tuple[float, Reply, bytes]] = deque()
        self._addresses = b""
        self._odometer = 0.0
        self._unsolicited = self._options.unsolicited
        self._frames = 0
        self._at = 0.0
        self._speed = self._grade = self._metres = self._seconds = 0.0
        self._paused_at: float | None = None
        self._faults: set[str] = set()
        self._host = False
        self._begun_at = 0.0
        self._set_speed: float | None = None
        self._set_grade = 0.0

    @property
    def speed(self) -> float:
        """The belt's speed, km/h."""
        return self._speed

    @property
    def grade(self) -> float:
        """The belt's grade, %."""
        return self._grade

    @property
    def state(self) -> State:
        """The console's state."""
        return self._state

    def connect(self, at: float) -> None:
        """Say that it is there, where the firmware does."""
        if self._unsolicited:
            self._status(at)

    def receive(self, data: bytes, at: float) -> None:
        """Take frames; each is answered after the delay, a bad one with its own status."""
        self.advance(at)
        for byte in data:
            if byte in (BEGIN, EXTENDED):
                self._incoming, self._begun = bytes((byte,)), at
            elif self._incoming:
                self._incoming += bytes((byte,))
                if byte == END:
                    frame, self._incoming = self._incoming, b""
                    self._frame(frame, at)

    def advance(self, at: float) -> None:
        """Follow the bench, send the reply that is due, and give up a frame that does not end."""
        self._settle(at)
        while self._pending and self._pending[0][0] <= at:
            _, reply, addresses = self._pending.popleft()
            self.send(_framed(reply.contents(), addresses))
            self._enter_in_ledger(reply, at)
        if self._incoming and at >= self._begun + FRAME_WITHIN * self.plan.patience:
            self._incoming = self._addresses = b""
            self._answer(Previous.BAD, {}, at)

    def deadline(self) -> float | None:
        """The next reply, or the end of patience with a frame."""
        due = [self._pending[0][0]] if self._pending else []
        if self._incoming:
            due.append(self._begun + FRAME_WITHIN * self.plan.patience)
        if self._unsolicited:
            due.append(self._at + 0.25)
        return min(due, default=None)

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: wrong-identity (serial number), alarm (state Error), out-of-range (speed), counter-wrap (metres)."""
        if kind not in ("wrong-identity", "alarm", "out-of-range", "counter-wrap"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        if kind == "counter-wrap" and on:
            self._metres = 65_530 * METRES[self._options.distance_unit]
        return True

    def reset(self, at: float) -> None:
        """Lose power and come back Ready."""
        self._incoming, self._unsolicited = b"", self._options.unsolicited
        self._pending.clear()
        self._state, self._toggle, self._metres, self._seconds = State.READY, False, 0.0, 0.0
        self._host, self._set_speed, self._set_grade, self._speed = False, None, 0.0, 0.0
        self.connect(at)

    def _frame(self, frame: bytes, at: float) -> None:
        self._addresses = frame[1:3] if frame[0] == EXTENDED else b""
        if self._addresses and self._addresses[0] not in (SECONDARY, BROADCAST):
            return
        contents = decode(frame if frame[0] == BEGIN else frame[2:])
        if contents is None:
            self._answer(Previous.BAD, {}, at)
            return
        if self._options.toggles:
            self._toggle = not self._toggle
        self._frames += 1
        every = self._options.not_ready_every
        if every and self._frames % every == 0:
            self._answer(Previous.NOT_READY, {}, at)
            return
        commands = _commands(contents)
        if commands is None or (len(commands) > 1 and not self._options.combined):
            self._answer(Previous.REJECTED, {}, at)
            return
        blocks: dict[int, bytes] = {}
        verdict = Previous.OK
        for code, data in commands:
            verdict = max(verdict, self._obey(code, data, blocks))
        self._answer(verdict, blocks, at)

    def _obey(self, code: int, data: bytes, blocks: dict[int, bytes]) -> Previous:
        if code in self._options.unsupported:
            return Previous.REJECTED if self._options.reject_unsupported else Previous.OK
        if code in MOVES:
            accepted, leads_to = MOVES[code]
            if self._state not in accepted:
                return Previous.REJECTED
            if code == 0x81:
                self._toggle = False
            if leads_to in (State.READY, State.IDLE):
                self._metres = self._seconds = 0.0
            if code == GO_IN_USE and self._state is not State.IN_USE and self._set_speed is not None:
                self._host, self._begun_at = True, self._at
            self._state = leads_to or self._state
            return Previous.OK
        if code == AUTO_UPLOAD:
            self._unsolicited = bool(data[:1] and data[0] & 1)
            return Previous.OK
        if code in CONFIGURE:
            return Previous.OK if self._state is State.READY else Previous.REJECTED
        if code in PRESETS:
            return Previous.OK if self._preset(code, data) else Previous.REJECTED
        block = self._data(code)
        if block is not None:
            blocks[code] = block
        return Previous.OK

    def _preset(self, code: int, data: bytes) -> bool:
        """Take a goal, a speed or a grade; whether the state and its own limits allow it."""
        moving = self._state is State.IN_USE and self._options.obeys and code in (SET_SPEED, SET_GRADE)
        if not moving and self._state not in (State.READY, State.IDLE, State.HAVE_ID):
            return False
        if code not in (SET_SPEED, SET_GRADE):
            return True
        units, highest = (KMH, self._options.max_speed) if code == SET_SPEED else (PERCENT, self._options.max_grade)
        value = Reply(0, {code: data}).quantity(code, units)
        if value is None or value > highest:
            return False
        if code == SET_SPEED:
            self._set_speed = value
        else:
            self._set_grade = value
        return True

    def _data(self, code: int) -> bytes | None:
        options = self._options
        hidden = options.offline == "suppress" and self._state in (State.OFFLINE, State.MANUAL)
        if hidden and (0xA0 <= code <= 0xA9 or code == 0xAC):
            return None
        minutes, seconds = divmod(int(self._seconds), 60)
        metric = options.speed_unit >= 48
        speed = 99.0 if "out-of-range" in self._faults else self._speed
        answers = {
            VERSION: bytes((2, 1, 7, 1, 4)),
            SERIAL: b"SIM999999" if "wrong-identity" in self._faults else options.serial.encode("ascii"),
            CAPABILITIES: bytes((MAX_FRAME, MAX_FRAME, 50)),
            UNITS: bytes((not metric,)),
            UTILIZATION: int(self._at // 3600).to_bytes(3, "little"),
            ODOMETER: round(self._odometer).to_bytes(4, "little") + bytes((36,)),
            ERROR_CODE: bytes(3),
            SERVICE_CODE: bytes(3),
            PROGRAM: bytes(2),
            TIME: bytes((minutes // 60, minutes % 60, seconds)),
            HORIZONTAL: _number(self._metres / METRES[options.distance_unit] % 0x1_0000, options.distance_unit),
            SPEED: _number(speed / KMH.get(options.speed_unit, 1.0), options.speed_unit),
            GRADE: _number(self._grade / PERCENT[options.grade_unit], options.grade_unit),
        }
        if code == GET_STATUS and options.status_block:
            return bytes((self._status_byte(Previous.OK),))
        return answers.get(code)

    def _answer(self, verdict: Previous, blocks: dict[int, bytes], at: float) -> None:
        rest = b"\xd2\x0fCT5HRT" + bytes(10) if self._options.wrong_count and blocks else b""
        reply = Reply(self._status_byte(verdict), blocks, rest)
        self._pending.append((at + self._options.delay, reply, self._addresses))

    def _status_byte(self, verdict: Previous) -> int:
        return self._toggle << 7 | verdict << 4 | (State.ERROR if "alarm" in self._faults else self._state)

    def _status(self, at: float) -> None:
        """Send a status frame unasked."""
        self._settle(at)
        self.send(encode(Reply(self._status_byte(Previous.OK), {}).contents()))

    def _settle(self, at: float) -> None:
        seconds = max(at - self._at, 0.0)
        self._at = max(at, self._at)
        before, now = self._speed, np.array([self._at])
        state = self._state
        if self._host:
            metres = self._move(seconds)
        else:
            self._speed = float(self.plan.bench.values("belt_speed", now)[0])
            self._grade = float(self.plan.bench.values("belt_grade", now)[0])
            metres = (before + self._speed) / 2 * seconds / 3.6
        self._odometer += metres
        if self._host:
            if self._state is State.IN_USE:
                self._metres += metres
                self._seconds += seconds
        elif self._speed > 0.0:
            if state in (State.READY, State.IDLE, State.HAVE_ID, State.FINISHED):
                self._metres = self._seconds = 0.0
            self._metres += metres
            self._seconds += seconds
            self._state = State.OFFLINE if self._options.local else State.IN_USE
        elif state is State.IN_USE and before > 0.0:
            self._state, self._paused_at = State.PAUSED, self._at
        elif state is State.OFFLINE:
            self._state = State.READY
        elif state is State.PAUSED and self._paused_at is not None and self._at >= self._paused_at + PAUSED_FOR:
            self._state = State.FINISHED
        if self._state is not state and self._unsolicited:
            self.send(encode(Reply(self._status_byte(Previous.OK), {}).contents()))

    def _move(self, seconds: float) -> float:
        """Let so many seconds pass for a belt that a host has started; the metres that it ran."""
        in_use = self._state is State.IN_USE
        running = min(seconds, max(self._at - self._begun_at - self._options.countdown, 0.0)) if in_use else seconds
        speed, grade = (self._set_speed or 0.0, self._set_grade) if in_use else (0.0, 0.0)
        before = self._speed
        rising = min(abs(speed - before) / self._options.ramp, running)
        self._speed = _towards(before, speed, self._options.ramp * running)
        self._grade = _towards(self._grade, grade, self._options.grade_ramp * running)
        return ((before + self._speed) / 2 * rising + self._speed * (running - rising)) / 3.6

    def _enter_in_ledger(self, reply: Reply, at: float) -> None:
        if SPEED in reply.blocks:
            speed, grade = reply.quantity(SPEED, KMH), reply.quantity(GRADE, PERCENT)
            running = float(reply.state == State.IN_USE or bool(speed))
            self.plan.ledger({"stream": "belt", "device_time": at, "values": [speed, grade, running]})
        if HORIZONTAL in reply.blocks:
            clock = reply.blocks.get(TIME)
            elapsed = None if clock is None else clock[0] * 3600.0 + clock[1] * 60.0 + clock[2]
            metres = reply.quantity(HORIZONTAL, METRES)
            self.plan.ledger({"stream": "console", "device_time": at, "values": [metres, elapsed]})


def _commands(contents: bytes) -> list[tuple[int, bytes]] | None:
    """The codes of a request's commands with their data; None where one is cut short."""
    found: list[tuple[int, bytes]] = []
    position = 0
    while position < len(contents):
        code, end = contents[position], position + 1
        if code < FIRST_SHORT:
            if end == len(contents):
                return None
            position, end = end + 1, end + 1 + contents[end]
        found.append((code, contents[position:end] if code < FIRST_SHORT else b""))
        position = end
    return found if position == len(contents) else None


def _framed(contents: bytes, addresses: bytes) -> bytes:
    """A reply in the kind of frame that the request had; Concept2's checksum leaves the addresses out."""
    frame = encode(contents)
    return bytes((EXTENDED, addresses[1], SECONDARY)) + frame[1:] if addresses else frame


def _towards(value: float, target: float, step: float) -> float:
    return value + min(max(target - value, -step), step)


def _number(value: float, unit: int) -> bytes:
    return min(round(value), 0xFFFF).to_bytes(2, "little") + bytes((unit,))
