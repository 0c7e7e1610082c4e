"""Retention removes only what is old or too much, delivered, and not to be kept; and it is accounted for."""

import apsw
import numpy as np
import pytest

from acquisition.store import Retention, Store, check
from acquisition.store.compaction import Compactor
from acquisition.store.retention import Expiry, parse
from tests.store.records import STEP, T0, Recording, Source, event

DAY = 86400 * 10**9
LAST = T0 + (1050 + 1 + 6 - 1) * STEP


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90d", Retention(90 * DAY)),
        ("36 h", Retention(36 * 3600 * 10**9)),
        ("20 GB", Retention(size=20 * 10**9)),
        ("90 d, 500 MB", Retention(90 * DAY, 500 * 10**6)),
    ],
)
def test_a_retention_is_an_age_a_size_or_both(text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize("text", ["", "90", "0 d", "d", "90 d, 3 h", "for ever", "-1 d"])
def test_anything_else_is_refused_with_what_is_allowed(text):
    with pytest.raises(ValueError, match="an age"):
        parse(text)


@pytest.fixture
def writer(tmp_path):
    """Ten blocks of 100 samples, then 50 fresh ones; holes before the samples 200 and 606."""
    with Recording(tmp_path, compact=None) as writer:
        source = Source()
        for k in range(105):
            writer.put(source.chunk(10, lost={20: 0, 60: 6}.get(k)))
            writer.flush()
        Compactor(writer._file, writer.submit, samples=100).run_once()
        yield writer


def expire(writer, before=None, size=None):
    """Let go what is older than the sample of this number."""
    age = None if before is None else LAST - (T0 + before * STEP)
    return Expiry(writer._file, Retention(age, size), writer.submit).run_once()


def left(writer):
    with Store(writer._directory) as store:
        block = store.read("ldf")
        return len(block), int(block.time[0])


def blocks(writer):
    connection = apsw.Connection(str(writer._file))
    try:
        return [first for (first,) in connection.execute("SELECT first FROM block ORDER BY first")]
    finally:
        connection.close()


def test_samples_older_than_the_age_go_in_whole_blocks(writer):
    assert expire(writer, 450) == 4
    assert blocks(writer)[0] == 400
    assert left(writer) == (650, T0 + 401 * STEP)
    report = check(writer._directory)
    assert report.problems == ()
    assert report.streams[0].samples == 650
    with Store(writer._directory) as store:
        (gone,) = store.events("expired")
        assert gone.body["details"]["ranges"] == [[0, 400]]
        assert store.after(1, 0).first == 400
        assert np.isnan(store.columns("ldf", "flux", "flux", T0, T0 + 400 * STEP, 5).low).all()


def test_what_is_not_compressed_yet_stays_however_old(writer):
    expire(writer, 1057)
    assert blocks(writer) == []
    assert left(writer)[0] == 50
    assert check(writer._directory).problems == ()


def test_the_oldest_go_while_the_record_is_too_large(writer):
    assert expire(writer, size=10**9) == 0
    connection = apsw.Connection(str(writer._file))
    used = (connection.pragma("page_count") - connection.pragma("freelist_count")) * connection.pragma("page_size")
    connection.close()
    gone = expire(writer, size=used - 1)
    assert 0 < gone < 10
    assert blocks(writer)[0] == 100 * gone
    assert check(writer._directory).problems == ()


def test_what_a_remote_has_not_acknowledged_stays(writer):
    writer.advance("influx", {1: 350})
    writer.advance("mqtt", {1: 500})
    writer.flush()
    expire(writer, 1057)
    assert blocks(writer)[0] == 300
    writer.advance("influx", {1: 10_000})
    writer.flush()
    expire(writer, 1057)
    assert blocks(writer)[0] == 500


def test_a_remote_that_never_acknowledged_this_stream_holds_all_of_it(writer):
    writer.advance("influx", {99: 5})
    writer.flush()
    assert expire(writer, 1057) == 0


def test_what_is_marked_for_keeping_stays_in_the_middle_too(writer):
    details = {"from": T0 + 320 * STEP, "to": T0 + 450 * STEP}
    writer.put(event(kind="keep", text="session 7", **details))
    writer.flush()
    expire(writer, 1057)
    assert blocks(writer) == [300, 400]
    assert check(writer._directory).problems == ()
    with Store(writer._directory) as store:
        (gone,) = store.events("expired")
        assert gone.body["details"]["ranges"] == [[0, 300], [500, 600], [606, 1006]]


def examination(writer, *steps):
    for number, do, name in steps:
        writer.put(event(T0 + number * STEP, "session", "", f"{name} {do}", do=do, session=name))
    writer.flush()


def test_where_sessions_are_kept_the_samples_of_each_of_them_stay(writer):
    examination(writer, (320, "start", "s1"), (450, "stop", "s1"), (730, "start", "s2"))
    Expiry(writer._file, Retention(0, sessions=True), writer.submit).run_once()
    assert blocks(writer) == [300, 400, 706, 806, 906]
    assert check(writer._directory).problems == ()
    assert expire(writer, 1057) == 5, "sessions that nobody marked go where only marked ones are kept"


def test_keeping_without_an_end_keeps_all_from_there_on(writer):
    writer.put(event(kind="keep", text="session 8", **{"from": T0 + 320 * STEP}))
    writer.flush()
    expire(writer, 1057)
    assert blocks(writer)[0] == 300


def test_a_block_that_vanished_without_an_event_is_missing_all_the_same(writer):
    expire(writer, 450)
    connection = apsw.Connection(str(writer._file))
    connection.execute("DELETE FROM block WHERE first = 500")
    connection.close()
    assert any("samples 500 to 605 are missing" in p for p in check(writer._directory).problems)


def test_removing_in_several_steps_adds_up(writer):
    for k in (150, 250, 350, 750):
        expire(writer, k)
        assert check(writer._directory).problems == ()
    assert blocks(writer)[0] == 706


def test_the_writer_does_it_by_itself(tmp_path):
    import threading

    done = threading.Event()
    with Recording(tmp_path, compact=0.01, retention=Retention(age=DAY)) as writer:
        source = Source(start=T0 - 10 * DAY)
        writer.put(source.chunk(5000))
        writer.flush()
        writer.put(source.chunk(5000))
        writer.flush()
        for _ in range(500):
            with Store(tmp_path) as store:
                if store.events("expired"):
                    done.set()
                    break
            threading.Event().wait(0.01)
    assert done.is_set()
    assert check(tmp_path).problems == ()
