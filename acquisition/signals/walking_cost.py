"""Cost of walking: oxygen uptake and METs by the ACSM equation, and the work against gravity."""

from __future__ import annotations

import math
from dataclasses import replace

from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.plausible import DISTANCE, GRADIENT, MASS, SPEED, impossible, present
from acquisition.signals.result import Result

REST = 3.5
"""Oxygen uptake at rest, one MET, ml/kg/min."""
UPTAKE = "mL/kg/min"
VALID = (50.0, 100.0)
"""Speeds for which the walking equation holds, m/min (ACSM)."""
GRAVITY = 9.80665
KCAL_PER_LITRE = 5.0


def oxygen_uptake(speed: ArrayLike, grade: ArrayLike) -> Floats:
    """Return ml/kg/min of steady walking: 3.5 + 0.1 S + 1.8 S G; `speed` km/h, `grade` per cent, any shape (ACSM)."""
    metres_per_minute = numbers(speed, "speed") / 0.06
    fraction = numbers(grade, "grade") / 100.0
    uptake: Floats = REST + 0.1 * metres_per_minute + 1.8 * metres_per_minute * fraction
    return uptake


def mets(speed: ArrayLike, grade: ArrayLike) -> Floats:
    """Return multiples of the uptake at rest; `speed` km/h, `grade` per cent."""
    multiples: Floats = oxygen_uptake(speed, grade) / REST
    return multiples


def estimated_mets(speed: float, grade: float, handrail: bool = False) -> Result:
    """Return METs as a result: an estimate of the steady state, low_quality where the equation does not hold."""
    low, high = VALID
    settings = {"speed": speed, "grade": grade, "handrail": handrail, "valid_m_per_min": VALID}
    if present(speed) is None or present(grade) is None:
        return Result.missing("mets", "1", "speed_or_grade_missing", settings=settings)
    if reason := impossible(("speed", speed, SPEED), ("grade", grade, GRADIENT)):
        return Result.missing("mets", "1", reason, settings=settings)
    result = Result.of("mets", float(mets(speed, grade)), "1", settings=settings)
    if not low <= speed / 0.06 <= high:
        result = result.flagged("speed_outside_50_to_100_m_per_min")
    return result.flagged("handrail_lowers_the_true_cost") if handrail else result


def estimated_costs(speed: float, grade: float, handrail: bool = False) -> list[Result]:
    """Return METs and oxygen uptake (ml/kg/min) as results, each with what the other is worth."""
    met = estimated_mets(speed, grade, handrail)
    if met.value is None:
        return [met, Result.missing("oxygen_uptake", UPTAKE, met.reason, settings=met.settings)]
    return [met, replace(met, name="oxygen_uptake", unit=UPTAKE, value=met.value * REST)]


def energy_rate(speed: float, grade: float, mass: float) -> float:
    """Return kcal/min of a person of `mass` kg; 5 kcal per litre of oxygen."""
    return float(oxygen_uptake(speed, grade)) * mass / 1000.0 * KCAL_PER_LITRE


def vertical_work(mass: float, distance: float, grade: float) -> Result:
    """Return the work against gravity in J: m g D sin(atan G); `mass` kg, `distance` m along the belt, `grade` %."""
    settings = {"mass": mass, "grade": grade}
    if not mass > 0.0:
        return Result.missing("vertical_work", "J", "mass_missing", settings=settings)
    if reason := impossible(("mass", mass, MASS), ("distance", distance, DISTANCE), ("grade", grade, GRADIENT)):
        return Result.missing("vertical_work", "J", reason, settings=settings)
    work = mass * GRAVITY * distance * math.sin(math.atan(grade / 100.0))
    return Result.of("vertical_work", work, "J", unless="distance_or_grade_missing", settings=settings)
