"""Moving a patient's belt: from orders and what the treadmill answers to the next command, and when to stop.

A pure state machine; it owns no line and no clock, and knows commands by what they do. A belt is started so that it
stops by itself when the host falls silent, wherever the treadmill has a start that does so (a watch). The red button at
the treadmill is the emergency stop; what is done here only comes before it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from acquisition.driverkit.driver import Order
from acquisition.errors import Refused
from acquisition.model import Notice
from acquisition.treadmill.limits import Limits


class Phase(StrEnum):
    """How far a walk is."""

    IDLE = "idle"
    PREPARING = "preparing"
    READY = "ready"
    """Belt standing, least speed and grade set; the start waits for a person's word."""
    STARTING = "starting"
    WALKING = "walking"
    STOPPING = "stopping"
    LATCHED = "latched"
    """After an emergency stop: nothing starts until a person has released it."""


_WAYS = {
    Phase.IDLE: "perfusion belt walk PROTOCOL prepares one",
    Phase.READY: "perfusion belt confirm starts the belt, perfusion belt stop ends the walk",
    Phase.WALKING: "perfusion belt stop ends the walk",
    Phase.LATCHED: "perfusion belt release lets it start again, once somebody has looked at the belt",
}
"""What leads out of a phase, for whoever ordered what the phase does not allow."""


class Do(StrEnum):
    """What a command does."""

    START = "start"
    STOP = "stop"
    AUTO_STOP = "stop, speed and grade to zero"
    SPEED = "set the speed"
    GRADE = "set the grade"


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `tenths` of the treadmill's unit of speed, or of a per cent of grade."""

    do: Do
    tenths: int = 0


class Motion(StrEnum):
    """What the treadmill says of its belt."""

    STANDS = "stands"
    ORDERED = "runs as the start that a host orders makes it run: watched, where the treadmill has a watch"
    OTHERWISE = "runs in any other way"


