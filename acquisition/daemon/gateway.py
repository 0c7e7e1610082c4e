"""Session gateway: a request goes to the daemon that records, or, if none runs, is carried out on the record itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from acquisition import __version__
from acquisition.control_socket.client import NoDaemon, ask
from acquisition.examination.rules import Rules
from acquisition.examination.session import KINDS, SessionLog, replay
from acquisition.examination.session_service import SessionService
from acquisition.model import Event
from acquisition.store import Store, StoreWriter, runs
from acquisition.store.schema import locate
from acquisition.timing.clock import Clock, Timeline

UNKNOWN_STUDY = (
    "not held against the study: the record does not know its visits and codes; name its configuration, -c FILE"
)


def send(
    directory: Path, request: Mapping[str, Any], rules: Rules | None = None, *, clock: Clock | None = None
) -> dict[str, Any]:
    """Have the request done; answers the session after it.

    The daemon alone writes while it runs. Without one this process takes the record's lock and writes the one event
    itself, by the same `rules`, or without them by those that the record's latest run kept; where none did, and a
    participant or a visit is named anew, one of the `warnings` of the answer says so. Refused where another process
    holds the lock without answering.
    """
    try:
        answer: dict[str, Any] = ask(directory, dict(request))
    except NoDaemon:
        return _write(directory, request, rules, clock or Clock())
    return answer


def session_log(directory: Path) -> SessionLog:
    """Every session of a record, read beside a daemon or without one."""
    with Store(directory) as store:
        return replay(events(store))


def events(store: Store) -> Iterator[Event]:
    """The events of a record that sessions are made of, oldest first."""
    rows = [row for kind in sorted(KINDS) for row in store.events(kind)]
    for row in sorted(rows, key=lambda row: row.id):
        if row.body.get("details"):
            yield Event(row.kind, row.time, row.device, str(row.body.get("text", "")), row.body["details"])


def _write(directory: Path, request: Mapping[str, Any], given: Rules | None, clock: Clock) -> dict[str, Any]:
    # A wrong folder must not become a new and empty record.
    locate(directory)
    writer = StoreWriter(directory, clock=clock)
    writer.open()
    try:
        with Store(directory) as store:
            known = list(events(store))
            rules = given or Rules.recorded(store.runs().values())
            started = clock.now()
            doubt = store.doubt(started.utc)
        timeline = Timeline(0, started.monotonic, runs.anchor(writer.wall, writer.last_key, started.utc))
        wall = writer.wall.begun(timeline.anchor, started.utc)
        alarms = () if doubt is None else (doubt.alarm(timeline.anchor),)
        made: list[Event] = []
        session_service = SessionService(
            known,
            lambda: timeline.key(clock.now().monotonic),
            made.append,
            recording=False,
            rules=rules,
            alarms=lambda: alarms,
            wall=lambda: wall,
        )
        answer = {**session_service.answer(request), "warnings": []}
        if made:
            runs.begin(writer, started, {"version": __version__, "purpose": "entries without a daemon"})
            for event in made:
                writer.put(event)
            writer.flush()
            # It loads filters for a second, for which no other command should wait.
            from acquisition.analysis.cuff import warnings

            answer["warnings"] += warnings(directory, session_service.session_log, request, answer["session"])
    finally:
        writer.close()
    names = request["do"] == "session.visit" or request.get("field") in ("subject", "visit")
    answer["warnings"] += [f"{doubt.text}; {doubt.remedy}"] if doubt is not None and made else []
    answer["warnings"] += [UNKNOWN_STUDY] if rules is None and made and names else []
    return answer
