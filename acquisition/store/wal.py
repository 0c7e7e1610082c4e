"""The write-ahead log beside a record's file: written anew after a failed sync."""

from __future__ import annotations

from pathlib import Path

import apsw

PIECE = 1 << 16
"""SQLite's own files take less than 128 kB at a time."""


def write_anew(file: Path, vfs: str) -> None:
    """Write the log's bytes over themselves and sync them, so that what can be read of it is on the disk.

    After a failed fsync the kernel may hold pages that it takes for written and the disk never got;
    asking for another fsync would then succeed without writing anything.
    """
    path = f"{file.absolute()}-wal"
    base = apsw.VFSFile(vfs, path, [apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, 0])
    try:
        size = base.xFileSize()
        for offset in range(0, size, PIECE):
            base.xWrite(base.xRead(min(PIECE, size - offset), offset), offset)
        base.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        base.xClose()
