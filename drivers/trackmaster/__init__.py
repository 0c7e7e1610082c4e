"""Trackmaster and Full Vision treadmills (TMX, FVX): reads the belt, and moves it where the site asks for that.

Source: Full Vision TMX428/TMX428CP/TMX58 service manual 317-160-406 Rev 4 (May 2021), chapter 8, pages
63-65, and FVX/TMX field service manual Rev 5 (August 2006), chapter 9. 4800 baud, 8N1. The treadmill
speaks when asked, but for one letter 'T' at power-up, which must never be echoed: an echo starts a
self-test that moves the belt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta

from acquisition.driverkit.derived import Derivation, Distance
from acquisition.driverkit.driver import About, Driver, Enquiry, Order, Setup
from acquisition.driverkit.framing import Cutter, Skipped
from acquisition.model import Channel, Notice, Quality, Readings, Stream
from acquisition.treadmill import BeltOptions, Command, Control, Do, Limits, Motion
from drivers.trackmaster.frames import (
    ANSWER,
    AUTO_STOP,
    BELT_STATUS,
    FAULT,
    GRADE,
    GRADE_TO,
    KMH,
    LINE,
    LONGEST,
    REFUSALS,
    RUNNING,
    RUNNING_UNWATCHED,
    SELF_TEST,
    SET_GRADE,
    SET_SPEED,
    SPEED,
    SPEED_TO,
    START,
    STOP,
    STOPPED,
    Frame,
    cut,
    recognise,
)

WATCH = 0.5
"""Seconds of silence after which a belt that was started by A0 stops (service manual, chapter 8)."""
GRADE_STEP = 5
"""Tenths of a per cent by which a grade can be set."""
MOTIONS = {STOPPED: Motion.STANDS, RUNNING: Motion.ORDERED, RUNNING_UNWATCHED: Motion.OTHERWISE}


class Options(BeltOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`unit`: what the treadmill counts speed in, to be checked by measuring its belt; `interval` s of a poll.

    The rest is for control = true.
    """

    unit: Literal["mph", "kmh"]
    interval: Annotated[float, Meta(ge=0.2, le=5.0)] = 0.25


