"""A simulated monitor read for minutes: every sample, over noise, restarts and gaps."""

import random

import numpy as np
import pytest

from acquisition.model import Readings
from drivers.intellivue import association, exchange, frames
from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests.drivers.intellivue.monitor import (
    BOTH,
    POLLS,
    TCPCO2,
    TCPO2,
    TEMPERATURE,
    Scripted,
    arrivals,
    device_times,
    reader,
    texts,
)
from tests.intellivue import one_by_one, randomly


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("cut", [None, one_by_one, randomly(7)])
def test_ten_minutes_give_every_sample_of_both_electrodes_in_order(cut, poll):
    monitor = Scripted()
    said = converse(reader(*BOTH, poll=poll), monitor, 600.0, cut=cut)
    for name in ("chest", "calf"):
        rows = [row for _, row in monitor.rows if row["stream"] == name]
        assert len(rows) == pytest.approx(600, abs=2)
        assert np.array_equal(said.values(name), [row["values"] for row in rows])
        assert np.array_equal(device_times(said, name), [row["device_time"] for row in rows])
        assert np.diff(device_times(said, name)) == pytest.approx(np.ones(len(rows) - 1), abs=0.01)
    assert not any(r.quality.any() or r.lost for r in said.readings)
    assert len({r.base.token for r in said.readings}) == 1
    assert said.values("chest")[0, TCPO2] == pytest.approx(70, abs=0.1)
    assert said.values("calf")[0, TCPCO2] == pytest.approx(45, abs=0.1)
    assert said.values("calf")[0, TEMPERATURE] == 44
    assert {n.kind for n in said.notices} == {"state", "identity"}


def test_streaming_begins_at_once_and_ends_with_a_release():
    said = converse(reader(*BOTH), Scripted(), 5.0, latency=0.002)
    assert arrivals(said, "chest")[0] < 0.2
    assert exchange.decode(frames.unframe(said.written[0])) == association.Abort()
    assert exchange.decode(frames.unframe(said.written[-1])) == association.ReleaseRequest()
    assert exchange.decode(frames.unframe(said.sent[-1])) == association.ReleaseResponse()


def test_the_monitor_is_identified_before_its_first_sample():
    for introduces in (True, False):
        said = converse(reader(*BOTH), Scripted(Monitor(introduces=introduces)), 3.0)
        kinds = [item.kind for _, item in said if not isinstance(item, Readings)]
        first = next(i for i, (_, item) in enumerate(said) if isinstance(item, Readings))
        assert kinds[:first] == ["state", "identity"]
        identity = next(n for n in said.notices if n.kind == "identity")
        assert identity.details["model"] == "SIM-IntelliVue"
        assert identity.details["serial"] == "53494d0000000001"


def test_an_identity_from_the_introduction_alone_is_said_before_the_first_sample():
    class Taciturn(Scripted):
        def _describe(self, request, at):
            pass

    said = converse(reader(*BOTH), Taciturn(), 6.0)
    kinds = ["sample" if isinstance(item, Readings) else item.kind for _, item in said]
    assert kinds[:3] == ["state", "identity", "sample"]


def test_a_monitor_without_an_identity_streams_with_a_warning():
    class Nameless(Scripted):
        def _identity(self):
            return ()

    said = converse(reader(*BOTH), Nameless(), 6.0)
    assert len(said.values("chest")) == 6
    assert ["neither model nor system id" in text for text in texts(said, "warning")] == [True]


@pytest.mark.parametrize("poll", POLLS)
def test_noise_on_the_line_costs_only_the_damaged_replies(poll):
    rng = random.Random(5)
    monitor = Scripted()
    damaged = []

    def tamper(message, at):
        measured = b"\x50\xd0" in message
        if not measured or at < 2 or at > 295 or rng.random() > 0.2:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(4))) + message
        damaged.append(at)
        return message[:20] + bytes([message[20] ^ 4]) + message[21:]

    said = converse(reader(*BOTH, poll=poll), monitor, 300.0, tamper=tamper, cut=randomly(3))
    rows = [row["values"] for at, row in monitor.rows if row["stream"] == "calf" and at not in damaged]
    assert len(damaged) > 40
    assert np.array_equal(said.values("calf"), rows)
    assert sum(r.lost for r in said.readings if r.stream == "calf") == len(damaged)


@pytest.mark.parametrize("poll", POLLS)
def test_a_monitor_that_comes_back_streams_within_two_seconds(poll):
    for back in (25.0, 27.3, 41.9, 62.4, 90.0):
        said = converse(reader(*BOTH, poll=poll), Scripted(away=[(20.5, back)]), back + 10)
        again = next(at for at in arrivals(said, "chest") if at >= back)
        assert again - back < 2.0
        assert "the monitor does not answer; associating anew" in texts(said, "state")
