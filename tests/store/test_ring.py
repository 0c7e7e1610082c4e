"""The memory that waits for the disk is bounded, and what did not fit is a gap record."""

import apsw

from acquisition.store import Store, check
from acquisition.store.ring import CAUSE, Ring
from tests.store.records import T0, Recording, Source, event


def one(source):
    ring = Ring(1 << 30)
    ring.put(source.chunk())
    return ring.size


SIZE = one(Source())


def test_a_full_ring_drops_new_samples_and_the_next_one_carries_the_gap():
    source, ring = Source(), Ring(2 * SIZE)
    kept = [source.chunk() for _ in range(2)]
    for chunk in (*kept, source.chunk(), source.chunk()):
        ring.put(chunk)
    assert (len(ring), ring.dropped, ring.size) == (2, 8, 2 * SIZE)
    ring.release(ring.take())
    ring.put(source.chunk())
    (chunk,) = ring.take()
    gap = chunk.gap
    assert (gap.after, gap.before, gap.missing, gap.cause) == (7, 16, 8, CAUSE)
    assert (gap.start, gap.stop) == (int(kept[1].time[-1]), int(chunk.time[0]))


def test_room_is_free_only_after_the_batch_is_written():
    source, ring = Source(), Ring(2 * SIZE)
    ring.put(source.chunk())
    ring.put(source.chunk())
    batch = ring.take()
    ring.put(source.chunk())
    assert ring.dropped == 4
    ring.release(batch)
    ring.put(source.chunk())
    assert len(ring) == 1


def test_a_dropped_hole_of_unknown_size_leaves_the_number_unknown():
    source, ring = Source(), Ring(SIZE)
    ring.put(source.chunk())
    ring.put(source.chunk(lost=-1))
    ring.put(source.chunk())
    ring.release(ring.take())
    ring.put(source.chunk())
    assert ring.take()[0].gap.missing is None


def test_a_dropped_counted_hole_is_added_to_what_was_dropped():
    source, ring = Source(), Ring(SIZE)
    ring.put(source.chunk())
    ring.put(source.chunk(lost=5))
    ring.release(ring.take())
    ring.put(source.chunk())
    gap = ring.take()[0].gap
    assert (gap.after, gap.before, gap.missing) == (3, 13, 9)


def test_other_streams_are_not_given_the_gap():
    one, other, ring = Source(), Source(seed=2), Ring(SIZE)
    object.__setattr__(other.header, "device", "other")
    ring.put(one.chunk())
    ring.put(one.chunk())
    ring.release(ring.take())
    ring.put(other.chunk())
    assert ring.take()[0].gap is None


def test_events_are_bounded_too_and_their_loss_is_told():
    ring = Ring(10_000)
    for _ in range(100):
        ring.put(event())
    assert ring.size <= 10_000 + 10_000 // 8
    held = len(ring)
    ring.release(ring.take())
    ring.put(event(text="back"))
    lost, back = ring.take()
    assert lost.details == {"dropped": 100 - held}
    assert back.text == "back"


def test_a_record_with_dropped_samples_verifies_though_the_first_ever_were_dropped(tmp_path):
    source = Source()
    with Recording(tmp_path, ring=1) as writer:
        writer.put(source.chunk())
        writer._ring._room = 1 << 20
        writer.put(source.chunk())
    report = check(tmp_path)
    assert report.problems == ()
    assert (report.streams[0].samples, report.streams[0].missing) == (4, 4)


def test_what_is_dropped_at_the_very_end_is_told(tmp_path):
    source = Source()
    with Recording(tmp_path, flush=30.0) as writer:
        writer.put(source.chunk())
        writer._ring._room = 0
        writer.put(source.chunk())
        writer._ring._room = 1 << 20
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
