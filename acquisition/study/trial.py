"""The table of a trial: one row for each participant, visit, limb and index, beside its baseline and what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from acquisition.analysis.entries import Outcome
from acquisition.analysis.healing import AREA, healing
from acquisition.analysis.outcomes import Outcomes
from acquisition.config.tables import Endpoint, Study
from acquisition.examination import observation
from acquisition.examination.observation import INTERCURRENT, Happening, NotDone
from acquisition.examination.session import Session
from acquisition.examination.session_service import ENTRIES
from acquisition.signals.catalogue import DETECTABLE, INDICES
from acquisition.signals.catalogue.index import Detectable
from acquisition.signals.comparison import change
from acquisition.signals.eligibility import first_valid
from acquisition.study.collection import Attempt, began

DAY = 86_400 * 1_000_000_000
COLUMNS = (
    "subject", "visit", "limb", "index_limb", "protocol", "place", "index", "endpoint", "value", "unit", "status",
    "reason", "baseline", "difference", "percent", "change_status", "change_reason", "meaning", "eligibility",
    "intercurrent", "day", "window", "record", "session", "attempt", "simulated", "reads",
    "site", "station",
)  # fmt: skip
"""`status` is the index's own; `missing`, `not_done` or `intercurrent` where a visit has no value of an endpoint.