class Control:
    """One belt under control.

    The driver asks for `command()` whenever its line is free, at once where `urgent`; it reports each answer,
    refusal and time-out, and sends nothing while `muted`. Every trigger ends in the same stop: STOP up to three
    times, then AUTO_STOP. Where nothing is acknowledged it calls for the red button; a watched belt is left to its
    watch, by silence, and one without is sent the stop again each `AGAIN` seconds until it is seen standing.
    """

    ANSWER_WITHIN = 0.1
    TRIES: ClassVar[dict[Do, int]] = {Do.AUTO_STOP: 1}
    SILENCE = 1.0
    SPARE = 0.1
    """Seconds of silence more than the treadmill's watch needs."""
    AGAIN = 1.0
    READY_FOR = 120.0
    RUNAWAY = 1.6
    """Kilometres per hour between set and actual speed that are borne for `RUNAWAY_FOR` seconds (1 mph)."""
    RUNAWAY_FOR = 2.0
    ARRIVED = 0.25
    MISMATCH = 0.15

    def __init__(self, limits: Limits, patience: float, say: Callable[[Notice], None]) -> None:
        self.phase = Phase.IDLE
        self._limits = limits
        self._patience = patience
        self._say = say
        self._commands: deque[Command] = deque()
        self._sent: Command | None = None
        self._tries = 0
        self._cause: str | None = None
        self._status: Motion | None = None
        self._speed: float | None = None
        self._set_speed = self._least = max(round(limits.min_speed / limits.kmh * 10), 1)
        self._set_grade = 0
        self._target_speed, self._target_grade = self._set_speed, 0
        self._heard = 0.0
        self._off_since: float | None = None
        self._mute_until: float | None = None
        self._stand_by: float | None = None
        self._ready_until: float | None = None
        self._verify_by: float | None = None
        self._again_at: float | None = None
        self._called = False
        """Whether a person asked a latched belt to stop and is to be told if nothing answers."""

    @property
    def urgent(self) -> bool:
        """Whether the next command must not wait for the answer to another request."""
        return self.phase in (Phase.STOPPING, Phase.LATCHED) and self.waiting

    @property
    def waiting(self) -> bool:
        """Whether a command waits for the line."""
        return self._sent is None and bool(self._commands)

    @property
    def muted(self) -> bool:
        """Whether nothing may be sent."""
        return self._mute_until is not None

    @property
    def quiet(self) -> float:
        """Seconds of silence after which a watched belt has begun to stop; 0 where silence stops none."""
        watch = self._limits.watch
        return 0.0 if watch is None else (watch + self.SPARE) * self._patience

    @property
    def moving(self) -> bool:
        """Whether a belt may be moving that must be stopped before the host leaves."""
        return self.phase not in (Phase.IDLE, Phase.LATCHED) or self._again_at is not None

    @property
    def started(self) -> bool:
        """Whether a belt that moves is one that this host has started."""
        return self.phase in (Phase.STARTING, Phase.WALKING, Phase.STOPPING)

    def command(self) -> Command | None:
        """The next command, now on its way; None where there is none."""
        if self._sent is None and self._commands:
            self._sent = self._commands.popleft()
            self._tries += 1
            return self._sent
        return None

    def deadline(self) -> float | None:
        """When `tick` is wanted at the latest."""
        due = [self._mute_until, self._stand_by, self._ready_until, self._verify_by, self._again_at]
        if self._listening:
            due.append(self._heard + self.SILENCE * self._patience)
        return min((each for each in due if each is not None), default=None)

    def tick(self, at: float) -> None:
        """Do what is due when time has passed."""
        if self._mute_until is not None and at >= self._mute_until:
            self._mute_until, self._heard = None, at
        if self._listening and at >= self._heard + self.SILENCE * self._patience:
            if self.phase is Phase.STOPPING:
                self._give_up("the treadmill fell silent before its belt stood", at)
            else:
                self._emergency("the treadmill is silent for more than a second", at)
        elif self._stand_by is not None and at >= self._stand_by:
            what = f"the belt does not stand {self._limits.stop_within:g} s after its stop was acknowledged"
            if self.phase is Phase.STOPPING:
                self._give_up(what, at)
            else:
                self._emergency(what, at)
        elif self._verify_by is not None and at >= self._verify_by:
            self._emergency("the belt does not report that it runs as it was started", at)
        elif self._ready_until is not None and at >= self._ready_until:
            self._enter(Phase.IDLE, "the start was not confirmed in time; prepare it again")
        elif self._again_at is not None and at >= self._again_at:
            self._again_at = at + self.AGAIN * self._patience
            if self._sent is None:
                self._commands = deque([Command(Do.STOP)])

    def paused(self, seconds: float, at: float) -> None:
        """Take note that the host stood still for so many seconds until `at`: a belt that ran meanwhile is stopped.

        Nobody watched it, and the treadmill's own watch may have stopped it. Every other wait begins anew.
        """
        watch = self._limits.watch
        longest = min(self.SILENCE, self.SILENCE if watch is None else watch) * self._patience
        self._heard = at
        self._stand_by, self._verify_by = (
            None if due is None else due + seconds for due in (self._stand_by, self._verify_by)
        )
        if self.phase in (Phase.STARTING, Phase.WALKING) and seconds >= longest:
            meanwhile = "its watch may have stopped the belt" if watch is not None else "nobody watched the belt"
            wall = seconds / self._patience
            self._emergency(f"this computer was paused for {wall:.1f} s, {meanwhile} meanwhile", at)

    def order(self, order: Order, at: float) -> None:
        """Follow an order; Refused where the phase or the limits forbid it, with nothing changed."""
        by = f" ({order.by})" if order.by else ""
        match order.name:
            case "prepare":
                self._require(order, Phase.IDLE)
                self._heard = at
                self._enter(Phase.PREPARING, f"preparing a walk{by}")
                self._commands = deque([Command(Do.STOP)])
            case "confirm":
                self._require(order, Phase.READY)
                self._enter(Phase.STARTING, f"start confirmed{by}")
                self._commands.append(Command(Do.START))
            case "speed" | "grade" | "measured":
                self._adjust(order, at)
            case "stop" | "emergency":
                self._stop(order, by, at)
            case "release":
                self._require(order, Phase.LATCHED)
                if self.muted or not self._stands:
                    raise _refused(order, "the belt was not seen standing yet", "wait until it stands")
                self._cause = None
                self._enter(Phase.IDLE, f"the emergency stop was released{by}")
            case _:
                known = "prepare, confirm, speed, grade, measured, stop, emergency, release"
                raise _refused(order, "there is no such order", f"one of {known}")

    def acknowledged(self, at: float) -> None:
        """Take the acknowledgement of the command on its way."""
        sent, self._sent, self._tries = self._sent, None, 0
        self._heard = at
        if sent is None or self.phase is Phase.LATCHED:
            self._called = False
            return
        if sent.do in (Do.STOP, Do.AUTO_STOP):
            if self.phase is Phase.STOPPING:
                self._commands.clear()
            self._status = self._speed = None
            # A stop that is repeated gives the belt no more time than the first.
            self._stand_by = min(at + self._limits.stop_within, self._stand_by or math.inf)
        elif sent.do is Do.START:
            self._status = None
            self._verify_by = at + self._limits.start_within * self._patience
        elif self.phase is Phase.PREPARING and sent.do is Do.GRADE:
            self._ready_until = at + self.READY_FOR
            self._enter(Phase.READY, "ready to start: the patient stands on the belt, then confirm", keep=True)
        else:
            self._advance()

    def refused(self, why: str, at: float) -> None:
        """Take a refusal of the command on its way."""
        self._heard = at
        self._fail(why, at, tries=1)

    def unanswered(self, at: float) -> None:
        """Take note that the command on its way was not answered in time."""
        self._fail("no answer", at, tries=3)

    def heard(self, at: float) -> None:
        """Take note of a valid answer."""
        self._heard = at

    def observe_motion(self, status: Motion, at: float) -> None:
        """Take what the treadmill says of its belt; OTHERWISE where it says what no document explains."""
        self._status = status
        self._look(at)

    def observe_fault(self, cause: str, at: float) -> None:
        """Take note that the treadmill tells no speed that could be trusted, and why."""
        self._speed = None
        if self.moving and self.phase not in (Phase.STOPPING, Phase.LATCHED):
            self._emergency(cause, at)

    def observe_speed(self, speed: float, at: float) -> None:
        """Take the actual speed, km/h."""
        self._speed = speed
        self._watch_speed(speed, at)
        self._look(at)
        self._advance()

    @property
    def _stands(self) -> bool:
        return self._status is Motion.STANDS and self._speed == 0.0

    @property
    def _listening(self) -> bool:
        if self.muted or self.phase in (Phase.IDLE, Phase.LATCHED):
            return False
        return self.phase is not Phase.STOPPING or self._stand_by is not None

    def _require(self, order: Order, *phases: Phase) -> None:
        if self.phase not in phases:
            cause = f"the walk is {self.phase}" + (f" after: {self._cause}" if self._cause else "")
            wanted = " or ".join(phases)
            way = _WAYS.get(self.phase, "")
            raise _refused(order, cause, f"it is possible while the walk is {wanted}{way and f'; {way}'}")

    def _stop(self, order: Order, by: str, at: float) -> None:
        """Send a stop, whatever the phase; Refused only while silence is what stops the belt."""
        if self.muted:
            why = "it acknowledged no stop, and the host keeps silent so that the belt stops by itself"
            raise _refused(order, f"nothing was sent: {why}", "press the red button at the treadmill")
        if order.name == "emergency" and not (self.phase is Phase.STOPPING and self._cause is not None):
            self._emergency(order.by or "ordered", at)
        elif self.phase is Phase.STOPPING:
            # Beside the stop that is under way, whose escalation and limit of standing go on.
            if self._sent is not None:
                self._commands.appendleft(self._sent)
                self._sent = None
            elif not self._commands:
                self._commands.append(Command(Do.STOP))
        elif self.phase is Phase.LATCHED:
            self._called, self._sent, self._tries = True, None, 0
            self._commands = deque([Command(Do.STOP)])
        else:
            self._halt(f"stopping{by}", at)

    def _adjust(self, order: Order, at: float) -> None:
        value = order.value
        if value is None:
            raise _refused(order, "it has no value", "give one")
        limits = self._limits
        if order.name == "measured":
            self._require(order, Phase.WALKING)
            if self._speed is None or abs(value - self._speed) > self.MISMATCH * max(value, self._speed):
                self._emergency(f"the belt was measured at {value:g} km/h and reports {self._speed} km/h", at)
            return
        self._require(order, Phase.READY, Phase.WALKING)
        if order.name == "speed":
            if not limits.min_speed <= value <= limits.max_speed:
                allowed = f"{limits.min_speed:g} to {limits.max_speed:g} km/h"
                raise _refused(order, f"{value:g} km/h is outside the limits", allowed)
            self._target_speed = max(round(value / limits.kmh * 10), self._least)
        else:
            if not 0 <= value <= limits.max_grade or round(value * 10) % limits.grade_step:
                allowed = f"0 to {limits.max_grade:g} % in steps of {limits.grade_step / 10:g} %"
                raise _refused(order, f"{value:g} % cannot be set", allowed)
            self._target_grade = round(value * 10)
        self._say(Notice("state", f"{order.name} {value:g} ordered" + (f" ({order.by})" if order.by else "")))
        self._advance()

    def _look(self, at: float) -> None:
        """Compare what the belt does with what it ought to do."""
        status, watched = self._status, self._limits.watch is not None
        if self.phase is Phase.IDLE and status is Motion.ORDERED:
            self._emergency("the belt runs as if the host had started it, and no walk is under way", at)
        elif self.phase is Phase.READY and (status not in (None, Motion.STANDS) or self._speed):
            self._emergency("the belt moves before the start was confirmed", at)
        elif self.phase is Phase.STARTING and self._verify_by is not None and status not in (None, Motion.STANDS):
            if status is Motion.ORDERED:
                self._enter(Phase.WALKING, "the belt runs" + (" and is watched" if watched else ""))
            else:
                how = "without its stop on loss of communication" if watched else "in another way than it was started"
                self._emergency(f"the belt runs {how}", at)
        elif self.phase is Phase.WALKING and status is not Motion.ORDERED:
            self._emergency("the belt stopped by itself, or at the console", at)
        elif (self._stand_by is not None or self._again_at is not None) and self._stands:
            self._stood()

    def _stood(self) -> None:
        self._stand_by = self._again_at = None
        if self.phase is Phase.PREPARING:
            self._set_speed, self._set_grade = self._least, 0
            self._target_speed, self._target_grade = self._least, 0
            self._commands.extend((Command(Do.SPEED, self._least), Command(Do.GRADE, 0)))
        elif self._cause is None:
            self._enter(Phase.IDLE, "the belt stands")
            self._commands.append(Command(Do.GRADE, 0))
        else:
            self._enter(Phase.LATCHED, f"the belt stands after an emergency stop: {self._cause}")

    def _watch_speed(self, speed: float, at: float) -> None:
        watched = self.phase in (Phase.STARTING, Phase.WALKING)
        if not watched or abs(speed - self._set_speed / 10 * self._limits.kmh) <= self.RUNAWAY:
            self._off_since = None
        elif self._off_since is None:
            self._off_since = at
        elif at - self._off_since >= self.RUNAWAY_FOR:
            expected = self._set_speed / 10 * self._limits.kmh
            self._emergency(f"the belt runs at {speed:.1f} km/h, set are {expected:.1f} km/h", at)

    def _advance(self) -> None:
        """Bring the set values a step nearer to the targets, each step when the belt has come to the one before."""
        if self.phase is not Phase.WALKING or self._commands or self._sent is not None:
            return
        kmh = self._limits.kmh
        arrived = self._speed is not None and abs(self._speed - self._set_speed / 10 * kmh) <= self.ARRIVED
        if self._set_speed != self._target_speed and arrived:
            step = max(int(self._limits.max_step / kmh * 10), 1)
            self._set_speed += min(max(self._target_speed - self._set_speed, -step), step)
            self._commands.append(Command(Do.SPEED, self._set_speed))
        elif self._set_grade != self._target_grade:
            self._set_grade = self._target_grade
            self._commands.append(Command(Do.GRADE, self._set_grade))

    def _fail(self, why: str, at: float, tries: int) -> None:
        sent, self._sent = self._sent, None
        if sent is None:
            return
        if self._tries < self.TRIES.get(sent.do, tries):
            self._commands.appendleft(sent)
            return
        self._tries = 0
        text = f"command to {sent.do}: {why}"
        if self.phase is Phase.IDLE:
            self._say(Notice("warning", text))
        elif self.phase is Phase.LATCHED:
            if self._called:  # otherwise the red button was called for already
                self._called = False
                self._say(Notice("alarm", f"{text}: press the red button at the treadmill", {"red_button": True}))
        elif self.phase is not Phase.STOPPING:
            self._emergency(text, at)
        elif sent.do is Do.STOP:
            self._commands = deque([Command(Do.AUTO_STOP)])
        else:
            self._give_up("the treadmill acknowledges no stop", at)

    def _emergency(self, cause: str, at: float) -> None:
        if self.muted or (self.phase is Phase.STOPPING and self._cause is not None):
            return
        self._cause = cause
        self._say(Notice("alarm", f"emergency stop: {cause}", {"control": str(Phase.STOPPING), "cause": cause}))
        self._halt("", at)

    def _halt(self, text: str, at: float) -> None:
        self._enter(Phase.STOPPING, text)
        self._heard, self._again_at = at, None
        self._sent, self._tries, self._mute_until = None, 0, None
        self._commands = deque([Command(Do.STOP)])

    def _give_up(self, why: str, at: float) -> None:
        """Call for a person; fall silent, so that a watched belt stops by itself, or go on saying stop."""
        self._cause = self._cause or why
        text = f"{why}: press the red button at the treadmill"
        self._say(Notice("alarm", text, {"cause": self._cause, "red_button": True}))
        self._enter(Phase.LATCHED, f"emergency stop: {self._cause}")
        self._commands.clear()
        self._sent, self._status, self._speed = None, None, None
        if self._limits.watch is None:
            self._again_at = at + self.AGAIN * self._patience
        else:
            self._mute_until = at + self.quiet

    def _enter(self, phase: Phase, text: str, keep: bool = False) -> None:
        self.phase = phase
        self._stand_by = self._verify_by = self._off_since = None
        if not keep:
            self._ready_until = None
        if text:
            details = {"control": str(phase)} | ({"cause": self._cause} if self._cause else {})
            self._say(Notice("state", text, details))


def _refused(order: Order, cause: str, remedy: str) -> Refused:
    return Refused(f"the order {order.name!r} is refused", "treadmill", cause, remedy)
