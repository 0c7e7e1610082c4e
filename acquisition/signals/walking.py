"""Walking distance on a treadmill: the belt's speed integrated, read at the marks of pain and stop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals.kit.plausible import BELT, check_settings, in_range, present
from acquisition.signals.result import Result, Trace, Window

JUMP = 1.0
"""km/h within a second, there and back: no belt under a patient does both (3.2 km/h takes it 3 s and more)."""
GLITCH = 60.0
"""Seconds after a mark within which a glitch that began before it may end."""
MOVING = 0.1
"""A belt slower than this stands (km/h)."""


class StopReason(StrEnum):
    """Why a walk ended; only claudication makes a distance absolute, every other reason censors it."""

    CLAUDICATION = "claudication"
    DYSPNOEA = "dyspnoea"
    ANGINA = "angina"
    PROTOCOL_END = "protocol_end"
    OPERATOR = "operator"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class WalkingSettings:
    """`hold` s: a longer hole in the speed makes a distance uncertain. `mark` s: one SD of a mark made by hand.

    `odometer` %: how far the device's own odometer may differ from the integral.
    """

    hold: float = 2.0
    mark: float = 0.5
    odometer: float = 1.0

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "WalkingSettings")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


DEFAULT = WalkingSettings()


@dataclass(frozen=True, slots=True)
class Walk:
    """The marks of one walk, s on the belt's time axis; None where nothing was marked.

    `start`: the belt starts. `onset`: first claudication pain. `functional`: where the patient would
    stop outdoors. `stop`: the patient stops.
    """

    start: float
    stop: float | None
    reason: StopReason | None
    onset: float | None = None
    functional: float | None = None
    pain_gone: float | None = None
    handrail: bool = False
    protocol: str = ""

    def __post_init__(self) -> None:
        """Take a mark of NaN as one that nobody set."""
        for name in ("stop", "onset", "functional", "pain_gone"):
            object.__setattr__(self, name, present(getattr(self, name)))

    def disorder(self) -> str:
        """Return what is wrong with the marks, "" where nothing is."""
        marks = (self.start, self.stop, self.onset, self.functional, self.pain_gone)
        if not all(math.isfinite(mark) for mark in marks if mark is not None):
            return "mark_is_no_time"
        if self.stop is not None and not self.stop > self.start:
            return "marks_out_of_order (stop before start)"
        for word, at in (("onset", self.onset), ("functional", self.functional)):
            if at is None:
                continue
            if at < self.start:
                return f"marks_out_of_order ({word} before start)"
            if self.stop is not None and at > self.stop:
                return f"marks_out_of_order ({word} after stop)"
        if self.onset is not None and self.functional is not None and self.functional < self.onset:
            return "marks_out_of_order (functional before onset)"
        if self.pain_gone is not None and self.stop is not None and self.pain_gone < self.stop:
            return "marks_out_of_order (pain gone before stop)"
        return ""


class Course:
    """Distance over time of one belt: speed is linear between samples, and the integral exact for that.

    In a hole of more than `hold` s the speed is taken as linear, too, but could have been anything from
    standing to the faster edge: that range, as a uniform distribution, is the distance's standard deviation.
    """

    def __init__(self, belt: Trace, hold: float = DEFAULT.hold, before: float = 0.0) -> None:
        """Take the speed of a belt, km/h, and the metres `before` its first sample."""
        use = in_range(belt, BELT).valid
        self.time: Floats = belt.time[use]
        self.speed: Floats = belt.values[use] / 3.6
        self.hold = hold
        steps = np.diff(self.time)
        mean = (self.speed[1:] + self.speed[:-1]) / 2.0
        fastest = np.maximum(np.abs(self.speed[1:]), np.abs(self.speed[:-1]))
        doubt = np.where(steps > hold, fastest * steps / math.sqrt(12.0), 0.0)
        self.metres: Floats = np.cumsum(np.append(before, mean * steps))[: len(self.time)]
        self._doubt: Floats = np.concatenate([[0.0], np.cumsum(doubt**2)])[: len(self.time)]

    def covers(self, at: float) -> bool:
        """Whether the belt's speed is known around `at`, s, up to `hold` beyond the record's edges."""
        return bool(len(self.time)) and self.time[0] - self.hold <= at <= self.time[-1] + self.hold

    def speed_at(self, at: float) -> float:
        """Return the speed in m/s, held beyond the edges."""
        return float(np.interp(at, self.time, self.speed))

    def at(self, at: float) -> float:
        """Return the distance in m until `at` (s)."""
        k = int(np.clip(np.searchsorted(self.time, at, side="right") - 1, 0, len(self.time) - 1))
        return float(self.metres[k] + (at - self.time[k]) * (self.speed[k] + self.speed_at(at)) / 2.0)

    def between(self, start: float, stop: float) -> tuple[float, float]:
        """Return the distance in m on [start, stop] s and its standard deviation from holes."""
        doubt = np.interp((start, stop), self.time, self._doubt)
        return self.at(stop) - self.at(start), math.sqrt(max(float(doubt[1] - doubt[0]), 0.0))


def belt_start(belt: Trace, after: float = -math.inf) -> float | None:
    """Return when the belt begins to move after standing, s (crossing of 0.1 km/h, interpolated)."""
    time, speed = belt.time[belt.valid], belt.values[belt.valid]
    up = np.flatnonzero((speed[:-1] < MOVING) & (speed[1:] >= MOVING) & (time[1:] > after))
    if not len(up):
        return None
    k = int(up[0])
    return float(time[k] + (MOVING - speed[k]) / (speed[k + 1] - speed[k]) * (time[k + 1] - time[k]))


def belt_stop(belt: Trace, after: float) -> float | None:
    """Return when the belt comes to rest after `after`, s; None while it moves at the record's end."""
    time, speed = belt.time[belt.valid], belt.values[belt.valid]
    down = np.flatnonzero((speed[:-1] >= MOVING) & (speed[1:] < MOVING) & (time[1:] > after))
    if not len(down):
        return None
    k = int(down[0])
    return float(time[k] + (speed[k] - MOVING) / (speed[k] - speed[k + 1]) * (time[k + 1] - time[k]))