class Trackmaster(Driver):
    """Asks for belt status, set speed and grade, actual grade and speed, one request at a time, a round each interval.

    A sample is a round whose requests were all answered; its instant is the arrival of the actual speed,
    which is asked for last. The treadmill buffers one command: the next is sent only after the answer, or
    after `ANSWER_WITHIN`; a stop alone does not wait. Each speed request without an answer counts as one
    sample lost on the way, and so does a round that is given up before. An answer bears no number: after one that
    did not come, or that nobody waited for, it may belong to an earlier request, so that the next sample is
    QUESTIONABLE.

    Under control it asks at least every `HEARTBEAT` seconds, and says nothing on a new
    link at first: a belt that an earlier connection left running stops by itself before anybody feeds it again.
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
            "control was tried on the simulator only; the red button stays the emergency stop",
        ),
    )
    Options = Options

    ROUND = (BELT_STATUS, SET_SPEED, SET_GRADE, GRADE, SPEED)
    ANSWER_WITHIN = 0.4
    TRIES = 3
    SILENCE = 1.0
    HEARTBEAT = 0.2
    EARLY = 1e-6
    """Seconds by which an event loop may call before the deadline."""

    silence = 2.0
    serial = LINE
    queries = (re.compile(b"[\xc0-\xc4]"),)
    commands = (re.compile(b"[\xa0\xa2\xaa]"), re.compile(b"[\xa3\xa4][0-9]{4}"))
    enquiry = Enquiry((Frame(BELT_STATUS).encode(), Frame(SET_SPEED).encode()), recognise, LINE)
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
        options: Options = setup.options
        self._kmh = KMH[options.unit]
        self._interval = options.interval
        self._control: Control | None = None
        if setup.control:
            self._control = Control(
                Limits.of(options, options.unit, self._kmh, WATCH, GRADE_STEP), setup.patience, self.say
            )
            self._interval = min(options.interval, self.HEARTBEAT)
            self.silence = 5.0  # longer than an emergency stop takes: the link outlives it
        self._cutter = Cutter(cut, LONGEST)
        self._asked: Frame | None = None
        self._tries = 0
        self._due: float | None = None
        self._round_at = 0.0
        self._left: list[int] = []
        self._answers: dict[int, Frame] = {}
        self._refusals: dict[int, float] = {}
        self._lost = 0
        self._doubt = False
        self._belt: bytes | None = None
        self._fault = False
        self._heard = 0.0
        self._silent = False

    def derivations(self) -> tuple[Derivation, ...]:
        """The distance walked: the treadmill's own counters read zero (service manual, page 65)."""
        return (Distance(patience=self.setup.patience),)

    def start(self, at: float) -> None:
        """Begin the first round; under control, listen first."""
        self._heard = at
        if self._control is None:
            self._begin(at)
        else:
            self._due = at + self._control.quiet

    def poll(self, at: float) -> None:
        """Begin a round, or ask again what was not answered in time."""
        due = self.deadline()
        if due is not None and 0.0 < due - at < self.EARLY:
            at = due
        self._notice_silence(at)
        if self._control is not None:
            self._control.tick(at)
            self._react(at)
        if self._due is None or at < self._due:
            return
        asked = self._asked
        if asked is None:
            self._begin(at)
        elif asked.code < BELT_STATUS:
            self._asked = None
            if self._control is not None:
                self._control.unanswered(at)
            self._next(at)
        else:
            self._doubt = True
            given_up = self._tries >= self.TRIES
            self._lost += asked.code == SPEED or given_up
            if given_up:
                self._rest(at)
            else:
                self._ask(asked.code, at)

    def paused(self, seconds: float, at: float) -> None:
        """Wait for the open answer, and for any, as if the request were new; under control first look to the belt."""
        self._heard = at
        within = self.ANSWER_WITHIN if self._control is None else self._control.ANSWER_WITHIN
        if self._asked is not None:
            self._due = at + within * self.setup.patience
        if self._control is not None:
            self._control.paused(seconds, at)
            self._react(at)

    def stop(self, at: float) -> None:
        """Stop a belt that this host has set moving."""
        if self._control is not None and self._control.moving:
            self.send(Frame(STOP).encode())

    def deadline(self) -> float | None:
        """When the next round begins, the open request times out, or control wants to act."""
        due = [self._due, self._control.deadline() if self._control is not None else None]
        return min((each for each in due if each is not None), default=None)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take answers; the last one of a round completes a sample."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, bytes):
                yield from self._take(Frame.decode(piece), at)
            elif piece.data == SELF_TEST:
                yield Notice("state", "the treadmill was switched on: it offers its self-test, which is not answered")
            else:
                yield _noise(piece)

    def order(self, order: Order, at: float) -> None:
        """Move the belt: prepare, confirm, speed (km/h), grade (%), measured (km/h), stop, emergency, release."""
        if self._control is None:
            super().order(order, at)
            return
        self._control.order(order, at)
        self._react(at)

    def _begin(self, at: float) -> None:
        self._round_at = at
        self._answers.clear()
        self._left = [code for code in self.ROUND if code == SPEED or self._refusals.get(code, 0) < self.TRIES]
        self._next(at)

    def _next(self, at: float) -> None:
        """Use the free line: for a command, the next request of the round, or not before the next round."""
        self._tries = 0
        if self._control is not None and self._control.muted:
            self._asked = self._due = None
        elif self._control is not None and (command := self._control.command()) is not None:
            self._asked = _frame(command)
            self._due = at + self._control.ANSWER_WITHIN * self.setup.patience
            self.send(self._asked.encode())
        elif self._left:
            self._ask(self._left.pop(0), at)
        else:
            self._rest(at)

    def _react(self, at: float) -> None:
        """Let control have the line at once where it may not wait, or where nothing else is under way."""
        control = self._control
        if control is None:
            return
        if control.muted:
            self._asked = self._due = None
            self._left.clear()
        elif control.urgent or (self._asked is None and control.waiting):
            if self._asked is not None and self._asked.code >= BELT_STATUS:
                self._left.insert(0, self._asked.code)
            self._next(at)
        elif self._due is None:
            self._due = at

    def _ask(self, code: int, at: float) -> None:
        self._asked = Frame(code)
        self._tries += 1
        self._due = at + self.ANSWER_WITHIN * self.setup.patience
        self.send(self._asked.encode())

    def _rest(self, at: float) -> None:
        self._asked = None
        self._left.clear()
        self._due = max(self._round_at + self._interval, at)

    def _take(self, answer: Frame, at: float) -> Iterator[Readings | Notice]:
        asked, control = self._asked, self._control
        if asked is not None and answer.code == asked.code + ANSWER:
            self._heard, self._silent = at, False
            self._asked = None
            if asked.code < BELT_STATUS:
                if control is not None:
                    control.acknowledged(at)
            else:
                self._answers[asked.code] = answer
                self._refusals[asked.code] = -math.inf  # it is known here: a later refusal is a garbled request
                self._observe(answer, at)
                if asked.code == SPEED:
                    yield from self._changes()
                    yield self._sample()
            self._next(at)
        elif asked is not None and answer.code in REFUSALS:
            yield from self._refused(asked.code, answer.code, at)
        else:
            self._lost += answer.code == SPEED + ANSWER
            self._doubt = True
            yield Notice("noise", "an answer that nobody waits for", {"bytes": 1 + len(answer.digits)})

    def _observe(self, answer: Frame, at: float) -> None:
        if self._control is None:
            return
        self._control.heard(at)
        if answer.code == BELT_STATUS + ANSWER:
            self._control.observe_motion(MOTIONS.get(answer.digits, Motion.OTHERWISE), at)
        elif answer.code == SPEED + ANSWER:
            if answer.tenths == FAULT:
                self._control.observe_fault("the treadmill reports the speed 999.9", at)
            else:
                self._control.observe_speed(answer.tenths / 10 * self._kmh, at)

    def _refused(self, asked: int, code: int, at: float) -> Iterator[Notice]:
        """Ask again; what is only ever refused is left out from now on, except the speed itself."""
        if asked < BELT_STATUS:
            self._asked = None
            if self._control is not None:
                self._control.refused(f"{REFUSALS[code]} ({code:02X})", at)
            self._next(at)
            return
        self._refusals[asked] = self._refusals.get(asked, 0) + 1
        if self._refusals[asked] == self.TRIES:
            text = f"the treadmill refuses the request {asked:02X}: {code:02X}, {REFUSALS[code]}"
            yield Notice("warning", text, {"request": f"{asked:02X}", "answer": f"{code:02X}"})
        if self._tries < self.TRIES:
            self._ask(asked, at)
        else:
            self._lost += asked == SPEED
            self._asked = None
            self._next(at)

    def _notice_silence(self, at: float) -> None:
        if not self._silent and at - self._heard > self.SILENCE * self.setup.patience:
            self._silent = True
            text = "silent for more than a second: its emergency stop (it takes the power away), its switch or a cable"
            self.say(Notice("alarm", text))

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
        if self._doubt:
            quality[np.isfinite(values)] |= np.uint8(Quality.QUESTIONABLE)
        lost, self._lost, self._doubt = self._lost, 0, False
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


def _frame(command: Command) -> Frame:
    match command.do:
        case Do.SPEED:
            return Frame.of(SPEED_TO, command.tenths)
        case Do.GRADE:
            return Frame.of(GRADE_TO, command.tenths)
    return Frame({Do.START: START, Do.STOP: STOP, Do.AUTO_STOP: AUTO_STOP}[command.do])


def _noise(piece: Skipped) -> Notice:
    return Notice("noise", "bytes that belong to no answer", {"bytes": len(piece.data)})
