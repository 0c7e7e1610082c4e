"""A record that vanishes from its path while it is written: nothing counts meanwhile, and a new one goes on."""

import fcntl
import os
import shutil
import subprocess
import sys
import time

import pytest

from acquisition.errors import StoreError
from acquisition.store import Store, check, place, schema
from acquisition.store.kept import Kept
from acquisition.store.lock import Lock, held
from acquisition.store.maintenance import Step
from tests.store.records import T0, Recording, Source, event, header

SESSION = {"session": "s1"}


class Ward:
    """A record of two streams with an examination that goes on, and all that is heard of it."""

    def __init__(self, folder, **more):
        self.folder = folder
        self.told, self.renewed, self.witnessed = [], [], []
        self.recording = Recording(
            folder, on_trouble=self.told.append, on_renewal=self.renewed.append, witness=self.witnessed.extend,
            compact=None, **more,
        )  # fmt: skip
        self.sources = [Source(), Source(header("tcm", "monitor", ("tcpo2",)), seed=2)]

    def __enter__(self):
        self.writer = self.recording.__enter__()
        self.writer.put(event(T0, "session", "", "s1 started", do="start", **SESSION))
        self.writer.put(event(T0 + 1, "mark", "", "inflate", n=1, **SESSION))
        return self

    def __exit__(self, *_):
        self.recording.__exit__()

    def samples(self, rounds=3):
        for _ in range(rounds):
            for source in self.sources:
                self.writer.put(source.chunk())
        return self

    def committed(self, timeout=10.0):
        assert self.writer.flush(timeout)
        return self


def aged(ward):
    """Let what was committed be older than what is kept."""
    ward.committed()
    ward.writer._succession.kept.take([], 1e12)


def gone(folder):
    shutil.rmtree(folder)


def moved(folder):
    folder.rename(folder.with_name("elsewhere"))


def file_removed(folder):
    (folder / "record.db").unlink()


def swapped(folder):
    folder.rename(folder.with_name("elsewhere"))
    folder.mkdir()


GONE = [gone, moved, file_removed, swapped]


@pytest.mark.parametrize("strike", GONE)
def test_a_record_that_vanishes_is_told_of_and_begun_anew_with_its_last_seconds(tmp_path, strike):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        strike(folder)
        ward.samples().committed()
        ward.samples().committed()
        assert ward.writer.stats.trouble is None
        assert ward.writer.lost is None, "all of it was kept"
        assert [text and text.partition(" ")[0] for text in ward.told] == [str(folder / "record.db"), None]
        assert "samples wait in memory" in ward.told[0]
        assert len(ward.renewed) == 1
    report = check(folder)
    assert report.ok, report.problems
    assert {(each.stream, each.samples, each.gaps) for each in report.streams} == {("flux", 36, 0), ("monitor", 36, 0)}
    with Store(folder) as store:
        assert [row.kind for row in store.events()][:4] == ["record", "run", "session", "mark"]
        assert len(store.events("session")) == len(store.events("mark")) == 1


@pytest.mark.parametrize("strike", GONE)
def test_what_is_older_is_a_gap_that_names_the_record_before(tmp_path, strike):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples()
        aged(ward)
        number, digest = head(folder)
        ward.samples(1).committed()
        strike(folder)
        ward.samples(1).committed()
        assert str(number) in ward.writer.lost
        assert digest in ward.writer.lost
    report = check(folder)
    assert report.ok, report.problems
    assert {(each.stream, each.samples, each.gaps, each.missing) for each in report.streams} == {
        ("flux", 8, 1, 12),
        ("monitor", 8, 1, 12),
    }
    with Store(folder) as store:
        (told,) = store.events("record")
        assert told.body["details"]["before"] == {"event": number, "hash": digest, **SESSION}
        for gap in store.events("gap"):
            assert gap.body["details"] == told.body["details"]
            assert (gap.body["after"], gap.body["before"], gap.body["missing"]) == (-1, 12, 12)
        assert [row.body["text"] for kind in ("session", "mark") for row in store.events(kind)] == [
            "s1 started", "inflate",
        ]  # fmt: skip


