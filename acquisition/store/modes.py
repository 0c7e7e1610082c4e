"""The modes of a record's folder and files: for the account that records, and for no other."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path
from typing import BinaryIO

from acquisition.errors import Refused

log = logging.getLogger(__name__)

FOLDER, FILE = 0o700, 0o600
OTHERS = 0o077


def make_folder(folder: Path) -> None:
    """Make a folder that only this account can enter; what is there already stays as it is."""
    folder.mkdir(mode=FOLDER, parents=True, exist_ok=True)


def make_file(file: Path) -> None:
    """Make an empty file that only this account can read; FileExistsError where the path is taken, by a link too."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE))


def create(file: Path) -> BinaryIO:
    """Open a new file, unbuffered, that only this account can read; FileExistsError where the path is taken."""
    make_file(file)
    return file.open("r+b", buffering=0)


def close_to_others(folder: Path) -> None:
    """Take from everyone else what the folder of a record and the files in it allow them; each is told of.

    Refused where others may write in the folder, or where somebody else put a link in its place: what they put there
    would be written over, or read as the record. What belongs to another account is left as it is.
    """
    _refuse_strange_link(folder)
    found = folder.stat()
    if found.st_mode & stat.S_IWOTH:
        raise Refused(
            "every account of this machine may write in the folder of the record",
            str(folder),
            "it was made for sharing, or with umask 0",
            f"look at what is in it, then: chmod 700 {folder}; or choose a folder of this account's own",
        )
    _close(folder)
    for each in sorted(folder.iterdir()):
        if each.name in ("lock", "tapes") or each.name.startswith("record.db"):
            _close(each)


def _refuse_strange_link(folder: Path) -> None:
    link = folder.lstat()
    # systemd's own (DynamicUser) belongs to root.
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
        raise Refused(
            "the folder of the record is a symbolic link of another account, and is not followed", str(folder),
            "somebody put it there", "remove it, or name the folder itself",
        )  # fmt: skip


def _close(path: Path) -> None:
    found = path.lstat()
    open_to = stat.S_IMODE(found.st_mode) & OTHERS
    if not open_to or stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        return
    path.chmod(stat.S_IMODE(found.st_mode) & ~OTHERS)
    log.warning("%s was open to other accounts (%04o); it is not any more", path, stat.S_IMODE(found.st_mode))
