"""The host's clocks and the map from an instrument's time to theirs."""

import random

import numpy as np
import pytest

from acquisition.model import Instant
from acquisition.timing.clock import Clock, SampleClock, Timeline


def test_a_clock_at_speed_runs_from_its_origin():
    wall = {"utc": 1_000_000_000_000, "mono": 5_000_000_000}
    clock = Clock(60.0, 999_000_000_000, lambda: wall["mono"], lambda: wall["utc"])
    first = clock.now()
    assert first.utc == 999_000_000_000 + 60 * 1_000_000_000
    wall["utc"] += 2_000_000_000
    wall["mono"] += 2_000_000_000
    second = clock.now()
    assert second.utc - first.utc == 120_000_000_000
    assert second.monotonic - first.monotonic == 120_000_000_000
    assert clock.real(120.0) == 2.0


def test_two_clocks_of_one_origin_agree_whenever_they_started():
    wall = [0]
    early = Clock(10.0, 0, lambda: wall[0], lambda: wall[0])
    wall[0] = 7_000_000_000
    late = Clock(10.0, 0, lambda: wall[0], lambda: wall[0])
    assert early.now() == late.now()


def test_time_keys_do_not_see_the_wall_clock():
    timeline = Timeline(run=3, started=100, anchor=5_000)
    assert timeline.key(100) == 5_000
    assert timeline.key(350) == 5_250


def follow(drift_ppm, jitter, seconds, period=0.1, seed=0, origin=None, slew=5e-4):
    """Host error (s) of each sample when source time drifts against the host's."""
    rng = random.Random(seed)
    clock = SampleClock(origin, slew)
    errors = []
    for k in range(int(seconds / period)):
        host = 1000.0 + k * period
        source = k * period * (1 + drift_ppm * 1e-6)
        offset = clock.offset(source, host + 0.0005 + jitter(rng))
        errors.append(source + offset - host)
    return np.array(errors)


@pytest.mark.parametrize("drift", [-80.0, 0.0, 80.0])
def test_one_millisecond_after_an_hour_at_80_ppm(drift):
    errors = follow(drift, lambda rng: rng.expovariate(1 / 0.01), 3600.0)
    assert np.abs(errors[-6000:]).max() < 0.0015


def test_it_never_runs_ahead_of_an_arrival_and_keeps_intervals():
    rng = random.Random(3)
    clock, last = SampleClock(origin=50.0), None
    for k in range(20_000):
        source = k * 0.05
        arrived = 50.0 + source + rng.expovariate(1 / 0.02)
        offset = clock.offset(source, arrived)
        assert source + offset <= arrived
        if last is not None:
            assert source + offset - last == pytest.approx(0.05, abs=5e-4)
        last = source + offset


def test_a_wrong_nominal_rate_is_learnt():
    errors = follow(10_000.0, lambda rng: rng.expovariate(1 / 0.003), 900.0, slew=0.02)
    assert np.abs(errors[-1000:]).max() < 0.005


def test_a_jump_of_the_source_is_followed():
    clock = SampleClock(slew=0.02)
    offset = 0.0
    for k in range(2000):
        lost = 10 if k >= 1000 else 0  # ten samples vanished unnoticed: the index lags from there on
        offset = clock.offset(k * 0.1, 100.0 + (k + lost) * 0.1)
    assert offset == pytest.approx(101.0, abs=0.01)


def test_the_clocks_are_read_again_where_the_host_did_something_else_between_them():
    monotonic = iter([0, 1, 1_000, 400_000_000, 400_000_100, 400_000_200])
    utc = iter([5, 400_001_000, 400_301_000])
    clock = Clock(monotonic=lambda: next(monotonic), utc=lambda: next(utc))
    assert clock.now() == Instant(400_000_000, 400_300_000)


class Host:
    """Clocks that are handed on by the test; UTC is read up to 400 ns after the monotonic clock."""

    def __init__(self):
        self.monotonic, self.apart = 5_000_000_000_123, 1_767_225_600_000_000_800
        self.rng = random.Random(4)

    def clock(self, speed=1.0, origin=None):
        return Clock(speed, origin, lambda: self.monotonic, self.utc)

    def utc(self):
        return self.monotonic + self.apart + self.rng.randrange(400)


@pytest.mark.parametrize("speed", [1, 7])
@pytest.mark.parametrize("origin", [None, 1_700_000_000_000_000_789])
def test_instants_are_whole_microseconds_and_not_after_the_clocks(speed, origin):
    host = Host()
    began = host.monotonic
    clock = host.clock(speed, origin)
    first = clock.now()
    for _ in range(1000):
        host.monotonic += host.rng.randrange(1, 100_000_000)
        now = clock.now()
        assert now.monotonic % 1000 == now.utc % 1000 == 0
        if origin is None:
            assert 0 <= began + speed * (host.monotonic - began) - now.monotonic < 1000
        elapsed = speed * (host.monotonic - began)
        assert abs(now.monotonic - first.monotonic - elapsed) < 1000
        assert abs(now.utc - first.utc - elapsed) < 1000


def test_what_reading_the_clocks_takes_does_not_move_one_against_the_other():
    host = Host()
    clock = host.clock()
    apart = set()
    for _ in range(1000):
        host.monotonic += host.rng.randrange(1, 100_000_000)
        now = clock.now()
        apart.add(now.utc - now.monotonic)
    assert len(apart) == 1


@pytest.mark.parametrize("step", [-3_600_000_000_000, -20_000, 20_000, 3_600_000_000_000])
@pytest.mark.parametrize("speed", [1, 7])
def test_a_step_of_the_wall_clock_shows_at_once_and_whole(step, speed):
    host = Host()
    clock = host.clock(speed)
    before = clock.now()
    host.monotonic += 1_000_000_000
    host.apart += step
    now = clock.now()
    assert (now.utc - now.monotonic) - (before.utc - before.monotonic) == pytest.approx(speed * step, abs=speed * 1500)


def test_a_slow_drift_of_the_wall_clock_is_followed_to_a_few_microseconds():
    host = Host()
    clock = host.clock()
    for _ in range(10_000):
        host.monotonic += 100_000_000
        host.apart += 50  # half a millionth: an hour's error is 1.8 ms
        now = clock.now()
        assert abs(host.apart - (now.utc - now.monotonic)) <= 7_000
