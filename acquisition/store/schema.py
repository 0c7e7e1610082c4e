"""The tables of a record, and opening its file safely."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import apsw
import msgspec

from acquisition.errors import Damaged, NoRecord, StoreError
from acquisition.store import wal
from acquisition.store.chain import Chain

FILE = "record.db"
APPLICATION = 0x50455246  # "PERF"
VERSION = 4
SAFE_SQLITE = 3_051_003
"""SQLite 3.51.2 and older can corrupt a WAL database that two connections use."""

Identity = tuple[int, int]
"""Device and inode of a file."""

WRITTEN: set[Path] = set()
"""Records that this process writes: readers in it leave the log to the writer, even where that writes elsewhere now."""

FIRST = """
CREATE TABLE run (
    run INTEGER PRIMARY KEY,
    utc INTEGER NOT NULL,        -- wall clock at the start, ns
    monotonic INTEGER NOT NULL,  -- monotonic clock at the same instant, ns
    anchor INTEGER NOT NULL,     -- time key of that instant, ns
    about TEXT NOT NULL          -- JSON: version, host, boot, ...
) STRICT;
CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (device, name)
) STRICT;
CREATE TABLE header (
    stream INTEGER NOT NULL REFERENCES stream,
    run INTEGER NOT NULL REFERENCES run,
    header TEXT NOT NULL,        -- JSON of model.Header
    PRIMARY KEY (stream, run)
) STRICT;
CREATE TABLE chunk (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES stream,
    run INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    first INTEGER NOT NULL,      -- sequence number of the first sample
    n INTEGER NOT NULL,
    start INTEGER NOT NULL,      -- time key of the first sample, ns
    stop INTEGER NOT NULL,       -- time key of the last sample, ns
    time BLOB NOT NULL,          -- int64 (n,) ns
    vals BLOB NOT NULL,          -- float64 (n, c)
    quality BLOB,                -- uint8 (n, c); NULL: all good
    device_time BLOB,            -- float64 (n,) s
    arrived BLOB NOT NULL,       -- int64 (k, 3): samples, monotonic ns, utc ns of each arrival
    crc INTEGER NOT NULL         -- CRC-32 over all of the above from stream on
) STRICT;
CREATE UNIQUE INDEX chunk_sequence ON chunk (stream, first);
CREATE INDEX chunk_time ON chunk (stream, start, stop);
CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,       -- time key, ns
    kind TEXT NOT NULL,
    device TEXT NOT NULL,
    stream TEXT NOT NULL,
    body TEXT NOT NULL,          -- canonical JSON of text and details
    hash BLOB NOT NULL           -- SHA-256 over the previous hash and this row
) STRICT;
CREATE INDEX event_kind ON event (kind, device, stream);
CREATE TRIGGER event_is_final BEFORE UPDATE ON event BEGIN SELECT raise(ABORT, 'events are final'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event BEGIN SELECT raise(ABORT, 'events stay'); END;
"""


SECOND = """
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL REFERENCES stream,
    run INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    first INTEGER NOT NULL,      -- as in chunk
    n INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    body BLOB NOT NULL,          -- compressed samples, see compressed_block.py
    crc INTEGER NOT NULL         -- CRC-32 over all of the above from stream on
) STRICT;
CREATE UNIQUE INDEX block_sequence ON block (stream, first);
CREATE INDEX block_time ON block (stream, start, stop, n);
CREATE TABLE overview (
    stream INTEGER NOT NULL REFERENCES stream,
    level INTEGER NOT NULL,      -- resolution, see overview.py
    first INTEGER NOT NULL,      -- sequence number of the first sample it covers
    following INTEGER NOT NULL,  -- sequence number after the last one
    run INTEGER NOT NULL,
    start INTEGER NOT NULL,      -- time keys of both
    stop INTEGER NOT NULL,
    body BLOB NOT NULL,
    crc INTEGER NOT NULL,
    PRIMARY KEY (stream, level, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE cursor (
    name TEXT NOT NULL,          -- the remote
    stream INTEGER NOT NULL,     -- 0: the events
    next INTEGER NOT NULL,       -- sequence number (or event) that is to be delivered next
    crc INTEGER NOT NULL,
    PRIMARY KEY (name, stream)
) STRICT, WITHOUT ROWID;
"""

THIRD = "DROP INDEX chunk_time;"
"""Sequence finds a fresh row as well, and each index costs every commit a page for each stream."""

FOURTH = "DELETE FROM overview;"
"""Its rows are written in another way, and made again from the blocks in the background."""
DRAWN_AS_NOW = 4
"""From this version on the rows of the overview are as `buckets` writes them."""

GUARD = """
CREATE TRIGGER IF NOT EXISTS event_is_new BEFORE INSERT ON event WHEN NEW.id <= (SELECT max(id) FROM event)
BEGIN SELECT raise(ABORT, 'events are final'); END;
"""
"""REPLACE fires no trigger of a DELETE (SQLite, CREATE TRIGGER): what it would overwrite is refused before."""


def locate(path: Path) -> Path:
    """The record's file, given it or its folder; NoRecord where there is none that this account may read."""
    try:
        file = path / FILE if path.is_dir() else path
        found = file.is_file()
    except PermissionError:
        raise _closed(path) from None
    if not found:
        raise NoRecord("there is no record", str(path), "a wrong folder, or no daemon has run on it yet",
                       "name the folder that holds record.db, or start the daemon: perfusion run -c FILE")  # fmt: skip
    if not os.access(file, os.R_OK):
        raise _closed(file)
    return file


def open_writer(file: Path, *, create: bool = True, vfs: str = "") -> apsw.Connection:
    """Open for writing, making the tables that are missing; every COMMIT reaches the disk before it returns."""
    _check_library()
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = None
    try:
        # psow=0: a power cut may spoil the whole sector that is being written, so no two commits share one.
        uri = f"file:{quote(str(file.absolute()))}?psow=0"
        connection = apsw.Connection(uri, flags=flags | apsw.SQLITE_OPEN_URI, vfs=vfs or None)
        connection.set_busy_timeout(5000)
        tables = list(connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1"))
        if tables:
            _check_version(connection, file)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", False)
        _upgrade(connection)
        connection.execute(GUARD)
        _empty_log(connection)
    except apsw.Error as error:
        _shut(connection)
        raise StoreError(
            f"the record cannot be opened ({error})", str(file), "the disk is full, read-only or failing"
        ) from error
    except BaseException:
        _shut(connection)
        raise
    return connection


def open_reader(file: Path, *, vfs: str = "") -> apsw.Connection:
    """Open for reading, also while a daemon writes; what an older record lacks, empty tables stand for."""
    _check_library()
    connection = None
    try:
        try:
            connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs or None)
        except apsw.Error:
            connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs or None)
        if file.absolute() in WRITTEN:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection = _unwritten(connection, file, vfs)
        if _check_version(connection, file) < 2:
            connection.pragma("temp_store", "memory")
            connection.execute(SECOND.replace("TABLE ", "TEMP TABLE ").replace("INDEX ", "INDEX temp."))
        connection.pragma("query_only", True)
    except apsw.Error as error:
        _shut(connection)
        raise _kind(error)(
            f"the record cannot be read ({error})", str(file), "it is no record, or it is damaged"
        ) from error
    except BaseException:
        _shut(connection)
        raise
    return connection


def _unwritten(connection: apsw.Connection, file: Path, vfs: str) -> apsw.Connection:
    """The same record where nothing can be written beside it, as on another machine's disk that is only looked at."""
    # Another process may just be looking through the log of a record that was not closed.
    connection.set_busy_timeout(5000)
    try:
        connection.pragma("schema_version")
    except (apsw.CantOpenError, apsw.ReadOnlyError) as error:
        connection.close(True)
        if os.access(file.parent, os.W_OK) and os.access(file, os.W_OK):
            raise
        if wal.path(file).exists():  # it holds what is not in the file yet
            raise StoreError(
                f"the record cannot be read where nothing can be written ({error})", str(file),
                "its log was left beside it, or a daemon of another account writes it",
                f"read it as that account, or copy {file.name} and {wal.path(file).name} into another folder",
            ) from error  # fmt: skip
        uri = f"file:{quote(str(file.absolute()))}?immutable=1"
        return apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs=vfs or None)
    return connection


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Turn what a damaged file brings about into words."""
    try:
        yield
    except apsw.ConnectionClosedError as error:
        raise closed(path) from error
    except (apsw.Error, msgspec.MsgspecError, ValueError, KeyError, TypeError) as error:
        kind = _kind(error)
        damaged = kind is Damaged
        raise kind(
            f"the record cannot be read ({error})",
            str(path),
            "the file is damaged" if damaged else "the disk, or another program that holds the file",
            f"`perfusion verify {path}` names the place" + ("; to record on, move the file aside" if damaged else ""),
        ) from error


def closed(path: Path) -> StoreError:
    """What a reader says that was closed before."""
    return StoreError("the store is closed", str(path), remedy="read before close(), or open it again")


def _empty_log(connection: apsw.Connection) -> None:
    """Begin with an empty log, behind a break in which nothing older stands; not while a reader or backup needs it."""
    connection.set_busy_timeout(0)
    with suppress(apsw.BusyError):
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.set_busy_timeout(5000)


def _upgrade(connection: apsw.Connection) -> None:
    """Bring the tables to the present schema in one transaction: a power cut leaves the old one whole."""
    before = connection.pragma("user_version")
    if before == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version, step in MIGRATIONS:
            if version > before:
                step(connection)
        connection.pragma("user_version", VERSION)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _first(connection: apsw.Connection) -> None:
    connection.execute(FIRST)
    connection.pragma("application_id", APPLICATION)


def _second(connection: apsw.Connection) -> None:
    connection.execute(SECOND)
    _announce_all(connection)


def _announce_all(connection: apsw.Connection) -> None:
    """Bind what stands in the tables already to the chain of events."""
    events = Chain(connection)
    for run, utc, monotonic, anchor, about in list(connection.execute("SELECT * FROM run ORDER BY run")):
        announce_run(events, run, utc, monotonic, anchor, about)
    headers = "SELECT h.stream, h.run, s.device, s.name, h.header FROM header h JOIN stream s ON s.id = h.stream"
    time = max((time for (time,) in connection.execute("SELECT max(anchor) FROM run") if time), default=0)
    for stream, run, device, name, header in list(connection.execute(f"{headers} ORDER BY h.run, h.stream")):
        announce_header(events, time, stream, run, device, name, header)


MIGRATIONS: tuple[tuple[int, Callable[[apsw.Connection], None]], ...] = (
    (1, _first),
    (2, _second),
    (3, lambda connection: _run(connection, THIRD)),
    (4, lambda connection: _run(connection, FOURTH)),
)
"""Each schema with the step that leads to it from the one before; the last is `VERSION`."""


def _run(connection: apsw.Connection, script: str) -> None:
    connection.execute(script)


def announce_run(events: Chain, run: int, utc: int, monotonic: int, anchor: int, about: str) -> None:
    """Bind a row of `run` to the chain of events."""
    body = {"text": f"run {run}", "details": {"row": [run, utc, monotonic, anchor, about]}}
    events.append(anchor, "run", "", "", body)


def announce_header(events: Chain, time: int, stream: int, run: int, device: str, name: str, header: str) -> None:
    """Bind a row of `header` and its stream to the chain of events."""
    body = {"text": f"recorded in run {run}", "details": {"row": [stream, run, header]}}
    events.append(time, "header", device, name, body)


def identity(path: Path) -> Identity | None:
    """Device and inode of what a path names now, None where it names nothing; OSError where that cannot be told."""
    with suppress(FileNotFoundError, NotADirectoryError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def identities(file: Path) -> tuple[Identity | None, ...]:
    """Which files stand at a record's path, and at its log's; StoreError where that cannot be told."""
    try:
        return identity(file), identity(wal.path(file))
    except OSError as error:
        raise StoreError(f"the record cannot be looked at ({error.strerror})", str(file)) from error


def name(connection: apsw.Connection) -> str:
    """What names a record among all: the hash of its first event, in hexadecimal; empty where it has none yet."""
    return next((digest.hex() for (digest,) in connection.execute("SELECT hash FROM event WHERE id = 1")), "")


def _check_library() -> None:
    if apsw.SQLITE_VERSION_NUMBER < SAFE_SQLITE:
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a record that is read while it is written",
            "the package apsw",
            remedy="install apsw 3.51.3 or later",
        )


def _check_version(connection: apsw.Connection, file: Path) -> int:
    if connection.pragma("application_id") != APPLICATION:
        raise Damaged("this file is no record", str(file), "it is another database, or an empty file")
    version: int = connection.pragma("user_version")
    if version > VERSION:
        raise StoreError(
            f"the record has schema {version}, this program knows up to {VERSION}",
            str(file),
            "a later version wrote it",
            "use that version or a newer one",
        )
    return version


def _closed(path: Path) -> NoRecord:
    return NoRecord(
        "this account may not read the record",
        str(path),
        "it belongs to the account that records",
        "read it as that account, or read a copy: perfusion backup",
    )


def _kind(error: Exception) -> type[StoreError]:
    """Whether the file itself is at fault, or perhaps only the way to it."""
    damaged = isinstance(error, apsw.CorruptError | apsw.NotADBError) or not isinstance(error, apsw.Error)
    return Damaged if damaged else StoreError


def _shut(connection: apsw.Connection | None) -> None:
    if connection is not None:
        connection.close(True)
