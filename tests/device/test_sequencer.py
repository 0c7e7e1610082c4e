"""Sequence numbers and times: every hole leaves a gap record and a jump in the numbers."""

import numpy as np
import pytest
from msgspec.structs import replace

from acquisition.device.sequencer import InstrumentClocks, StreamEnd, StreamSequencer
from acquisition.model import Channel, Header, Instant, Readings, Stream, TimeBase
from acquisition.timing.clock import Timeline
from acquisition.timing.pauses import Pause

SECOND = 1_000_000_000


def sequencer(rate=None, last=None, patience=3.0):
    header = Header("d", Stream("s", (Channel("x", "1"),), rate), "driver", "documented", "test")
    return StreamSequencer(header, Timeline(1, 0, 10_000 * SECOND), InstrumentClocks(), patience, last)


def rows(n=1, lost=0, device=None, token="t", origin=None, fresh=True):
    base = None if device is None else TimeBase(token, origin)
    device_time = None if device is None else np.array(device, dtype=float)
    return Readings("s", np.zeros((n, 1)), np.zeros((n, 1), np.uint8), device_time, base, lost, fresh)


def at(seconds):
    return Instant(round(seconds * SECOND), 0)


def test_consecutive_chunks_have_consecutive_numbers_and_no_gap():
    b = sequencer()
    chunks = [b.chunk(rows(), at(k), 1) for k in range(3)]
    assert [c.first for c in chunks] == [0, 1, 2]
    assert all(c.gap is None for c in chunks)
    assert [int(c.time[0]) for c in chunks] == [(10_000 + k) * SECOND for k in range(3)]
    with pytest.raises(ValueError, match="read-only"):
        chunks[0].values[0, 0] = 1.0


def test_lost_samples_are_counted_in_the_numbers():
    b = sequencer()
    b.chunk(rows(), at(1), 1)
    chunk = b.chunk(rows(lost=4), at(2), 1)
    assert chunk.first == 5
    assert (chunk.gap.after, chunk.gap.before, chunk.gap.missing) == (0, 5, 4)
    assert (chunk.gap.start, chunk.gap.stop) == (10_001 * SECOND, 10_002 * SECOND)


def test_an_interruption_leaves_one_gap_with_the_first_cause():
    b = sequencer()
    b.chunk(rows(), at(1), 1)
    b.interrupted("unplugged")
    b.interrupted("no such port")
    chunk = b.chunk(rows(), at(2), 3)
    assert (chunk.gap.cause, chunk.gap.missing) == ("unplugged", None)
    assert chunk.first == 2
    assert b.chunk(rows(), at(2.5), 3).gap is None


def test_an_interruption_before_the_first_sample_is_no_gap():
    b = sequencer()
    b.interrupted("no such port")
    assert b.chunk(rows(), at(1), 2).gap is None


def test_what_was_lost_before_the_first_sample_is_no_hole_in_the_record():
    b = sequencer()
    chunk = b.chunk(rows(lost=4), at(1), 1)
    assert (chunk.first, chunk.gap) == (0, None)
    assert b.chunk(rows(), at(2), 1).first == 1


def test_a_new_run_continues_the_numbers_after_a_gap():
    b = sequencer(last=StreamEnd(100, 9_000 * SECOND))
    chunk = b.chunk(rows(), at(1), 1)
    assert chunk.first == 101
    assert chunk.gap.cause == "the service was not running"
    assert (chunk.gap.start, chunk.gap.after, chunk.gap.before) == (9_000 * SECOND, 99, 101)


def test_silence_beyond_patience_is_a_gap_though_nothing_was_lost_on_the_link():
    b = sequencer(patience=2.0)
    b.chunk(rows(), at(1), 1)
    assert b.chunk(rows(), at(2.9), 1).gap is None
    assert b.chunk(rows(), at(5), 1).gap.cause == "no sample for 2.1 s"


def test_an_instrument_that_kept_its_samples_loses_none_over_a_reconnection():
    b = sequencer(rate=10.0)
    b.chunk(rows(5, device=[0, 0.1, 0.2, 0.3, 0.4], origin=100.0), at(100.45), 1)
    b.interrupted("unplugged")
    chunk = b.chunk(rows(5, device=[0.5, 0.6, 0.7, 0.8, 0.9], origin=None, fresh=False), at(104), 2)
    assert chunk.gap.missing == 0
    assert chunk.first == 5
    assert np.diff(chunk.time) == pytest.approx([0.1 * SECOND] * 4, rel=1e-3)
    assert chunk.time[0] == pytest.approx((10_000 + 100.5) * SECOND, abs=5e6)


