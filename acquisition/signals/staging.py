"""Stages of arterial disease: Fontaine, Rutherford, and the ischaemia grade of WIfI."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from acquisition.signals.clinical import STIFF
from acquisition.signals.result import Result


class Symptoms(StrEnum):
    """What a clinician states; no stage is taken from pressures alone."""

    NONE = "none"
    MILD_CLAUDICATION = "mild_claudication"
    MODERATE_CLAUDICATION = "moderate_claudication"
    SEVERE_CLAUDICATION = "severe_claudication"
    REST_PAIN = "rest_pain"
    MINOR_TISSUE_LOSS = "minor_tissue_loss"
    MAJOR_TISSUE_LOSS = "major_tissue_loss"


RUTHERFORD = {symptoms: category for category, symptoms in enumerate(Symptoms)}
"""Category 0 to 6 (Rutherford 1997)."""
FONTAINE_BY_RUTHERFORD = {0: "I", 4: "III", 5: "IV", 6: "IV"}
CLAUDICATION = frozenset((Symptoms.MILD_CLAUDICATION, Symptoms.MODERATE_CLAUDICATION, Symptoms.SEVERE_CLAUDICATION))
FAR = 200.0
"""Metres of maximal walking that part Fontaine IIa from IIb."""


@dataclass(frozen=True, slots=True)
class Fontaine:
    """A stage; `suggested` where IIa or IIb was taken from a treadmill and a clinician has yet to say."""

    stage: str
    suggested: bool = False


def fontaine(symptoms: Symptoms, walking: Result | None = None) -> Fontaine:
    """Return the Fontaine stage; with claudication `walking`, the maximal distance in m, suggests IIa or IIb."""
    if symptoms not in CLAUDICATION:
        return Fontaine(FONTAINE_BY_RUTHERFORD[RUTHERFORD[symptoms]])
    if walking is None or walking.value is None:
        return Fontaine("II")
    if walking.value > FAR:
        return Fontaine("IIa", suggested=True)
    # A walk that ended for another reason within 200 m shows neither.
    return Fontaine("IIb", suggested=True) if walking.usable else Fontaine("II")


def rutherford(symptoms: Symptoms) -> int:
    """Return the Rutherford category, 0 to 6."""
    return RUTHERFORD[symptoms]


Rule = Literal["toe_first", "worst"]
_LIMITS = {"abi": (0.80, 0.60, 0.40), "toe": (60.0, 40.0, 30.0), "tcpo2": (60.0, 40.0, 30.0)}


def ischaemia_grade(
    *,
    abi: float | None = None,
    ankle: float | None = None,
    toe: float | None = None,
    tcpo2: float | None = None,
    rule: Rule = "toe_first",
) -> Result:
    """Return the WIfI ischaemia grade 0 to 3 (Mills 2014, table); pressures and TcPO2 in mmHg.

    `toe_first`: the toe pressure decides; without one, TcPO2 where the arteries are calcified (ABI > 1.3), else
    the worse of ABI and ankle pressure, else TcPO2. `worst`: the worst of all that were measured; an incompressible ABI
    and its ankle pressure never count.
    """
    name = "wifi_ischaemia"
    settings = {"rule": rule, "abi": abi, "ankle": ankle, "toe": toe, "tcpo2": tcpo2}
    calcified = abi is not None and abi > STIFF
    grades: dict[str, int] = {}
    if abi is not None and not calcified:
        grades["abi"] = _grade("abi", round(abi, 2))
    if ankle is not None and not calcified:
        grades["ankle"] = 0 if ankle > 100.0 else 1 if ankle >= 70.0 else 2 if ankle >= 50.0 else 3
    if toe is not None:
        grades["toe"] = _grade("toe", toe)
    if tcpo2 is not None:
        grades["tcpo2"] = _grade("tcpo2", tcpo2)
    if not grades:
        return Result.missing(name, "1", "non_compressible" if calcified else "nothing_measured", settings=settings)
    if rule == "worst":
        used = list(grades)
    elif "toe" in grades:
        used = ["toe"]
    else:
        used = [word for word in ("abi", "ankle") if word in grades] or ["tcpo2"]
    grade = max(grades[word] for word in used)
    return Result.of(name, float(grade), "1", settings={**settings, "decided_by": used, "grades": grades})


def wifi_code(wound: int | None, ischaemia: Result, infection: int | None) -> str | None:
    """Return "W1 I2 fI0", None unless all three are known; the risk stage is left to the published table."""
    if wound is None or infection is None or ischaemia.value is None:
        return None
    if not (0 <= wound <= 3 and 0 <= infection <= 3):
        raise ValueError(f"WIfI grades are 0 to 3, not W{wound} fI{infection}")
    return f"W{wound} I{round(ischaemia.value)} fI{infection}"


def _grade(word: str, value: float) -> int:
    return sum(value < limit for limit in _LIMITS[word])
