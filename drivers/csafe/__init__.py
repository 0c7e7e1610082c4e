"""CSAFE treadmills: asks for what the belt does, and moves it where the site forces that.

Source: Concept2 "PM CSAFE Communication Definition" Rev 0.27, after FitLinxx' CSAFE Protocol Framework V1, and open
implementations of both sides; see `frames`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from acquisition.driverkit.derived import Derivation, Distance
from acquisition.driverkit.driver import About, Driver, Enquiry, Order, Recognised, Setup
from acquisition.driverkit.framing import Cutter
from acquisition.errors import Refused
from acquisition.model import Channel, Notice, Quality, Readings, Stream
from acquisition.treadmill import Control, Motion
from drivers.csafe.frames import (
    GO_FINISHED,
    GRADE,
    HORIZONTAL,
    KMH,
    LINE,
    LONGEST,
    METRES,
    PACE,
    PERCENT,
    SERIAL,
    SPEED,
    TIME,
    VERSION,
    Previous,
    Reply,
    State,
    cut,
    decode,
    encode,
)
from drivers.csafe.moving import FORCED, UNITS, limits, messages, patterns, verdict
from drivers.csafe.options import Options


def recognise(answers: tuple[bytes, ...]) -> Recognised | None:
    """Know CSAFE equipment by a sound frame, also by one that tells neither version nor serial number."""
    contents = [
        decode(piece) for answer in answers for piece in Cutter(cut, LONGEST).feed(answer) if type(piece) is bytes
    ]
    replies = [Reply.of(each) for each in contents if each]
    if not replies:
        return None
    blocks = {code: data for reply in replies for code, data in reply.blocks.items()}
    who = next((notice.details for notice in _identity(blocks)), {})
    model, serial = str(who.get("model", "")), str(who.get("serial", ""))
    text = f"its state is {replies[-1].state_name}" + ("" if who else "; it tells neither version nor serial number")
    return Recognised("csafe", model, serial, text)


class Csafe(Driver):
    """Asks for time, distance, speed and grade in one frame, or one by one where the equipment rejects that.

    A sample's instant is the arrival of the last reply of a round; each time that it does not come, and each round
    that is given up before, counts as one sample lost on the way. A reply bears no number: for `LATE` seconds after
    one that did not come, or that nobody waited for, it may belong to an earlier request, so that samples are
    QUESTIONABLE. A block that the equipment
    leaves out is no zero: its value is none. Status frames come unasked too; one without data answers the open request
    only where its toggle bit has flipped, or where it rejects several commands in one frame.

    Forced to control, it asks at least every `HEARTBEAT` seconds and sends commands one frame at a time, each when the
    one before was answered; a stop waits for no answer, only for the gap between frames. CSAFE has no watch over a
    silent host: a belt that is found In Use while no walk is under way, as after a broken link, is stopped. A walk that
    somebody began at the console (Offline, Manual) is left alone.
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
            "control, which must be forced, was tried on the simulator only; the red button stays the emergency stop",
            "no public source shows a belt that stops when its host falls silent: it runs on when this computer fails",
            "no public source shows a treadmill that obeys speeds while it runs: one that refuses them is stopped",
            "whether GoFinished and GoReady stop every belt: the reported speed alone confirms it",
        ),
    )
    Options = Options

    POLL = bytes((TIME, HORIZONTAL, SPEED, GRADE))
    IDENTITY = bytes((VERSION, SERIAL))
    ANSWER_WITHIN = 0.5
    HEARTBEAT = 0.2
    PAUSE = 0.05
    EARLY = 1e-6
    """Seconds by which an event loop may call before the deadline."""
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
    commands = patterns(UNITS)
    enquiry = Enquiry((encode(IDENTITY),), recognise, LINE)
    force = FORCED

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._interval = setup.options.interval
        self._control: Control | None = None
        if setup.control:
            found = limits(setup.options)
            self._control = Control(found, setup.patience, self.say)
            self._interval = min(self._interval, self.HEARTBEAT)
            self.silence = 5.0  # longer than an emergency stop takes: the link outlives it
            self.commands = patterns(
                (setup.options.unit,), round(found.max_speed / found.kmh * 10), round(found.max_grade * 10)
            )
        self._script: list[bytes] = []
        self._commanded = False
        self._free_at = -math.inf
        self._untrusted: str | None = None
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
        if self._control is not None:
            self.say(Notice("warning", FORCED, {"forced": True}))
        self._round_at = at
        self._left = [self.IDENTITY]
        self._ask(at)

    def poll(self, at: float) -> None:
        """Send what is due, or again what was not answered."""
        if self._control is not None and not self._command(self._control, at):
            return
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

    def paused(self, seconds: float, at: float) -> None:
        """Wait for the open reply as if the request were new; under control first look to the belt."""
        within = self.ANSWER_WITHIN if self._control is None else self._control.ANSWER_WITHIN
        if self._asked is not None:
            self._due = at + within * self.setup.patience
        if self._control is not None:
            self._control.paused(seconds, at)
            self._react(self._control, at)

    def stop(self, at: float) -> None:
        """End a walk that this host has begun."""
        if self._control is not None and self._control.moving:
            self.send(encode(bytes((GO_FINISHED,))))

    def deadline(self) -> float | None:
        """When the next request is due, the open one times out, or control wants to act."""
        due = [self._due, self._control.deadline() if self._control is not None else None]
        return min((each for each in due if each is not None), default=None)

    def order(self, order: Order, at: float) -> None:
        """Move the belt: prepare, confirm, speed (km/h), grade (%), measured (km/h), stop, emergency, release."""
        if self._control is None:
            super().order(order, at)
            return
        if order.name == "prepare" and (why := self._unfit()) is not None:
            raise Refused("the order 'prepare' is refused", "treadmill", why, "bring the console to its first page")
        self._control.order(order, at)
        self._react(self._control, at)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take replies and status frames; the last reply of a round completes a sample."""
        for piece in self._cutter.feed(data):
            contents = decode(piece) if isinstance(piece, bytes) else None
            if contents:
                yield from self._take(Reply.of(contents), at)
            elif not isinstance(piece, bytes):
                yield Notice("noise", "bytes that belong to no good frame", {"bytes": len(piece.data)})

    def _unfit(self) -> str | None:
        """Why a walk may not be prepared now."""
        if self._state in (None, State.ERROR, State.OFFLINE, State.MANUAL):
            return "the console is not there for a host" if self._state is None else "somebody is at the console"
        return self._untrusted

    def _command(self, control: Control, at: float) -> bool:
        """Let control have its turn; whether the line is then left for what else is due."""
        due = self.deadline()
        if due is not None and 0.0 < due - at < self.EARLY:
            at = due
        control.tick(at)
        self._react(control, at)
        if self._due is None or at < self._due:
            return False
        if self._asked is not None and self._commanded:
            self._script.clear()
            self._asked = None
            control.unanswered(at)
        if self._asked is None and not self._script and (command := control.command()) is not None:
            self._script = messages(command, self.setup.options.unit, self._state)
        if self._asked is not None or not self._script:
            return True
        self._commanded, self._asked = True, self._script.pop(0)
        self._due, self._free_at = at + control.ANSWER_WITHIN * self.setup.patience, at + self._gap
        self.send(encode(self._asked))
        return False

    def _react(self, control: Control, at: float) -> None:
        """Give the line to control: a stop at once, any other command when the open request is answered."""
        if control.urgent and (self._asked is not None or self._script):
            if self._asked is not None and not self._commanded:
                self._left.insert(0, self._asked)
            self._asked = None
            self._script.clear()
        if self._asked is None and (self._script or control.waiting):
            self._due = max(at, self._free_at)

    @property
    def _gap(self) -> float:
        return self.PAUSE * self.setup.patience

    def _ask(self, at: float) -> None:
        self._tries = 0
        self._send(self._left.pop(0), at)

    def _send(self, contents: bytes, at: float) -> None:
        self._asked = contents
        self._commanded = self._put_off = False
        self._tries += 1
        self._due, self._free_at = at + self.ANSWER_WITHIN * self.setup.patience, at + self._gap
        self.send(encode(contents))

    def _rest(self, at: float) -> None:
        self._asked = None
        self._free_at = at + self._gap
        self._due = self._free_at if self._left else max(self._round_at + self._interval, self._free_at)
        if self._control is not None:
            self._react(self._control, at)

    def _take(self, reply: Reply, at: float) -> Iterator[Readings | Notice]:
        yield from self._changes(reply)
        asked = self._asked
        known, self._toggle = self._toggle, reply.toggle
        flipped = known is not None and reply.toggle != known
        rejects = asked is not None and len(asked) > 1 and reply.previous is Previous.REJECTED
        answers = bool(reply.blocks) or flipped or rejects
        if self._control is not None and answers:
            self._control.heard(at)
        if self._control is not None and asked is not None and self._commanded and not reply.blocks:
            self._obeyed(self._control, asked, reply, flipped, at)
            return
        if (asked is None or self._commanded) and reply.blocks:
            self._doubtful_until = at + self.LATE * self.setup.patience
            yield Notice("noise", "a reply that nobody waits for", {"bytes": len(encode(reply.contents()))})
        if asked is None or self._commanded or not answers:
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

    def _obeyed(self, control: Control, asked: bytes, reply: Reply, flipped: bool, at: float) -> None:
        """Take a status as the answer to a command, where it can be one; any other is waited out."""
        why = verdict(asked, reply)
        if why is None or not flipped:
            return
        if why:
            self._script.clear()
            control.refused(why, at)
        elif not self._script:
            control.acknowledged(at)
        self._rest(at)

    def _changes(self, reply: Reply) -> Iterator[Notice]:
        if reply.state != self._state:
            self._state = reply.state
            kind = "alarm" if reply.state == State.ERROR else "state"
            yield Notice(kind, f"the equipment's state is {reply.state_name}", {"state": reply.state})
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
        if self._control is not None:
            self._observe(self._control, speed, pace[2] if len(pace) >= 3 else None, reply.state, at)
        yield self._row("belt", [speed, grade, float(reply.state == State.IN_USE or bool(speed))], at)
        clock = self._blocks.get(TIME, b"")
        seconds = clock[0] * 3600.0 + clock[1] * 60.0 + clock[2] if len(clock) >= 3 else None
        yield self._row("console", [metres, seconds], at)
        self._lost = 0

    def _observe(self, control: Control, speed: float | None, unit: int | None, state: int, at: float) -> None:
        """Tell control what the belt does; a console without a speed, or with one in another unit, is not trusted."""
        configured = self.setup.options.unit
        self._untrusted = None
        if speed is None:
            self._untrusted = "the console tells no speed"
        elif unit not in UNITS[configured][2]:
            self._untrusted = f"the console tells its speed in unit {unit}, the configuration says {configured}"
        if self._untrusted is not None or speed is None:
            control.observe_fault(self._untrusted or "", at)
            return
        moving = Motion.ORDERED if state == State.IN_USE else Motion.OTHERWISE
        control.observe_motion(moving if speed else Motion.STANDS, at)
        control.observe_speed(speed, at)
        self._react(control, at)

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
