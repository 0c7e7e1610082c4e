"""The trial's inclusion limits: ABI below 0.7 or TcPO2 below 30 mmHg, from values that can bear it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from acquisition.signals.clinical import STIFF
from acquisition.signals.kit.plausible import NOT_NEGATIVE, PRESSURE_INDEX, TCPO2, impossible, impossible_value, present
from acquisition.signals.result import Result, Status

ABI_BELOW = 0.7
TCPO2_BELOW = 30.0
COARSE = 10.0
"""A source no more accurate than this decides nothing (mmHg), such as an analog range of 0-800 mmHg."""


class CriterionVerdict(StrEnum):
    """What a criterion says."""

    MET = "met"
    NOT_MET = "not_met"
    UNUSABLE = "unusable"
    """Nothing was measured that could tell; never the same as not met."""
    NOT_COMPARABLE = "not_comparable"
    """A number exists, but its scale, unit or accuracy does not let it be held against the limit."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How far a number means what its unit says: `accuracy` in the value's unit, None where unstated."""

    scale_confirmed: bool = True
    unit_checked: bool = True
    accuracy: float | None = None

    def objection(self) -> str:
        """Return why the number cannot be held against a limit, "" where it can."""
        if not self.unit_checked:
            return "unit_not_checked"
        if not self.scale_confirmed:
            return "scale_unconfirmed"
        accuracy = present(self.accuracy)
        if accuracy is not None and accuracy >= COARSE:
            return f"accuracy_only_{accuracy:g}"
        if reason := impossible(("accuracy", accuracy, NOT_NEGATIVE)):
            return reason
        return ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One limit and how a participant stands to it."""

    name: str
    below: float
    verdict: CriterionVerdict
    value: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Eligibility:
    """All limits, and the verdict of their disjunction. To be shown once the session is closed, not before."""

    verdict: CriterionVerdict
    criteria: tuple[Criterion, ...]


def first_valid(attempts: Iterable[Result]) -> Result | None:
    """Return the first technically valid attempt (status ok), else the first with a value, else the first.

    A later and lower reading never replaces it: repeating until a limit is met is no measurement.
    """
    kept = list(attempts)
    for wanted in (lambda r: r.usable, lambda r: r.value is not None):
        for result in kept:
            if wanted(result):
                return result
    return kept[0] if kept else None


def by_abi(attempts: Sequence[Result]) -> Criterion:
    """Return the verdict of ABI < 0.7; above 1.3 the arteries do not compress and it is unusable."""
    result = first_valid(attempts)
    if result is None or result.value is None:
        return Criterion("abi", ABI_BELOW, CriterionVerdict.UNUSABLE, None, result.reason if result else "not_measured")
    if reason := impossible_value("abi", result, PRESSURE_INDEX) or _no_index(result):
        return Criterion("abi", ABI_BELOW, CriterionVerdict.UNUSABLE, result.value, reason)
    if result.value > STIFF:
        return Criterion("abi", ABI_BELOW, CriterionVerdict.UNUSABLE, result.value, "non_compressible")
    if not result.usable:
        return Criterion("abi", ABI_BELOW, CriterionVerdict.UNUSABLE, result.value, result.reason)
    return _decided("abi", ABI_BELOW, result.value)


def by_tcpo2(attempts: Sequence[tuple[Result, Provenance]]) -> Criterion:
    """Return the verdict of a resting TcPO2 < 30 mmHg; only a plateau counts."""
    result = first_valid(result for result, _ in attempts)
    if result is None or result.value is None:
        return Criterion(
            "tcpo2", TCPO2_BELOW, CriterionVerdict.UNUSABLE, None, result.reason if result else "not_measured"
        )
    provenance = next(p for r, p in attempts if r is result)
    if result.unit != "mm[Hg]":
        return Criterion("tcpo2", TCPO2_BELOW, CriterionVerdict.NOT_COMPARABLE, result.value, f"unit is {result.unit}")
    objection = provenance.objection()
    if reason := impossible_value("tcpo2", result, TCPO2):
        return Criterion("tcpo2", TCPO2_BELOW, CriterionVerdict.UNUSABLE, result.value, reason)
    if objection:
        return Criterion("tcpo2", TCPO2_BELOW, CriterionVerdict.NOT_COMPARABLE, result.value, objection)
    if result.status is not Status.OK:
        return Criterion("tcpo2", TCPO2_BELOW, CriterionVerdict.UNUSABLE, result.value, result.reason)
    return _decided("tcpo2", TCPO2_BELOW, result.value)


def eligibility(abi: Criterion, tcpo2: Criterion) -> Eligibility:
    """Return met where either limit is met, not_met only where both were measured and neither is.

    Otherwise nobody can tell: unusable, or not_comparable where that is what stands in the way.
    """
    verdicts = {abi.verdict, tcpo2.verdict}
    if CriterionVerdict.MET in verdicts:
        verdict = CriterionVerdict.MET
    elif verdicts == {CriterionVerdict.NOT_MET}:
        verdict = CriterionVerdict.NOT_MET
    elif CriterionVerdict.UNUSABLE in verdicts:
        verdict = CriterionVerdict.UNUSABLE
    else:
        verdict = CriterionVerdict.NOT_COMPARABLE
    return Eligibility(verdict, (abi, tcpo2))


def _no_index(result: Result) -> str:
    """Return why an index of 0 is none, "" where a pulse was looked for and not found."""
    looked_for = any(result.settings.get(artery) == 0.0 for artery in ("dorsalis_pedis", "posterior_tibial"))
    return "abi_impossible (0 without an ankle pressure of 0)" if result.value == 0.0 and not looked_for else ""


def _decided(name: str, below: float, value: float) -> Criterion:
    return Criterion(name, below, CriterionVerdict.MET if value < below else CriterionVerdict.NOT_MET, value)
