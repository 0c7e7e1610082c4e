"""The table of a trial: one row for each participant, visit, limb and index, beside its baseline and what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from acquisition.config import Endpoint, Study
from acquisition.examination import observation
from acquisition.examination.entries import Outcome
from acquisition.examination.observation import INTERCURRENT, Happening, NotDone
from acquisition.examination.outcomes import Outcomes
from acquisition.examination.session import Session
from acquisition.examination.study import Attempt
from acquisition.signals.comparison import change

DAY = 86_400 * 1_000_000_000
COLUMNS = (
    "subject", "visit", "limb", "index_limb", "protocol", "place", "index", "endpoint", "value", "unit", "status",
    "reason", "baseline", "difference", "percent", "change_status", "change_reason", "meaning", "eligibility",
    "intercurrent", "day", "window", "record", "session", "attempt", "simulated",
)  # fmt: skip
"""`status` is the index's own; `missing`, `not_done` or `intercurrent` where a visit has no value of an endpoint."""


def rows(made: Sequence[Attempt], study: Study) -> list[dict[str, Any]]:
    """Every index of the attempts that count, then every endpoint that a visit lacks, in the order of participants."""
    people: dict[str, _Person] = {}
    for attempt in made:
        subject = str(attempt.found.session.about["subject"])
        people.setdefault(subject, _Person(subject, study)).add(attempt)
    visits = study.visits or tuple(dict.fromkeys(str(a.found.session.about["visit"]) for a in made))
    return [row for subject in sorted(people) for row in people[subject].rows(visits)]


@dataclass(slots=True)
class _Person:
    """One participant: the attempts that count, and what was entered in any session."""

    subject: str
    study: Study
    attempts: list[Attempt] = field(default_factory=list)
    happened: list[tuple[date, Happening]] = field(default_factory=list)
    not_done: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, attempt: Attempt) -> None:
        if attempt.counts:
            self.attempts.append(attempt)
        session = attempt.found.session
        for item in session.observations():
            match observation.parse(item.fields):
                case Happening() as happening if happening.kind in INTERCURRENT:
                    self.happened.append((happening.on or _day(item.at), happening))
                case NotDone() as entry:
                    self.not_done[str(session.about["visit"]), entry.measurement] = entry.reason

    def rows(self, visits: Sequence[str]) -> Iterator[dict[str, Any]]:
        for visit in dict.fromkeys((*visits, *(_visit(a.found) for a in self.attempts))):
            here = [a for a in self.attempts if _visit(a.found) == visit]
            found = [self._row(attempt, outcome) for attempt in here for outcome in attempt.found.results]
            yield from found
            named = {row["endpoint"] for row in found if row["value"] is not None}
            yield from (self._lacking(visit, e) for e in self.study.endpoint if e.outcome not in named)

    def _row(self, attempt: Attempt, outcome: Outcome) -> dict[str, Any]:
        session, result = attempt.found.session, outcome.result
        limb = str(session.about.get("limb") or "")
        counted = self._of_index_limb(limb, outcome.place)
        eligible = attempt.found.eligibility
        return self._blank(_visit(attempt.found)) | {
            "limb": limb,
            "index_limb": counted,
            "protocol": session.about["protocol"],
            "place": outcome.place,
            "index": result.name,
            "endpoint": self._endpoint(session, result.name) if counted else "",
            "value": result.value,
            "unit": result.unit,
            "status": str(result.status),
            "reason": result.reason,
            **self._against_baseline(attempt, outcome),
            "eligibility": "" if eligible is None else str(eligible.verdict),
            "intercurrent": self._intercurrent(_day(session.stop or session.last)),
            **self._day(session),
            "record": attempt.record,
            "session": session.id,
            "attempt": attempt.number,
            "simulated": bool(session.about.get("simulated")),
        }

    def _lacking(self, visit: str, endpoint: Endpoint) -> dict[str, Any]:
        """An endpoint without a value: what happened before, why it was not done, or that nobody knows."""
        last = max((_day(a.found.session.start) for a in self.attempts if _visit(a.found) == visit), default=date.max)
        limb = self.study.index_limb.get(self.subject, "")
        barred = [h for on, h in self.happened if on <= last and _bars(h, limb)]
        names = (endpoint.outcome, endpoint.index, endpoint.protocol)
        reason = next((self.not_done[visit, name] for name in names if (visit, name) in self.not_done), None)
        status = "intercurrent" if barred else "missing" if reason is None else "not_done"
        return self._blank(visit) | {
            "limb": limb,
            "index_limb": True,
            "protocol": endpoint.protocol,
            "index": endpoint.index,
            "endpoint": endpoint.outcome,
            "status": status,
            "reason": barred[0].kind if barred else reason or "",
            "intercurrent": self._intercurrent(last),
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
        found = change(before.result, outcome.result, (before.conditions, outcome.conditions), outcome.fields)
        return {
            "baseline": before.result.value,
            "difference": found.difference.value,
            "percent": found.percent.value,
            "change_status": str(found.difference.status),
            "change_reason": found.difference.reason,
            "meaning": str(found.meaning),
        }

    def _at_baseline(self, session: Session, outcome: Outcome) -> Outcome | None:
        same = (session.about.get("limb"), session.about["protocol"])
        for each in self.attempts:
            about = each.found.session.about
            if about["visit"] == self.study.baseline and (about.get("limb"), about["protocol"]) == same:
                for before in each.found.results:
                    if (before.place, before.result.name) == (outcome.place, outcome.result.name):
                        return before
        return None

    def _endpoint(self, session: Session, index: str) -> str:
        protocol = session.about["protocol"]
        return next((e.outcome for e in self.study.endpoint if e.index == index and e.protocol in ("", protocol)), "")

    def _of_index_limb(self, limb: str, place: str) -> bool:
        chosen = self.study.index_limb.get(self.subject)
        words = place.split()
        side = next((word for word in ("left", "right") if word in words), limb)
        return chosen is None or side in ("", chosen)

    def _day(self, session: Session) -> dict[str, Any]:
        """Days since the first session of the baseline visit, and how they stand to the visit's window."""
        first = [a.found.session.start for a in self.attempts if _visit(a.found) == self.study.baseline]
        if not first:
            return {}
        day = round((session.start - min(first)) / DAY, 2)
        window = self.study.windows.get(str(session.about["visit"]))
        if window is None:
            return {"day": day}
        return {"day": day, "window": "early" if day < window[0] else "late" if day > window[1] else "in"}

    def _intercurrent(self, until: date) -> str:
        ordered = sorted((on.isoformat(), h.kind, h.limb or "") for on, h in self.happened if on <= until)
        return "; ".join(" ".join(filter(None, (kind, limb, on))) for on, kind, limb in ordered)


def _bars(happening: Happening, limb: str) -> bool:
    """Whether a happening leaves nothing to be measured: death, or the loss of the limb that counts."""
    lost = happening.kind == "amputation" and (not limb or happening.limb == limb)
    return happening.kind == "death" or lost


def _visit(found: Outcomes) -> str:
    return str(found.session.about["visit"])


def _day(key: int) -> date:
    return datetime.fromtimestamp(key / 1e9, UTC).date()
