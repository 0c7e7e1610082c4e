"""The monitor's own time: its base, its wrap, restarts and gaps."""

import numpy as np
import pytest

from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.driverkit.driver import Setup
from acquisition.model import Header, Instant, Readings
from acquisition.timing.clock import Timeline
from drivers.intellivue import IntelliVue, Options
from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests.drivers.intellivue.monitor import BOTH, CHEST, POLLS, Scripted, arrivals, device_times, reader


@pytest.mark.parametrize("poll", POLLS)
def test_a_restarted_monitor_is_read_on_a_new_time_base(poll):
    monitor = Scripted(events=[(30.4, lambda m: m.reset(30.4))])
    said = converse(reader(*BOTH, poll=poll), monitor, 60.0)
    bases = [r.base.token for r in said.readings if r.stream == "calf"]
    assert len(set(bases)) == 2
    assert bases == sorted(bases, key=bases.index)
    after = [float(r.device_time[0]) for r in said.readings if r.base.token == bases[-1]]
    assert after[0] < 6
    assert np.array_equal(said.values("calf"), [row["values"] for _, row in monitor.rows if row["stream"] == "calf"])


def test_a_restart_shows_even_where_the_new_time_is_later_than_the_old():
    monitor = Scripted(Monitor(uptime=0), events=[(60.0, lambda m: m.reset(60.0))], away=[(20.5, 100.0)])
    said = converse(reader(CHEST), monitor, 110.0)
    times = device_times(said, "chest")
    assert times[-1] > times[19]
    assert len({r.base.token for r in said.readings}) == 2


@pytest.mark.parametrize("poll", POLLS)
def test_an_interruption_without_a_restart_keeps_the_time_base(poll):
    said = converse(reader(*BOTH, poll=poll), Scripted(away=[(20.5, 50.0)]), 60.0)
    assert len({r.base.token for r in said.readings}) == 1
    times = device_times(said, "chest")
    assert times[-1] - times[0] == pytest.approx(arrivals(said, "chest")[-1] - arrivals(said, "chest")[0], abs=0.01)


@pytest.mark.parametrize("poll", POLLS)
def test_relative_time_runs_on_over_its_wrap(poll):
    said = converse(reader(*BOTH, poll=poll), Scripted(Monitor(uptime=2**32 / 8000 - 5)), 20.0)
    times = device_times(said, "chest")
    assert np.diff(times) == pytest.approx(np.ones(len(times) - 1), abs=0.01)
    assert times[-1] > 2**32 / 8000
    assert len({r.base.token for r in said.readings}) == 1


def test_two_connections_to_one_running_monitor_share_the_time_base_and_a_restart_does_not():
    first = converse(reader(*BOTH), Scripted(Monitor(uptime=1000)), 3.0)
    later = converse(reader(*BOTH), Scripted(Monitor(uptime=1000)), 3.0, start=500.0)
    restarted = converse(reader(*BOTH), Scripted(Monitor(uptime=10)), 3.0, start=500.0)
    tokens = [said.readings[0].base.token for said in (first, later, restarted)]
    assert tokens[0] == tokens[1] != tokens[2]


@pytest.mark.parametrize("poll", POLLS)
def test_a_gap_over_a_reconnection_says_how_many_samples_are_missing(poll):
    header = Header("tcpo2", IntelliVue(Setup("intellivue", Options(BOTH))).streams[0], "intellivue", "", "")
    sequencer = StreamSequencer(header, Timeline(1, 0, 0), InstrumentClocks(), 10.0)
    chunks = []
    for connection, (start, seconds) in enumerate([(0.0, 30.0), (90.0, 30.0)]):
        said = converse(reader(*BOTH, poll=poll), Scripted(Monitor(uptime=1000)), seconds, start=start)
        sequencer.interrupted("unplugged")
        chunks += [
            sequencer.chunk(r, Instant(round(t * 1e9), 0), connection)
            for t, r in said
            if isinstance(r, Readings) and r.stream == "chest"
        ]
    (gap,) = [chunk.gap for chunk in chunks if chunk.gap]
    seconds = float(chunks[gap.after + 1].device_time[0] - chunks[gap.after].device_time[0])
    assert seconds > 55
    assert gap.missing == round(seconds) - 1
    assert gap.before - gap.after - 1 == gap.missing
