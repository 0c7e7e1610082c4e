"""The distance walked: against analytic belts, over stops, holes, reconnections and restarts."""

import numpy as np
import pytest

from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.driverkit.derived import Distance
from acquisition.model import Channel, Chunk, Header, Instant, Quality, Readings, Stream
from acquisition.timing.clock import Timeline

HEADER = Header("treadmill", Stream("belt", (Channel("grade", "%"), Channel("speed", "km/h"))), "trackmaster", "", "")
SECOND = 1_000_000_000


def chunk(seconds, speeds):
    values = np.column_stack([np.full(len(speeds), 10.0), speeds])
    time = np.rint(np.array(seconds) * SECOND).astype(np.int64)
    return Chunk(HEADER, 1, 1, 0, Instant(0, 0), time, values, np.zeros(values.shape, np.uint8))


def walk(distance, seconds, speeds, block=1):
    rows = [distance.feed(chunk(seconds[i : i + block], speeds[i : i + block])) for i in range(0, len(seconds), block)]
    return np.concatenate([r.values for r in rows]), np.concatenate([r.quality for r in rows])


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_a_ramp_a_plateau_and_a_ramp_are_exact(block):
    seconds = np.arange(0, 100.1, 0.25)
    speeds = np.interp(seconds, [10, 14, 80, 86], [0, 3.2, 3.2, 0])
    values, quality = walk(Distance(), seconds, speeds, block)
    assert values[-1, 0] == pytest.approx(3.2 / 3.6 * (2 + 66 + 3), rel=1e-12)
    assert values[-1, 1] == pytest.approx(76, abs=0.25)
    assert (np.diff(values, axis=0) >= 0).all()
    assert not quality.any()


def test_it_rests_while_the_belt_stands():
    seconds = np.arange(0, 60, 0.25)
    speeds = np.where(seconds < 20, 3.6, 0.0)
    values, _ = walk(Distance(), seconds, speeds)
    standing = values[seconds >= 20.25]
    assert np.ptp(standing, axis=0).max() == 0
    assert standing[0] == pytest.approx([20 - 0.125, 20 - 0.125])


def test_reversed_belts_are_walked_too():
    values, _ = walk(Distance(), np.arange(0, 10.1, 0.5), np.full(21, -3.6))
    assert values[-1] == pytest.approx([10, 10])


def test_a_hole_of_more_than_a_second_is_not_walked_and_marks_the_walk():
    seconds = np.concatenate([np.arange(0, 20, 0.25), np.arange(25, 60, 0.25)])
    speeds = np.where((seconds > 2) & (seconds < 40) | (seconds > 50), 3.6, 0.0)
    values, quality = walk(Distance(), seconds, speeds)
    before, after = np.searchsorted(seconds, [19.75, 25.0])
    assert values[after].tolist() == values[before].tolist()
    marked = quality[:, 0] == Quality.QUESTIONABLE
    # From the hole through the stop, until the belt is seen to start again.
    assert seconds[marked][[0, -1]].tolist() == [25.0, 50.0]
    assert marked.sum() == np.count_nonzero((seconds >= 25) & (seconds <= 50))
    assert np.array_equal(quality[:, 0], quality[:, 1])


def test_a_lost_sample_within_a_second_is_bridged():
    values, quality = walk(Distance(), np.array([0, 0.25, 0.5, 1.25, 1.5]), np.full(5, 3.6))
    assert values[-1] == pytest.approx([1.5, 1.5])
    assert not quality.any()


def test_an_accelerated_clock_has_patience():
    values, quality = walk(Distance(patience=10.0), np.arange(0, 50, 5.0), np.full(10, 3.6))
    assert values[-1] == pytest.approx([45, 45])
    assert not quality.any()


def test_samples_without_a_speed_are_bridged_for_a_second_only():
    seconds = np.arange(0, 10, 0.25)
    short = np.where((seconds > 2) & (seconds < 2.9), np.nan, 3.6)
    values, quality = walk(Distance(), seconds, short)
    assert values[-1, 0] == pytest.approx(9.75)
    assert not quality.any()
    long = np.where((seconds > 2) & (seconds < 5), np.nan, 3.6)
    values, quality = walk(Distance(), seconds, long)
    assert values[-1, 0] == pytest.approx(2 + 4.75)
    assert seconds[quality[:, 0] > 0][0] == 3.25
    assert (quality[seconds > 3.25] == Quality.QUESTIONABLE).all()


def test_a_restart_continues_the_total_and_says_that_something_may_be_missing():
    distance = Distance()
    distance.resume(np.array([120.5, 300.0]))
    seconds = np.arange(0, 20, 0.25)
    values, quality = walk(distance, seconds, np.where(seconds < 5, 3.6, np.where(seconds < 10, 0.0, 3.6)))
    assert values[0].tolist() == [120.5, 300.0]
    assert (np.diff(values, axis=0) >= 0).all()
    assert seconds[quality[:, 0] > 0][-1] == 9.75


def test_a_reconnection_goes_through_the_stream_books():
    clock = InstrumentClocks()
    sequencer = StreamSequencer(HEADER, Timeline(1, 0, 10**18), clock, 2.0)
    distance = Distance()
    total = StreamSequencer(
        Header("treadmill", distance.stream, "trackmaster", "", ""), Timeline(1, 0, 10**18), clock, 2.0
    )
    stored = []
    for connection, start in ((1, 0.0), (2, 30.0)):
        for at in np.arange(start, start + 10, 0.25):
            readings = Readings("belt", np.array([[10.0, 3.6]]), np.zeros((1, 2), np.uint8))
            source = sequencer.chunk(readings, Instant(int(at * SECOND), 0), connection)
            stored.append(total.derived(distance.feed(source), source))
        sequencer.interrupted("unplugged")
        total.interrupted("unplugged")
    gaps = [each.gap for each in stored if each.gap is not None]
    assert [gap.cause for gap in gaps] == ["unplugged"]
    assert stored[-1].values[0] == pytest.approx([19.5, 19.5])
    assert stored[-1].quality.tolist() == [[Quality.QUESTIONABLE] * 2]
