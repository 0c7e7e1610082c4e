"""The write-ahead log beside a record's file: written anew after a failed sync, and searched for what it lost."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import apsw

PIECE = 1 << 16
"""SQLite's own files take less than 128 kB at a time."""
HEADER = struct.Struct(">8I")
FRAME = struct.Struct(">6I")
LITTLE, BIG = 0x377F0682, 0x377F0683


def path(file: Path) -> Path:
    """Where the log of a record's file stands."""
    return file.with_name(file.name + "-wal")


def write_anew(file: Path, vfs: str) -> None:
    """Write the log's last transaction over itself and sync it, so that what can be read of it is on the disk.

    After a failed fsync the kernel may hold pages that it takes for written and the disk never got;
    asking for another fsync would then succeed without writing anything. What stands before the last
    transaction was synced in its time and is not touched: a power cut may spoil what is being written.
    """
    flags = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    log = apsw.VFSFile(vfs, str(path(file.absolute())), [flags, 0])
    try:
        size = log.xFileSize()
        sector = max(log.xSectorSize(), 512)
        start = -(-_last_transaction(path(file).read_bytes()) // sector) * sector
        for offset in range(start, size, PIECE):
            log.xWrite(log.xRead(min(PIECE, size - offset), offset), offset)
        log.xSync(apsw.SQLITE_SYNC_FULL)
    finally:
        log.xClose()


def commits_behind_damage(file: Path) -> int:
    """How many transactions of the log stand behind a damaged place, where SQLite will not read them.

    SQLite takes the log up to the first frame whose checksum fails for all there is (SQLite, Database file
    format, section 4). An interrupted transaction looks so too, but it is the last one: two or more behind
    the break were accepted once. The log must not grow shorter meanwhile: ask inside a read transaction.
    """
    log = path(file)
    try:
        data = log.read_bytes()
    except OSError:
        return 0
    behind, before = 0, False
    for _, whole, commit in _frames(data):
        if not whole:
            # A COMMIT that fills its sector repeats its last frame: neighbours count once.
            behind += commit and not before
            before = commit
    unchanged = log.exists() and _header(log) == data[: HEADER.size]
    return behind if unchanged else 0


def _last_transaction(data: bytes) -> int:
    """Where the last transaction begins that is whole, or one before it; 0 where it is the log's first.

    The frame that fills up the sector of the COMMIT before counts to it, for it is synced no further than that sector.
    """
    begins, commits = [0], list[int]()
    for offset, whole, commit in _frames(data):
        if not whole:
            break
        if commit:
            commits.append(offset)
        elif commits:
            begins.append(commits[1] if len(commits) > 1 else offset)
            commits = []
    # Where frames follow the last COMMIT, its own transaction may still be the one in doubt.
    return begins[-1] if commits else begins[max(len(begins) - 2, 0)]


def _frames(data: bytes) -> Iterator[tuple[int, bool, bool]]:
    """Offset of each frame, whether all up to it is whole, and whether it ends a transaction."""
    if len(data) < HEADER.size:
        return
    magic, _, page, _, *salts, _, _ = HEADER.unpack_from(data)
    size = FRAME.size + page
    if magic not in (LITTLE, BIG) or not 512 <= page <= 65536:
        return
    words = "<" if magic == LITTLE else ">"
    sums, whole = _sums(data[:24], words, (0, 0)), True
    for offset in range(HEADER.size, len(data) - size + 1, size):
        _, truncate, *own, one, two = FRAME.unpack_from(data, offset)
        if whole:
            sums = _sums(data[offset : offset + 8], words, sums)
            sums = _sums(data[offset + FRAME.size : offset + size], words, sums)
            whole = own == salts and sums == (one, two)
        yield offset, whole, own == salts and truncate != 0


def _header(log: Path) -> bytes:
    with log.open("rb") as file:
        return file.read(HEADER.size)


def _sums(data: bytes, words: str, sums: tuple[int, int]) -> tuple[int, int]:
    """SQLite's running checksum over pairs of 32-bit words."""
    one, two = sums
    for first, second in _pairs(data, words):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two


def _pairs(data: bytes, words: str) -> Iterator[tuple[int, int]]:
    return struct.iter_unpack(f"{words}2I", data)
