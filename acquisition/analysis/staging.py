"""The stages of a leg at a visit: WIfI, Fontaine and Rutherford, from all that was entered and measured of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from acquisition.analysis.entries import Outcome, ankle, index
from acquisition.examination import observation
from acquisition.examination.observation import Abi, StageEntry, Ulcer, Wifi
from acquisition.examination.session import Session
from acquisition.signals.eligibility import first_valid
from acquisition.signals.result import Result
from acquisition.signals.staging import (
    CLAUDICATION,
    RUTHERFORD,
    Rule,
    Symptoms,
    fontaine_stage,
    ischaemia_grade,
    rutherford_category,
    wifi_stage,
)

TISSUE_LOSS = RUTHERFORD[Symptoms.MINOR_TISSUE_LOSS]


@dataclass(frozen=True, slots=True)
class Found:
    """What examinations of the visit found, asked for when it is needed: TcPO2 at rest of a leg, the farthest walk."""

    tcpo2: Callable[[str], Result | None]
    walking: Callable[[], Result | None]


def staged(session: Session, visit: Iterable[Session], found: Found, rule: Rule = "toe_first") -> list[Outcome]:
    """The stages of every leg of which this session says something that bears on them; nothing is guessed."""
    visit = list(visit)
    legs = dict.fromkeys(entry.side for entry in _bearing([session]))
    return [outcome for side in legs for outcome in _leg(side, visit, found, rule)]


def _bearing(sessions: Iterable[Session]) -> list[Abi | Ulcer | Wifi | StageEntry]:
    entries = [observation.stored(item.fields) for session in sessions for item in session.observations()]
    return [
        entry
        for entry in entries
        if isinstance(entry, Ulcer | Wifi | StageEntry) or (isinstance(entry, Abi) and entry.moment == "rest")
    ]


def _leg(side: str, visit: list[Session], found: Found, rule: Rule) -> list[Outcome]:
    said = [entry for entry in _bearing(visit) if entry.side == side]
    graded = [entry for entry in said if isinstance(entry, Wifi)]
    wound = next((entry.wound for entry in graded if entry.wound is not None), None)
    infection = next((entry.infection for entry in graded if entry.infection is not None), None)
    ischaemia = _ischaemia([entry for entry in said if isinstance(entry, Abi)], found.tcpo2(side), rule)
    results = [ischaemia, wifi_stage(wound, ischaemia, infection)]
    for name, grade in (("wifi_wound", wound), ("wifi_infection", infection)):
        if grade is not None:
            results.append(Result.of(name, float(grade), "1"))
    results += _symptoms(said, found)
    measure = " ".join(ischaemia.settings.get("decided_by", ())) or None
    conditions = {"limb": side, "rule": rule, "measure": measure}
    return [Outcome(f"leg {side}", result, conditions, side, True) for result in results]


def _ischaemia(pressures: list[Abi], tcpo2: Result | None, rule: Rule) -> Result:
    """The grade by the first valid ABI of the leg, the first toe pressure, and a resting TcPO2 that is stable."""
    ankles = [(index(entry), entry) for entry in pressures if ankle(entry) is not None]
    best = first_valid(result for result, _ in ankles)
    entry = next((entry for result, entry in ankles if result is best), None)
    toe = next((each.toe for each in pressures if each.toe is not None), None)
    oxygen = tcpo2.value if tcpo2 is not None and tcpo2.usable else None
    result = ischaemia_grade(
        abi=None if best is None else best.value, ankle=None if entry is None else ankle(entry), toe=toe,
        tcpo2=oxygen, rule=rule,
    )  # fmt: skip
    if result.value is None or best is None or best.usable or "abi" not in result.settings["decided_by"]:
        return result
    return result.flagged(best.reason)


def _symptoms(said: Iterable[object], found: Found) -> list[Result]:
    """Rutherford and Fontaine as a clinician said; an open ulcer speaks against a stage without loss of tissue."""
    entries = list(said)
    stage = next((entry for entry in reversed(entries) if isinstance(entry, StageEntry)), None)
    symptoms, stated = (None, None) if stage is None else (stage.symptoms, stage.fontaine)
    walking = found.walking() if symptoms in CLAUDICATION and stated is None else None
    results = [rutherford_category(symptoms, stated), fontaine_stage(symptoms, stated, walking)]
    mild = (symptoms is not None and RUTHERFORD[symptoms] < TISSUE_LOSS) or stated in ("I", "IIa", "IIb", "III")
    opened = any(isinstance(entry, Ulcer) and (entry.area().value or 0.0) > 0.0 for entry in entries)
    return [r.flagged("open_ulcer_entered") if mild and opened and r.value is not None else r for r in results]
