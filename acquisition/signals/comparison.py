"""Change between two visits: only of what can be compared, and beside the change that chance alone brings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from acquisition.signals.result import Result, Status

Conditions = Mapping[str, Any]
"""Under what a value was taken: field -> value, None or absent where it is not known."""

FLUX = ("model", "probe", "time_constant", "calibration", "sensor_temperature", "site", "position", "protocol")
TCPO2 = ("model", "probe", "calibration", "sensor_temperature", "site", "position", "protocol")
WALKING = ("model", "protocol", "handrail")
PRESSURE = ("method", "position")
ULCER = ("ulcer", "method")
PAIN = ("scale", "question")


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest change that is not chance in 95 of 100: absolute in the index's unit, or per cent."""

    value: float
    percent: bool
    source: str


def sdc95_from_cv(cv: float) -> float:
    """Return 1.96 sqrt(2) CV: the smallest detectable change in per cent from a within-subject CV in per cent."""
    return 1.96 * math.sqrt(2.0) * cv


def sdc95_from_differences(sd: float) -> float:
    """Return 1.96 SD of the differences of repeated measurements, in their unit."""
    return 1.96 * sd


SDC95 = {
    "tcpo2_rest": Detectable(15.0, False, "repeat within 24-48 h: 80 % of differences within -11 to +9 mmHg"),
    "acd_distance": Detectable(36.0, True, "CV 13 % at 3 km/h 12 % (Int Angiol 2012;31:150)"),
    "icd_distance": Detectable(42.0, True, "CV 15 % at 3 km/h 12 % (Int Angiol 2012;31:150)"),
    "peak_flow": Detectable(69.0, True, "finger PORH, CV 25 % (PMID 20064535)"),
}
"""Of other populations than yours: replace them with your own reliability as soon as you have it."""

LOGARITHMIC = frozenset({"icd_distance", "acd_distance", "fcd_distance", "icd_time", "acd_time", "fcd_time"})
"""Skewed: their change is a ratio, and their mean a geometric one."""


class Meaning(StrEnum):
    """How a change stands to the smallest detectable one."""

    BELOW = "below_smallest_detectable_change"
    BEYOND = "beyond_smallest_detectable_change"
    UNKNOWN = "smallest_detectable_change_unknown"


@dataclass(frozen=True, slots=True)
class Change:
    """An index at two visits: difference (its unit), per cent, ratio, and what that means."""

    difference: Result
    percent: Result
    ratio: Result
    meaning: Meaning
    statement: str


def incomparable(before: Conditions, after: Conditions, fields: tuple[str, ...]) -> str | None:
    """Return the first of `fields` that differs or is not known on both sides, None where all agree."""
    for field in fields:
        left, right = before.get(field), after.get(field)
        if left is None or right is None or left != right:
            return field
    return None


def change(
    before: Result,
    after: Result,
    conditions: tuple[Conditions, Conditions],
    fields: tuple[str, ...],
    detectable: Mapping[str, Detectable] = SDC95,
) -> Change:
    """Return after - before and what it is worth; a difference in any of `fields` gives not_comparable(field)."""
    names = (("difference", before.unit), ("percent", "%"), ("ratio", "1"))
    reason = _obstacle(before, after, conditions, fields)
    limit = detectable.get(before.name)
    settings = {"fields": list(fields), "sdc95": None if limit is None else limit.value,
                "sdc95_source": "" if limit is None else limit.source}  # fmt: skip
    if reason or before.value is None or after.value is None:
        nothing = [Result.missing(f"{before.name}_{n}", u, reason, settings=settings) for n, u in names]
        return Change(nothing[0], nothing[1], nothing[2], Meaning.UNKNOWN, reason)
    difference = after.value - before.value
    percent = 100.0 * difference / before.value if before.value > 0.0 else math.nan
    errors = [each.uncertainty for each in (before, after) if each.uncertainty is not None]
    error = math.hypot(*errors) if len(errors) == 2 else None
    found = [
        Result.of(f"{before.name}_difference", difference, before.unit, uncertainty=error,
                  uncertainty_of=("both visits",) if error is not None else (), settings=settings),
        Result.of(f"{before.name}_percent", percent, "%", unless="no_value_above_0_before", settings=settings),
        Result.of(f"{before.name}_ratio", after.value / before.value if before.value > 0.0 else math.nan, "1",
                  unless="no_value_above_0_before", settings=settings),
    ]  # fmt: skip
    for word, each in (("before", before), ("after", after)):
        if each.status is not Status.OK:
            found = [r.flagged(f"{word}: {each.reason}", each.status) if r.value is not None else r for r in found]
    meaning = _meaning(difference, percent, limit)
    return Change(found[0], found[1], found[2], meaning, _statement(before, difference, percent, meaning, limit))


def geometric_mean_ratio(ratios: list[float]) -> float:
    """Return exp(mean(log ratio)): how a skewed distance changed in a group."""
    return math.exp(math.fsum(math.log(ratio) for ratio in ratios) / len(ratios))


def _obstacle(before: Result, after: Result, conditions: tuple[Conditions, Conditions], fields: tuple[str, ...]) -> str:
    if before.name != after.name:
        return "not_comparable(index)"
    if before.unit != after.unit:
        return "not_comparable(unit)"
    if before.version != after.version:
        return "not_comparable(version of the method)"
    field = incomparable(*conditions, fields)
    if field is not None:
        return f"not_comparable({field})"
    for word, each in (("before", before), ("after", after)):
        if each.value is None:
            return f"{word}_missing ({each.reason})"
    return ""


def _meaning(difference: float, percent: float, limit: Detectable | None) -> Meaning:
    size = percent if limit is not None and limit.percent else difference
    if limit is None or not math.isfinite(size):
        return Meaning.UNKNOWN
    return Meaning.BELOW if abs(size) < limit.value else Meaning.BEYOND


def _statement(before: Result, difference: float, percent: float, meaning: Meaning, limit: Detectable | None) -> str:
    shown = f"{difference:+.3g} {before.unit}" + (f" ({percent:+.0f} %)" if math.isfinite(percent) else "")
    if limit is None or meaning is Meaning.UNKNOWN:
        return f"{shown}; how much of it is chance is not known"
    bound = f"{limit.value:g} {'%' if limit.percent else before.unit}"
    word = "within" if meaning is Meaning.BELOW else "beyond"
    return f"{shown}; {word} what chance alone brings in 95 of 100 repeats ({bound})"
