"""A treadmill protocol as a table of speed and grade, and whether a belt has followed it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.plausible import BELT, in_range
from acquisition.signals.result import Result, Trace


class BeltStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `after` s of walking on: `speed` km/h, `grade` %."""

    after: Annotated[float, Meta(ge=0)]
    speed: Annotated[float, Meta(gt=0)]
    grade: Annotated[float, Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class BeltProtocol:
    """BeltStages in order of time; the last one lasts."""

    name: str
    stages: tuple[BeltStage, ...]

    def __post_init__(self) -> None:
        starts = [stage.after for stage in self.stages]
        if not starts or starts[0] != 0.0 or any(b <= a for a, b in itertools.pairwise(starts)):
            raise ValueError(f"{self.name}: stages must begin at 0 and follow one another")

    def at(self, elapsed: ArrayLike) -> tuple[Floats, Floats]:
        """Return the speed (km/h) and grade (%) asked for at `elapsed` s (any shape)."""
        k = np.searchsorted([stage.after for stage in self.stages], numbers(elapsed, "elapsed"), side="right") - 1
        k = np.maximum(k, 0)
        speeds = np.array([stage.speed for stage in self.stages])
        grades = np.array([stage.grade for stage in self.stages])
        return speeds[k], grades[k]


def adherence(
    speed: Trace, grade: Trace | None, protocol: BeltProtocol, start: float, stop: float, settle: float = 15.0
) -> Result:
    """Return for how many per cent of [start, stop) s the belt ran as the protocol says.

    Within 0.15 km/h and 0.5 % of grade; the `settle` s after each change are not judged. Under 95 % is low_quality.
    """
    name, unit = "protocol_adherence", "%"
    settings = {"protocol": protocol.name, "speed_within": 0.15, "grade_within": 0.5, "settle": settle}
    speed = in_range(speed, BELT)
    part = speed.between(start, stop)
    elapsed = part.time - start
    changes = np.array([stage.after for stage in protocol.stages])
    since = elapsed - changes[np.maximum(np.searchsorted(changes, elapsed, side="right") - 1, 0)]
    judged = part.valid & (since >= settle)
    if not judged.any():
        return Result.missing(name, unit, "belt_not_recorded", window=(start, stop), settings=settings)
    asked_speed, asked_grade = protocol.at(elapsed)
    right = np.abs(part.values - asked_speed) <= 0.15
    known = np.zeros(0, np.bool_) if grade is None else grade.valid
    if grade is not None and known.any():
        actual = np.interp(part.time, grade.time[known], grade.values[known])
        right &= np.abs(actual - asked_grade) <= 0.5
    share = 100.0 * float(np.mean(right[judged]))
    valid, artefact = speed.count(start, stop)
    result = Result.of(name, share, unit, window=(start, stop), n_valid=valid, pct_artefact=artefact, settings=settings)
    if not known.any():
        result = result.flagged("grade_not_recorded")
    return result.flagged("protocol_not_followed") if share < 95.0 else result
