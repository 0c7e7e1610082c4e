"""Clinical scores entered by a person: pain on a visual analogue scale, ankle-brachial and toe-brachial index."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Literal

from acquisition.signals.kit.plausible import (
    PAIN,
    POSITIVE,
    PRESSURE_INDEX,
    SYSTOLIC,
    impossible,
    impossible_value,
    present,
)
from acquisition.signals.result import Result

LINE = 100.0
"""Length of the pain scale, mm."""
STIFF = 1.3
"""Above this ankle arteries do not compress, and an ABI says nothing."""
PAIN_DIFFERENCE = 10.0
"""Smallest difference in pain that matters to a patient, mm; 10 to 14 are quoted, unconfirmed."""

Variant = Literal["highest", "lowest"]


class AbiClass(StrEnum):
    """How an ABI reads."""

    NON_COMPRESSIBLE = "non_compressible"
    NORMAL = "normal"
    BORDERLINE = "borderline"
    PAD = "pad"


def pain(mark: float | None, line: float = LINE) -> Result:
    """Return pain in mm of 100 from a mark `mark` along a line of `line` (one unit: mm of print, or pixels).

    No mark is missing; a mark at 0 is no pain. Rounded to 1 mm, as the scale is read.
    """
    name, settings = "pain_vas", {"line": line, "mark": mark}
    if mark is None or math.isnan(mark):
        return Result.missing(name, "mm", "not_marked", settings=settings)
    if not line > 0.0:
        return Result.missing(name, "mm", "length_of_line_missing", settings=settings)
    if reason := impossible(("length_of_line", line, POSITIVE)):
        return Result.missing(name, "mm", reason, settings=settings)
    if not 0.0 <= mark <= line:
        return Result.missing(name, "mm", "mark_off_the_line", settings=settings)
    # Half up, and not to the even neighbour: 62.5 mm reads 63 on every scale.
    value = math.floor(mark / line * LINE + 0.5)
    return Result.of(name, float(value), "mm", uncertainty=1.0, uncertainty_of=("reading",), settings=settings)


def pain_change(before: Result, after: Result) -> list[Result]:
    """Return the change of pain in mm and in per cent; a baseline of 0 has no per cent."""
    settings = {"smallest_difference": PAIN_DIFFERENCE}
    names = (("pain_change", "mm"), ("pain_change_percent", "%"))
    if before.value is None or after.value is None:
        return [Result.missing(name, unit, "pain_missing", settings=settings) for name, unit in names]
    if reason := impossible_value("before", before, PAIN) or impossible_value("after", after, PAIN):
        return [Result.missing(name, unit, reason, settings=settings) for name, unit in names]
    delta = after.value - before.value
    percent = 100.0 * delta / before.value if before.value > 0.0 else math.nan
    return [
        Result.of("pain_change", delta, "mm", uncertainty=math.sqrt(2.0), uncertainty_of=("reading",),
                  settings=settings),
        Result.of("pain_change_percent", percent, "%", unless="no_pain_at_baseline", settings=settings),
    ]  # fmt: skip


def abi(
    dorsalis_pedis: float | None,
    posterior_tibial: float | None,
    brachial_left: float | None,
    brachial_right: float | None,
    variant: Variant = "highest",
) -> Result:
    """Return a leg's ankle-brachial index from systolic pressures, mmHg.

    The higher of both ankle arteries (`lowest`: the lower) over the higher arm (Aboyans 2012). Above 1.3 it is
    low_quality with the reason non_compressible: unusable, and never evidence of health.
    """
    name = "abi"
    ankles, arms = _known(dorsalis_pedis, posterior_tibial), _known(brachial_left, brachial_right)
    settings = {
        "variant": variant, "dorsalis_pedis": dorsalis_pedis, "posterior_tibial": posterior_tibial,
        "brachial_left": brachial_left, "brachial_right": brachial_right, "non_compressible_above": STIFF,
    }  # fmt: skip
    reason = _pressures(ankles, arms, "ankle")
    if reason:
        return Result.missing(name, "1", reason, settings=settings)
    ankle = max(ankles) if variant == "highest" else min(ankles)
    result = Result.of(name, ankle / max(arms), "1", settings=settings)
    if len(ankles) == 1:
        result = result.flagged("one_ankle_artery_only")
    if len(arms) == 1:
        result = result.flagged("one_arm_only")
    return result.flagged("non_compressible") if ankle / max(arms) > STIFF else result


def tbi(toe: float | None, brachial_left: float | None, brachial_right: float | None) -> Result:
    """Return the toe-brachial index from systolic pressures, mmHg; below 0.7 is abnormal."""
    arms, toes = _known(brachial_left, brachial_right), _known(toe)
    settings = {"toe": toe, "brachial_left": brachial_left, "brachial_right": brachial_right, "abnormal_below": 0.7}
    reason = _pressures(toes, arms, "toe")
    if reason:
        return Result.missing("tbi", "1", reason, settings=settings)
    result = Result.of("tbi", toes[0] / max(arms), "1", settings=settings)
    return result.flagged("one_arm_only") if len(arms) == 1 else result


def abi_class(value: float) -> AbiClass:
    """Return how an ABI reads, rounded to two decimals as it is reported; ValueError for what is no index."""
    if not PRESSURE_INDEX.holds(value):
        raise ValueError(f"an ABI of {value} does not read: it is {PRESSURE_INDEX}")
    index = round(value, 2)
    if index > STIFF:
        return AbiClass.NON_COMPRESSIBLE
    if index <= 0.90:
        return AbiClass.PAD
    return AbiClass.BORDERLINE if index < 1.0 else AbiClass.NORMAL


def post_exercise(rest: Result, after: Result, ankle_rest: float | None, ankle_after: float | None) -> list[Result]:
    """Return the fall of ABI in per cent of rest and of ankle pressure in mmHg, about 1 min after walking.

    More than 20 % or more than 30 mmHg speaks for arterial disease (AHA; Mahe 2015).
    """
    settings = {"abi_fall_percent_above": 20.0, "ankle_fall_above": 30.0}
    found = []
    if rest.value is None or after.value is None:
        found.append(Result.missing("abi_fall", "%", "abi_missing", settings=settings))
    elif reason := impossible_value("abi_rest", rest, PRESSURE_INDEX) or impossible_value(
        "abi_after", after, PRESSURE_INDEX
    ):
        found.append(Result.missing("abi_fall", "%", reason, settings=settings))
    else:
        fall = 100.0 * (1.0 - after.value / rest.value) if rest.value else math.nan
        result = Result.of("abi_fall", fall, "%", unless="no_ankle_pressure_at_rest", settings=settings)
        stiff = rest.value > STIFF or after.value > STIFF
        found.append(result.flagged("non_compressible") if stiff and result.value is not None else result)
    ankle_rest, ankle_after = present(ankle_rest), present(ankle_after)
    if ankle_rest is None or ankle_after is None:
        found.append(Result.missing("ankle_pressure_fall", "mm[Hg]", "ankle_pressure_missing", settings=settings))
    elif reason := impossible(("ankle_pressure_rest", ankle_rest, SYSTOLIC), ("ankle_pressure", ankle_after, SYSTOLIC)):
        found.append(Result.missing("ankle_pressure_fall", "mm[Hg]", reason, settings=settings))
    else:
        found.append(Result.of("ankle_pressure_fall", ankle_rest - ankle_after, "mm[Hg]", settings=settings))
    return found


def _pressures(ends: list[float], arms: list[float], word: str) -> str:
    """Return why pressures give no index, "" where they do; an absent signal at the ankle is a pressure of 0."""
    if not ends:
        return f"{word}_pressure_missing"
    if not arms:
        return "arm_pressure_missing"
    if not all(SYSTOLIC.holds(p) for p in (*ends, *arms)) or not max(arms) > 0.0:
        return "pressure_impossible"
    return ""


def _known(*pressures: float | None) -> list[float]:
    return [p for p in map(present, pressures) if p is not None]


def toe_pressure(toe: float | None) -> Result:
    """Return a toe's systolic pressure, mmHg, as a result."""
    name, settings = "toe_pressure", {"toe": toe}
    known = present(toe)
    if known is None:
        return Result.missing(name, "mm[Hg]", "toe_pressure_missing", settings=settings)
    if reason := impossible(("toe_pressure", known, SYSTOLIC)):
        return Result.missing(name, "mm[Hg]", reason, settings=settings)
    return Result.of(name, known, "mm[Hg]")
