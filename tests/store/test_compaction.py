"""Rows become blocks without a reader, a check or a remote noticing, killed at any moment or not."""

import subprocess
import sys
import threading

import apsw
import numpy as np
import pytest
from msgspec.structs import replace

from acquisition.store import Store, check, compaction, merged_read
from acquisition.store.compaction import Compactor
from tests.store.records import SMALL, T0, Recording, Source, compress, spans, tiers
from tests.store.test_cursors import deliver


def fill(writer, source, rows=100, each=10):
    chunks = []
    for k in range(rows):
        chunk = source.chunk(each, lost={30: 5, 50: -1, 70: 0}.get(k), device_time=k > 80)
        chunks.append(chunk)
        writer.put(chunk)
        if k % 3 == 0:
            assert writer.flush()
    assert writer.flush()
    return chunks


def everything(directory):
    with Store(directory) as store:
        block = store.read("ldf")
        parts = deliver(store, 1, limit=37)
        arrived = np.concatenate([p.arrived for p in parts])
        assert not store.damaged
        assert np.concatenate([p.time for p in parts]).tobytes() == block.time.tobytes()
        return block.time.tobytes(), block.values.tobytes(), block.quality.tobytes(), arrived.tobytes(), store.ends()


def test_readers_remotes_and_check_see_the_same_before_and_after(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        chunks = fill(writer, Source())
        before, report = everything(tmp_path), check(tmp_path)
        rows = tiers(tmp_path)[0]
        assert compress(writer) > 5
        assert tiers(tmp_path)[0] < rows / 4
        after = everything(tmp_path)
        assert after[:3] == before[:3]
        assert after[0] == np.concatenate([c.time for c in chunks]).tobytes()
        assert after[4] == before[4]
        assert check(tmp_path).problems == ()
        assert check(tmp_path).streams == report.streams
        with Store(tmp_path) as store:
            info = store.streams()[0]
            assert (info.samples, info.first, info.last) == (1000, T0, int(chunks[-1].time[-1]))
        assert compress(writer) == 0
        assert writer.last("ldf", "flux").next == 1000 + 5 + 1


def test_arrivals_are_the_same_ones_after_compression(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        chunks = [source.chunk(8) for _ in range(40)]
        for chunk in chunks:
            writer.put(chunk)
        writer.flush()
        for chunk in (more := [source.chunk(8) for _ in range(4)]):
            writer.put(chunk)
        writer.flush()
        assert compress(writer) == 1
    with Store(tmp_path) as store:
        arrived = np.concatenate([p.arrived for p in deliver(store, 1)])
    expected = [[8, c.arrived.monotonic, c.arrived.utc] for c in [*chunks, *more]]
    summed = {}
    for n, monotonic, utc in arrived.tolist():
        summed[monotonic, utc] = summed.get((monotonic, utc), 0) + n
    assert [[n, *key] for key, n in summed.items()] == expected


def test_a_block_spans_no_hole_connection_or_change_of_clock(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source())
        compress(writer, 10_000)
        assert tiers(tmp_path)[1] == 0
        compress(writer, 300)
    assert spans(tmp_path) == [(0, 300), (305, 200), (506, 200)]
    assert check(tmp_path).ok


def test_a_hole_of_nothing_on_one_connection_closes_a_block_too(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for k in range(30):
            chunk = source.chunk(10, lost=0 if k == 13 else None)
            chunk = replace(chunk, connection=1)
            writer.put(chunk)
            writer.flush()
        compress(writer, 50, 150)
    assert [n for first, n in spans(tmp_path) if first < 130] == [130]
    assert 130 in {first for first, _ in spans(tmp_path)}
    assert check(tmp_path).problems == ()


def test_small_blocks_become_large_ones_without_anybody_noticing(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source())
        compress(writer, 40)
        before, report = everything(tmp_path), check(tmp_path)
        with Store(tmp_path) as store:
            picture = store.overview("ldf", points=50)
        small = spans(tmp_path)
        assert compress(writer, 40, 200) > 3
        assert everything(tmp_path) == before
        assert check(tmp_path) == report
        with Store(tmp_path) as store:
            assert store.overview("ldf", points=50).mean.tobytes() == picture.mean.tobytes()
        assert compress(writer, 40, 200) == 0
        large = spans(tmp_path)
    # Before samples 305, 506 and 706 gaps are recorded, and from 816 on samples have a time of their device too.
    assert [n for first, n in large if 305 <= first < 706] == [200, 200]
    assert {305, 506, 706, 816} <= {first for first, _ in large} <= {first for first, _ in small}
    assert all(n >= 200 or first + n in (300, 816) for first, n in large if first < 816)


def test_large_blocks_grow_on_where_the_last_ones_ended(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        compactor = Compactor(writer._file, writer.submit, samples=20, large=100)
        for k in range(1, 31):
            writer.put(source.chunk(10))
            writer.flush()
            compactor.run_once()
            assert sum(n for _, n in spans(tmp_path)) >= 10 * k - 20
    assert spans(tmp_path)[:2] == [(0, 100), (100, 100)]
    assert len(everything(tmp_path)[0]) == 300 * 8
    assert check(tmp_path).problems == ()


def test_damaged_small_blocks_stay_for_verify_and_the_rest_is_merged(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for _ in range(40):
            writer.put(source.chunk(10))
            writer.flush()
        compress(writer, 20)
    connection = apsw.Connection(str(tmp_path / "record.db"))
    connection.execute("UPDATE block SET body = zeroblob(length(body)) WHERE first = 120")
    connection.close()
    with Recording(tmp_path, compact=None) as writer:
        compactor = Compactor(writer._file, writer.submit, samples=20, large=100)
        assert (compactor.run_once(), compactor.run_once()) == (3, 0)
    assert spans(tmp_path) == [(0, 100), (100, 20), (120, 20), (140, 100), (240, 100), (340, 20), (360, 20)]
    assert len(check(tmp_path).problems) == 1
    with Store(tmp_path) as store:
        assert sum(len(p) for p in deliver(store, 1)) == 380


def test_damaged_rows_stay_for_verify_and_the_rest_is_compressed(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for _ in range(40):
            writer.put(source.chunk(10))
            writer.flush()
    connection = apsw.Connection(str(tmp_path / "record.db"))
    connection.execute("UPDATE chunk SET vals = zeroblob(length(vals)) WHERE id IN (7, 8)")
    connection.close()
    with Recording(tmp_path, compact=None) as writer:
        assert compress(writer) == 5
    report = check(tmp_path)
    assert [p.split("(")[0] for p in report.problems] == ["ldf/flux, row 7 ", "ldf/flux, row 8 "]
    assert report.streams[0].samples == 380
    with Store(tmp_path) as store:
        assert sum(len(p) for p in deliver(store, 1)) == 380


def test_a_block_that_would_not_come_back_is_not_made(tmp_path, monkeypatch, caplog):
    broken = compaction.compressed_block.encode

    def encode(samples):
        values = samples.values.copy()
        values[3, 0] += 0.1
        return broken(replace(samples, values=values))

    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source())
        before = everything(tmp_path)
        monkeypatch.setattr(compaction.compressed_block, "encode", encode)
        assert compress(writer) == 0
    assert everything(tmp_path) == before
    assert "does not come back bit for bit" in caplog.text


def test_a_reader_never_misses_a_sample_while_rows_move(tmp_path):
    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source(), rows=400)
        with Store(tmp_path) as store:
            moved = threading.Thread(target=compress, args=(writer,))
            parts, sequence = [], 0
            while (samples := store.after(1, sequence, 11)) is not None:
                parts.append(samples)
                sequence = samples.following
                if len(parts) == 20:
                    moved.start()
            moved.join()
            blocks = list(store.blocks("ldf", "flux", ["flux"]))
    times = np.concatenate([p.time for p in parts])
    assert len(times) == 4000
    assert (np.diff(times) > 0).all()
    assert np.concatenate([b.time for b in blocks]).tobytes() == times.tobytes()
    assert tiers(tmp_path)[1] > 30


def test_a_walk_through_the_record_is_not_confused_by_blocks_that_merge_between_its_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(merged_read.walk, "__defaults__", (0, 3, None, None))
    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source())
        compress(writer)
        with Store(tmp_path) as store:
            times = []
            for k, block in enumerate(store.blocks("ldf", "flux", ["flux"])):
                times.append(block.time)
                if k == 1:
                    assert compress(writer, large=200) > 1
    assert len(np.concatenate(times)) == 1000
    assert (np.diff(np.concatenate(times)) > 0).all()


def test_a_walk_through_the_record_is_not_confused_by_rows_that_move_between_its_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(merged_read.walk, "__defaults__", (0, 3, None, None))
    with Recording(tmp_path, compact=None) as writer:
        fill(writer, Source())
        with Store(tmp_path) as store:
            times = []
            for k, block in enumerate(store.blocks("ldf", "flux", ["flux"])):
                times.append(block.time)
                if k == 1:
                    compress(writer)
    assert len(np.concatenate(times)) == 1000
    assert (np.diff(np.concatenate(times)) > 0).all()


@pytest.mark.parametrize(
    ("step", "large"), [*((step, compaction.LARGE) for step in range(8)), *((step, 140) for step in range(8, 18))]
)
def test_a_kill_in_the_middle_leaves_what_was_there_or_the_block(tmp_path, step, large):
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for _ in range(20):
            writer.put(source.chunk(10))
            writer.flush()
        before = everything(tmp_path)
    program = """
import os, signal, sys
from pathlib import Path
import apsw
from acquisition.timing.clock import Clock
from acquisition.model import Instant
from acquisition.store import StoreWriter
from acquisition.store.compaction import Compactor
left = int(sys.argv[2])
def trace(event):
    global left
    if event["code"] == apsw.SQLITE_TRACE_STMT and armed:
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
armed = False
writer = StoreWriter(Path(sys.argv[1]), clock=Clock(), compact=None)
writer.open()
writer._connection.trace_v2(apsw.SQLITE_TRACE_STMT, trace)
writer.begin_run(Instant(0, 1), 2 * 10**18, {})
armed = True
Compactor(writer._file, writer.submit, samples=64, large=int(sys.argv[3])).run_once()
os._exit(9)
"""
    killed = subprocess.run([sys.executable, "-c", program, tmp_path, str(step), str(large)], check=False)
    assert killed.returncode in (-9, 9)
    assert everything(tmp_path)[:3] == before[:3]
    assert check(tmp_path).problems == ()
    with Recording(tmp_path, compact=None) as writer:
        compress(writer, large=large)
    assert tiers(tmp_path) == [6, 2 if large == compaction.LARGE else 1]
    assert everything(tmp_path)[:3] == before[:3]


def test_the_writer_compresses_by_itself(tmp_path, monkeypatch):
    monkeypatch.setitem(compaction.Compactor.__init__.__kwdefaults__, "samples", SMALL)
    done = threading.Event()
    finish = compaction.Step.finish

    def finished(step, outcome):
        finish(step, outcome)
        done.set()

    monkeypatch.setattr(compaction.Step, "finish", finished)
    with Recording(tmp_path, compact=0.01) as writer:
        source = Source()
        for _ in range(30):
            writer.put(source.chunk(10))
            writer.flush()
        assert done.wait(10)
    assert tiers(tmp_path)[1] >= 1
    assert check(tmp_path).ok
