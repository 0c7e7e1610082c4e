"""Retention of tapes: as long as the samples beside them, and no longer than there is room."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from acquisition.model import Event
from acquisition.store import merged_read, schema
from acquisition.store.journal import Journal
from acquisition.store.maintenance import Step
from acquisition.store.retention import PATIENCE, Elapsed, Retention

FOLDER = "tapes"
RESTING = 600.0
"""Seconds since the last byte after which a tape counts as ended."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    written: float
    size: int

    @property
    def run(self) -> int:
        """Whose run it is by its name, -1 where that does not say."""
        found = self.path.stem.rsplit("-", 3)[1:2]
        return int(found[0]) if found and found[0].isdigit() else -1


class TapeExpiry:
    """Removes files of tapes that a retention lets go, oldest first, and leaves an event `tape` that names them.

    A tape of an earlier run is as old as that run's end, by the times of the record; one of the present run as its last
    write is before the newest one to the record. Tapes go before samples do: as long as the record and its tapes
    together hold more than the size. What is still written to stays.
    """

    def __init__(self, record: Path, retention: Retention, submit: Callable[[Step], None]) -> None:
        self._record = record
        self._folder = record.parent / FOLDER
        self._retention = retention
        self._submit = submit

    def run_once(self, stopped: threading.Event | None = None) -> int:  # noqa: ARG002
        """Remove all that may go; answers how many files went."""
        gone = [each.path.name for each in self._due() if self._remove(each.path)]
        if gone:
            step = Step(lambda connection, journal: _note(connection, journal, gone))
            self._submit(step)
            step.wait(PATIENCE)
        return len(gone)

    def _due(self) -> list[_File]:
        files = sorted((_file(path) for path in self._folder.glob("*.tape")), key=lambda each: (each.run, each.written))
        if not files:
            return []
        record = _file(self._record)
        beside = self._record.with_name(self._record.name + "-wal")
        newest = max(each.stat().st_mtime for each in (self._record, beside) if each.exists())
        age, size = self._retention.age, self._retention.size
        over = self._over({each.run for each in files}, merged_read.MANY if age is None else age)
        excess = 0 if size is None else record.size + sum(each.size for each in files) - size
        due = []
        for each in files:
            before = over.get(each.run)
            old = age is not None and (newest - each.written > age / 1e9 if before is None else before)
            written_to = before is None and newest - each.written < RESTING
            if written_to or not (old or excess > 0):
                continue
            excess -= each.size
            due.append(each)
        return due

    def _over(self, numbers: set[int], age: int) -> dict[int, bool | None]:
        """Whether each of these runs, unless it is the present one, ended longer ago than the age (ns)."""
        with contextlib.closing(schema.open_reader(self._record)) as connection:
            elapsed = Elapsed(connection, age, merged_read.last_key(connection))
        return {number: elapsed.over(number) for number in numbers}

    def _remove(self, path: Path) -> bool:
        try:
            path.unlink()
        except OSError as error:
            log.warning("%s cannot be removed: %s", path, error)
            return False
        return True


def _file(path: Path) -> _File:
    found = path.stat()
    return _File(path, found.st_mtime, found.st_size)


def _note(connection: apsw.Connection, journal: Journal, gone: list[str]) -> None:
    text = f"{len(gone)} tapes were removed, as the retention says"
    journal.append(Event("tape", merged_read.last_key(connection), "", text, {"files": gone}))
