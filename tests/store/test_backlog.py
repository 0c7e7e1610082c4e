"""The memory that waits for the disk is bounded, and what did not fit is a gap record."""

import random

import apsw
import numpy as np
import pytest

from acquisition.model import Event
from acquisition.store import Store, check
from acquisition.store.backlog import CAUSE, Backlog
from acquisition.store.compressed_chunk import FULL, CompressedChunk
from tests.store.records import T0, Recording, Source, event, header


def one(source):
    backlog = Backlog(1 << 30)
    backlog.put(source.chunk())
    return backlog.size


SIZE = one(Source())


def test_a_full_backlog_drops_new_samples_and_the_next_one_carries_the_gap():
    source, backlog = Source(), Backlog(2 * SIZE)
    kept = [source.chunk() for _ in range(2)]
    for chunk in (*kept, source.chunk(), source.chunk()):
        backlog.put(chunk)
    assert (len(backlog), backlog.dropped, backlog.size) == (2, 8, 2 * SIZE)
    backlog.release(backlog.take())
    backlog.put(source.chunk())
    (chunk,) = backlog.take()
    gap = chunk.gap
    assert (gap.after, gap.before, gap.missing, gap.cause) == (7, 16, 8, CAUSE)
    assert (gap.start, gap.stop) == (int(kept[1].time[-1]), int(chunk.time[0]))


def test_room_is_free_only_after_the_batch_is_written():
    source, backlog = Source(), Backlog(2 * SIZE)
    backlog.put(source.chunk())
    backlog.put(source.chunk())
    batch = backlog.take()
    backlog.put(source.chunk())
    assert backlog.dropped == 4
    backlog.release(batch)
    backlog.put(source.chunk())
    assert len(backlog) == 1


def test_a_dropped_hole_of_unknown_size_leaves_the_number_unknown():
    source, backlog = Source(), Backlog(SIZE)
    backlog.put(source.chunk())
    backlog.put(source.chunk(lost=-1))
    backlog.put(source.chunk())
    backlog.release(backlog.take())
    backlog.put(source.chunk())
    assert backlog.take()[0].gap.missing is None


def test_a_dropped_counted_hole_is_added_to_what_was_dropped():
    source, backlog = Source(), Backlog(SIZE)
    backlog.put(source.chunk())
    backlog.put(source.chunk(lost=5))
    backlog.release(backlog.take())
    backlog.put(source.chunk())
    gap = backlog.take()[0].gap
    assert (gap.after, gap.before, gap.missing) == (3, 13, 9)


def test_other_streams_are_not_given_the_gap():
    one, other, backlog = Source(), Source(seed=2), Backlog(SIZE)
    object.__setattr__(other.header, "device", "other")
    backlog.put(one.chunk())
    backlog.put(one.chunk())
    backlog.release(backlog.take())
    backlog.put(other.chunk())
    assert backlog.take()[0].gap is None


def test_events_are_bounded_too_and_their_loss_is_told():
    backlog = Backlog(10_000)
    for _ in range(100):
        backlog.put(event())
    assert backlog.size <= 10_000 + 10_000 // 8
    held = len(backlog)
    backlog.release(backlog.take())
    backlog.put(event(text="back"))
    lost, back = backlog.take()
    assert lost.details == {"dropped": 100 - held}
    assert back.text == "back"


def test_a_record_with_dropped_samples_verifies_though_the_first_ever_were_dropped(tmp_path):
    source = Source()
    with Recording(tmp_path, backlog=1) as writer:
        writer.put(source.chunk())
        writer._backlog._room = 1 << 20
        writer.put(source.chunk())
    report = check(tmp_path)
    assert report.problems == ()
    assert (report.streams[0].samples, report.streams[0].missing) == (4, 4)


def test_what_is_dropped_at_the_very_end_is_told(tmp_path):
    source = Source()
    with Recording(tmp_path, flush=30.0) as writer:
        writer.put(source.chunk())
        writer._backlog._room = 0
        writer.put(source.chunk())
        writer._backlog._room = 1 << 20
    with Store(tmp_path) as store:
        (told,) = store.events("store")
    assert told.body["details"] == {"stream": "flux", "dropped": 4, "after": 3}
    assert check(tmp_path).ok


def test_while_another_program_locks_the_record_nothing_is_lost(tmp_path):
    source = Source()
    troubles = []
    with Recording(tmp_path, on_trouble=troubles.append) as writer:
        writer.put(source.chunk())
        writer.flush()
        writer._connection.set_busy_timeout(0)
        other = apsw.Connection(str(tmp_path / "record.db"))
        other.execute("BEGIN IMMEDIATE")
        writer.put(source.chunk())
        assert not writer.flush(0.2)
        other.execute("ROLLBACK")
        other.close()
        writer.put(source.chunk())
        assert writer.flush()
    assert "not written" in troubles[0]
    assert troubles[-1] is None
    with Store(tmp_path) as store:
        assert len(store.read("ldf")) == 12
        assert store.read("ldf").time[0] == T0
    assert check(tmp_path).ok


