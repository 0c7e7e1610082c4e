"""Change between two visits: only of what can be compared, and beside the change that chance alone brings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from acquisition.signals.catalogue import DETECTABLE, ORDINAL
from acquisition.signals.catalogue.index import Detectable
from acquisition.signals.kit.plausible import impossible_value
from acquisition.signals.kit.units import FLUX as FLUX_UNIT
from acquisition.signals.result import Result, Status
from acquisition.signals.wound import LEAST as LEAST_ULCER

Conditions = Mapping[str, Any]
"""Under what a value was taken: field -> value, None or absent where it is not known."""

UNSAID = "not said"
"""A condition that nobody states as a rule: on both sides it leaves a doubt, against a known one it is a difference."""
TEMPERATURE, CLOSE = "sensor_temperature", 0.2
"""Two readings of a temperature that are closer are one set point, Cel."""
METHOD = ("search", "smoothing", "bands", "normalised", "detrend", "cutoff", "variant", "drug", "belt")
"""Settings of a method that make two results unlike where they differ."""
LOW_FLUX = 2.0
"""PU: below it a change has no per cent."""


def sdc95_from_cv(cv: float) -> float:
    """Return 1.96 sqrt(2) CV: the smallest detectable change in per cent from a within-subject CV in per cent."""
    return 1.96 * math.sqrt(2.0) * cv


def sdc95_from_differences(sd: float) -> float:
    """Return 1.96 SD of the differences of repeated measurements, in their unit."""
    return 1.96 * sd


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
        if left is None or right is None or not _same(field, left, right):
            return field
    return None


def _same(field: str, left: Any, right: Any) -> bool:
    if field == TEMPERATURE and isinstance(left, int | float) and isinstance(right, int | float):
        return abs(left - right) < CLOSE + 1e-9
    return bool(left == right)


def _doubts(conditions: tuple[Conditions, Conditions], fields: tuple[str, ...]) -> list[str]:
    """What may stand between two visits and does not part them: something never said, another rater."""
    before, after = conditions
    found = [f"{field}_not_said" for field in fields if before.get(field) == UNSAID]
    raters = (before.get("rater"), after.get("rater"))
    return [*found, "another_rater"] if all(raters) and raters[0] != raters[1] else found


def change(
    before: Result,
    after: Result,
    conditions: tuple[Conditions, Conditions],
    fields: tuple[str, ...],
    detectable: Mapping[str, Detectable] = DETECTABLE,
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
    no_ratio = _no_ratio(before, before.value)
    base = math.nan if no_ratio else before.value
    percent = 100.0 * difference / base
    errors = [each.uncertainty for each in (before, after) if each.uncertainty is not None]
    error = math.hypot(*errors) if len(errors) == 2 else None
    found = [
        Result.of(f"{before.name}_difference", difference, before.unit, uncertainty=error,
                  uncertainty_of=("both visits",) if error is not None else (), settings=settings),
        Result.of(f"{before.name}_percent", percent, "%", unless=no_ratio, settings=settings),
        Result.of(f"{before.name}_ratio", after.value / base, "1", unless=no_ratio, settings=settings),
    ]  # fmt: skip
    for doubt in _doubts(conditions, fields):
        found = [r.flagged(doubt) if r.value is not None else r for r in found]
    for word, each in (("before", before), ("after", after)):
        if each.status is not Status.OK:
            found = [r.flagged(f"{word}: {each.reason}", each.status) if r.value is not None else r for r in found]
    meaning = _meaning(difference, percent, limit)
    return Change(found[0], found[1], found[2], meaning, _statement(before, difference, percent, meaning, limit))


def geometric_mean_ratio(ratios: list[float]) -> float:
    """Return exp(mean(log ratio)): how a skewed distance changed in a group; ValueError for what is no ratio."""
    if not ratios or not all(0.0 < ratio < math.inf for ratio in ratios):
        raise ValueError(f"ratios are finite and above 0, and at least one is needed: {ratios}")
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
    for key in METHOD:
        if key in before.settings and key in after.settings and before.settings[key] != after.settings[key]:
            return f"not_comparable({key})"
    for word, each in (("before", before), ("after", after)):
        if each.value is None:
            return f"{word}_missing ({each.reason})"
        if reason := impossible_value(word, each):
            return reason
    return ""


def _no_ratio(before: Result, value: float) -> str:
    """Return why a first value bears no per cent, "" where it does."""
    if before.name in ORDINAL:
        return "stages_have_no_ratio"
    if not value > 0.0:
        return "no_value_above_0_before"
    if before.unit == FLUX_UNIT and value < LOW_FLUX:
        return "low_baseline"
    if before.name == "ulcer_area" and value < LEAST_ULCER:
        return "ulcer_too_small_at_baseline"
    return ""


def _meaning(difference: float, percent: float, limit: Detectable | None) -> Meaning:
    size = percent if limit is not None and limit.percent else difference
    if limit is None or not math.isfinite(size) or not 0.0 < limit.value < math.inf:
        return Meaning.UNKNOWN
    return Meaning.BELOW if abs(size) < limit.value else Meaning.BEYOND


def _statement(before: Result, difference: float, percent: float, meaning: Meaning, limit: Detectable | None) -> str:
    shown = f"{difference:+.3g} {before.unit}" + (f" ({percent:+.0f} %)" if math.isfinite(percent) else "")
    if limit is None or meaning is Meaning.UNKNOWN:
        return f"{shown}; how much of it is chance is not known"
    bound = f"{limit.value:g} {'%' if limit.percent else before.unit}"
    word = "within" if meaning is Meaning.BELOW else "beyond"
    return f"{shown}; {word} what chance alone brings in 95 of 100 repeats ({bound})"
