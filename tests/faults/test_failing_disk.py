"""A disk that is full, failing, read-only or slow: what was accepted is safe, the rest waits, nobody has to restart."""

import os
import random
import subprocess
import sys
import threading
import time

import apsw
import numpy as np
import pytest

from acquisition.store import Store, check, schema
from acquisition.store.compaction import Compactor
from acquisition.store.maintenance import Step
from tests.faults.disk import Disk, Replay, failure
from tests.live_bench import wait_for
from tests.store.records import Recording, Source, event

PATIENCE = 60.0
"""Seconds for anything to come about, on however busy a machine."""


@pytest.fixture
def disk(request):
    with Disk(f"disk {os.getpid()} {request.node.name}") as disk:
        yield disk


class Told(list):
    """What `on_trouble` heard, and when."""

    def __init__(self):
        super().__init__()
        self.began, self.over = threading.Event(), threading.Event()

    def __call__(self, text):
        self.append((time.monotonic(), text))
        (self.over if text is None else self.began).set()


def recording(directory, disk, told, **more):
    return Recording(directory, vfs=disk.name, on_trouble=told, compact=None, **more)


def whole(directory, chunks):
    report = check(directory)
    assert report.problems == ()
    with Store(directory) as store:
        block = store.read("ldf")
    assert block.time.tobytes() == np.concatenate([c.time for c in chunks]).tobytes()
    assert block.values.tobytes() == np.concatenate([c.values for c in chunks]).tobytes()


def refuse(disk, error, *operations, path=None, times=None):
    """Make operations fail, for ever or so many times."""
    left = [times]

    def ask(what, file):
        if what in operations and (path is None or file == path):
            if left[0] is not None:
                if left[0] == 0:
                    return
                left[0] -= 1
            raise error()

    disk.refuse = ask


def heal(disk):
    disk.refuse = disk.room = None
    disk.slow = 0.0


