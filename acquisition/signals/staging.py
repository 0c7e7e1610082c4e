"""Stages of arterial disease: Fontaine, Rutherford and WIfI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from acquisition.signals.clinical import STIFF
from acquisition.signals.kit.plausible import (
    ABI,
    DISTANCE,
    GRADE,
    SYSTOLIC,
    TCPO2,
    impossible,
    impossible_value,
    present,
)
from acquisition.signals.result import Result, Status


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
FONTAINE = {"I": 1.0, "IIa": 2.1, "IIb": 2.2, "III": 3.0, "IV": 4.0}
"""Stages as numbers in their order."""
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
    if walking is None or walking.value is None or impossible_value("walking", walking, DISTANCE):
        return Fontaine("II")
    if walking.value > FAR:
        return Fontaine("IIa", suggested=True)
    # A walk that ended for another reason within 200 m shows neither.
    return Fontaine("IIb", suggested=True) if walking.usable else Fontaine("II")


def rutherford(symptoms: Symptoms) -> int:
    """Return the Rutherford category, 0 to 6."""
    return RUTHERFORD[symptoms]


def fontaine_stage(symptoms: Symptoms | None, stated: str | None = None, walking: Result | None = None) -> Result:
    """Return the Fontaine stage as a number of `FONTAINE`; its word is the setting `reads`.

    `stated` by a clinician goes before all. What a treadmill suggests of IIa and IIb is low_quality; without one,
    claudication alone gives neither.
    """
    name = "fontaine"
    said = {"symptoms": None if symptoms is None else str(symptoms), "stated": stated,
            "walking_m": None if walking is None else walking.value}  # fmt: skip
    if stated is None and symptoms is None:
        return Result.missing(name, "1", "symptoms_not_stated", settings=said)
    found = Fontaine(stated) if stated is not None else fontaine(Symptoms(symptoms or ""), walking)
    if found.stage not in FONTAINE:
        reason = "no_walking_distance" if walking is None or walking.value is None else "walk_ended_for_another_reason"
        return Result.missing(name, "1", f"IIa_or_IIb_not_stated; {reason}", settings=said)
    result = Result.of(name, FONTAINE[found.stage], "1", settings={**said, "reads": found.stage})
    return result.flagged("suggested_by_walking_distance") if found.suggested else result


def rutherford_category(symptoms: Symptoms | None, fontaine_stated: str | None = None) -> Result:
    """Return the Rutherford category 0 to 6; a Fontaine stage alone gives it only for I (0) and III (4)."""
    name = "rutherford"
    said = {"symptoms": None if symptoms is None else str(symptoms), "fontaine": fontaine_stated}
    if symptoms is not None:
        return Result.of(name, float(rutherford(symptoms)), "1", settings={**said, "reads": str(symptoms)})
    if fontaine_stated in ("I", "III"):
        return Result.of(name, 0.0 if fontaine_stated == "I" else 4.0, "1", settings=said)
    return Result.missing(name, "1", "symptoms_not_stated", settings=said)


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
    and its ankle pressure never count. NaN is a measure that was not taken; one that cannot be leaves no grade, for
    nobody knows which of the numbers it spoiled.
    """
    name = "wifi_ischaemia"
    abi, ankle, toe, tcpo2 = present(abi), present(ankle), present(toe), present(tcpo2)
    settings = {"rule": rule, "abi": abi, "ankle": ankle, "toe": toe, "tcpo2": tcpo2}
    # A leg without a signal has an index of 0, and an ankle pressure of 0 that says so.
    index = None if abi == 0.0 and ankle == 0.0 else abi
    reason = impossible(
        ("abi", index, ABI), ("ankle", ankle, SYSTOLIC), ("toe", toe, SYSTOLIC), ("tcpo2", tcpo2, TCPO2)
    )
    if reason:
        return Result.missing(name, "1", reason, settings=settings)
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


RISK = ("very low", "low", "moderate", "high")
"""Of amputation within a year, by stage 1 to 4."""
_STAGES = (
    ("1123", "1123", "2234", "3344"),
    ("1234", "1234", "3344", "4444"),
    ("2234", "2344", "3444", "4444"),
    ("2334", "3344", "4444", "4444"),
)
"""Stage by ischaemia, wound and infection grade (Mills 2014, table of amputation risk)."""


def wifi_stage(wound: int | None, ischaemia: Result, infection: int | None) -> Result:
    """Return the clinical stage 1 to 4 of WIfI (Mills 2014), which needs all three grades, each 0 to 3.

    Stage 5, a limb that cannot be saved, is a surgeon's judgement and never computed.
    """
    name = "wifi_stage"
    wound, infection = (None if grade is None or math.isnan(grade) else grade for grade in (wound, infection))
    said = {"wound": wound, "ischaemia": ischaemia.value, "infection": infection}
    lacking = [word for word, grade in (("wound_grade_missing", wound), ("infection_grade_missing", infection))
               if grade is None]  # fmt: skip
    reason = impossible(("wound_grade", wound, GRADE), ("infection_grade", infection, GRADE)) or impossible_value(
        "ischaemia_grade", ischaemia, GRADE
    )
    if reason:
        return Result.missing(name, "1", reason, settings=said)
    if ischaemia.value is None:
        lacking.append(f"ischaemia_grade_missing ({ischaemia.reason})")
    code = wifi_code(wound, ischaemia, infection)
    if lacking or code is None or wound is None or infection is None or ischaemia.value is None:
        return Result.missing(name, "1", "; ".join(lacking), settings=said)
    stage = int(_STAGES[round(ischaemia.value)][wound][infection])
    settings = {**said, "reads": code, "risk": RISK[stage - 1], "rule": ischaemia.settings.get("rule")}
    result = Result.of(name, float(stage), "1", settings=settings)
    return result if ischaemia.status is Status.OK else result.flagged(ischaemia.reason, ischaemia.status)


def _grade(word: str, value: float) -> int:
    return sum(value < limit for limit in _LIMITS[word])
