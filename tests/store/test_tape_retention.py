"""Tapes are kept as long as the samples beside them; what goes is named by an event."""

import os

import pytest

from acquisition.store import Retention, Store
from acquisition.store.tapes import RESTING, TapeExpiry
from tests.store.clocks import AHEAD, DAY, accident
from tests.store.records import T0, Recording, Source

HOUR = 3600 * 10**9


@pytest.fixture
def writer(tmp_path):
    """A record written now, and tapes of 100 kB last written 1, 2, 3 and 4 hours ago."""
    with Recording(tmp_path, compact=None) as writer:
        writer.put(Source().chunk(10))
        writer.flush()
        now = writer._file.stat().st_mtime
        (tmp_path / "tapes").mkdir()
        for hours in (1, 2, 3, 4):
            tape(tmp_path, f"box-1-{hours}-0000", now - hours * 3600)
        yield writer


def tape(folder, name, written):
    path = folder / "tapes" / f"{name}.tape"
    path.write_bytes(bytes(100_000))
    os.utime(path, (written, written))


def expire(writer, **retention):
    gone = TapeExpiry(writer._file, Retention(**retention), writer.submit).run_once()
    writer.flush()
    return gone


def left(folder):
    return sorted(path.name[6] for path in (folder / "tapes").iterdir())


def test_old_tapes_go_and_an_event_names_them(writer, tmp_path):
    assert expire(writer, age=int(2.5 * HOUR)) == 2
    assert left(tmp_path) == ["1", "2"]
    assert expire(writer, age=int(2.5 * HOUR)) == 0
    with Store(tmp_path) as store:
        (note,) = store.events("tape")
    assert note.body["details"]["files"] == ["box-1-4-0000.tape", "box-1-3-0000.tape"]


def test_the_oldest_go_while_record_and_tapes_are_too_large_together(writer, tmp_path):
    room = writer._file.stat().st_size + 250_000
    assert expire(writer, size=room) == 2
    assert left(tmp_path) == ["1", "2"]


def test_a_tape_that_is_being_written_stays(writer, tmp_path):
    tape(tmp_path, "box-1-9-0000", writer._file.stat().st_mtime - RESTING / 2)
    assert expire(writer, size=1) == 4
    assert left(tmp_path) == ["9"]


def test_a_record_without_tapes_is_left_alone(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        assert expire(writer, age=1, size=1) == 0


def test_tapes_of_a_clock_that_was_ahead_take_none_of_today_with_them(tmp_path):
    """Their files were last written in years to come."""
    host = accident(tmp_path)
    (tmp_path / "tapes").mkdir()
    for run, written in enumerate((T0, T0 + DAY + AHEAD, T0 + 2 * DAY), 1):
        tape(tmp_path, f"box-{run}-1-0000", written / 1e9)
    with host.run(T0 + 2 * DAY + 3600 * 10**9) as run:
        now = run.writer._file.stat().st_mtime
        tape(tmp_path, "box-4-1-0000", now - 900)
        assert expire(run.writer, age=2 * DAY) == 0
        assert expire(run.writer, age=HOUR // 2) == 1
        assert names(tmp_path) == [2, 3, 4], "a quarter of an hour is sure of the pauses before runs 2 and 4"
        for _ in range(2):
            expire(run.writer, size=1)
        assert names(tmp_path) == [], "where there is no room the oldest go, those of the future too"


def names(folder):
    return sorted(int(path.stem.split("-")[1]) for path in (folder / "tapes").iterdir())
