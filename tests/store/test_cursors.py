"""Remotes read by sequence number: each sample once, in order, from wherever they had acknowledged."""

import numpy as np
import pytest

from acquisition.store import Store
from tests.store.records import Recording, Source, event, header


def deliver(store, stream, start=0, limit=7):
    """All samples of a stream as a remote takes them."""
    parts = []
    while (samples := store.after(stream, start, limit)) is not None:
        parts.append(samples)
        start = samples.following
    return parts


@pytest.fixture
def written(tmp_path):
    source = Source()
    chunks = [source.chunk(n, lost) for n, lost in ((10, None), (10, None), (3, 4), (1, -1), (12, 0), (20, None))]
    with Recording(tmp_path) as writer:
        for chunk in chunks:
            writer.put(chunk)
            writer.flush()
    return tmp_path, chunks


@pytest.mark.parametrize("limit", [1, 7, 10, 1000])
def test_every_accepted_sample_is_delivered_once_in_order(written, limit):
    directory, chunks = written
    with Store(directory) as store:
        parts = deliver(store, 1, limit=limit)
        assert store.ends() == {1: parts[-1].following}
    numbers = np.concatenate([np.arange(p.first, p.following) for p in parts])
    expected = np.concatenate([np.arange(c.first, c.first + len(c)) for c in chunks])
    assert numbers.tolist() == expected.tolist()
    assert max(len(p) for p in parts) <= limit
    for name in ("time", "values", "quality"):
        got = np.concatenate([getattr(p, name) for p in parts]).tobytes()
        assert got == np.concatenate([getattr(c, name) for c in chunks]).tobytes()


def test_a_piece_never_spans_a_hole_or_a_connection(written):
    directory, chunks = written
    with Store(directory) as store:
        parts = deliver(store, 1, limit=1000)
    assert [(p.first, len(p), p.connection) for p in parts] == [(0, 20, 1), (24, 3, 2), (28, 1, 3), (29, 32, 4)]
    assert chunks[4].gap is not None


def test_arrivals_follow_the_samples_through_any_cut(written):
    directory, chunks = written
    with Store(directory) as store:
        samples = store.after(1, 5, 8)
    assert samples.arrived.tolist() == [
        [5, chunks[0].arrived.monotonic, chunks[0].arrived.utc],
        [3, chunks[1].arrived.monotonic, chunks[1].arrived.utc],
    ]


def test_a_number_inside_a_hole_leads_to_the_first_sample_after_it(written):
    with Store(written[0]) as store:
        assert store.after(1, 21).first == 24
        assert store.after(1, 10_000) is None
        assert store.after(99, 0) is None
        assert store.ends() == {1: 61}
        assert store.headers(1)[1].key == ("ldf", "flux")
        assert [i.number for i in store.streams()] == [1]


def test_an_acknowledgement_is_kept_over_runs_and_never_goes_back(tmp_path):
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk())
        writer.advance("influx", {1: 3}, event=2)
        writer.advance("influx", {1: 2, 2: 9})
        writer.advance("mqtt", {}, event=1)
        assert writer.flush()
    with Recording(tmp_path) as writer, Store(tmp_path) as store:
        cursors = store.cursors()
        assert (cursors["influx"].positions, cursors["influx"].event) == ({1: 3, 2: 9}, 2)
        assert (cursors["mqtt"].positions, cursors["mqtt"].event) == ({}, 1)
        writer.advance("influx", {1: 1}, event=1)
        assert writer.flush()
        assert store.cursors() == cursors
        writer.advance("influx", {1: 4}, event=5)
        assert writer.flush()
        assert (store.cursors()["influx"].positions[1], store.cursors()["influx"].event) == (4, 5)


def test_an_acknowledgement_alone_is_committed_too(tmp_path):
    with Recording(tmp_path, flush=0.01) as writer, Store(tmp_path) as store:
        writer.advance("influx", {1: 3})
        assert writer.flush()
        assert store.cursors()["influx"].positions == {1: 3}


def test_a_damaged_position_is_overwritten_by_the_next_acknowledgement(tmp_path):
    import apsw

    with Recording(tmp_path) as writer:
        writer.advance("influx", {1: 3})
    connection = apsw.Connection(str(tmp_path / "record.db"))
    connection.execute("UPDATE cursor SET next = 1000")
    connection.close()
    with Recording(tmp_path) as writer:
        writer.advance("influx", {1: 5})
    with Store(tmp_path) as store:
        assert store.cursors()["influx"].positions == {1: 5}


def test_events_are_read_from_a_number_on(tmp_path):
    with Recording(tmp_path) as writer:
        for number in range(5):
            writer.put(event(text=str(number)))
    with Store(tmp_path) as store:
        last = store.events()[-1].id
        assert [e.body["text"] for e in store.events(since=last - 2)] == ["3", "4"]
        assert store.head()[0] == last


def test_streams_have_numbers_of_their_own(tmp_path):
    one, other = Source(), Source(header(device="tcpo2", stream="po2", channels=("chest",)))
    with Recording(tmp_path) as writer:
        for _ in range(3):
            writer.put(one.chunk())
            writer.put(other.chunk(2))
    with Store(tmp_path) as store:
        found = {info.device: len(store.after(info.number, 0)) for info in store.streams()}
        assert found == {"ldf": 12, "tcpo2": 6}
