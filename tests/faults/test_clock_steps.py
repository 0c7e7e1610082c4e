"""A wall clock that jumps, within a run or between runs, loses no sample and gives no two the same time."""

import random
from datetime import datetime

import numpy as np
import pytest

from acquisition.device.sequencer import InstrumentClocks, StreamEnd, StreamSequencer
from acquisition.model import Instant, Readings
from acquisition.store import Store, StoreWriter, check
from acquisition.timing.clock import Clock, Timeline
from tests.store.records import SECOND, T0, header

HOUR, DAY = 3600 * SECOND, 86400 * SECOND
STEPS = (-400 * DAY, -DAY, -HOUR, -SECOND, 1, SECOND, HOUR, DAY, 400 * DAY)


class Host:
    """A host whose wall clock is stepped and whose monotonic clock begins anew with every boot."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.monotonic, self.utc = 5 * SECOND, T0

    def pass_time(self, ns):
        self.monotonic += ns
        self.utc += ns

    def step(self):
        self.utc += self.random.choice(STEPS)

    def boot(self):
        self.monotonic = self.random.randrange(SECOND, 100 * SECOND)

    def now(self):
        return Instant(self.monotonic, self.utc)


def run_once(directory, host, rate, samples, steps):
    """One run of the daemon's way from readings to rows: as the service does it."""
    writer = StoreWriter(directory, clock=Clock(), flush=30.0, compact=None)
    writer.open()
    started = host.now()
    anchor = max(started.utc, writer.last_key + 1)
    timeline = Timeline(writer.begin_run(started, anchor, {}), started.monotonic, anchor)
    head = header(rate=rate)
    last = writer.last(*head.key)
    sequencer = StreamSequencer(
        head, timeline, InstrumentClocks(), 1e9, None if last is None else StreamEnd(last.next, last.key)
    )
    values = []
    for k in range(samples):
        host.pass_time(25_000_000 + host.random.randrange(4_000_000))
        if k in steps:
            host.step()
        n = host.random.choice((1, 1, 1, 4))
        block = np.array([[host.random.random(), 0.0] for _ in range(n)])
        values += block[:, 0].tolist()
        writer.put(sequencer.chunk(Readings("flux", block, np.zeros((n, 2), np.uint8)), host.now(), 1))
    writer.close()
    return values


def steps_and_runs(directory, seed, runs, samples, per_run):
    host = Host(seed)
    rate = 40.0 if seed % 2 else None
    values = []
    for _ in range(runs):
        host.boot()
        host.step()
        steps = {host.random.randrange(samples) for _ in range(per_run)}
        values += run_once(directory, host, rate, samples, steps)
    assert check(directory).problems == ()
    with Store(directory) as store:
        block = store.read("ldf")
        assert block.values[:, 0].tolist() == values
        assert (np.diff(block.time) > 0).all()
        assert len(store.gaps()) == runs - 1
        runs_known = store.runs()
    assert len(runs_known) == runs
    return block.time, runs_known


@pytest.mark.parametrize("seed", [1, 2])
def test_a_hundred_steps_lose_nothing_and_make_no_equal_keys(tmp_path, seed):
    steps_and_runs(tmp_path, seed, runs=10, samples=100, per_run=10)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(10, 20))
def test_a_thousand_steps(tmp_path, seed):
    steps_and_runs(tmp_path, seed, runs=20, samples=100, per_run=5)


@pytest.mark.parametrize(("change", "step"), [("2026-03-29T01:00", HOUR), ("2026-10-25T01:00", -HOUR)])
@pytest.mark.parametrize("between_runs", [False, True])
def test_a_host_whose_clock_is_set_by_daylight_saving_keeps_every_sample_in_order(tmp_path, change, step, between_runs):
    host = Host(1)
    host.utc = int(datetime.fromisoformat(change + "Z").timestamp()) * SECOND - SECOND
    host.step = lambda: setattr(host, "utc", host.utc + step)
    if between_runs:
        values = run_once(tmp_path, host, 40.0, 40, set())
        host.step()
        host.boot()
        values += run_once(tmp_path, host, 40.0, 40, set())
    else:
        values = run_once(tmp_path, host, 40.0, 80, {40})
    assert check(tmp_path).problems == ()
    with Store(tmp_path) as store:
        block = store.read("ldf")
        assert block.values[:, 0].tolist() == values
        assert (np.diff(block.time) > 0).all()
        assert len(store.gaps()) == between_runs


def test_a_step_within_a_run_does_not_show_in_the_times(tmp_path):
    host = Host(1)
    run_once(tmp_path, host, None, 50, steps=set(range(0, 50, 5)))
    with Store(tmp_path) as store:
        steps = np.diff(store.read("ldf").time)
    assert steps.max() < 30_000_000
    assert np.median(steps) > 0


def test_a_clock_that_was_set_back_between_runs_goes_on_after_the_last_key(tmp_path):
    host = Host(1)
    run_once(tmp_path, host, None, 10, set())
    host.utc -= DAY
    host.boot()
    run_once(tmp_path, host, None, 10, set())
    with Store(tmp_path) as store:
        (gap,) = store.gaps()
        anchors = {run: about["anchor"] - about["utc"] for run, about in store.runs().items()}
    assert 0 < gap.stop - gap.start < SECOND
    assert anchors[1] == 0
    assert anchors[2] == pytest.approx(DAY, abs=SECOND)


def test_a_clock_that_was_set_forward_between_runs_leaves_the_hole_it_says(tmp_path):
    host = Host(1)
    run_once(tmp_path, host, None, 10, set())
    host.utc += DAY
    host.boot()
    run_once(tmp_path, host, None, 10, set())
    with Store(tmp_path) as store:
        (gap,) = store.gaps()
    assert gap.stop - gap.start == pytest.approx(DAY, abs=SECOND)
