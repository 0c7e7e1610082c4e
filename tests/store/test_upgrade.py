"""A record of the first schema is read as it is, and upgraded by the writer, wholly or not at all."""

import subprocess
import sys

import apsw
import msgspec
import pytest

from acquisition.store import Store, check, rows, schema
from tests.store.records import T0, Recording, Source


def write_old(directory, vfs=""):
    """A record as schema 1 left it: two runs, one stream."""
    source = Source()
    connection = apsw.Connection(str(directory / schema.FILE), vfs=vfs or None)
    connection.pragma("journal_mode", "wal")
    connection.pragma("synchronous", "full")
    with connection:
        connection.execute(schema.FIRST)
        connection.pragma("application_id", schema.APPLICATION)
        connection.pragma("user_version", 1)
        connection.execute("INSERT INTO stream VALUES (1, 'ldf', 'flux')")
        for run in (1, 2):
            connection.execute('INSERT INTO run VALUES (?, ?, 0, ?, \'{"host":"h"}\')', (run, T0 + run, T0 + run))
            text = msgspec.json.encode(source.header).decode()
            connection.execute("INSERT INTO header VALUES (1, ?, ?)", (run, text))
        for _ in range(5):
            connection.execute(rows.INSERT, rows.pack(1, rows.gather([source.chunk(10)])))
    connection.close()


@pytest.fixture
def old(tmp_path):
    write_old(tmp_path)
    return tmp_path


def version(directory):
    connection = apsw.Connection(str(directory / schema.FILE))
    try:
        return connection.pragma("user_version")
    finally:
        connection.close()


def indices(directory):
    connection = apsw.Connection(str(directory / schema.FILE))
    try:
        return {name for (name,) in connection.execute("SELECT name FROM pragma_index_list('chunk')")}
    finally:
        connection.close()


def test_a_reader_takes_the_first_schema_as_it_is(old):
    before = (old / schema.FILE).read_bytes()
    with Store(old) as store:
        assert len(store.read("ldf")) == 50
        assert len(store.after(1, 5, 10)) == 10
        assert (store.cursors(), store.ends(), store.head()) == ({}, {1: 50}, (0, ""))
        assert store.streams()[0].samples == 50
    assert check(old).ok
    assert version(old) == 1
    assert (old / schema.FILE).read_bytes() == before


def test_the_writer_upgrades_it_and_goes_on(old):
    with Recording(old) as writer:
        last = writer.last("ldf", "flux")
        assert last.next == 50
        writer.put(Source(run=3, first=50, start=last.key + 10**9).chunk(10, lost=-1))
        writer.advance("influx", {1: 7})
    assert version(old) == schema.VERSION
    report = check(old)
    assert report.problems == ()
    assert report.streams[0].samples == 60
    with Store(old) as store:
        assert [e.kind for e in store.events()] == ["run", "run", "header", "header", "run", "header", "gap"]
        assert store.cursors()["influx"].positions == {1: 7}


def test_the_second_schema_loses_the_index_that_nothing_needs(old, monkeypatch):
    monkeypatch.setattr(schema, "VERSION", 2)
    monkeypatch.setattr(schema, "THIRD", "")
    with Recording(old):
        pass
    monkeypatch.undo()
    assert (version(old), indices(old)) == (2, {"chunk_sequence", "chunk_time"})
    with Store(old) as store:
        assert len(store.read("ldf")) == 50
    with Recording(old):
        pass
    assert (version(old), indices(old)) == (schema.VERSION, {"chunk_sequence"})
    assert check(old).ok


@pytest.mark.parametrize("step", range(1, 18, 2))
def test_an_upgrade_that_is_killed_is_done_by_the_next_start(old, step):
    program = """
import os, signal, sys
from pathlib import Path
import apsw
from acquisition.store import schema
left = int(sys.argv[2])
def trace(event):
    global left
    if event["code"] == apsw.SQLITE_TRACE_STMT:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
apsw.connection_hooks.append(lambda connection: connection.trace_v2(apsw.SQLITE_TRACE_STMT, trace))
schema.open_writer(Path(sys.argv[1]) / schema.FILE)
"""
    killed = subprocess.run([sys.executable, "-c", program, old, str(step + 6)], check=False)
    assert killed.returncode == -9
    assert version(old) == 1
    with Recording(old):
        pass
    assert version(old) == schema.VERSION
    assert check(old).ok
    with Store(old) as store:
        assert len(store.read("ldf")) == 50


def test_every_schema_has_its_step_and_the_last_is_the_present_one():
    assert [number for number, _ in schema.MIGRATIONS] == list(range(1, schema.VERSION + 1))
