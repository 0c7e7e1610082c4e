"""The remotes that a record knows: what each has acknowledged, and how one that is gone for good is let go of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from acquisition import __version__
from acquisition.config import Config
from acquisition.control_socket.client import NoDaemon, ask
from acquisition.errors import Refused, StoreError
from acquisition.model import Event
from acquisition.remotes.factory import INFLUX
from acquisition.remotes.mqtt import NAME as MQTT
from acquisition.store import Store, StoreWriter, runs
from acquisition.store.journal import Journal
from acquisition.store.maintenance import Step
from acquisition.timing.clock import Clock

REQUEST = "remote.forget"
"""What the control socket is asked: {"name", "reason", "by"}."""
PATIENCE = 4.0
"""Seconds that the disk may take."""
FORGOTTEN = "forgotten"
"""The kind of the event; its words are a person's and stay at the bedside."""


@dataclass(frozen=True, slots=True)
class RemoteLag:
    """How far a remote is: samples and events acknowledged and not yet, and the time key (ns) of the oldest waiting."""

    name: str
    acknowledged: int
    behind: int
    events: int
    events_behind: int
    waiting_since: int | None


def known(store: Store) -> list[RemoteLag]:
    """Every remote that has a cursor in the record, by name."""
    ends, (last_event, _) = store.ends(), store.head()
    found = []
    for cursor in store.cursors().values():
        at = {stream: min(cursor.positions.get(stream, 0), end) for stream, end in ends.items()}
        oldest = [store.after(stream, at[stream], 1) for stream, end in ends.items() if at[stream] < end]
        found.append(
            RemoteLag(
                cursor.name,
                sum(at.values()),
                sum(ends[stream] - at[stream] for stream in ends),
                cursor.event,
                max(last_event - cursor.event, 0),
                min((int(samples.time[0]) for samples in oldest if samples is not None), default=None),
            )
        )
    return found


def configured(config: Config) -> frozenset[str]:
    """The names of the remotes that a configuration has, and for which retention waits."""
    influx, mqtt = config.tables.influx, config.tables.mqtt
    return frozenset({INFLUX} if influx else ()) | frozenset({MQTT} if mqtt and mqtt.durable else ())


def left_behind(store: Store, present: Collection[str]) -> list[RemoteLag]:
    """The remotes that the record knows and the configuration no longer has."""
    return [each for each in known(store) if each.name not in present]


def let_go(directory: Path, name: str, reason: str, by: str, present: Collection[str] = ()) -> dict[str, Any]:
    """Have retention wait for a remote no longer: through the daemon, or where none runs in the record itself.

    Answers what was let go. Refused where the configuration (`present`, and the daemon's own) has it, or the record
    knows none of that name.
    """
    with Store(directory) as store:
        _find(store, name, present)
    try:
        answer: dict[str, Any] = ask(directory, {"do": REQUEST, "name": name, "reason": reason, "by": by})
        return answer
    except NoDaemon:
        pass
    clock = Clock()
    writer = StoreWriter(directory, clock=clock, compact=None)
    writer.open()
    try:
        timeline = runs.begin(writer, clock.now(), {"version": __version__, "purpose": "a remote was let go of"})
        return forget(directory, writer, name, timeline.anchor, reason, by, present)
    finally:
        writer.close()


def forget(
    directory: Path, writer: StoreWriter, name: str, time: int, reason: str, by: str, present: Collection[str]
) -> dict[str, Any]:
    """Remove the cursor and tell of it in the chain of events, both or neither; by whoever writes the record."""
    if not reason.strip():
        raise Refused("no reason was given", name, remedy="say why, in a few words")
    with Store(directory) as store:
        remote = _find(store, name, present)
    details = {"remote": name, "reason": reason, "by": by, "acknowledged": remote.acknowledged,
               "not_acknowledged": remote.behind}  # fmt: skip
    text = f"retention no longer waits for {name}, which had not acknowledged {remote.behind} samples: {reason}"

    def run(connection: apsw.Connection, journal: Journal) -> None:
        connection.execute("DELETE FROM cursor WHERE name = ?", (name,))
        journal.append(Event(FORGOTTEN, time, "", text, details))

    step = Step(run)
    writer.submit(step)
    if not step.wait(PATIENCE):
        raise StoreError(
            "nothing was changed: the record is not writing", str(directory), "the disk is full or failing",
            "look at `perfusion watch`",
        )  # fmt: skip
    return {"name": name, "acknowledged": remote.acknowledged, "not_acknowledged": remote.behind}


def _find(store: Store, name: str, present: Collection[str]) -> RemoteLag:
    held = {each.name: each for each in known(store)}
    if name in present:
        raise Refused(
            f"the configuration has the remote {name!r}",
            str(store.path),
            "retention is to wait for it",
            f"take it out of the configuration first ($.{name}), and start the daemon anew",
        )
    if name not in held:
        raise Refused(
            f"the record knows no remote {name!r}",
            str(store.path),
            "a typing error, or it was let go of before",
            f"it knows: {', '.join(held) or 'none'}",
        )
    return held[name]