FAULTS = {
    "full": lambda disk: refuse(disk, lambda: apsw.FullError("no space left"), "write"),
    "write error": lambda disk: refuse(disk, failure, "write"),
    "sync error": lambda disk: refuse(disk, lambda: failure(apsw.SQLITE_IOERR_FSYNC), "sync"),
    "sync error of the log": lambda disk: refuse(
        disk, lambda: failure(apsw.SQLITE_IOERR_FSYNC), "sync", path="record.db-wal"
    ),
    "read-only": lambda disk: refuse(disk, lambda: apsw.ReadOnlyError("read-only"), "write", "truncate", "open"),
    "gone": lambda disk: refuse(disk, failure, "write", "sync", "open", "truncate", "delete"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_acquisition_goes_on_and_all_is_committed_once_the_disk_is_well(tmp_path, disk, fault):
    source, told = Source(), Told()
    with recording(tmp_path, disk, told) as writer:
        chunks = [source.chunk(8) for _ in range(5)]
        for chunk in chunks:
            writer.put(chunk)
        assert writer.flush()
        accepted = writer.stats.samples
        FAULTS[fault](disk)
        broken = time.monotonic()
        for k in range(30):
            chunks.append(source.chunk(8))
            writer.put(chunks[-1])
            writer.put(event(source.time, text=f"event {k}"))
        assert told.began.wait(PATIENCE)
        assert told[0][0] - broken < 20
        assert not writer.flush(0.05)
        assert writer.stats.trouble is not None
        assert writer.stats.samples == accepted
        heal(disk)
        assert writer.flush(PATIENCE)
        assert told.over.wait(PATIENCE)
        assert writer.stats.trouble is None
        assert (writer.stats.dropped, writer.failed) == (0, None)
    whole(tmp_path, chunks)


def test_what_waits_long_is_compressed_and_comes_back_bit_for_bit(tmp_path, disk, monkeypatch):
    monkeypatch.setattr("acquisition.store.writer.LOOSE", 0)
    monkeypatch.setattr("acquisition.store.writer.SQUEEZE", 0.001)
    source, told = Source(), Told()
    with recording(tmp_path, disk, told) as writer:
        chunks = [source.chunk(8)]
        writer.put(chunks[0])
        assert writer.flush()
        FAULTS["gone"](disk)
        chunks.append(source.chunk(8))
        writer.put(chunks[-1])
        assert told.began.wait(PATIENCE)
        for _ in range(3000):
            chunks.append(source.chunk(1))
            writer.put(chunks[-1])
        wait_for(lambda: len(writer._backlog) < 100)
        assert writer._backlog.size < 3000 * 100
        heal(disk)
        assert writer.flush(PATIENCE)
        assert writer.stats.dropped == 0
    whole(tmp_path, chunks)


def test_maintenance_that_nobody_does_while_the_disk_is_away_is_not_heaped_up(tmp_path, disk):
    with recording(tmp_path, disk, Told()) as writer:
        FAULTS["gone"](disk)
        writer.put(Source().chunk(8))
        for _ in range(50):
            step = Step(lambda connection, journal: None)
            writer.submit(step)
            assert not step.wait(0)
        assert len(writer._maintenance) == 1
        heal(disk)


def test_what_does_not_fit_the_ring_is_a_gap_and_the_rest_is_whole(tmp_path, disk):
    source, told = Source(), Told()
    with recording(tmp_path, disk, told, backlog=20_000) as writer:
        writer.put(source.chunk(8))
        assert writer.flush()
        FAULTS["full"](disk)
        for _ in range(200):
            writer.put(source.chunk(8))
        assert told.began.wait(PATIENCE)
        dropped = writer.stats.dropped
        assert 0 < dropped < 200 * 8
        heal(disk)
        assert writer.flush(PATIENCE)
        writer.put(source.chunk(8))
    report = check(tmp_path)
    assert report.problems == ()
    assert (report.streams[0].samples + dropped, report.streams[0].missing) == (202 * 8, dropped)


def test_a_slow_sync_is_told_of_while_it_lasts(tmp_path, disk, monkeypatch):
    monkeypatch.setattr("acquisition.store.writer.SLOW", 0.05)
    source, told = Source(), Told()
    with recording(tmp_path, disk, told) as writer:
        writer.put(source.chunk())
        assert writer.flush()
        disk.slow = PATIENCE
        writer.put(source.chunk())
        wait_for(lambda: writer.put(source.chunk()) or told)
        assert "has not answered" in told[0][1]
        assert not told.over.is_set()
        heal(disk)
        assert writer.flush(PATIENCE)
        writer.put(source.chunk())
        assert writer.flush(PATIENCE)
        assert told.over.wait(PATIENCE)
    assert check(tmp_path).ok


def test_a_commit_whose_sync_failed_is_safe_once_it_is_accepted(tmp_path, disk):
    """The disk never got what the failed sync was for, though every reader sees it: only writing anew helps."""
    rng = random.Random(5)
    for round_ in range(20):
        directory = tmp_path / str(round_)
        disk.log.clear()
        disk.sizes.clear()
        source, told, accepted = Source(), Told(), []

        def witness(rows, accepted=accepted):
            accepted.append((len(disk.log), sum(n for *_, n in rows)))

        with recording(directory, disk, told, witness=witness) as writer:
            for k in range(12):
                if k == 6:
                    fault = lambda: failure(apsw.SQLITE_IOERR_FSYNC)  # noqa: E731
                    refuse(disk, fault, "sync", path="record.db-wal", times=1 + round_ % 3)
                reader = schema.open_reader(directory / schema.FILE, vfs=disk.name) if round_ % 2 else None
                if reader is not None:  # it needs the log: what stands there cannot be moved into the file
                    reader.execute("BEGIN")
                    list(reader.execute("SELECT count(*) FROM run"))
                writer.put(source.chunk(8))
                assert writer.flush(PATIENCE)
                if reader is not None:
                    reader.close()
            log = disk.log[:]
        assert told[0][1] is not None
        for cut, (place, _) in enumerate(accepted[6:]):
            image, replay = directory / f"image {cut}", Replay()
            for entry in log[:place]:
                replay.play(entry)
            image.mkdir()
            for name, content in replay.cut(rng).items():
                (image / name).write_bytes(content)
            with Store(image) as store:
                assert len(store.read("ldf")) >= sum(n for at, n in accepted if at <= place)
            assert check(image).problems == ()


def test_a_power_cut_while_a_failed_sync_is_made_good_spoils_nothing_older(tmp_path, disk):
    rng = random.Random(6)
    for round_ in range(12):
        directory = tmp_path / str(round_)
        disk.log.clear()
        disk.sizes.clear()
        source, accepted = Source(), []

        def witness(rows, accepted=accepted):
            accepted.append((len(disk.log), sum(n for *_, n in rows)))

        with recording(directory, disk, Told(), witness=witness) as writer:
            for k in range(9):
                if k == 6:
                    broken = len(disk.log)
                    fault = lambda: failure(apsw.SQLITE_IOERR_FSYNC)  # noqa: E731
                    refuse(disk, fault, "sync", path="record.db-wal", times=1 + round_ % 3)
                writer.put(source.chunk(8))
                assert writer.flush(PATIENCE)
            log = disk.log[:]
        for cut in range(15):
            place, image, replay = rng.randrange(broken, len(log)), directory / f"image {cut}", Replay()
            for entry in log[:place]:
                replay.play(entry)
            image.mkdir()
            for name, content in replay.cut(rng).items():
                (image / name).write_bytes(content)
            with Store(image) as store:
                assert len(store.read("ldf")) >= sum(n for at, n in accepted if at <= place) >= 48
            assert check(image).problems == ()


def test_a_commit_that_the_file_had_after_all_is_not_written_twice(tmp_path, disk):
    source, told, rows = Source(), Told(), []
    with recording(tmp_path, disk, told, witness=rows.extend) as writer:
        writer.put(source.chunk(8))
        assert writer.flush()
        # The connection of a killed process stays: closing ours does not tidy the log away.
        refuse(disk, lambda: failure(apsw.SQLITE_IOERR_FSYNC), "sync", path="record.db-wal", times=2)
        writer.put(source.chunk(8))
        assert writer.flush(PATIENCE)
    assert rows == [("ldf", "flux", 0, 8), ("ldf", "flux", 8, 8)]
    assert check(tmp_path).problems == ()


def full_at_random(tmp_path, disk, seed):
    rng, source, told = random.Random(seed), Source(), Told()
    chunks = []
    with recording(tmp_path, disk, told) as writer:
        for k in range(50):
            if rng.random() < 0.2:
                disk.room = sum(disk.sizes.values()) + rng.randrange(20_000)
            chunks.append(source.chunk(rng.randrange(1, 60)))
            writer.put(chunks[-1])
            writer.advance("influx", {1: k})
            writer.flush(0.02)
            if rng.random() < 0.3:
                heal(disk)
                Compactor(writer._file, writer.submit, samples=64, large=128, vfs=disk.name).run_once()
        heal(disk)
        assert writer.flush(PATIENCE)
    whole(tmp_path, chunks)


@pytest.mark.parametrize("seed", range(4))
def test_a_disk_that_is_full_at_random_moments_costs_nothing(tmp_path, disk, seed):
    full_at_random(tmp_path, disk, seed)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 125))
