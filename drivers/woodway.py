"""Woodway treadmills (US dialect): a relative of the Trackmaster protocol with signed speeds; read, moved on demand.

Source: PyPI `pywoodway` 0.2.4 (MIT), an independent host tested with a treadmill; no manufacturer's text is
public. One code byte A0-DF, then ASCII digits; 4800 baud, 8N1; speeds in mph, their first digit a sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from acquisition.driverkit.derived import Derivation, Distance
from acquisition.driverkit.driver import About, Driver, Enquiry, Order, Recognised, Serial, Setup
from acquisition.driverkit.framing import Cutter, code_and_digits
from acquisition.errors import ConfigurationError
from acquisition.model import Channel, Notice, Quality, Readings, Stream
from acquisition.treadmill import BeltOptions, Command, Control, Do, Limits, Motion

LINE = Serial(4800)
MPH = 1.609344
"""Kilometres per hour."""

START_WATCHED, STOP, SPEED_TO, GRADE_TO, START, STOP_ALL = 0xA0, 0xA2, 0xA3, 0xA4, 0xA9, 0xAA
TEST, SPEED, GRADE, REVISION = 0xC0, 0xC1, 0xC2, 0xC3
ANSWER = 0x10
"""What an answer's code has more than its request's."""
TIMED_OUT, INVALID_DATA, INVALID_COMMAND = 0xBD, 0xBE, 0xBF
REFUSALS = {INVALID_DATA: "invalid data", INVALID_COMMAND: "invalid command"}
FORWARD, REVERSE = b"0", b"3"

COMMAND_DIGITS = {START_WATCHED: 0, STOP: 0, SPEED_TO: 4, GRADE_TO: 4, START: 0, STOP_ALL: 0}
STATUS_BYTES = {TEST: 1, SPEED: 4, GRADE: 4, REVISION: 4}
RAW = {TEST + ANSWER, REVISION + ANSWER}
"""Answers whose bytes are numbers, not digits."""

cut = code_and_digits(
    {code + ANSWER: 0 for code in COMMAND_DIGITS}
    | {code + ANSWER: count for code, count in STATUS_BYTES.items()}
    | dict.fromkeys((TIMED_OUT, *REFUSALS), 0),
    RAW,
)
"""Finds an answer at the start of a buffer."""
LONGEST = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """A request or an answer: one code byte and what follows it."""

    code: int
    data: bytes = b""

    @classmethod
    def speed(cls, code: int, mph: float) -> Frame:
        """A frame with a speed, mph; negative is backwards."""
        return cls(code, (REVERSE if mph < 0 else FORWARD) + b"%03d" % round(abs(mph) * 10))

    @classmethod
    def grade(cls, code: int, percent: float) -> Frame:
        """A frame with a grade, %."""
        return cls(code, b"%04d" % round(percent * 10))

    @classmethod
    def decode(cls, frame: bytes) -> Frame:
        """Take a frame that `cut` found."""
        return cls(frame[0], frame[1:])

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return bytes((self.code,)) + self.data

    @property
    def mph(self) -> float | None:
        """A signed speed, mph; None where the sign is neither 0 nor 3. Zero has either sign."""
        sign = {FORWARD: 1, REVERSE: -1}.get(self.data[:1])
        return None if sign is None else sign * int(self.data[1:]) / 10

    @property
    def percent(self) -> float:
        """A grade, %."""
        return int(self.data) / 10


def recognise(answers: tuple[bytes, ...]) -> Recognised | None:
    """Know a treadmill by a state byte and a revision of four bytes; four digits there are a Trackmaster's."""
    forms = (rb"\xd0.", rb"\xd3.{4}")
    if len(answers) != 2 or not all(re.fullmatch(f, a, re.DOTALL) for f, a in zip(forms, answers, strict=True)):
        return None
    if answers[1][1:].isdigit():
        return None
    revision = int.from_bytes(answers[1][1:], "big")
    text = f"firmware revision {revision}; known by the form of its answers, its protocol tells no identity"
    return Recognised("woodway", text=text)