def test_what_the_instrument_lost_meanwhile_is_counted():
    b = sequencer(rate=10.0)
    b.chunk(rows(2, device=[0, 0.1], origin=100.0), at(100.2), 1)
    b.interrupted("unplugged")
    chunk = b.chunk(rows(2, device=[0.5, 0.6], fresh=False), at(104), 2)
    assert (chunk.gap.missing, chunk.first) == (3, 5)


def test_samples_that_come_one_by_one_are_counted_by_their_period():
    b = sequencer(rate=1.0)
    for k in range(50):
        # The instrument is asked once a second, and takes a little longer.
        b.chunk(rows(device=[1.02 * k], origin=100.0), at(100.1 + 1.02 * k), 1)
    b.interrupted("unplugged")
    chunk = b.chunk(rows(device=[1.02 * 111]), at(214), 2)
    assert (chunk.gap.missing, chunk.first) == (61, 111)
    assert b.chunk(rows(device=[1.02 * 112]), at(215.1), 2).gap is None


def test_the_nominal_period_counts_where_only_one_sample_came_before():
    b = sequencer(rate=1.0)
    b.chunk(rows(device=[3.0], origin=100.0), at(103.1), 1)
    b.interrupted("unplugged")
    assert b.chunk(rows(device=[11.0]), at(111.1), 2).gap.missing == 7


def test_samples_that_come_one_by_one_without_a_rate_are_not_counted():
    b = sequencer()
    b.chunk(rows(device=[3.0], origin=100.0), at(103.1), 1)
    b.interrupted("unplugged")
    assert b.chunk(rows(device=[11.0]), at(111.1), 2).gap.missing is None


def test_what_a_driver_missed_in_a_pause_is_counted_and_after_a_reconnection_is_not():
    b = sequencer(patience=2.0)
    b.chunk(rows(), at(1), 1)
    assert b.chunk(rows(lost=8), at(5), 1).gap.missing == 8
    b.interrupted("unplugged")
    assert b.chunk(rows(lost=1), at(60), 2).gap.missing is None


def test_a_restarted_instrument_clock_leaves_the_number_unknown():
    b = sequencer(rate=10.0)
    b.chunk(rows(2, device=[0, 0.1], origin=100.0), at(100.2), 1)
    b.interrupted("unplugged")
    chunk = b.chunk(rows(2, device=[0.5, 0.6], token="other"), at(104), 2)
    assert (chunk.gap.missing, chunk.first) == (None, 3)


@pytest.mark.parametrize(("device", "fresh"), [(0.5, True), (107.0, True), (90.0, False), (140.0, True)])
def test_a_clock_that_started_anew_under_the_same_token_is_another_one(device, fresh):
    b = sequencer(rate=1.0)
    for k in range(3):
        b.chunk(rows(device=[100.0 + k]), at(50.1 + k), 1)
    b.interrupted("switched off")
    chunk = b.chunk(rows(device=[device], fresh=fresh), at(62), 2)
    assert chunk.time.tolist() == [10_062 * SECOND]
    assert chunk.gap.missing is None
    assert b.chunk(rows(device=[device + 1.0], fresh=fresh), at(63), 2).time.tolist() == [10_063 * SECOND]


def test_a_clock_that_ran_on_through_the_interruption_is_the_same():
    b = sequencer(rate=1.0)
    for k in range(3):
        b.chunk(rows(device=[100.0 + k]), at(50.1 + k), 1)
    b.interrupted("unplugged")
    chunk = b.chunk(rows(device=[3702.0]), at(3650.1 + 3.0 + 1.9), 2)  # a clock that runs slow, and a late answer
    assert chunk.gap.missing == 3599
    assert chunk.time.tolist() == [int((10_000 + 3652.1) * SECOND)]


def test_keys_rise_strictly_whatever_the_clock_says():
    b = sequencer()
    first = b.chunk(rows(), at(5), 1)
    second = b.chunk(rows(3), at(5), 1)
    assert (np.diff(np.concatenate([first.time, second.time])) > 0).all()