`reads` is the word of a stage or grade.
"""


def rows(made: Sequence[Attempt], study: Study) -> list[dict[str, Any]]:
    """Every index of the attempts that count and every entry, then what endpoints a visit lacks, by participant.

    What a person entered is of the visit: it counts whatever became of the session that took it, and the first valid
    entry of an index does.
    """
    people: dict[str, _Person] = {}
    for attempt in made:
        subject = str(attempt.found.session.about["subject"])
        people.setdefault(subject, _Person(subject, study)).add(attempt)
    visits = study.visits or tuple(dict.fromkeys(str(a.found.session.about["visit"]) for a in made))
    return [row for subject in sorted(people) for row in people[subject].rows(visits)]


@dataclass(frozen=True, slots=True)
class _Happened:
    """What happened to a participant: on which day, and at which visit it was told; `dated` where its day was said."""

    on: date
    visit: str
    dated: bool
    what: Happening


@dataclass(slots=True)
class _Person:
    """One participant: the attempts that count, and what was entered in any session."""

    subject: str
    study: Study
    attempts: list[Attempt] = field(default_factory=list)
    entries: list[tuple[Attempt, Outcome]] = field(default_factory=list)
    happened: list[_Happened] = field(default_factory=list)
    examined: dict[str, date] = field(default_factory=dict)
    """The last day of each visit on which an examination began; entries may be made long after their visit."""
    order: dict[str, int] = field(default_factory=dict)
    not_done: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, attempt: Attempt) -> None:
        if attempt.counts:
            self.attempts.append(attempt)
        self.entries += [(attempt, outcome) for outcome in attempt.found.results if outcome.entered]
        session, visit = attempt.found.session, _visit(attempt.found)
        if session.about["protocol"] != ENTRIES:
            self.examined[visit] = max(_day(began(attempt.found)), self.examined.get(visit, date.min))
        for item in session.observations():
            match observation.stored(item.fields):
                case Happening() as happening if happening.kind in INTERCURRENT:
                    on = happening.on
                    self.happened.append(
                        _Happened(on or _day(attempt.found.wall.of(item.at)), visit, on is not None, happening)
                    )
                case NotDone() as entry:
                    self.not_done[visit, entry.measurement.lower()] = entry.reason

    def rows(self, visits: Sequence[str]) -> Iterator[dict[str, Any]]:
        planned = visits if self.study.visits else sorted(visits, key=lambda visit: visit != self.study.baseline)
        self.order = {visit: place for place, visit in enumerate(planned)}
        seen = (_visit(a.found) for a in (*self.attempts, *(attempt for attempt, _ in self.entries)))
        for visit in dict.fromkeys((*visits, *seen)):
            made = [*self._of(visit), *self._healed(visit)]
            found = [self._row(attempt, outcome) for attempt, outcome in made]
            yield from found
            barred = {self._endpoint(a.found.session, o): o.objection for a, o in made if o.objection}
            named = {row["endpoint"] for row in found if row["value"] is not None}
            for endpoint in self.study.endpoint:
                if endpoint.outcome not in named:
                    yield self._lacking(visit, endpoint, barred.get(endpoint.outcome, ""))
            known = {row["index"] for row in found} | {name for e in self.study.endpoint for name in _names(e)}
            for (when, name), reason in sorted(self.not_done.items()):
                if when == visit and name not in known:
                    yield self._blank(visit) | {"index": name, "status": "not_done", "reason": reason}

    def _of(self, visit: str) -> list[tuple[Attempt, Outcome]]:
        """What counts of a visit: the indices of its attempts that count, then of each entry the first valid one."""
        measured = [
            (attempt, outcome)
            for attempt in self.attempts if _visit(attempt.found) == visit
            for outcome in attempt.found.results if not outcome.entered
        ]  # fmt: skip
        entered: dict[tuple[str, str], list[tuple[Attempt, Outcome]]] = {}
        for attempt, outcome in self.entries:
            if _visit(attempt.found) == visit:
                entered.setdefault((outcome.place, outcome.result.name), []).append((attempt, outcome))
        for made in entered.values():
            best = first_valid(outcome.result for _, outcome in made)
            measured += [each for each in made if each[1].result is best][:1]
        return measured

    def _healed(self, visit: str) -> list[tuple[Attempt, Outcome]]:
        """How the ulcers of a visit healed since baseline."""
        if visit == self.study.baseline:
            return []
        before, after = self._of(self.study.baseline), self._of(visit)
        found = []
        for attempt, outcome in after:
            same = [(a, o) for a, o in before if o.place == outcome.place and outcome.result.name == AREA]
            if same:
                weeks = (began(attempt.found) - began(same[0][0].found)) / (7 * DAY)
                places = ([o for _, o in same], [o for _, o in after if o.place == outcome.place])
                found += [(attempt, healing_of) for healing_of in healing(*places, weeks)]
        return found

    def _row(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        session, result = attempt.found.session, outcome.result
        limb = outcome.limb if outcome.entered else str(session.about.get("limb") or "")
        counted = self._of_index_limb(limb, outcome.place)
        eligible = attempt.found.eligibility
        ended = attempt.found.wall.of(session.stop or session.last)
        return self._blank(_visit(attempt.found)) | {
            "limb": limb,
            "index_limb": counted,
            "protocol": session.about["protocol"],
            "place": outcome.place,
            "index": result.name,
            "endpoint": self._endpoint(session, outcome) if counted and not outcome.objection else "",
            "value": result.value,
            "unit": result.unit,
            "status": str(result.status),
            "reason": result.reason,
            **self._against_baseline(attempt, outcome),
            "eligibility": "" if eligible is None else str(eligible.verdict),
            "intercurrent": self._intercurrent(_visit(attempt.found), _day(ended)),
            **self._day(attempt.found),
            "record": attempt.record,
            "session": session.id,
            "attempt": attempt.number,
            "simulated": bool(session.about.get("simulated")),
            "reads": outcome.reads,
            "site": attempt.place.site,
            "station": attempt.place.station,
        }

    def _lacking(self, visit: str, endpoint: Endpoint, objection: str) -> dict[str, Any]:
        """An endpoint without a value: why it was not done, what happened by then, or what bars the number."""
        limb = self.study.index_limb.get(self.subject, "")
        barred = [each.what for each in self.happened if self._by(visit, each) and _bars(each.what, limb)]
        said = sorted(name for name in _names(endpoint) if (visit, name) in self.not_done)
        reason = self.not_done[visit, said[0]] if said else None
        status = "not_done" if reason is not None else "intercurrent" if barred else "missing"
        return self._blank(visit) | {
            "limb": limb,
            "index_limb": True,
            "protocol": endpoint.protocol,
            "index": endpoint.index,
            "endpoint": endpoint.outcome,
            "status": status,
            "reason": reason or (barred[0].kind if barred else objection),
            "intercurrent": self._intercurrent(visit),
        }

    def _blank(self, visit: str) -> dict[str, Any]:
        return dict.fromkeys(COLUMNS, "") | {
            "subject": self.subject, "visit": visit, "value": None, "baseline": None, "difference": None,
            "percent": None, "day": None, "attempt": None, "simulated": None,
        }  # fmt: skip

    def _against_baseline(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        if _visit(attempt.found) == self.study.baseline:
            return {"baseline": outcome.result.value}
        before = self._at_baseline(attempt.found.session, outcome)
        if before is None or not outcome.fields:
            return {"change_reason": "no_baseline" if outcome.fields else ""}
        own = {name: Detectable(r.value, r.percent, r.source) for name, r in self.study.sdc95.items()}
        conditions = (before.conditions, outcome.conditions)
        found = change(before.result, outcome.result, conditions, outcome.fields, {**DETECTABLE, **own})
        return {
            "baseline": before.result.value,
            "difference": found.difference.value,
            "percent": found.percent.value,
            "change_status": str(found.difference.status),
            "change_reason": found.difference.reason,
            "meaning": str(found.meaning),
        }

    def _at_baseline(self, session: Session, outcome: Outcome) -> Outcome | None:
        """The same index of the same place at baseline: of the same limb and protocol, or entered in any session."""
        same = (session.about.get("limb"), session.about["protocol"])
        for attempt, before in self._of(self.study.baseline):
            about = attempt.found.session.about
            alike = outcome.entered or (about.get("limb"), about["protocol"]) == same
            if alike and (before.place, before.result.name) == (outcome.place, outcome.result.name):
                return before
        return None

    def _endpoint(self, session: Session, outcome: Outcome) -> str:
        index, protocol = outcome.result.name, session.about["protocol"]
        if index.startswith("ulcer_") and self._index_ulcer() not in ("", outcome.place):
            return ""
        if outcome.place in _others(session):
            return ""
        return next((e.outcome for e in self.study.endpoint if e.index == index and e.protocol in ("", protocol)), "")

    def _index_ulcer(self) -> str:
        """The place of the largest ulcer at baseline, of the limb that counts; it stays the one at every visit."""
        found = [
            (outcome.result.value or 0.0, outcome.place)
            for _, outcome in self._of(self.study.baseline)
            if outcome.result.name == "ulcer_area" and self._of_index_limb(outcome.limb, outcome.place)
        ]
        return max(found, key=lambda each: each[0])[1] if found else ""

    def _of_index_limb(self, limb: str, place: str) -> bool:
        chosen = self.study.index_limb.get(self.subject)
        words = place.split()
        side = next((word for word in ("left", "right") if word in words), limb)
        return chosen is None or side in ("", chosen)

    def _day(self, found: Outcomes) -> dict[str, Any]:
        """Days since the first session of the baseline visit, and how they stand to the visit's window."""
        first = self._first()
        if first is None:
            return {}
        day = round((began(found) - first) / DAY, 2)
        window = self.study.windows.get(_visit(found))
        if window is None:
            return {"day": day}
        return {"day": day, "window": "early" if day < window[0] else "late" if day > window[1] else "in"}

    def _by(self, visit: str, happened: _Happened) -> bool:
        """Whether something had happened by a visit; one without an examination has its place among the others only."""
        on = happened.on
        if visit in self.examined:
            return on <= self.examined[visit] or (visit == happened.visit and not happened.dated)
        place = self.order.get(visit, len(self.order))
        known = [(self.order[name], day) for name, day in self.examined.items() if name in self.order]
        if any(later > place and day < on for later, day in known):
            return False
        if any(earlier < place and day >= on for earlier, day in known):
            return True
        if (due := self._due(visit)) is not None:
            return on <= due
        if happened.visit in self.order:
            return place >= self.order[happened.visit]
        return any(earlier < place for earlier, _ in known)

    def _due(self, visit: str) -> date | None:
        """The last day of a visit's window; None where it has none, or baseline was not examined."""
        window, first = self.study.windows.get(visit), self._first()
        return None if window is None or first is None else _day(first + round(window[1] * DAY))

    def _first(self) -> int | None:
        made = (*self.attempts, *(attempt for attempt, _ in self.entries))
        return min((began(a.found) for a in made if _visit(a.found) == self.study.baseline), default=None)

    def _intercurrent(self, visit: str, until: date = date.max) -> str:
        """What had happened by a visit, and by the day on which a value of it was taken."""
        by = (each for each in self.happened if each.on <= until and self._by(visit, each))
        ordered = sorted((each.on.isoformat(), each.what.kind, each.what.limb or "") for each in by)
        return "; ".join(" ".join(filter(None, (kind, limb, on))) for on, kind, limb in ordered)


def _others(session: Session) -> list[str]:
    """The electrodes beside the one that an endpoint and the inclusion limit are about: the first of the limb."""
    bound = session.about.get("bindings", {})
    return [*bound.get("chest", ()), *bound.get("limb", ())[1:]]


def _names(endpoint: Endpoint) -> set[str]:
    """The words by which somebody may say that an endpoint was not measured."""
    known = INDICES.get(endpoint.index)
    return {endpoint.outcome, endpoint.index, endpoint.protocol, *(known.synonyms if known else ())} - {""}


def _bars(happening: Happening, limb: str) -> bool:
    """Whether a happening leaves nothing to be measured: death, or the loss of the limb that counts."""
    lost = happening.kind == "amputation" and (not limb or happening.limb == limb)
    return happening.kind == "death" or lost


def _visit(found: Outcomes) -> str:
    return str(found.session.about["visit"])


def _day(utc: int) -> date:
    return datetime.fromtimestamp(utc / 1e9, UTC).date()
