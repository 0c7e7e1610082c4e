"""Pauses of this computer, told from silences of instruments, and what may have waited meanwhile.

A process that is stopped, a host that is suspended, a virtual machine that is frozen and a loop that is held up look
the same from within: timers fire late. Whoever judges by a deadline asks here first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import numpy as np
from msgspec.structs import replace

from acquisition.model import Quality, Readings
from acquisition.timing.clock import Clock

BEAT = 0.25
"""Seconds between two looks at the clock."""
LATE = 0.5
"""Seconds by which a look must be late to tell of a pause; a loop that is only busy is not."""
SETTLE = 0.25
"""Seconds after a pause in which what waited in the kernel is read, and nobody is judged."""
AFTERMATH = 15.0
"""Seconds after a pause in which lost samples and lost links are put down to it: a digitiser's loss shows so late."""
FULL = 4095
"""Bytes of one read, as many as a terminal line hands over at once, after which more may wait."""


class Pause(msgspec.Struct, frozen=True):
    """This computer stood still from `began` to `ended`, for `seconds` on the wall.

    Until `settled` what arrives may have waited; until `blamed` a loss is put down to it. All but `seconds` in ns of
    the clock's monotonic time.
    """

    began: int
    ended: int
    settled: int
    blamed: int
    seconds: float

    @property
    def text(self) -> str:
        """What happened, as a cause."""
        return f"this computer was paused for {self.seconds:.1f} s"


class Pauses:
    """Watches the clock beside the running loop and tells each listener of every pause, once, as soon as it shows.

    Before `start` and after `stop` no pause is ever seen. Instants are ns of the clock's monotonic time.
    """

    NEVER = 1 << 63

    def __init__(self, clock: Clock) -> None:
        self.overdue = self.NEVER
        """After this instant a look is due at once: the last one was too long ago."""
        self._clock = clock
        self._awake = 0
        self._latest: Pause | None = None
        self._listeners: list[Callable[[Pause], None]] = []
        self._beat: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch, on the running loop."""
        self._rest(self._clock.now().monotonic)
        self._arm()

    def stop(self) -> None:
        """Watch no more."""
        self.overdue = self.NEVER
        if self._beat is not None:
            self._beat.cancel()
            self._beat = None

    def listen(self, listener: Callable[[Pause], None]) -> None:
        """Tell `listener` of every pause from now on."""
        self._listeners.append(listener)

    def leave(self, listener: Callable[[Pause], None]) -> None:
        """Tell `listener` no more; nothing where it was not told."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def look(self) -> Pause | None:
        """The pause that ended a moment ago, while what waited may still be read; None where nobody need wait."""
        pause = self._see()
        return pause if pause is not None and self._clock.now().monotonic < pause.settled else None

    def blamed(self) -> Pause | None:
        """The pause to which a loss that shows now is put down, if any."""
        pause = self._see()
        return pause if pause is not None and self._clock.now().monotonic < pause.blamed else None

    def _see(self) -> Pause | None:
        now = self._clock.now().monotonic
        awake, missed = self._awake, now > self.overdue
        if self.overdue != self.NEVER:
            self._rest(now)
        if missed:
            seconds = self._clock.real((now - awake) / 1e9)
            self._latest = pause = Pause(awake, now, now + self._ns(SETTLE), now + self._ns(AFTERMATH), seconds)
            for listener in tuple(self._listeners):
                listener(pause)
        return self._latest

    def _rest(self, now: int) -> None:
        self._awake, self.overdue = now, now + self._ns(BEAT + LATE)

    def _ns(self, seconds: float) -> int:
        return int(seconds * 1e9 * self._clock.speed)

    def _arm(self) -> None:
        self._beat = asyncio.get_running_loop().call_later(BEAT, self._due)

    def _due(self) -> None:
        self._see()
        if self._beat is not None:
            self._arm()


class Latecomers:
    """Knows which bytes of one link may have waited while this computer stood still."""

    def __init__(self) -> None:
        self._pause: Pause | None = None
        self._until = 0

    def heed(self, pause: Pause) -> None:
        """Take note of a pause."""
        self._pause, self._until = pause, pause.settled

    def waited(self, arrived: int, size: int) -> bool:
        """Whether `size` bytes that were read at the instant `arrived` (ns) may have waited."""
        pause = self._pause
        if pause is None or not pause.began < arrived <= self._until:
            return False
        if size >= FULL and arrived - pause.ended < pause.ended - pause.began:
            self._until = max(self._until, arrived + pause.settled - pause.ended)
        return True

    def more_until(self, size: int) -> int:
        """Until which instant (ns) more may come behind a read of `size` bytes; 0 where it left nothing waiting."""
        return self._until if size >= FULL else 0


def held_back(readings: Readings) -> Readings:
    """The same readings, marked as having waited: their arrival does not tell when they were taken.

    A sample with a time of its own keeps it; any other that has a value is QUESTIONABLE.
    """
    if readings.device_time is not None and readings.base is not None:
        return replace(readings, fresh=False)
    doubt = np.where(np.isfinite(readings.values), np.uint8(Quality.QUESTIONABLE), np.uint8(0))
    return replace(readings, quality=readings.quality | doubt, fresh=False)
