"""Results of what people entered: pain, ulcer area, pressure indices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from acquisition.examination import observation
from acquisition.examination.observation import Abi, ArmPressure, MeanPressure, Ulcer, Vas
from acquisition.examination.session import Item, Session
from acquisition.signals.catalogue import comparable
from acquisition.signals.clinical import abi, pain, post_exercise, tbi, toe_pressure
from acquisition.signals.comparison import UNSAID
from acquisition.signals.eligibility import first_valid
from acquisition.signals.kit.units import mean_arterial_pressure
from acquisition.signals.result import Result
from acquisition.signals.wound import healed


@dataclass(frozen=True, slots=True)
class Outcome:
    """One index of a session: `place` says of what (a channel, a leg, an ulcer).

    `conditions` are those under which it was taken; `fields` of them must agree where it is compared. What a person
    `entered` is of a visit, whichever session took it; `limb` is its leg where it is of one. `objection` says why the
    numbers of its channel make no endpoint: an unconfirmed scale, an unchecked unit, a coarse range.
    """

    place: str
    result: Result
    conditions: dict[str, Any] = field(default_factory=dict)
    limb: str = ""
    entered: bool = False
    objection: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The conditions that must agree between two visits, by the catalogue."""
        return comparable(self.result.name)

    @property
    def reads(self) -> str:
        """How a stage reads in words, such as IIa; empty for what is a number anyway."""
        return str(self.result.settings.get("reads", ""))


MMHG = "mm[Hg]"
UNREADABLE = "entry_not_readable"
"""The reason where a record holds an entry whose values are none: an older version took what was no value."""


def entered(session: Session) -> list[Outcome]:
    """The results of every observation that counts, in the order of entry."""
    return [outcome for item in session.observations() for outcome in _of(item)]


def pressures(sessions: Iterable[Session], side: str) -> list[Result]:
    """Every ABI of a leg at rest, over several sessions in the order of entry."""
    return [
        index(entry) for entry in _entries(sessions)
        if isinstance(entry, Abi) and entry.side == side and entry.moment == "rest" and _has_ankle(entry)
    ]  # fmt: skip


def mean_pressures(sessions: Iterable[Session]) -> tuple[tuple[int, float], ...]:
    """When (time key) and how high mean arterial pressure was, mmHg, in the order of entry."""
    found = []
    for session in sessions:
        for item in session.observations():
            match observation.stored(item.fields):
                case ArmPressure() as entry:
                    computed = mean_arterial_pressure(entry.systolic, entry.diastolic)
                    found.append((item.at, entry.mean if entry.mean is not None else computed))
                case MeanPressure() as entry:
                    found.append((item.at, entry.mean))
    return tuple(sorted(found))


def systolic(sessions: Iterable[Session]) -> float | None:
    """The latest systolic pressure of an arm, mmHg; None where none was entered."""
    found = [entry.systolic for entry in _entries(sessions) if isinstance(entry, ArmPressure)]
    return found[-1] if found else None


def falls(session: Session, visit: Iterable[Session]) -> list[Outcome]:
    """What a walk did to the pressures of a leg, entered after it: against the first valid ones at rest."""
    rest = [entry for entry in _entries(visit) if isinstance(entry, Abi) and entry.moment == "rest"]
    found = []
    for after in _entries([session]):
        if not isinstance(after, Abi) or after.moment == "rest" or not _has_ankle(after):
            continue
        before = [entry for entry in rest if entry.side == after.side and _has_ankle(entry)]
        chosen = first_valid(index(entry) for entry in before)
        entry = next((e for e in before if index(e) == chosen), None)
        at_rest = Result.missing("abi", "1", "not_measured_at_rest") if chosen is None else chosen
        results = post_exercise(at_rest, index(after), None if entry is None else ankle(entry), ankle(after))
        conditions = {"method": after.method, "position": after.position}
        place = f"leg {after.side} {after.moment}"
        found += [Outcome(place, result, conditions, after.side, True) for result in results]
    return found


def ankle(entry: Abi) -> float | None:
    """The higher systolic pressure of both ankle arteries, mmHg."""
    return max((p for p in (entry.dorsalis_pedis, entry.posterior_tibial) if p is not None), default=None)


def index(entry: Abi) -> Result:
    """The ankle-brachial index of an entry."""
    return abi(entry.dorsalis_pedis, entry.posterior_tibial, entry.brachial_left, entry.brachial_right)


def _entries(sessions: Iterable[Session]) -> list[observation.Observation]:
    held = (observation.stored(item.fields) for session in sessions for item in session.observations())
    return [entry for entry in held if entry is not None]


def _of(item: Item) -> list[Outcome]:
    entry = observation.stored(item.fields)
    match entry:
        case None:
            return [Outcome(f"entry {item.number}", Result.missing(item.name, "1", UNREADABLE), entered=True)]
        case Vas():
            place = " ".join(filter(None, ("pain", entry.context or entry.question, entry.recall, entry.side)))
            said = {"scale": entry.scale, "question": entry.question, "context": entry.context, "recall": entry.recall}
            return [Outcome(place, pain(entry.mark, entry.line), said, entry.side or "", True)]
        case Ulcer():
            method = "planimetry" if entry.outline else entry.method
            debrided = {True: "yes", False: "no", None: UNSAID}[entry.debrided]
            conditions = {"ulcer": entry.ulcer, "method": method, "debrided": debrided, "rater": entry.rater}
            place, area = f"ulcer {entry.ulcer} {entry.side} {entry.site}", entry.area()
            results = [area, healed(area, entry.epithelialised_days), *entry.perimeters()]
            return [Outcome(place, result, conditions, entry.side, True) for result in results]
        case Abi():
            return _indices(entry)
    return []


def _indices(entry: Abi) -> list[Outcome]:
    conditions = {"method": entry.method, "position": entry.position}
    place = f"leg {entry.side}" + ("" if entry.moment == "rest" else f" {entry.moment}")
    results = [index(entry)] if _has_ankle(entry) else []
    if entry.toe is not None:
        results += [
            tbi(entry.toe, entry.brachial_left, entry.brachial_right),
            toe_pressure(entry.toe),
        ]
    return [Outcome(place, result, conditions, entry.side, True) for result in results]


def _has_ankle(entry: Abi) -> bool:
    return entry.dorsalis_pedis is not None or entry.posterior_tibial is not None