class Options(BeltOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`interval`: seconds of a poll. The rest is for control = true.

    `watch`: seconds after which the treadmill stops a belt whose host is silent. No source states it: let the empty
    belt run under control, pull the cable, and count until it slows down.
    """

    interval: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.25
    watch: Annotated[float, Meta(gt=0, le=10)] | None = None


class Woodway(Driver):
    """Asks for the firmware's revision once, then for state, grade and speed, one request at a time.

    A sample's instant is the arrival of the speed, which is asked for last; each speed request without an answer
    counts as one sample lost on the way. An answer bears no number: after one that did not come, or that nobody
    waited for, it may belong to an earlier request, so that the next sample is QUESTIONABLE. A treadmill that
    answers the revision with four digits is a Trackmaster, which means other things by the same codes: nothing of
    it is recorded, and it is not moved.

    Under control it asks at least every `HEARTBEAT` seconds, starts the belt by A0 alone, so that the treadmill's
    own timer watches the host, and says nothing on a new link until that has stopped a belt which an earlier one left
    running. What the belt does is told by its speed, since the state byte is unexplained: while this host has not
    started it, a moving belt is somebody's at the console.
    """

    about = About(
        names={"woodway": "Woodway treadmills with the US serial protocol"},
        kind="treadmill",
        links=("serial", "tcp"),
        confidence="one implementation",
        source="PyPI pywoodway 0.2.4 (MIT), written against a treadmill",
        unconfirmed=(
            "all of it: no manufacturer's document is public",
            "the meaning of the state byte: a belt counts as running when its speed is not zero",
            "that speeds are always in mph",
            "how long the treadmill waits for a silent host: control needs the site's own measurement (watch)",
            "control was tried on the simulator only; the red button stays the emergency stop",
            "no checksum and no identity on the wire: a simulator cannot be told from a real one",
        ),
    )
    Options = Options

    ROUND = (TEST, GRADE, SPEED)
    ANSWER_WITHIN = 0.15
    TRIES = 3
    HEARTBEAT = 0.2
    EARLY = 1e-6
    """Seconds by which an event loop may call before the deadline."""

    silence = 2.0
    serial = LINE
    queries = (re.compile(b"[\xc0-\xc3]"),)
    commands = (re.compile(b"[\xa0\xa2\xaa]"), re.compile(b"\xa30[0-9]{3}"), re.compile(b"\xa4[0-9]{4}"))
    enquiry = Enquiry((Frame(TEST).encode(), Frame(REVISION).encode()), recognise, LINE)
    streams = (
        Stream(
            "belt",
            (
                Channel("speed", "km/h", -48.2, 48.2),
                Channel("grade", "%", 0.0, 30.0),
                Channel("running", "1", 0.0, 1.0),
            ),
        ),
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options: Options = setup.options
        self._interval = options.interval
        self._control: Control | None = None
        if setup.control:
            limits = _limits(options)
            self._control = Control(limits, setup.patience, self.say)
            self._interval = min(options.interval, self.HEARTBEAT)
            self.silence = 5.0 + 2.0 * (
                options.watch or 0.0
            )  # longer than an emergency stop takes: the link outlives it
        self._cutter = Cutter(cut, LONGEST)
        self._left: list[int] = []
        self._asked: int | None = None
        self._tries = 0
        self._due: float | None = None
        self._round_at = 0.0
        self._answers: dict[int, Frame] = {}
        self._state: bytes | None = None
        self._lost = 0
        self._doubt = False
        self._foreign = False
        self._begun = False
        self._refused: set[int] = set()

    def derivations(self) -> tuple[Derivation, ...]:
        """The distance walked: the treadmill tells none."""
        return (Distance(patience=self.setup.patience),)

    def start(self, at: float) -> None:
        """Ask for the firmware's revision, then begin the first round; under control, listen first."""
        if self._control is None:
            self._begin(at)
        else:
            self._due = at + self._control.quiet

    def poll(self, at: float) -> None:
        """Begin a round, or ask again what was not answered in time."""
        due = self.deadline()
        if due is not None and 0.0 < due - at < self.EARLY:
            at = due
        if self._control is not None:
            self._control.tick(at)
            self._react(at)
        if self._due is None or at < self._due:
            return
        if self._asked is None:
            self._begin(at)
            return
        if self._asked < TEST:
            self._asked = None
            if self._control is not None:
                self._control.unanswered(at)
            self._next(at)
            return
        self._lost += self._asked == SPEED
        self._doubt = True
        if self._tries < self.TRIES:
            self._ask(self._asked, at)
        else:
            self._next(at)

    def paused(self, seconds: float, at: float) -> None:
        """Wait for the open answer as if the request were new; under control first look to the belt."""
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

    def order(self, order: Order, at: float) -> None:
        """Move the belt: prepare, confirm, speed (km/h), grade (%), measured (km/h), stop, emergency, release."""
        if self._control is None or self._foreign:
            super().order(order, at)
            return
        self._control.order(order, at)
        self._react(at)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take answers; the last one of a round completes a sample."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, bytes):
                yield from self._take(Frame.decode(piece), at)
            else:
                yield Notice("noise", "bytes that belong to no answer", {"bytes": len(piece.data)})

    def _begin(self, at: float) -> None:
        self._round_at = at
        self._answers.clear()
        self._left = list(self.ROUND) if self._begun else [REVISION, *self.ROUND]
        self._begun = True
        self._next(at)

    def _react(self, at: float) -> None:
        """Let control have the line at once where it may not wait, or where nothing else is under way."""
        control = self._control
        if control is None:
            return
        if control.muted:
            self._asked = self._due = None
            self._left.clear()
        elif control.urgent or (self._asked is None and control.waiting):
            if self._asked is not None and self._asked >= TEST:
                self._left.insert(0, self._asked)
            self._next(at)
        elif self._due is None:
            self._due = at

    def _next(self, at: float) -> None:
        """Use the free line: for a command, the next request of the round, or not before the next round."""
        self._tries = 0
        control = self._control
        if control is not None and control.muted:
            self._asked = self._due = None
        elif control is not None and (command := control.command()) is not None:
            frame = _frame(command)
            self._asked = frame.code
            self._due = at + control.ANSWER_WITHIN * self.setup.patience
            self.send(frame.encode())
        elif self._left:
            self._ask(self._left.pop(0), at)
        else:
            self._asked = None
            self._due = max(self._round_at + self._interval, at)

    def _ask(self, code: int, at: float) -> None:
        self._asked = code
        self._tries += 1
        self._due = at + self.ANSWER_WITHIN * self.setup.patience
        self.send(Frame(code).encode())

    def _take(self, answer: Frame, at: float) -> Iterator[Readings | Notice]:
        asked, control = self._asked, self._control
        if answer.code == TIMED_OUT:
            text = "the treadmill missed its host and stops the belt (BD)"
            yield Notice("alarm", text)
            if control is not None and control.moving:
                self.order(Order("emergency", by=text), at)
        elif asked is not None and asked < TEST and answer.code in (asked + ANSWER, *REFUSALS):
            self._asked = None
            if control is not None and answer.code in REFUSALS:
                control.refused(f"{REFUSALS[answer.code]} ({answer.code:02X})", at)
            elif control is not None:
                control.acknowledged(at)
            self._next(at)
        elif asked is not None and answer.code in REFUSALS:
            if asked not in self._refused:
                self._refused.add(asked)
                yield Notice("warning", f"the treadmill refuses the request {asked:02X}: {REFUSALS[answer.code]}")
            self._next(at)
        elif asked is None or answer.code != asked + ANSWER:
            self._lost += answer.code == SPEED + ANSWER
            self._doubt = True
            yield Notice("noise", "an answer that nobody waits for", {"bytes": 1 + len(answer.data)})
        else:
            self._answers[asked] = answer
            self._asked = None
            yield from self._understood(asked, answer)
            self._observe(asked, answer, at)
            self._next(at)

    def _observe(self, asked: int, answer: Frame, at: float) -> None:
        control = self._control
        if control is None:
            return
        control.heard(at)
        if asked == SPEED and answer.mph is not None:
            moving = Motion.ORDERED if control.started else Motion.OTHERWISE
            control.observe_motion(moving if answer.mph else Motion.STANDS, at)
            control.observe_speed(answer.mph * MPH, at)

    def _understood(self, asked: int, answer: Frame) -> Iterator[Readings | Notice]:
        if asked == REVISION:
            self._foreign = answer.data.isdigit()
            if self._foreign:
                yield Notice(
                    "alarm",
                    "the revision is four digits: this is a Trackmaster, not a Woodway; nothing of it is recorded",
                )
            else:
                revision = int.from_bytes(answer.data, "big")
                yield Notice("state", f"firmware revision {revision}", {"revision": revision})
        elif asked == TEST and answer.data != self._state:
            self._state = answer.data
            yield Notice("state", f"the state byte is {answer.data.hex().upper()}", {"state": answer.data[0]})
        elif asked == SPEED and not self._foreign:
            yield self._sample(answer)

    def _sample(self, answer: Frame) -> Readings:
        mph, grade = answer.mph, self._answers.get(GRADE)
        speed = np.nan if mph is None else mph * MPH
        running = np.nan if mph is None else float(mph != 0)
        values = np.array([[speed, np.nan if grade is None else grade.percent, running]])
        quality = np.where(np.isnan(values), np.uint8(Quality.INVALID), np.uint8(Quality.GOOD))
        quality[np.abs(values) > _HIGHEST] = Quality.RANGE
        if self._doubt:
            quality[np.isfinite(values)] |= np.uint8(Quality.QUESTIONABLE)
        lost, self._lost, self._doubt = self._lost, 0, False
        return Readings("belt", values, quality, lost=lost)


_HIGHEST = np.array([channel.high for channel in Woodway.streams[0].channels])


def _frame(command: Command) -> Frame:
    match command.do:
        case Do.SPEED:
            return Frame.speed(SPEED_TO, command.tenths / 10)
        case Do.GRADE:
            return Frame.grade(GRADE_TO, command.tenths / 10)
    return Frame({Do.START: START_WATCHED, Do.STOP: STOP, Do.AUTO_STOP: STOP_ALL}[command.do])


def _limits(options: Options) -> Limits:
    if options.watch is None:
        raise ConfigurationError(
            "a Woodway is not controlled without watch",
            "options.watch",
            remedy="the seconds after which it stops a belt whose host is silent, as measured; or control = false",
        )
    return Limits.of(options, "mph", MPH, options.watch)
