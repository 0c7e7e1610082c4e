"""The outcomes of every session of some records, and which attempt counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from acquisition.analysis.entries import Outcome
from acquisition.analysis.outcomes import Outcomes, every, method
from acquisition.examination.session import Session, SessionLog
from acquisition.signals.catalogue import DECISIVE
from acquisition.signals.result import Status
from acquisition.signals.staging import Rule
from acquisition.store import Store

TRUE = (Status.OK, Status.CENSORED)
ROWS = (
    "record", "session", "subject", "visit", "limb", "protocol", "attempt", "counts", "simulated", "place", "index",
    "value", "unit", "status", "reason", "uncertainty", "window_start_s", "window_stop_s", "n_valid", "pct_artefact",
    "version", "method", "reads", "site", "station",
)  # fmt: skip
"""The columns of the table of outcomes, one row an index."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session was recorded, as the daemon's configuration named it then; empty where no run says so."""

    site: str = ""
    station: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One session among those of the same participant, visit, limb and protocol; `counts` for one of them at most.

    Folders of several beds may have the same name: `place` tells the records apart.
    """

    found: Outcomes
    number: int
    counts: bool
    record: str = ""
    place: Place = Place()


def attempts(records: Iterable[tuple[str, Store, SessionLog]], rule: Rule = "toe_first") -> list[Attempt]:
    """Every closed session of some records (by name) with its outcomes; `rule` grades the ischaemia of WIfI.

    The first technically valid attempt of an occasion counts, whichever record it is in; every one is kept.
    """
    groups: dict[tuple[str, ...], list[tuple[str, Place, Outcomes]]] = {}
    sources: dict[tuple[str, ...], set[int]] = {}
    for source, (record, store, session_log) in enumerate(records):
        runs = [run for run in store.runs().values() if "site" in run]
        computed = {found.session.id: found for found in every(store, session_log, rule)}
        for key, session in session_log.sessions.items():
            if key in computed:
                groups.setdefault(_occasion(session), []).append((record, _place(runs, session), computed[key]))
                sources.setdefault(_occasion(session), set()).add(source)
    made = []
    for occasion, group in groups.items():
        if len(sources[occasion]) > 1:  # of one record they are in their order already, whatever its clocks showed
            group.sort(key=lambda each: began(each[2]))
        chosen = next((found for _, _, found in group if _valid(found)), None)
        made += [
            Attempt(found, number, found is chosen, record, place)
            for number, (record, place, found) in enumerate(group, 1)
        ]
    return sorted(made, key=lambda each: (began(each.found), each.record, each.place.site, each.place.station))


def began(found: Outcomes) -> int:
    """When the session began by the wall clock, ns."""
    return found.wall.of(found.session.start)


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
                "site": attempt.place.site,
                "station": attempt.place.station,
            }


def _place(runs: Sequence[Mapping[str, Any]], session: Session) -> Place:
    """By the latest run that had begun when the session did, else by the first."""
    before = [run for run in runs if run["anchor"] <= session.start] or list(runs[:1])
    return Place(str(before[-1]["site"]), str(before[-1].get("station", ""))) if before else Place()


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