def test_a_disk_that_is_full_at_two_hundred_random_moments(tmp_path, disk, seed):
    full_at_random(tmp_path, disk, seed)


@pytest.mark.parametrize("seed", range(6))
def test_errors_at_random_operations_cost_nothing(tmp_path, disk, seed):
    rng, source, told = random.Random(seed), Source(), Told()
    chunks = []
    kinds = [
        ("write", failure),
        ("sync", lambda: failure(apsw.SQLITE_IOERR_FSYNC)),
        ("truncate", lambda: failure(apsw.SQLITE_IOERR_TRUNCATE)),
        ("open", lambda: apsw.CantOpenError("cannot open")),
    ]

    def ask(what, _):
        for kind, error in kinds:
            if what == kind and rng.random() < 0.03:
                raise error()

    with recording(tmp_path, disk, told) as writer:
        disk.refuse = ask
        for _ in range(40):
            chunks.append(source.chunk(rng.randrange(1, 60)))
            writer.put(chunks[-1])
            writer.flush(0.05)
        heal(disk)
        assert writer.flush(PATIENCE)
        assert writer.failed is None
    whole(tmp_path, chunks)


def test_a_close_while_the_disk_is_away_ends_in_time_and_keeps_what_was_accepted(tmp_path, disk):
    source, told = Source(), Told()
    chunk = source.chunk(8)
    with recording(tmp_path, disk, told) as writer:
        writer.put(chunk)
        assert writer.flush()
        FAULTS["gone"](disk)
        writer.put(source.chunk(8))
        assert told.began.wait(PATIENCE)
        began = time.monotonic()
        writer.close()
        assert time.monotonic() - began < 20
        assert "1 items are lost" in str(writer.failed)
        heal(disk)
    whole(tmp_path, [chunk])
    with Recording(tmp_path):
        pass


def test_a_record_that_was_moved_from_a_failing_disk_is_made_anew_and_not_in_silence(tmp_path, disk):
    source, told = Source(), Told()
    with recording(tmp_path, disk, told) as writer:
        writer.put(source.chunk(8))
        assert writer.flush()
        refuse(disk, failure, "write", times=1)
        moved = [p for p in tmp_path.iterdir() if p.name.startswith("record.db")]
        away = tmp_path / "away"
        away.mkdir()
        for path in moved:
            path.rename(away / path.name)
        writer.put(source.chunk(8))
        assert told.began.wait(PATIENCE)
        assert writer.flush(PATIENCE)
    for folder, samples in ((tmp_path, 16), (away, 8)):
        assert check(folder).problems == ()
        with Store(folder) as store:
            assert len(store.read("ldf")) == samples


def test_a_start_on_a_full_disk_is_refused_in_words(tmp_path, disk):
    from acquisition.errors import StoreError

    disk.room = 8192
    with pytest.raises(StoreError, match="full"):
        recording(tmp_path, disk, Told()).__enter__()
    heal(disk)
    with recording(tmp_path, disk, Told()) as writer:
        writer.put(Source().chunk())
    assert check(tmp_path).ok


def test_a_writer_killed_anywhere_leaves_a_record_that_verifies(tmp_path):
    program = """
import sys
from pathlib import Path
from tests.store.records import Recording, Source, event
source = Source()
def witness(rows):
    print(*(first + n for _, _, first, n in rows), flush=True)
with Recording(Path(sys.argv[1]), flush=0.001, witness=witness) as w:
    while True:
        w.put(source.chunk(4))
        w.put(event(source.time))
        w.flush()
"""
    rng = random.Random(1)
    for _ in range(5):
        directory = tmp_path / str(rng.random())
        writer = subprocess.Popen([sys.executable, "-c", program, directory], stdout=subprocess.PIPE, text=True)
        with writer:
            for _ in range(rng.randrange(1, 200)):
                accepted = int(writer.stdout.readline())
            writer.kill()
            accepted = max([accepted, *map(int, writer.stdout.read().split())])
        report = check(directory)
        assert report.problems == ()
        assert report.streams[0].samples >= accepted
        with Recording(directory) as again:
            assert again.last("ldf", "flux").next >= accepted