def test_a_steady_stream_keeps_its_interval_under_jittered_arrivals():
    b = sequencer(rate=40.0)
    rng = np.random.default_rng(1)
    keys = [int(b.chunk(rows(), at(10 + k / 40 + rng.exponential(0.003)), 1).time[0]) for k in range(4000)]
    steps = np.diff(keys[400:]) / SECOND
    assert steps.mean() == pytest.approx(1 / 40, rel=1e-3)
    assert np.abs(steps - 1 / 40).max() < 1e-3


def test_samples_that_the_instrument_held_back_keep_the_times_at_which_they_were_taken():
    b = sequencer(rate=10.0, patience=5.0)
    device = lambda start, n: np.arange(n) / 10.0 + start  # noqa: E731
    for k in range(100):
        b.chunk(rows(10, device=device(k, 10), origin=50.0), at(50 + k + 0.9), 1)
    b.interrupted("unplugged")
    keys = []
    for k in range(100, 200):
        held = replace(rows(10, device=device(k, 10)), fresh=k == 199)
        keys.append(b.chunk(held, at(50 + 199.9 + k * 1e-4), 2).time)
    expected = (10_000 + 50) * SECOND + np.rint(np.arange(1000, 2000) * 1e8)
    assert np.concatenate(keys) == pytest.approx(expected, abs=0.05 * SECOND)


