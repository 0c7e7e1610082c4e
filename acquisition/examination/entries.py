"""Results of what people entered: pain, ulcer area, pressure indices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from acquisition.examination import observation
from acquisition.examination.observation import Abi, ArmPressure, Ulcer, Vas
from acquisition.examination.session import Item, Session
from acquisition.signals.clinical import abi, pain, tbi
from acquisition.signals.comparison import PAIN, PRESSURE, ULCER
from acquisition.signals.result import Result
from acquisition.signals.units import mean_arterial_pressure
from acquisition.signals.wound import healed


@dataclass(frozen=True, slots=True)
class Outcome:
    """One index of a session: `place` says of what (a channel, a leg, an ulcer).

    `conditions` and the `fields` of them that must agree say with what it may be compared.
    """

    place: str
    result: Result
    conditions: dict[str, Any] = field(default_factory=dict)
    fields: tuple[str, ...] = ()


def entered(session: Session) -> list[Outcome]:
    """The results of every observation that counts, in the order of entry."""
    return [outcome for item in session.observations() for outcome in _of(item)]


def pressures(sessions: Iterable[Session], side: str) -> list[Result]:
    """Every ABI of a leg at rest, over several sessions in the order of entry."""
    return [
        index(entry) for entry in _entries(sessions)
        if isinstance(entry, Abi) and entry.side == side and entry.moment == "rest" and _has_ankle(entry)
    ]  # fmt: skip


def arm_pressure(sessions: Iterable[Session]) -> tuple[float | None, float | None]:
    """The latest mean and systolic pressure of an arm, mmHg; None where none was entered."""
    found = [entry for entry in _entries(sessions) if isinstance(entry, ArmPressure)]
    if not found:
        return None, None
    last = found[-1]
    return (
        last.mean if last.mean is not None else mean_arterial_pressure(last.systolic, last.diastolic)
    ), last.systolic


def index(entry: Abi) -> Result:
    """The ankle-brachial index of an entry."""
    return abi(entry.dorsalis_pedis, entry.posterior_tibial, entry.brachial_left, entry.brachial_right)


def _entries(sessions: Iterable[Session]) -> list[observation.Observation]:
    return [observation.parse(item.fields) for session in sessions for item in session.observations()]


def _of(item: Item) -> list[Outcome]:
    entry = observation.parse(item.fields)
    match entry:
        case Vas():
            place = f"pain {entry.question}" + (f" {entry.side}" if entry.side else "")
            return [
                Outcome(place, pain(entry.mark, entry.line), {"scale": entry.scale, "question": entry.question}, PAIN)
            ]
        case Ulcer():
            method = "planimetry" if entry.outline else entry.method
            conditions = {"ulcer": entry.ulcer, "method": method, "debrided": entry.debrided, "rater": entry.rater}
            place, area = f"ulcer {entry.ulcer} {entry.side} {entry.site}", entry.area()
            closed = healed(area, entry.epithelialised_days)
            return [Outcome(place, area, conditions, ULCER), Outcome(place, closed, conditions, ULCER)]
        case Abi():
            return _indices(entry)
    return []


def _indices(entry: Abi) -> list[Outcome]:
    conditions = {"method": entry.method, "position": entry.position}
    place = f"leg {entry.side}" + ("" if entry.moment == "rest" else f" {entry.moment}")
    found = [Outcome(place, index(entry), conditions, PRESSURE)] if _has_ankle(entry) else []
    if entry.toe is not None:
        found.append(Outcome(place, tbi(entry.toe, entry.brachial_left, entry.brachial_right), conditions, PRESSURE))
    return found


def _has_ankle(entry: Abi) -> bool:
    return entry.dorsalis_pedis is not None or entry.posterior_tibial is not None
