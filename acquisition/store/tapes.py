"""How long tapes are kept: as long as the samples beside them, and no longer than there is room."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from acquisition.model import Event
from acquisition.store import tiers
from acquisition.store.journal import Journal
from acquisition.store.retention import PATIENCE, Retention
from acquisition.store.upkeep import Step

FOLDER = "tapes"
RESTING = 600.0
"""Seconds since the last byte after which a tape counts as ended."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    written: float
    size: int


class TapeExpiry:
    """Removes files of tapes that a retention lets go, oldest first, and leaves an event `tape` that names them.

    Age is counted from the newest write to the record or a tape. Tapes go before samples do: as long as the record
    and its tapes together hold more than the size. What is still written to stays.
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
        files = sorted((_file(path) for path in self._folder.glob("*.tape")), key=lambda each: each.written)
        if not files:
            return []
        record = _file(self._record)
        newest = max([record.written, *(each.written for each in files)])
        age, size = self._retention.age, self._retention.size
        excess = 0 if size is None else record.size + sum(each.size for each in files) - size
        due = []
        for each in files:
            old = age is not None and newest - each.written > age / 1e9
            if newest - each.written < RESTING or not (old or excess > 0):
                continue
            excess -= each.size
            due.append(each)
        return due

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
    journal.append(Event("tape", tiers.last_key(connection), "", text, {"files": gone}))
