"""Counting samples against the clock: steps are told once and sized right; jitter, drift and stalls are none."""

import random

import pytest

from acquisition.driverkit.rate_monitor import RateMonitor

RATE = 100.0


def tell(seconds, lost=(), doubled=(), stalls=(), held=(), busy=(), rate=RATE, block=1, seed=1, jitter=0.002):
    """(second, samples) of each step that is told of a stream of that true rate."""
    chance, pace, told, latest = random.Random(seed), RateMonitor(RATE), [], 0.0
    for k in range(int(seconds * rate / block)):
        at = k * block / rate
        if any(start <= at < end for start, end in lost):
            continue
        arrived = at + 0.003 + chance.expovariate(1 / jitter)
        arrived = max([arrived, *(end for start, end in stalls if start <= at < end)])
        arrived += sum(2.5 for start, end in held if start <= at < end)
        n = block * (2 if any(start <= at < end for start, end in doubled) else 1)
        arrived += sum(0.02 for start, end in busy if start <= at < end)
        arrived = max(arrived, latest)
        latest = arrived
        step = pace.count(n, arrived)
        if step:
            told.append((arrived, step))
    return told


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rate", [RATE, 99.0, 101.5])
def test_jitter_and_a_clock_that_is_wrong_are_no_step(seed, rate):
    assert tell(600.0, rate=rate, seed=seed) == []


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.5])
def test_lost_samples_are_told_once_within_seven_seconds_and_counted(seconds):
    ((at, step),) = tell(60.0, lost=[(20.0, 20.0 + seconds)])
    assert 20.0 < at < 27.5
    assert step == pytest.approx(-seconds * RATE, abs=1)


def test_doubled_samples_are_told():
    ((at, step),) = tell(60.0, doubled=[(20.0, 20.1)])
    assert 20.0 < at < 27.5
    assert step == pytest.approx(10, abs=1)


def test_samples_that_only_come_late_are_no_step():
    assert tell(120.0, stalls=[(20.0, 20.8), (40.0, 44.0), (60.0, 60.2)], held=[(80.0, 83.0)]) == []


def test_two_losses_are_told_one_by_one():
    told = [step for _, step in tell(60.0, lost=[(20.0, 20.1), (30.0, 30.2)])]
    assert told == [pytest.approx(-10, abs=1), pytest.approx(-20, abs=1)]


def test_a_host_that_reads_later_or_sooner_than_it_did_is_no_step():
    assert tell(60.0, busy=[(0.0, 15.0), (30.0, 40.0)]) == []
