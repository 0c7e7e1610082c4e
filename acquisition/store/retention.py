"""Retention policy of a record: by age and size, never beyond what every remote has acknowledged."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from acquisition.model import Event
from acquisition.store import merged_read, runs, schema
from acquisition.store.journal import EVENTS, Journal, cursor_checksum
from acquisition.store.maintenance import Step

SECOND = 1_000_000_000
_UNITS = {"h": 3600 * SECOND, "d": 86400 * SECOND, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_PART = re.compile(r"(\d+) ?(h|d|MB|GB|TB)")
AT_ONCE = 200
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Retention:
    """What may go: samples `age` ns older than the newest, and the oldest while the file holds more than `size` bytes.

    Age is counted by the wall clock from the record's own newest time. A pause between two runs counts for nothing
    where the clock went back, and for half the age or `runs.PAUSE` at most: a clock set wrong then neither keeps
    samples for ever nor removes those of today. With `sessions` the samples of every examination stay.
    """

    age: int | None = None
    size: int | None = None
    sessions: bool = False


def parse(text: str) -> Retention:
    """Read "90 d", "20 GB" or both, "90 d, 20 GB"; ValueError says what is allowed."""
    found: dict[str, int] = {}
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        key = "" if match is None else "age" if match[2] in "hd" else "size"
        if match is None or key in found or int(match[1]) == 0:
            raise ValueError("an age (h, d), a size (MB, GB, TB), or both: 90 d, 20 GB")
        found[key] = int(match[1]) * _UNITS[match[2]]
    return Retention(found.get("age"), found.get("size"))


@dataclass(frozen=True, slots=True)
class _BlockRow:
    id: int
    run: int
    stream: int
    first: int
    following: int
    start: int
    stop: int
    size: int


class Elapsed:
    """Tells whether an age (ns) has passed since an instant, as far as that is sure."""

    def __init__(self, connection: apsw.Connection, age: int, newest: int) -> None:
        known = runs.read(connection)
        self._added = runs.elapsed(known, min(age // 2, runs.PAUSE))
        self._ends = {run.number: run.end for run in known[:-1]}
        self._oldest = newest + (self._added[known[-1].number] if known else 0) - age

    def passed(self, run: int, key: int) -> bool:
        """Whether a time key of a run is older than the age."""
        return key + self._added.get(run, 0) < self._oldest

    def over(self, run: int) -> bool | None:
        """Whether the whole of an earlier run is older than the age; None for the present run."""
        return self.passed(run, self._ends[run]) if run in self._ends else None


class Expiry:
    """Removes blocks that a retention lets go, oldest first, and leaves an event `expired` that accounts for them.

    Kept in any case: rows that are not yet compressed; what a cursor has not acknowledged; what an event
    `keep` (details: `from` and `to`, time keys, `to` absent for an open end) covers; examinations, where the
    retention says so.
    """

    def __init__(self, file: Path, retention: Retention, submit: Callable[[Step], None], *, vfs: str = "") -> None:
        self._file = file
        self._retention = retention
        self._submit = submit
        self._vfs = vfs

    def run_once(self, stopped: threading.Event | None = None) -> int:
        """Remove all that may go; answers how many blocks went."""
        gone = 0
        while stopped is None or not stopped.is_set():
            connection = schema.open_reader(self._file, vfs=self._vfs)
            try:
                with connection:
                    record = schema.name(connection)
                    newest = merged_read.last_key(connection)
                    due = list(self._due(connection, newest))[:AT_ONCE]
            finally:
                connection.close()
            if not due or not self._remove(due, newest, record):
                break
            gone += len(due)
        return gone

    def _due(self, connection: apsw.Connection, newest: int) -> Iterable[_BlockRow]:
        oldest = None if self._retention.age is None else Elapsed(connection, self._retention.age, newest)
        excess = 0
        if self._retention.size is not None:
            pages = connection.pragma("page_count") - connection.pragma("freelist_count")
            excess = pages * connection.pragma("page_size") - self._retention.size
        if excess <= 0 and oldest is None:
            return
        acknowledged, kept = _acknowledged(connection), _kept(connection)
        if self._retention.sessions:
            kept += _sessions(connection)
        query = "SELECT id, run, stream, first, first + n, start, stop, length(body) FROM block ORDER BY stop"
        for block in (_BlockRow(*row) for row in connection.execute(query)):
            if excess <= 0 and (oldest is None or not oldest.passed(block.run, block.stop)):
                return
            held = any(block.following > each.get(block.stream, 0) for each in acknowledged)
            if held or any(block.stop >= start and block.start <= stop for start, stop in kept):
                continue
            excess -= block.size
            yield block

    def _remove(self, due: list[_BlockRow], now: int, record: str) -> bool:
        def remove(connection: apsw.Connection, journal: Journal) -> None:
            names = {number: key for key, number in journal.streams.items()}
            ranges: dict[int, list[list[int]]] = {}
            for block in due:
                connection.execute("DELETE FROM block WHERE id = ? AND first = ?", (block.id, block.first))
                connection.execute(
                    "DELETE FROM overview WHERE stream = ? AND first < ? AND following > ?",
                    (block.stream, block.following, block.first),
                )
                known = ranges.setdefault(block.stream, [])
                if known and known[-1][1] == block.first:
                    known[-1][1] = block.following
                else:
                    known.append([block.first, block.following])
            for number, gone in ranges.items():
                device, stream = names[number]
                text = f"{sum(b - a for a, b in gone)} samples were removed, as the retention says"
                journal.append(Event("expired", now, device, text, {"stream": stream, "ranges": gone}))

        step = Step(remove, record)
        self._submit(step)
        return step.wait(PATIENCE)


def _acknowledged(connection: apsw.Connection) -> list[dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for name, stream, following, crc in connection.execute("SELECT * FROM cursor"):
        positions = found.setdefault(name, {})
        if stream != EVENTS and cursor_checksum(name, stream, following) == crc:
            positions[stream] = following
    return list(found.values())


def _kept(connection: apsw.Connection) -> list[tuple[int, int]]:
    kept = []
    for (body,) in connection.execute("SELECT body FROM event WHERE kind = 'keep'"):
        details: dict[str, Any] = json.loads(body).get("details", {})
        until = details.get("to")
        kept.append((int(details.get("from", 0)), 2**62 if until is None else int(until)))
    return kept


def _sessions(connection: apsw.Connection) -> list[tuple[int, int]]:
    """When each examination began and ended; one that goes on has no end yet."""
    spans: dict[str, tuple[int, int]] = {}
    for time, body in connection.execute("SELECT time, body FROM event WHERE kind = 'session' ORDER BY id"):
        details: dict[str, Any] = json.loads(body).get("details", {})
        name, done = str(details.get("session", "")), details.get("do")
        if done == "start":
            spans[name] = (time, 2**62)
        elif done == "stop" and name in spans:
            spans[name] = (spans[name][0], time)
    return list(spans.values())
