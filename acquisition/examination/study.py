"""The outcomes of every session of some records, and which attempt counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from acquisition.examination.entries import Outcome
from acquisition.examination.outcomes import Outcomes, method, outcomes
from acquisition.examination.session import Book, Session
from acquisition.signals.result import Status
from acquisition.signals.staging import Rule
from acquisition.store import Store

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
    "record", "session", "subject", "visit", "limb", "protocol", "attempt", "counts", "simulated", "place", "index",
    "value", "unit", "status", "reason", "uncertainty", "window_start_s", "window_stop_s", "n_valid", "pct_artefact",
    "version", "method", "reads",
)  # fmt: skip
"""The columns of the table of outcomes, one row an index."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session among those of the same participant, visit, limb and protocol; `counts` for one of them at most."""

    found: Outcomes
    number: int
    counts: bool
    record: str = ""


def attempts(records: Iterable[tuple[str, Store, Book]], rule: Rule = "toe_first") -> list[Attempt]:
    """Every closed session of some records (by name) with its outcomes; `rule` grades the ischaemia of WIfI.

    The first technically valid attempt of an occasion counts, whichever record it is in; every one is kept.
    """
    groups: dict[tuple[str, ...], list[tuple[str, Outcomes]]] = {}
    for record, store, book in records:
        for session in book.sessions.values():
            if not session.open:
                groups.setdefault(_occasion(session), []).append((record, outcomes(store, book, session, rule)))
    made = []
    for group in groups.values():
        group.sort(key=lambda each: each[1].session.start)
        chosen = next((found for _, found in group if _valid(found)), None)
        made += [Attempt(found, number, found is chosen, record) for number, (record, found) in enumerate(group, 1)]
    return sorted(made, key=lambda each: (each.found.session.start, each.record))


def rows(made: Iterable[Attempt]) -> Iterator[dict[str, Any]]:
    """One row for each index of each attempt, by the names in `ROWS`."""
    for attempt in made:
        about = attempt.found.session.about
        for outcome in attempt.found.results:
            yield {
                "record": attempt.record,
                "session": attempt.found.session.id,
                **{key: about.get(key) or "" for key in ("subject", "visit", "limb", "protocol")},
                "attempt": attempt.number,
                "counts": attempt.counts,
                "simulated": bool(about.get("simulated")),
                **_index(outcome),
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
        "reads": outcome.reads,
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
    return tuple(str(session.about.get(key) or "") for key in ("subject", "limb", "protocol", "visit"))
