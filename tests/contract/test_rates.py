"""Every stream whose samples carry no time of their own is held against the host's clock, whichever driver it is."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from acquisition import config
from acquisition.model import Event, Quality
from simulators.ascii import Ascii as Instrument
from simulators.ascii import Options as Habits
from simulators.patient.physiology import Participant
from simulators.simkit.instrument import Plan, no_ledger
from tests import virtual
from tests.contract import pairs
from tests.contract.pairs import PAIRS
from tests.contract.wire import Wire
from tests.drivers.test_ascii import STREAM, build, profile

COUNTED = ["34465a", "di1100", "snuadc"]
"""Their samples are timed by their number and the rate."""
ARRIVING = ["ascii", "tosca500-csv"]
"""Their samples are timed by their arrival, and the entry or the profile says how often they come."""


def flow(folder):
    """A driver and a simulator of an instrument that sends a line every half second by itself."""
    device = config.load(profile(Path(folder), STREAM)).devices[0]

    def simulator(name, ledger=no_ledger):
        bench = Participant("claudicant", "tour", 3)
        return Instrument(Plan(name, bench, Habits("flow", str(folder), {}), 3, ledger=ledger))

    return lambda _: build(device), simulator


def run(name, seconds, tmp_path, tempo=1.0):
    """The wire after so many seconds; the instrument's time runs `tempo` times as fast as the host's."""
    wires = []

    async def body(loop):
        pair = flow(tmp_path) if name == "ascii" else (pairs.driver, pairs.simulator)
        wires.append(wire := Wire(loop, name, tempo=tempo, pair=pair))
        task = asyncio.ensure_future(wire.supervisor.run())
        await asyncio.sleep(seconds)
        wire.supervisor.stop()
        await task

    virtual.run(body)
    return wires[0]


def told(wire):
    """(second, kind, text) of what was said of rates."""
    return [
        ((e.time - 10**18) / 1e9, e.kind, e.text, e.details)
        for e in wire.items
        if isinstance(e, Event) and "configured_hz" in e.details
    ]


@pytest.mark.parametrize("name", COUNTED + ARRIVING)
def test_a_sound_instrument_is_never_accused(name, tmp_path):
    wire = run(name, 60.0, tmp_path)
    assert wire.chunks
    assert told(wire) == []


@pytest.mark.parametrize("name", COUNTED + ARRIVING)
@pytest.mark.parametrize("tempo", [0.25, 4.0])
def test_four_times_slow_or_fast_is_told_and_the_samples_are_questionable(name, tempo, tmp_path):
    wire = run(name, 60.0, tmp_path, tempo)
    ((at, kind, text, details),) = told(wire)
    assert kind == "warning"
    assert details["factor"] == pytest.approx(tempo, rel=0.15)
    assert details["streams"] == list(wire.context)
    assert "was configured" in text
    slowest = min(c.header.stream.rate or 1 / c.header.stream.interval for c in wire.chunks) * min(tempo, 1.0)
    assert at < max(10.0, 20.0 / slowest) + 1.0
    after = [c for c in wire.chunks if c.arrived.seconds > at]
    assert len(after) > 5
    for chunk in after:
        assert (chunk.quality[np.isfinite(chunk.values)] & Quality.QUESTIONABLE).all()
        # What is stored from then on stands where it came.
        assert abs(int(chunk.time[-1]) - 10**18 - chunk.arrived.monotonic) < 2e6


@pytest.mark.parametrize("name", COUNTED)
def test_where_counted_times_lag_the_record_has_a_gap_as_long_as_they_lagged(name, tmp_path):
    wire = run(name, 30.0, tmp_path, 0.25)
    chunks = [c for c in wire.chunks if c.header.stream.name == next(iter(wire.context))]
    (gap,) = [c.gap for c in chunks if c.gap is not None and "was configured" in c.gap.cause]
    assert gap.stop - gap.start > 1e9
    assert (int(chunks[-1].time[-1]) - int(chunks[0].time[0])) / 1e9 == pytest.approx(29.0, abs=1.5)


@pytest.mark.parametrize("name", PAIRS)
def test_no_driver_gives_a_rate_and_neither_times_nor_a_comparison(name, tmp_path):
    wire = run(name, 10.0, tmp_path)
    bare = {c.header.stream for c in wire.chunks if c.device_time is None}
    if any(stream.rate is not None or stream.interval is not None for stream in bare):
        assert told(run(name, 60.0, tmp_path, 4.0))
