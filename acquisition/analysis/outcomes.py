"""The outcomes of a session, and the inclusion limits of its visit, computed anew from the record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from acquisition.analysis import cuff, entries
from acquisition.analysis.entries import Outcome
from acquisition.analysis.provenance import provenance
from acquisition.analysis.staging import Found, staged
from acquisition.analysis.visit import Visit, side, visit_of, visits
from acquisition.examination.description import summarise
from acquisition.examination.session import Session, SessionLog
from acquisition.signals.eligibility import (
    CriterionVerdict,
    Eligibility,
    Provenance,
    by_abi,
    by_tcpo2,
    eligibility,
    first_valid,
)
from acquisition.signals.result import Result
from acquisition.signals.staging import Rule
from acquisition.store import Store
from acquisition.store.wall import Wall


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a session came to. `eligibility` is None while the session is open: a limit shown live invites re-siting.

    `wall` maps the time keys of its record to the wall clock.
    """

    session: Session
    results: tuple[Outcome, ...]
    eligibility: Eligibility | None
    wall: Wall
    remarks: tuple[dict[str, Any], ...] = ()
    """What does not agree with the traces, and the command that corrects it."""

    def as_dict(self, curves: bool = False) -> dict[str, Any]:
        """Plain values for JSON; arrays only with `curves`."""
        return {
            **summarise(self.session, self.wall),
            "simulated": bool(self.session.about.get("simulated")),
            "provisional": self.session.open,
            "eligibility": _shown(self.eligibility),
            "remarks": list(self.remarks),
            "outcomes": [describe(outcome, curves) for outcome in self.results],
        }


def outcomes(store: Store, session_log: SessionLog, session: Session, rule: Rule = "toe_first") -> Outcomes:
    """Compute every index of a session from the stored samples, its marks and its entries.

    `rule` says which pressure grades the ischaemia of WIfI.
    """
    return _outcomes(Visit(store, visit_of(session_log, session)), session, rule)


def every(store: Store, session_log: SessionLog, rule: Rule = "toe_first") -> Iterator[Outcomes]:
    """Compute the indices of every closed session of a record, visit by visit."""
    for sessions in visits(session_log):
        visit = Visit(store, sessions)
        yield from (_outcomes(visit, session, rule) for session in visit.closed)


def _outcomes(visit: Visit, session: Session, rule: Rule) -> Outcomes:
    data = visit.data(session)
    measured = Found(lambda side: _oxygen(visit, side), lambda: _farthest(visit))
    said = (
        *entries.entered(session), *entries.falls(session, visit.sessions),
        *staged(session, visit.sessions, measured, rule),
    )  # fmt: skip
    found = (*visit.analysed(session), *visit.heated(session), *said)
    limits = None if session.open else _eligible(visit, session)
    remarks = tuple(cuff.remarks(data, visit.known(session).systolic))
    return Outcomes(session, found, limits, data.wall, remarks)


def describe(outcome: Outcome, curves: bool = False) -> dict[str, Any]:
    """An index as plain values; `method` begins the hash of name, version and settings: equal ones, equal methods.

    `recorded_unit` is that of the channel from which it was measured; empty for what a person entered.
    """
    plain = outcome.result.as_dict()
    if not curves:
        del plain["curves"]
    recorded = str(outcome.conditions.get("unit") or "")
    return {
        "place": outcome.place, **plain, "method": method(outcome), "reads": outcome.reads, "recorded_unit": recorded,
    }  # fmt: skip


def method(outcome: Outcome) -> str:
    """Twelve digits of the hash of how an index was computed."""
    return outcome.result.fingerprint[:12]


def _eligible(visit: Visit, session: Session) -> Eligibility:
    """The limits for this session's limb, from every closed session of the visit: the first valid attempt counts.

    A session of no limb (entries of a visit) has those of the limb that meets them, else of the one that was measured.
    """
    sides = [side(session)] if side(session) else ["", "left", "right"]
    found = [
        eligibility(by_abi(entries.pressures(visit.closed, limb)), by_tcpo2(_rests(visit, limb))) for limb in sides
    ]
    met = [each for each in found if each.verdict is CriterionVerdict.MET]
    measured = [each for each in found if any(criterion.value is not None for criterion in each.criteria)]
    return (met or measured or found)[0]


def _rests(visit: Visit, limb: str) -> list[tuple[Result, Provenance]]:
    """TcPO2 at rest of a limb at every attempt, with what its number is worth."""
    attempts: list[tuple[Result, Provenance]] = []
    for each in visit.closed:
        data = visit.data(each)
        if data.protocol.measures not in ("tcpo2", "oxygen") or side(each) != limb:
            continue
        # The first electrode of the limb is the one that the limit is about; the others inform.
        attempts += [
            (outcome.result, provenance(data, address, "mm[Hg]"))
            for address in data.addresses("limb")[:1]
            for outcome in visit.analysed(each)
            if outcome.result.name == "tcpo2_rest" and outcome.place == str(address)
        ]
    return attempts


def _oxygen(visit: Visit, limb: str) -> Result | None:
    """The resting TcPO2 of a limb that can be held against a limit, None where there is none."""
    return first_valid(result for result, provenance in _rests(visit, limb) if not provenance.objection())


def _farthest(visit: Visit) -> Result | None:
    """The maximal distance of the first valid walk of a visit."""
    return first_valid(
        outcome.result
        for each in visit.closed if visit.data(each).protocol.measures == "walking"
        for outcome in visit.analysed(each) if outcome.result.name == "acd_distance"
    )  # fmt: skip


def _shown(found: Eligibility | None) -> dict[str, Any]:
    if found is None:
        return {"verdict": "hidden", "reason": "shown once the session is closed"}
    return {
        "verdict": str(found.verdict),
        "criteria": [
            {"name": c.name, "below": c.below, "verdict": str(c.verdict), "value": c.value, "reason": c.reason}
            for c in found.criteria
        ],
    }
