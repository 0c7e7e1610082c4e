"""One writer for each record: a lock beside it that says who holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

from acquisition.errors import Refused, StoreError


class Lock:
    """Holds `DIR/lock` by flock; never a lock on the database file itself, whose closing would undo SQLite's own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "lock"
        self._fd: int | None = None

    def take(self) -> None:
        """Take the lock that stands at the path; one that is held, and is no longer there, is let go of afterwards.

        Refused with the PID that has it, StoreError where it cannot be opened.
        """
        if self._fd is not None and self.stands():
            return
        fd = self._open()
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise Refused(
                f"the record is being written by PID {holder}",
                str(self.path),
                "another daemon runs on it, or a command is writing",
                "use the one that runs, or give this one a store of its own",
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self.release()
        self._fd = fd

    def stands(self) -> bool:
        """Whether the lock at the path is the one that is held; OSError where that cannot be told."""
        if self._fd is None:
            return False
        held = os.fstat(self._fd)
        try:
            found = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    def release(self) -> None:
        """Let it go."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreError(
                    "the lock is a symbolic link, and is not followed", str(self.path),
                    "somebody put it there so that another file is overwritten",
                    "look at who may write in this folder, and remove the link",
                ) from error  # fmt: skip
            raise StoreError(
                f"the lock cannot be opened ({error.strerror})",
                str(self.path),
                "the folder belongs to another account, or its disk is read-only",
                "choose a folder that this account can write",
            ) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoreError("the lock is no file", str(self.path), "somebody put it there", "remove it")
        return fd


def held(directory: Path) -> bool:
    """Whether another process holds the lock of a record now; nothing is created or taken."""
    try:
        fd = os.open(directory / "lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
