"""The tables of a record, and opening its file safely."""

from __future__ import annotations

from pathlib import Path

import apsw

from acquisition.errors import StoreError

FILE = "record.db"
APPLICATION = 0x50455246  # "PERF"
VERSION = 1
SAFE_SQLITE = 3_051_003
"""SQLite 3.51.2 and older can corrupt a WAL database that two connections use."""

TABLES = """
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


def locate(path: Path) -> Path:
    """The record's file, given it or its folder; StoreError where there is none."""
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise StoreError("there is no record", str(path), "a wrong folder", "name the folder that holds record.db")
    return file


def open_writer(file: Path) -> apsw.Connection:
    """Open for writing, making the tables of a new record; every COMMIT reaches the disk before it returns."""
    _check_library()
    try:
        connection = apsw.Connection(str(file))
        connection.set_busy_timeout(5000)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("foreign_keys", False)
        if connection.pragma("user_version") == 0 and not list(connection.execute("SELECT 1 FROM sqlite_schema")):
            with connection:
                connection.execute(TABLES)
                connection.pragma("application_id", APPLICATION)
                connection.pragma("user_version", VERSION)
        _check_version(connection, file)
    except apsw.Error as error:
        raise StoreError(
            f"the record cannot be opened ({error})", str(file), "the disk is full, read-only or failing"
        ) from error
    return connection


def open_reader(file: Path) -> apsw.Connection:
    """Open for reading, also while a daemon writes."""
    _check_library()
    try:
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        try:
            connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.Error as error:
            raise StoreError(f"the record cannot be opened ({error})", str(file)) from error
    try:
        connection.set_busy_timeout(5000)
        connection.pragma("query_only", True)
        _check_version(connection, file)
    except apsw.Error as error:
        raise StoreError(
            f"the record cannot be read ({error})", str(file), "it is no record, or it is damaged"
        ) from error
    return connection


def _check_library() -> None:
    if apsw.SQLITE_VERSION_NUMBER < SAFE_SQLITE:
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a record that is read while it is written",
            "the package apsw",
            remedy="install apsw 3.51.3 or later",
        )


def _check_version(connection: apsw.Connection, file: Path) -> None:
    if connection.pragma("application_id") != APPLICATION:
        raise StoreError("this file is no record", str(file), "another database of that name")
    version = connection.pragma("user_version")
    if version > VERSION:
        raise StoreError(
            f"the record has schema {version}, this program knows up to {VERSION}",
            str(file),
            "a later version wrote it",
            "use that version or a newer one",
        )
