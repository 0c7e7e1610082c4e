"""One writer for each record: a lock beside it that says who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from acquisition.errors import Refused, StoreError


class Lock:
    """Holds `DIR/lock` by flock; never a lock on the database file itself, whose closing would undo SQLite's own."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "lock"
        self._fd: int | None = None

    def take(self) -> None:
        """Take the lock: Refused with the PID that has it, StoreError where the folder cannot be written."""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"the lock cannot be opened ({error.strerror})",
                str(self._path),
                "the folder belongs to another account, or its disk is read-only",
                "choose a folder that this account can write",
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise Refused(
                f"the record is being written by PID {holder}",
                str(self._path),
                "another daemon runs on it",
                f"stop that one (kill {holder}), or give this one a store of its own",
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let it go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