TEN_MINUTES = 600 * 40_000


def test_ten_minutes_of_forty_thousand_values_a_second_fit():
    """Ten channels at 40 Hz, a chunk for each sample, as lines of text come; noise of the instruments' kind."""
    streams = [Source(header(device=f"d{k}", channels=tuple(f"c{n}" for n in range(10))), seed=k) for k in range(5)]
    backlog = Backlog(256 << 20)
    for k in range(FULL):
        for source in streams:
            backlog.put(source.chunk(1))
        if k % 100 == 0:
            backlog.compress()
    before = backlog.size
    backlog.compress()
    assert backlog.size < before
    assert backlog.size / (len(streams) * FULL * 10) * TEN_MINUTES < (256 << 20) / 2


@pytest.mark.parametrize("most", [1, 40_000, 1 << 30])
@pytest.mark.parametrize("seed", range(3))
def test_what_was_compressed_is_taken_in_order_and_bit_for_bit(tmp_path, seed, most):
    rng, backlog = random.Random(seed), Backlog(1 << 30)
    sources = [Source(seed=1), Source(header(device="tcpo2", stream="po2", channels=("chest",)), seed=2)]
    put = {source.header.key: [] for source in sources}
    texts, puts, batches = [], 0, []
    for k in range(800):
        source = rng.choice(sources)
        lost = {3: 7, 4: 0}.get(rng.randrange(40))
        chunk = source.chunk(rng.randrange(1, 30), lost, device_time=source is sources[1])
        put[source.header.key].append(chunk)
        backlog.put(chunk)
        puts += 1
        if rng.random() < 0.1:
            texts.append(f"event {k}")
            backlog.put(event(source.time, text=texts[-1]))
            puts += 1
        if rng.random() < 0.02:
            backlog.compress()
        if rng.random() < 0.002:
            batches.append(backlog.take(most))
    while len(backlog):
        batches.append(backlog.take(most))
    items = [item for batch in batches for item in batch]
    assert sum(backlog.release(batch) for batch in batches) == puts
    assert (backlog.size, backlog.uncompressed) == (0, 0)
    assert [item.text for item in items if isinstance(item, Event)] == texts
    assert any(isinstance(item, CompressedChunk) and item.full for item in items)
    with Recording(tmp_path, compact=None) as writer:
        for batch in batches:
            writer._journal.write(batch, {})
    assert check(tmp_path).problems == ()
    with Store(tmp_path) as store:
        for (device, _), chunks in put.items():
            block = store.read(device)
            for name in ("time", "values", "quality"):
                got = getattr(block, name).tobytes()
                assert got == np.concatenate([getattr(chunk, name) for chunk in chunks]).tobytes()
        for info in store.streams():
            samples, arrived, times = None, [], []
            while (samples := store.after(info.number, 0 if samples is None else samples.following)) is not None:
                arrived += samples.arrived.tolist()
                times += [] if samples.device_time is None else samples.device_time.tolist()
            chunks = put[info.device, info.stream]
            assert arrived == [[len(c), c.arrived.monotonic, c.arrived.utc] for c in chunks]
            assert times == [each for c in chunks if c.device_time is not None for each in c.device_time]


def test_a_batch_is_of_bounded_size_and_a_flush_waits_for_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(Backlog.take, "__defaults__", (SIZE,))
    source, commits = Source(), []
    with Recording(tmp_path, flush=30.0, witness=commits.append) as writer:
        for _ in range(9):
            writer.put(source.chunk())
        assert writer.flush()
        assert [sum(n for *_, n in rows) for rows in commits] == [4] * 9
        assert len(Store(tmp_path).read("ldf")) == 36


def test_that_samples_are_lost_is_told_at_once_and_counted_until_the_disk_takes_them(tmp_path, caplog):
    source, told = Source(), []
    with Recording(tmp_path, flush=30.0, on_trouble=told.append) as writer:
        writer.put(source.chunk())
        assert writer.flush()
        writer._backlog._room = 0
        for _ in range(3):
            writer.put(source.chunk())
        assert len(told) == 1
        assert "SAMPLES ARE BEING LOST" in told[0]
        assert "SAMPLES ARE BEING LOST, 12 so far" in writer.stats.trouble
        assert "samples are being lost" in caplog.text
        writer._backlog._room = 1 << 20
        writer.put(source.chunk())
        assert writer.flush()
        assert (told[1:], writer.stats.trouble) == ([None], None)
        writer._backlog._room = 0
        writer.put(source.chunk())
        assert "SAMPLES ARE BEING LOST, 16 so far" in writer.stats.trouble
        writer._backlog._room = 1 << 20
        writer.put(source.chunk())
    assert check(tmp_path).problems == ()
    with Store(tmp_path) as store:
        assert [gap.missing for gap in store.gaps("ldf", "flux")] == [12, 4]
