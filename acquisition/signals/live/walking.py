"""A walk while it happens: distance, speed, grade, METs and elapsed time, with the marks set so far."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from acquisition.signals.result import Trace
from acquisition.signals.walking import DEFAULT, MOVING, Course, WalkingSettings
from acquisition.signals.walking_cost import mets


@dataclass(frozen=True, slots=True)
class LiveWalk:
    """Provisional: s and m since the belt started, km/h, %, METs, and whether speed is missing or was.

    `marks`: name -> (s, m) of each mark set during this walk.
    """

    elapsed: float
    distance: float
    speed: float | None
    grade: float | None
    mets: float | None
    moving: bool
    held: bool
    uncertain: bool
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)


class WalkMeter:
    """Adds up one belt's distance from `start` (s) on; the same sums as a whole record's, in the same order."""

    def __init__(self, start: float, settings: WalkingSettings = DEFAULT) -> None:
        self._start = start
        self._settings = settings
        self._last: tuple[float, float] | None = None
        self._metres = 0.0
        self._at_start: float | None = None
        self._uncertain = False
        self._grade: float | None = None
        self._marks: dict[str, tuple[float, float]] = {}

    def feed(self, speed: Trace, grade: Trace | None = None) -> None:
        """Take the samples that follow: speed km/h, grade %."""
        if grade is not None and grade.valid.any():
            self._grade = float(grade.values[grade.valid][-1])
        use = speed.valid
        time, fresh = speed.time[use], speed.values[use]
        if not len(time):
            return
        before = self._last if self._last is not None else (float(time[0]), float(fresh[0]))
        first = self._last is None
        joined = Trace.of(
            time if first else np.append(before[0], time), fresh if first else np.append(before[1], fresh)
        )
        course = Course(joined, self._settings.hold, self._metres)
        if self._at_start is None and joined.time[-1] >= self._start:
            self._at_start = course.at(max(self._start, float(joined.time[0])))
        steps = np.diff(joined.time)
        moving = np.maximum(joined.values[1:], joined.values[:-1]) >= MOVING
        self._uncertain |= bool(np.any((steps > self._settings.hold) & moving & (joined.time[1:] > self._start)))
        self._metres = float(course.metres[-1])
        self._last = (float(time[-1]), float(fresh[-1]))

    def mark(self, name: str, at: float) -> None:
        """Note the distance at `at` (s), taken as the newest speed held on from the last sample."""
        self._marks[name] = (at - self._start, self._distance(at))

    def now(self, at: float) -> LiveWalk:
        """Return what to show at `at` (s): the speed is held for `hold` s, then missing and flagged."""
        held = self._last is None or at - self._last[0] > self._settings.hold
        speed = None if held or self._last is None else self._last[1]
        cost = None
        if speed is not None and speed >= MOVING and self._grade is not None:
            cost = float(mets(speed, self._grade))
        return LiveWalk(
            max(0.0, at - self._start),
            self._distance(at),
            speed,
            self._grade,
            cost,
            speed is not None and speed >= MOVING,
            held,
            self._uncertain or (held and self._last is not None and self._last[1] >= MOVING),
            dict(self._marks),
        )

    def _distance(self, at: float) -> float:
        if self._last is None or self._at_start is None:
            return 0.0
        ahead = min(at - self._last[0], self._settings.hold)
        return max(0.0, self._metres - self._at_start + ahead * self._last[1] / 3.6)
