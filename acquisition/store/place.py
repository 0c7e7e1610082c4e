"""The place of a record: its folder, file, log and lock by path, held against those that are open."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from acquisition.errors import Refused
from acquisition.store import modes, schema, wal
from acquisition.store.lock import Lock

log = logging.getLogger(__name__)


COMPANIONS = ("-wal", "-shm", "-journal")
"""Ends of the names of the files that SQLite keeps beside a record."""
FOUND = 8
"""Files of others that are moved out of the way of a record; a program that puts more there has to be ended."""


class Kind(Enum):
    """What is wrong, and so what mends it."""

    GONE = auto()
    """The file was removed, moved, replaced or spoilt: a new record has to begin."""
    LOG = auto()
    """Only its log was: what that holds can still be carried into the file."""
    LOCK = auto()
    """Only the lock was: another process may come to write here."""
    UNSEEN = auto()
    """The path cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why what is written does not count: who looks for `what` at its path does not find it."""

    kind: Kind
    what: Path
    fate: str

    @property
    def text(self) -> str:
        """In words."""
        return f"{self.what} {self.fate}"


@dataclass(frozen=True, slots=True)
class _State:
    """How the files are: bytes of the record's and of its log, and when the record's was written last, ns."""

    size: int = 0
    log: int = 0
    time: int = 0

    @classmethod
    def of(cls, file: Path) -> _State:
        try:
            found = file.stat()
        except OSError:
            return cls()
        try:
            log_size = wal.path(file).stat().st_size
        except OSError:
            log_size = 0
        return cls(found.st_size, log_size, found.st_mtime_ns)


class Place:
    """Where the record `file` is expected. `note` remembers which files stand there, `fault` compares.

    Neither opens the record's file: to close it again would undo SQLite's locks on it. `links` is how many names it
    has. `written` remembers how the writer left them, `touched` compares; `spoil` lets them count no more.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.links = 1
        self._lock = Lock(file.parent)
        self._known: schema.Identity | None = None
        self._known_log: schema.Identity | None = None
        self._left = _State()
        self._spoilt = False

    def note(self) -> None:
        """Take what stands at the path now for what is open."""
        self._known, self._known_log = schema.identity(self.file), schema.identity(wal.path(self.file))
        self.written()

    def written(self) -> None:
        """Take the files as they are now for what the writer left."""
        self._left = _State.of(self.file)

    @property
    def size(self) -> int:
        """Bytes of the file and its log when the writer left them last; asks no disk."""
        return self._left.size + self._left.log

    def touched(self) -> str | None:
        """What another program did to the files since the writer left them, in words; None where it did nothing."""
        now, left = _State.of(self.file), self._left
        if now.size < left.size:
            return f"{self.file} was cut from {left.size} to {now.size} bytes by another program"
        if now.log < left.log:
            return f"{wal.path(self.file)} was cut from {left.log} to {now.log} bytes by another program"
        return f"{self.file} was written into by another program" if now.time != left.time else None

    def spoil(self) -> Fault:
        """Let what stands at the path count no more: another program has spoilt it."""
        self._spoilt = True
        return Fault(Kind.GONE, self.file, "was overwritten by another program while it was written")

    def fault(self) -> Fault | None:
        """What of the place is not as it was noted; None where all is."""
        log_file = wal.path(self.file)
        try:
            found = schema.identity(self.file)
            if found is None:
                return Fault(Kind.GONE, self.file, "was removed or moved away while it was written")
            if found != self._known:
                return Fault(Kind.GONE, self.file, "was replaced by another file while it was written")
            if self._spoilt:
                return self.spoil()
            if self._known_log is not None and schema.identity(log_file) != self._known_log:
                return Fault(Kind.LOG, log_file, "was removed or replaced while it was written")
            if not self._lock.stands():
                return Fault(Kind.LOCK, self._lock.path, "was removed or replaced while it was held")
            self.links = self.file.stat().st_nlink
        except OSError as error:
            return Fault(Kind.UNSEEN, self.file, f"cannot be looked at ({error.strerror})")
        return None

    def take(self) -> None:
        """Hold the lock at the path, making the folder where it is missing; Refused where another process has it."""
        modes.make_folder(self.file.parent)
        modes.close_to_others(self.file.parent)
        self._lock.take()

    def prepare(self) -> None:
        """Hold the lock, and have a file at the path that only this account can read: SQLite makes its others alike."""
        self.take()
        if not os.path.lexists(self.file):
            modes.make_file(self.file)

    def seize(self) -> None:
        """At once when the file is gone: hold the lock, before another daemon takes the path for free.

        The log that was left beside it is moved aside, before a reader takes it for that of another file put there and
        writes it into that one.
        """
        self.take()
        ours = self._known_log is not None and schema.identity(wal.path(self.file)) == self._known_log
        if ours and not self._spoilt:  # the log of what was spoilt stays with it
            self._put_aside(("-wal", "-shm"))

    def release(self) -> None:
        """Let the lock go."""
        self._lock.release()

    def clear(self) -> Path | None:
        """Put an empty file at the path, under its lock, for a new record; returns where one that stood there is now.

        What another program put there, or made of the record, is moved aside with its log and kept: never more than
        `FOUND` such files, Refused beyond them. What a removed record left beside it is moved aside likewise: SQLite
        would take its log for the new one's.
        """
        self.take()
        aside = self._keep_found() if os.path.lexists(self.file) else None
        self._put_aside()
        modes.make_file(self.file)
        self._known, self._known_log, self._spoilt = schema.identity(self.file), None, False
        self.written()
        return aside

    def _keep_found(self) -> Path:
        """Move what stands at the path to a free name beside it, never over another file."""
        aside = _free_name(self.file, "found")
        if int(aside.suffix.rpartition("-")[2]) > FOUND:
            raise Refused(
                "another file stands where the record was", str(self.file),
                f"a program puts one there again and again: {FOUND} of them were moved aside",
                "end that program, and move the file away: a new record is then begun at once",
            )  # fmt: skip
        self.file.rename(aside)
        for end in COMPANIONS:
            path = self.file.with_name(self.file.name + end)
            if os.path.lexists(path):
                path.rename(aside.with_name(aside.name + end))
        log.critical("%s: what stood there was no record of this service's any more; it is now %s", self.file, aside)
        return aside

    def _put_aside(self, ends: tuple[str, ...] = COMPANIONS) -> None:
        for end in ends:
            path = self.file.with_name(self.file.name + end)
            if os.path.lexists(path):
                aside = _free_name(path, "lost")
                path.rename(aside)
                log.warning("%s belongs to a record that is gone; it is now %s", path, aside.name)


def _free_name(path: Path, word: str) -> Path:
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.{word}-{number}")):
        number += 1
    return aside