def arriving(seed, rate, n, own):
    """Each chunk of 500 arrivals, ns of arrival, and the source's own times of its samples, ns."""
    rng = np.random.default_rng(seed)
    b = sequencer(rate, last=None if own else StreamEnd(10**9, 0))
    first = 0 if own else 10**9 + 1
    for k in range(500):
        numbers = [first + k * n + i for i in range(n)]
        source = np.array([i * SECOND // rate for i in numbers])
        taken = (k + 1) * n * SECOND * 1.00003 / rate  # its crystal is 30 ppm slow
        arrived = Instant(1000 * int((50 * SECOND + taken + rng.exponential(2e6)) / 1000), 0)
        yield b.chunk(rows(n, device=source / 1e9 if own else None), arrived, 1), arrived.monotonic, source


@pytest.mark.parametrize("own", [True, False], ids=["own clock", "sample numbers"])
@pytest.mark.parametrize(("rate", "n"), [(40, 1), (40, 4), (125, 10)])
def test_a_chunk_keeps_the_intervals_of_its_source_and_is_shifted_by_whole_microseconds(rate, n, own):
    for chunk, _, source in arriving(1, rate, n, own):
        shift = chunk.time - 10_000 * SECOND - source
        assert set(shift.tolist()) == {shift[0]}
        assert shift[0] % 1000 == 0


@pytest.mark.parametrize("own", [True, False], ids=["own clock", "sample numbers"])
@pytest.mark.parametrize(("rate", "n"), [(40, 1), (30, 4), (300, 7)])
def test_no_sample_is_later_than_its_arrival_and_the_quickest_less_than_two_microseconds_before(rate, n, own):
    late = [arrived + 10_000 * SECOND - int(chunk.time[-1]) for chunk, arrived, _ in arriving(2, rate, n, own)]
    assert 0 <= min(late) < 2000


@pytest.mark.parametrize("fresh", [True, False])
def test_no_sample_is_later_than_its_arrival_where_an_instrument_counts_from_1970(fresh):
    b, rng = sequencer(), np.random.default_rng(5)  # a float of that many seconds has no digits below 0.2 µs
    for k in range(500):
        arrived = Instant(1000 * (50_000_000 + 100_000 * k + int(rng.integers(0, 3))), 0)
        readings = rows(device=[1_767_225_600.0 + 0.1 * k], fresh=fresh or k < 250)
        assert b.chunk(readings, arrived, 1).time[0] <= arrived.monotonic + 10_000 * SECOND


def test_a_rate_of_no_whole_period_keeps_to_the_nearest_nanosecond_within_a_chunk():
    for chunk, _, _ in arriving(3, 30, 8, own=False):
        assert set(np.diff(chunk.time).tolist()) <= {33_333_333, 33_333_334}


def paced(b, period, seconds, start=0.0):
    """Chunks of one sample each `period` s."""
    return [b.chunk(rows(), at(start + k * period), 1) for k in range(int(seconds / period))]


def test_twenty_seconds_of_a_slow_stream_are_twenty_seconds_of_the_record_and_questionable():
    b = sequencer(rate=20.0)
    chunks = paced(b, 0.2, 20.0)
    (notice,) = b.to_say()
    assert notice.kind == "warning"
    assert notice.text.startswith("comes at 5 Hz, 20 Hz was configured")
    assert notice.details == {"configured_hz": 20.0, "measured_hz": pytest.approx(5.0), "factor": pytest.approx(0.25)}
    doubtful = [c for c in chunks if c.quality.any()]
    assert len(doubtful) > 75
    assert all((c.quality == 4).all() for c in doubtful)
    assert all(int(c.time[-1]) == 10_000 * SECOND + c.arrived.monotonic for c in doubtful)
    assert (int(chunks[-1].time[-1]) - int(chunks[0].time[0])) / SECOND == pytest.approx(19.8, abs=0.1)
    (gap,) = [c.gap for c in chunks if c.gap]
    assert "was configured" in gap.cause


def test_a_slow_stream_of_blocks_stands_where_it_arrived_at_its_own_spacing():
    b = sequencer(rate=100.0)
    chunks = [b.chunk(rows(10), at(0.4 * k), 1) for k in range(100)]
    last = chunks[-1]
    assert np.diff(last.time) == pytest.approx([0.04 * SECOND] * 9, rel=0.02)
    assert int(last.time[-1]) == 10_000 * SECOND + last.arrived.monotonic
    assert (np.diff(np.concatenate([c.time for c in chunks])) > 0).all()


def test_a_stream_that_comes_right_again_is_told_and_good():
    b = sequencer(rate=10.0)
    paced(b, 0.4, 30.0)
    assert [n.kind for n in b.to_say()] == ["warning"]
    chunks = paced(b, 0.1, 60.0, start=30.0)
    (notice,) = b.to_say()
    assert (notice.kind, notice.text) == ("state", "comes at the configured 10 Hz again")
    good = [c for c in chunks if not c.quality.any()]
    assert len(good) > 400
    assert good[-1] is chunks[-1]
    assert not [c.gap for c in good if c.gap]
    assert np.diff([int(c.time[0]) for c in good]) == pytest.approx([0.1 * SECOND] * (len(good) - 1), rel=0.05)


def test_doubt_outlives_a_reconnection_until_the_rate_is_right():
    b = sequencer(rate=10.0)
    paced(b, 0.4, 30.0)
    b.to_say()
    b.interrupted("unplugged")
    chunks = [b.chunk(rows(), at(100 + 0.1 * k), 2) for k in range(300)]
    assert chunks[0].quality.all()
    assert not chunks[-1].quality.any()
    assert [n.kind for n in b.to_say()] == ["state"]


def test_samples_with_a_time_of_their_own_and_irregular_ones_are_not_held_against_the_clock():
    b = sequencer(rate=20.0)
    for k in range(200):
        assert not b.chunk(rows(device=[0.05 * k]), at(0.2 * k), 1).quality.any()
    other = sequencer()
    assert not any(c.quality.any() for c in paced(other, 1.7, 200.0))
    assert b.to_say() == other.to_say() == []


def test_a_value_that_is_none_stays_invalid_alone():
    b = sequencer(rate=20.0)
    paced(b, 0.2, 20.0)
    none = Readings("s", np.array([[np.nan]]), np.ones((1, 1), np.uint8))
    assert b.chunk(none, at(20.0), 1).quality.tolist() == [[1]]


@pytest.mark.parametrize("seconds", [3.0, 60.0])
def test_a_pause_of_this_computer_is_no_other_rate(seconds):
    b = sequencer(rate=20.0, patience=100.0)
    paced(b, 0.05, 30.0)
    began, ended = int(30 * SECOND), int((30 + seconds) * SECOND)
    b.paused(Pause(began, ended, ended + SECOND // 4, ended + 15 * SECOND, seconds))
    chunks = paced(b, 0.05, 30.0, start=30 + seconds)
    assert not any(c.quality.any() for c in chunks)
    assert b.to_say() == []