def distances(
    belt: Trace,
    walk: Walk,
    settings: WalkingSettings = DEFAULT,
    odometer: Trace | None = None,
) -> list[Result]:
    """Return ICD, ACD and FCD in m and their times in s, from the belt's measured speed (km/h).

    Without pain ICD is censored at the end of the walk (`pain_not_reached`); without a stop for claudication
    ACD is censored by the reason of the stop. `odometer`, the device's own distance in m, is
    preferred where given, and compared with the integral.
    """
    names = ("icd", "acd", "fcd")
    held = {**settings.as_dict(), **_said(walk)}
    course = Course(belt, settings.hold)
    end, stop_reason = _end(belt, walk)

    def nothing(reason: str) -> list[Result]:
        units = (("distance", "m"), ("time", "s"))
        return [Result.missing(f"{n}_{q}", u, reason, settings=held) for n in names for q, u in units]

    disorder = replace(walk, stop=walk.stop if walk.stop is not None else end).disorder()
    if disorder:
        return nothing(disorder)
    if end is None:
        return nothing("stop_not_marked")
    if not course.covers(walk.start) or not course.covers(end):
        return nothing("belt_not_recorded")
    part = belt.between(walk.start, end)
    if not np.any(part.values[part.valid] >= MOVING):
        return nothing("belt_stood_still")
    marks = {
        "icd": (walk.onset, "pain_not_reached"),
        "acd": (end, stop_reason),
        "fcd": (walk.functional, "functional_limit_not_reached"),
    }
    found: list[Result] = []
    for name, (at, why) in marks.items():
        at_end = at is None
        censored = why if name == "acd" or at_end else ""
        if name == "acd" and walk.reason is None:
            found += [Result.missing(f"acd_{q}", u, "stop_reason_missing", settings=held)
                      for q, u in (("distance", "m"), ("time", "s"))]  # fmt: skip
            continue
        window = (walk.start, end if at is None else at)
        pair = _at(name, belt, course, window, settings, held, odometer)
        found += [each.censored(censored) if censored and each.value is not None else each for each in pair]
    if walk.stop is None:
        found = [each.flagged("stop_from_belt") if each.value is not None else each for each in found]
    return found


def recovery_time(walk: Walk) -> Result:
    """Return how long the pain lasted after the stop, s; missing where nobody marked its end."""
    name, held = "pain_recovery", _said(walk)
    if walk.stop is None:
        return Result.missing(name, "s", "stop_not_marked", settings=held)
    if walk.onset is None:
        return Result.missing(name, "s", "pain_not_reached", settings=held)
    if walk.pain_gone is None:
        return Result.missing(name, "s", "end_of_pain_not_marked", settings=held)
    if disorder := walk.disorder():
        return Result.missing(name, "s", disorder, settings=held)
    return Result.of(name, walk.pain_gone - walk.stop, "s", window=(walk.stop, walk.pain_gone), settings=held)


