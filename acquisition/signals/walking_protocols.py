"""Treadmill protocols as tables of speed and grade, and whether a belt has followed one."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.result import Result, Trace

MILE = 1.609344
"""km."""


@dataclass(frozen=True, slots=True)
class Stage:
    """From `start` s after the belt starts: `speed` km/h, `grade` per cent."""

    start: float
    speed: float
    grade: float


@dataclass(frozen=True, slots=True)
class BeltProtocol:
    """Stages in order of time; `cap` s, the end, None where pain alone ends it."""

    name: str
    source: str
    stages: tuple[Stage, ...]
    cap: float | None = None

    def __post_init__(self) -> None:
        starts = [stage.start for stage in self.stages]
        if not starts or starts[0] != 0.0 or any(b <= a for a, b in itertools.pairwise(starts)):
            raise ValueError(f"{self.name}: stages must begin at 0 and follow one another")

    def at(self, elapsed: ArrayLike) -> tuple[Floats, Floats]:
        """Return the speed (km/h) and grade (%) asked for at `elapsed` s (any shape)."""
        k = np.searchsorted([stage.start for stage in self.stages], np.asarray(elapsed), side="right") - 1
        k = np.maximum(k, 0)
        speeds = np.array([stage.speed for stage in self.stages])
        grades = np.array([stage.grade for stage in self.stages])
        return speeds[k], grades[k]


def constant(speed: float, grade: float, name: str, source: str, cap: float | None = None) -> BeltProtocol:
    """Return a protocol of one load."""
    return BeltProtocol(name, source, (Stage(0.0, speed, grade),), cap)


def graded(speed: float, step: float, every: float, name: str, source: str, top: float, cap: float) -> BeltProtocol:
    """Return a protocol of constant speed whose grade rises by `step` % each `every` s up to `top` %."""
    count = round(top / step) + 1
    return BeltProtocol(name, source, tuple(Stage(k * every, speed, k * step) for k in range(count)), cap)


GARDNER_SKINNER = graded(
    3.2, 2.0, 120.0, "gardner-skinner", "Gardner, Skinner: Med Sci Sports Exerc 1991;23:402", 18.0, 1200.0
)
HIATT = graded(3.2, 3.5, 180.0, "hiatt", "Hiatt 1988; Chaudhry 1997, doi 10.1177/1358863X9700200204", 21.0, 1260.0)
CONSTANT_10 = constant(3.2, 10.0, "constant-3.2-10", "Abraham 2003; Chaudhry 1997", 900.0)
CONSTANT_12 = constant(3.0, 12.0, "constant-3.0-12", "Cachovan 1997, Eur J Vasc Endovasc Surg 14:238", 1200.0)
SLOW_10 = constant(2.0, 10.0, "constant-2.0-10", "slow variant for very short walkers; the same limit of DROP", 900.0)
SINGLE_STAGE = constant(1.5 * MILE, 7.5, "gardner-single-stage", "Gardner: Med Sci Sports Exerc 1992", 1200.0)

KNOWN = {p.name: p for p in (GARDNER_SKINNER, HIATT, CONSTANT_10, CONSTANT_12, SLOW_10, SINGLE_STAGE)}
"""Protocols by name. The caps are settings of a laboratory, not of the papers."""


def adherence(
    speed: Trace, grade: Trace | None, protocol: BeltProtocol, start: float, stop: float, settle: float = 15.0
) -> Result:
    """Return for how many per cent of [start, stop) s the belt ran as the protocol says.

    Within 0.15 km/h and 0.5 % of grade; the `settle` s after each change are not judged. Under 95 % is low_quality.
    """
    name, unit = "protocol_adherence", "%"
    settings = {"protocol": protocol.name, "speed_within": 0.15, "grade_within": 0.5, "settle": settle}
    part = speed.between(start, stop)
    elapsed = part.time - start
    changes = np.array([stage.start for stage in protocol.stages])
    since = elapsed - changes[np.maximum(np.searchsorted(changes, elapsed, side="right") - 1, 0)]
    judged = part.valid & (since >= settle)
    if not judged.any():
        return Result.missing(name, unit, "belt_not_recorded", window=(start, stop), settings=settings)
    asked_speed, asked_grade = protocol.at(elapsed)
    right = np.abs(part.values - asked_speed) <= 0.15
    if grade is not None and grade.valid.any():
        known = grade.valid
        actual = np.interp(part.time, grade.time[known], grade.values[known])
        right &= np.abs(actual - asked_grade) <= 0.5
    share = 100.0 * float(np.mean(right[judged]))
    valid, artefact = speed.count(start, stop)
    result = Result.of(name, share, unit, window=(start, stop), n_valid=valid, pct_artefact=artefact, settings=settings)
    if grade is None:
        result = result.flagged("grade_not_recorded")
    return result.flagged("protocol_not_followed") if share < 95.0 else result