def head(folder):
    with Store(folder) as store:
        return store.head()


def put(folder, text):
    """Put another file at the record's path, as a copy or a synchronisation does."""
    other = folder.with_name("other.db")
    other.write_text(text)
    other.replace(folder / "record.db")


def test_another_file_at_the_path_is_moved_aside_and_a_new_record_begun(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        (folder / "record.db.found-1").write_text("older")
        put(folder, "precious")
        (folder / "record.db-journal").write_text("its journal")
        ward.samples().committed()
        assert [text for text in ward.renewed if "replaced by another file" in text and "record.db.found-2" in text]
    assert (folder / "record.db.found-1").read_text() == "older"
    assert (folder / "record.db.found-2").read_text() == "precious"
    assert (folder / "record.db.found-2-journal").read_text() == "its journal"
    report = check(folder)
    assert report.ok, report.problems
    assert all(stream.samples for stream in report.streams)


def test_nothing_counts_as_accepted_that_is_not_at_its_path(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        accepted = len(ward.witnessed)
        for number in range(place.FOUND):
            (folder / f"record.db.found-{number + 1}").write_text("one of a program that does not stop")
        put(folder, "precious")
        ward.samples()
        assert not ward.writer.flush(0.3)
        assert len(ward.witnessed) == accepted
        until = time.monotonic() + 10.0
        while "puts one there again and again: 8 of them" not in ward.writer.stats.trouble:
            assert time.monotonic() < until, ward.writer.stats.trouble
            time.sleep(0.02)
        assert (folder / "record.db").read_text() == "precious"
        (folder / "record.db").unlink()
        ward.committed()
        assert len(ward.witnessed) > accepted
    assert check(folder).ok


def test_a_reader_does_not_write_the_log_into_a_file_that_was_put_there(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder, flush=60.0) as ward:
        for _ in range(30):  # the file grows, so that its first page is in the log too
            ward.samples(20).committed()
        other = tmp_path / "other.db"
        other.write_text("precious")
        other.replace(folder / "record.db")
        Store(folder).close()  # before anybody noticed
        assert (folder / "record.db").read_text() == "precious"
        ward.samples().committed()
        assert (folder / "record.db.found-1").read_text() == "precious"
        assert not (folder / "record.db.found-1-wal").exists(), "nor may a reader of another process"


def test_a_record_that_is_put_back_at_once_goes_on_without_a_new_one(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        moved(folder)
        hear = ward.writer._trouble._hear
        ward.writer._trouble._hear = lambda text: hear(text) or (text and folder.with_name("elsewhere").rename(folder))
        ward.samples().committed()
        assert ward.renewed == []
    report = check(folder)
    assert report.ok, report.problems
    assert [(stream.samples, stream.gaps) for stream in report.streams] == [(24, 0), (24, 0)]


def test_an_older_copy_at_the_path_is_never_written(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        shutil.copytree(folder, tmp_path / "copy")
        shutil.rmtree(folder)
        (tmp_path / "copy").rename(folder)
        names = "record.db", "record.db-wal"
        before = [(folder / name).read_bytes() for name in names]
        ward.samples().committed()
        found = "record.db.found-1", "record.db.found-1-wal"
        assert [(folder / name).read_bytes() for name in found] == before
    assert check(folder).ok


def test_another_daemon_that_took_the_path_keeps_it(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        folder.rename(tmp_path / "elsewhere")
        folder.mkdir()
        with (folder / "lock").open("w") as lock:
            lock.write("4711")
            lock.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
            ward.samples()
            assert not ward.writer.flush(0.3)
            assert "4711" in ward.writer.stats.trouble
            assert os.listdir(folder) == ["lock"]
        ward.committed()
    assert check(folder).ok


def test_a_lost_log_is_carried_into_the_file(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        (folder / "record.db-wal").unlink()
        ward.samples().committed()
        assert ward.renewed == []
        assert ward.writer.lost is None
        assert ward.told[-1] is None
        ward.samples().committed()
        shutil.copytree(folder, tmp_path / "killed")
    for each in (folder, tmp_path / "killed"):
        report = check(each)
        assert report.ok, report.problems
        assert [stream.samples for stream in report.streams] == [36, 36]
        assert [stream.gaps for stream in report.streams] == [0, 0]


def test_a_lost_lock_is_taken_again_and_no_second_writer_gets_in(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        (folder / "lock").unlink()
        ward.samples().committed()
        assert (folder / "lock").read_text() == str(os.getpid())
        with (folder / "lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert [stream.samples for stream in check(folder).streams] == [24, 24]


def test_a_second_name_of_the_file_is_noticed_and_stops_nothing(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        os.link(folder / "record.db", tmp_path / "copy.db")
        ward.samples().committed()
        assert ward.writer.links == 2
        assert ward.told == []


def test_a_folder_that_cannot_be_entered_holds_and_goes_on(tmp_path, monkeypatch):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        ward.writer._place.file = folder / "record.db" / "not-a-folder" / "x"  # ENOTDIR counts as gone
        assert ward.writer._place.fault().kind.name == "GONE"
        ward.writer._place.file = folder / "record.db"

        def closed(_):
            raise PermissionError(13, "Permission denied")

        with monkeypatch.context() as patch:
            patch.setattr("acquisition.store.schema.identity", closed)
            ward.samples()
            assert not ward.writer.flush(0.3)
            assert "Permission denied" in ward.writer.stats.trouble
        ward.committed()
    assert [(stream.samples, stream.gaps) for stream in check(folder).streams] == [(24, 0), (24, 0)]


def test_a_record_that_vanishes_twice_is_begun_twice(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples()
        for _ in range(2):
            aged(ward)
            shutil.rmtree(folder)
            ward.samples().committed()
        ward.samples().committed()
    report = check(folder)
    assert report.ok, report.problems
    assert [(stream.samples, stream.missing) for stream in report.streams] == [(24, 24), (24, 24)]


def test_a_stream_that_speaks_again_later_has_its_gap_too(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples()
        aged(ward)
        shutil.rmtree(folder)
        ward.writer.put(ward.sources[0].chunk())
        ward.committed()
        ward.writer.put(ward.sources[1].chunk(lost=-1))
        ward.committed()
    report = check(folder)
    assert report.ok, report.problems
    assert [stream.missing for stream in report.streams] == [12, None]


def test_a_record_that_vanishes_at_the_very_end_is_begun_anew_all_the_same(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder, flush=60.0) as ward:
        ward.samples().committed()
        shutil.rmtree(folder)
        ward.samples()
    assert ward.writer.failed is None
    assert [stream.samples for stream in check(folder).streams] == [24, 24]


def test_what_belongs_to_the_record_before_is_not_done_to_the_new_one(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.writer.advance("influx", {}, 0)
        ward.samples().committed()
        with Store(folder) as store:
            before = store.record
            shutil.rmtree(folder)
            assert store.moved
        ward.samples().committed()
        ward.writer.advance("influx", {1: 9, 2: 9}, 400, record=before)
        step = Step(lambda connection, _: connection.execute("DELETE FROM chunk"), before)
        ward.writer.submit(step)
        assert not step.wait(5.0)
        with Store(folder) as store:
            assert not store.moved
            assert store.record not in ("", before)
            assert store.cursors()["influx"].positions == {}
            assert store.cursors()["influx"].event == 0
    assert check(folder).ok


def test_the_files_of_a_new_record_are_closed_to_others(tmp_path):
    folder = tmp_path / "rec"
    before = os.umask(0)
    try:
        with Ward(folder) as ward:
            ward.samples().committed()
            shutil.rmtree(folder)
            ward.samples().committed()
            modes = {path.name: path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    finally:
        os.umask(before)
    assert modes.pop("rec") == 0o700
    assert set(modes.values()) == {0o600}


def test_the_log_of_a_removed_file_is_put_aside_and_not_read_into_the_new_one(tmp_path):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        left = (folder / "record.db-wal").read_bytes()
        file_removed(folder)
        ward.samples().committed()
        assert (folder / "record.db-wal.lost-1").read_bytes().startswith(left[:32])
    assert schema.locate(folder)


def test_what_is_kept_is_bounded_by_time_and_by_bytes_and_says_so():
    source = Source()
    kept = Kept(whole=True, room=10_000)
    kept.take([source.chunk() for _ in range(3)], 0.0)
    assert (kept.whole, len(kept.items())) == (True, 3)
    kept.take([source.chunk()], 14.0)
    assert (kept.reach(14.0), kept.short(14.0)) == (14.0, False)
    kept.take([], 16.0)
    assert (kept.whole, len(kept.items()), kept.short(16.0)) == (False, 1, False)
    kept.take([source.chunk() for _ in range(40)], 16.0)
    assert len(kept.items()) < 16
    assert kept.short(16.0)
    assert not kept.short(40.0)


def test_an_examination_is_kept_whole_until_its_end_is_old():
    kept = Kept(whole=True)
    first = event(T0, "session", "", "s1", do="start", **SESSION)
    kept.take([first], 0.0)
    mark = event(T0, "mark", "", "inflate", n=1, **SESSION)
    kept.take([mark, event(T0, "note", "", "another's", session="s0")], 100.0)
    assert kept.session == (first, mark)
    assert [item.text for item in kept.items()] == ["another's"]
    kept.take([event(T0, "session", "", "over", do="stop", **SESSION)], 200.0)
    kept.take([], 210.0)
    assert len(kept.session) == 3
    kept.take([], 216.0)
    assert kept.session == ()


def cut(path):
    os.truncate(path, 0)


def scribbled(path):
    with path.open("r+b") as file:
        file.write(os.urandom(os.path.getsize(path)))


@pytest.mark.parametrize(("name", "strike"), [("record.db", cut), ("record.db-wal", cut), ("record.db", scribbled)])
def test_a_record_that_is_overwritten_in_place_counts_no_more(tmp_path, name, strike):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        accepted = len(ward.witnessed)
        strike(folder / name)
        spoilt = (folder / name).read_bytes()
        ward.samples().committed()
        assert len(ward.witnessed) > accepted
        assert "was overwritten by another program" in ward.told[0]
        ward.samples().committed()
        assert ward.writer.stats.trouble is None
    assert (folder / name.replace("record.db", "record.db.found-1")).read_bytes() == spoilt
    report = check(folder)
    assert report.ok, report.problems
    assert [stream.samples for stream in report.streams] == [36, 36]


def touched(folder):
    os.utime(folder / "record.db")


def copied_over_itself(folder):
    shutil.copy(folder / "record.db", folder.parent / "copy.db")
    subprocess.run(["cp", folder.parent / "copy.db", folder / "record.db"], check=True)


def log_emptied_into_the_file(folder):
    # In a process of its own: to close the file here undoes the locks of this one.
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()"
    subprocess.run([sys.executable, "-c", code, folder / "record.db"], check=True)
    assert (folder / "record.db-wal").stat().st_size == 0


@pytest.mark.parametrize("handle", [touched, copied_over_itself, log_emptied_into_the_file])
def test_a_record_that_another_program_handled_without_harm_goes_on(tmp_path, handle):
    folder = tmp_path / "rec"
    with Ward(folder) as ward:
        ward.samples().committed()
        handle(folder)
        ward.samples().committed()
        assert ward.told == []
        assert ward.renewed == []
    report = check(folder)
    assert report.ok, report.problems
    assert [(stream.samples, stream.gaps) for stream in report.streams] == [(24, 0), (24, 0)]


def test_a_lock_that_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(StoreError, match="the lock is no file"):
        Lock(tmp_path).take()
    assert not held(tmp_path)