def _at(
    name: str,
    belt: Trace,
    course: Course,
    window: Window,
    settings: WalkingSettings,
    held: Mapping[str, Any],
    odometer: Trace | None,
) -> list[Result]:
    start, stop = window
    metres, doubt = course.between(start, stop)
    valid, artefact = belt.count(start, stop)
    # The start is the belt's own, the end a person's mark.
    by_mark = course.speed_at(stop) * settings.mark
    reasons = ["speed_missing"] if doubt > 0.0 else []
    if odometer is not None:
        reasons, metres = _by_odometer(odometer, window, metres, settings, reasons)
    common: dict[str, Any] = {"window": window, "n_valid": valid, "pct_artefact": artefact, "settings": held}
    distance = Result.of(
        f"{name}_distance",
        metres,
        "m",
        uncertainty=math.hypot(by_mark, doubt),
        uncertainty_of=("mark", "holes") if doubt else ("mark",),
        **common,
    )
    for reason in [*reasons, *_glitches(belt, start, stop)]:
        distance = distance.flagged(reason)
    time = Result.of(f"{name}_time", stop - start, "s", uncertainty=settings.mark, uncertainty_of=("mark",), **common)
    return [distance, time]


def _glitches(belt: Trace, start: float, stop: float) -> list[str]:
    """Return what no belt under a patient does on [start, stop) s: impossible speeds, and levels between two jumps.

    A level that was reached at once and left at once, back to the speed before it, is a fault of the link or of the
    console; a belt that is stopped and started again takes seconds to run up.
    """
    part = belt.between(start, stop + GLITCH)
    possible = in_range(part, BELT)
    odd = part.values[part.valid & ~possible.valid & (part.time < stop)]
    found = [f"belt_speed_impossible ({odd[0]:.3g} km/h is not {BELT})"] if len(odd) else []
    time, speed = possible.time[possible.valid], possible.values[possible.valid]
    steps = np.diff(speed)
    jumps = np.flatnonzero(np.abs(steps) > JUMP * np.maximum(np.diff(time), 1.0))
    for away, back in itertools.pairwise(jumps.tolist()):
        if time[away] >= stop:
            break
        level = speed[away + 1 : back + 1]
        if steps[away] * steps[back] < 0.0 and abs(speed[back + 1] - speed[away]) < JUMP:
            lasted = float(time[back + 1] - time[away + 1])
            return [*found, f"belt_jumps ({float(np.median(level)):.3g} km/h for {lasted:.3g} s)"]
    return found


def _by_odometer(
    odometer: Trace, window: Window, metres: float, settings: WalkingSettings, reasons: list[str]
) -> tuple[list[str], float]:
    """Return the odometer's difference where it covers the window, and what speaks against it."""
    use = odometer.valid
    time, counted = odometer.time[use], odometer.values[use]
    covered = len(time) > 0 and time[0] - settings.hold <= window[0] and window[1] <= time[-1] + settings.hold
    if not covered:
        return [*reasons, "odometer_not_recorded"], metres
    inside = (time >= window[0]) & (time <= window[1])
    if np.any(np.diff(counted[inside]) < 0.0):
        return [*reasons, "odometer_reset"], metres
    low, high = np.interp(window, time, counted)
    own = float(high - low)
    if abs(own - metres) > settings.odometer / 100.0 * max(abs(metres), 1.0):
        return [*reasons, f"odometer_differs ({own:.1f} m, integral {metres:.1f} m)"], metres
    # What the speed lost in a hole the odometer has counted.
    return [reason for reason in reasons if reason != "speed_missing"], own


def _end(belt: Trace, walk: Walk) -> tuple[float | None, str]:
    """Return when the walk ended, and what censors its distance ("" for claudication)."""
    reason = "" if walk.reason is StopReason.CLAUDICATION else f"stopped_for_{walk.reason}"
    return (walk.stop if walk.stop is not None else belt_stop(belt, walk.start)), reason


def _said(walk: Walk) -> dict[str, Any]:
    said = asdict(walk)
    said["reason"] = None if walk.reason is None else str(walk.reason)
    return said
