"""The outcomes of every session of a record: which attempt counts, and what changed from visit to visit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from acquisition.examination.entries import Outcome
from acquisition.examination.outcomes import Outcomes, method, outcomes
from acquisition.examination.session import Book, Session
from acquisition.signals.comparison import Change, change
from acquisition.signals.result import Status
from acquisition.store import Store

BASELINE = "baseline"
DECISIVE = {
    "porh": "peak_flow",
    "heating": "plateau",
    "flowmotion": "myogenic_power",
    "tcpo2": "tcpo2_rest",
    "oxygen": "tcpo2_rest",
    "walking": "acd_distance",
}
"""The index by which an attempt at a protocol counts as technically valid; entries by hand count as they are."""
TRUE = (Status.OK, Status.CENSORED)
ROWS = (
    "session", "subject", "visit", "limb", "protocol", "attempt", "counts", "simulated", "place", "index", "value",
    "unit", "status", "reason", "uncertainty", "window_start_s", "window_stop_s", "n_valid", "pct_artefact", "version",
    "method",
)  # fmt: skip
"""The columns of the table of outcomes, one row an index."""
CHANGES = (
    "subject", "limb", "protocol", "place", "index", "visit_before", "visit_after", "session_before", "session_after",
    "difference", "unit", "percent", "ratio", "status", "reason", "uncertainty", "meaning", "statement",
)  # fmt: skip
"""The columns of the table of changes."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session among those of the same participant, visit, limb and protocol; `counts` for one of them at most."""

    found: Outcomes
    number: int
    counts: bool


def attempts(store: Store, book: Book) -> list[Attempt]:
    """Every closed session with its outcomes; the first technically valid attempt counts, every one is kept."""
    groups: dict[tuple[str, ...], list[Outcomes]] = {}
    for session in book.sessions.values():
        if not session.open:
            groups.setdefault(_occasion(session), []).append(outcomes(store, book, session))
    made = []
    for group in groups.values():
        chosen = next((each for each in group if _valid(each)), None)
        made += [Attempt(each, number, each is chosen) for number, each in enumerate(group, 1)]
    return sorted(made, key=lambda each: each.found.session.start)


def rows(made: Iterable[Attempt]) -> Iterator[dict[str, Any]]:
    """One row for each index of each attempt, by the names in `ROWS`."""
    for attempt in made:
        about = attempt.found.session.about
        for outcome in attempt.found.results:
            yield {
                "session": attempt.found.session.id,
                **{key: about.get(key) or "" for key in ("subject", "visit", "limb", "protocol")},
                "attempt": attempt.number,
                "counts": attempt.counts,
                "simulated": bool(about.get("simulated")),
                **_index(outcome),
            }


def changes(made: Iterable[Attempt], baseline: str = BASELINE) -> Iterator[dict[str, Any]]:
    """One row for each index that was measured at `baseline` and at a later visit, by the names in `CHANGES`."""
    counting = [each.found for each in made if each.counts]
    first = {
        (_person(found.session), outcome.place, outcome.result.name): (found.session, outcome)
        for found in counting
        if found.session.about["visit"] == baseline
        for outcome in found.results
    }
    for found in counting:
        if found.session.about["visit"] == baseline:
            continue
        for outcome in found.results:
            before = first.get((_person(found.session), outcome.place, outcome.result.name))
            if before is not None and outcome.fields:
                yield _changed(before, (found.session, outcome))


def _changed(before: tuple[Session, Outcome], after: tuple[Session, Outcome]) -> dict[str, Any]:
    (early, one), (late, other) = before, after
    found: Change = change(one.result, other.result, (one.conditions, other.conditions), one.fields)
    difference = found.difference
    about = late.about
    return {
        **{key: about.get(key) or "" for key in ("subject", "limb", "protocol")},
        "place": other.place,
        "index": other.result.name,
        "visit_before": early.about["visit"],
        "visit_after": about["visit"],
        "session_before": early.id,
        "session_after": late.id,
        "difference": difference.value,
        "unit": difference.unit,
        "percent": found.percent.value,
        "ratio": found.ratio.value,
        "status": str(difference.status),
        "reason": difference.reason,
        "uncertainty": difference.uncertainty,
        "meaning": str(found.meaning),
        "statement": found.statement,
    }


def _index(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result.as_dict()
    start, stop = result["window"] or (None, None)
    return {
        "place": outcome.place,
        "index": result["name"],
        **{key: result[key] for key in ("value", "unit", "status", "reason", "uncertainty")},
        "window_start_s": start,
        "window_stop_s": stop,
        **{key: result[key] for key in ("n_valid", "pct_artefact", "version")},
        "method": method(outcome),
    }


def _valid(found: Outcomes) -> bool:
    """Whether the examination was completed and its decisive index is a value or a bound."""
    if found.session.outcome != "completed":
        return False
    wanted = DECISIVE.get(found.session.about["content"]["measures"])
    if wanted is None:
        return bool(found.results)
    return any(o.result.name == wanted and o.result.status in TRUE for o in found.results)


def _occasion(session: Session) -> tuple[str, ...]:
    return (*_person(session), str(session.about["visit"]))


def _person(session: Session) -> tuple[str, ...]:
    return tuple(str(session.about.get(key) or "") for key in ("subject", "limb", "protocol"))
