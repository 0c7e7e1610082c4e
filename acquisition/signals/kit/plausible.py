"""Ranges of the scalars that indices take: a missing number is none, and one that cannot be is refused in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from acquisition.model import Quality
from acquisition.signals.result import Result, Trace

PU = "[arb'U]"
"""Perfusion units in UCUM."""


@dataclass(frozen=True, slots=True)
class Range:
    """What a quantity can be: from `low` (where `above`, only beyond it) to `high`, in `unit` (UCUM)."""

    low: float
    high: float
    unit: str = "1"
    above: bool = False

    def holds(self, value: float) -> bool:
        """Whether a number lies inside; NaN and infinities never do."""
        return math.isfinite(value) and self.low <= value <= self.high and not (self.above and value == self.low)

    def __str__(self) -> str:
        """The range in words, such as `0 to 800 mm[Hg]`."""
        words = f"above {self.low:g}, at most {self.high:g}" if self.above else f"{self.low:g} to {self.high:g}"
        return words if self.unit == "1" else f"{words} {self.unit}"


SYSTOLIC = Range(0.0, 350.0, "mm[Hg]")
"""Of an ankle or toe, where 0 is a pulse that was looked for and not found."""
MEAN_PRESSURE = Range(0.0, 350.0, "mm[Hg]", above=True)
TCPO2 = Range(0.0, 800.0, "mm[Hg]")
"""Pure oxygen at 1 atm is 760 mmHg: more cannot be read."""
HEATER = Range(-20.0, 120.0, "Cel")
CUFF = Range(-50.0, 500.0, "mm[Hg]")
AIR = Range(0.0, 400.0, "mm[Hg]", above=True)
ABI = Range(0.0, 10.0, above=True)
"""Of an index by itself; a leg without a signal is said by its ankle pressure of 0."""
PRESSURE_INDEX = Range(0.0, 10.0)
PAIN = Range(0.0, 100.0, "mm")
GRADE = Range(0.0, 3.0)
EXTENT = Range(0.0, 1000.0, "mm")
AREA = Range(0.0, 10_000.0, "cm2")
PERIMETER = Range(0.0, 1000.0, "cm")
DAYS = Range(0.0, 36_525.0, "d")
WEEKS = Range(0.0, 5_218.0, "wk", above=True)
HOURS = Range(0.0, 1_000.0, "h", above=True)
DISTANCE = Range(0.0, 100_000.0, "m")
SPEED = Range(0.0, 40.0, "km/h")
BELT = Range(-0.5, 30.0, "km/h")
"""As measured: a belt that stands reads a little beside 0, one that carries a patient never runs so fast."""
GRADIENT = Range(-30.0, 60.0, "%")
MASS = Range(0.0, 700.0, "kg", above=True)
HEIGHT = Range(-250.0, 250.0, "cm")
MINUTES = Range(0.0, 100_000.0, "min")
POSITIVE = Range(0.0, 1e9, above=True)
NOT_NEGATIVE = Range(0.0, 1e9)
PERFUSION = Range(-1e4, 1e4, PU)
"""Beyond any monitor's scale, zero offset and error levels of the analog output included."""

_BY_NAME: Mapping[str, Range] = {
    "abi": PRESSURE_INDEX,
    "tbi": PRESSURE_INDEX,
    "toe_pressure": SYSTOLIC,
    "tcpo2_rest": TCPO2,
    "pain_vas": PAIN,
    "ulcer_area": AREA,
    "ulcer_perimeter": PERIMETER,
    "icd_distance": DISTANCE,
    "fcd_distance": DISTANCE,
    "acd_distance": DISTANCE,
    "wifi_ischaemia": GRADE,
    "wifi_wound": GRADE,
    "wifi_infection": GRADE,
    "rutherford": Range(0.0, 6.0),
}
_BY_UNIT: Mapping[str, Range] = {PU: PERFUSION}


def present(value: float | None) -> float | None:
    """Return the number, or None where it is missing: NaN is no number that anybody gave."""
    return None if value is None or math.isnan(value) else float(value)


def impossible(*given: tuple[str, float | None, Range]) -> str:
    """Return why a number cannot be, such as `toe_impossible (-5 is not 0 to 350 mm[Hg])`; "" where all can.

    Each of `given` is its word, the number (None or NaN: missing, which is no fault) and its range.
    """
    for word, value, allowed in given:
        number = present(value)
        if number is not None and not allowed.holds(number):
            return f"{word}_impossible ({number:g} is not {allowed})"
    return ""


def impossible_value(word: str, result: Result, allowed: Range | None = None) -> str:
    """Return why a result's value cannot be, by `allowed` or else by its name and unit; "" where it can."""
    known = allowed or _BY_NAME.get(result.name) or _BY_UNIT.get(result.unit)
    if known is None or result.value is None or known.unit != result.unit:
        return ""
    return impossible((word, result.value, known))


def in_range(trace: Trace, allowed: Range) -> Trace:
    """Return the trace with SUSPECT on every sample that cannot be: it is no data any more."""
    out = trace.valid & ~((trace.values >= allowed.low) & (trace.values <= allowed.high))
    if not out.any():
        return trace
    quality = trace.quality.copy()
    quality[out] |= int(Quality.SUSPECT)
    return Trace(trace.time, trace.values, quality)


def check_settings(settings: Mapping[str, Any], of: str) -> None:
    """Refuse settings that hold NaN or an infinity (ValueError): every comparison with it would pass or fail."""
    for name, value in settings.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ValueError(f"{of}.{name} is {value}: a finite number is needed")
