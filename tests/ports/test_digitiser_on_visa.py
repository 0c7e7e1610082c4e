"""The digitiser end to end: driver, thread-owned session, loopback and simulated instrument, under a supervisor."""

import asyncio
import random
import threading
import time

import numpy as np
import pytest

from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, Patience, Supervisor
from acquisition.driverkit.driver import Setup
from acquisition.model import Chunk, Event, Header
from acquisition.ports.visa import VisaPort
from acquisition.timing.clock import Clock, Timeline
from drivers.keysight_daq import KeysightDaq, Options
from simulators.bench.runner import ScenarioClock
from simulators.transports.cables import TcpCable
from simulators.transports.hislip import HislipCable
from simulators.transports.vxi11 import Vxi11Cable
from tests.digitiser import inputs, plugged, simulator

# pyvisa-py leaves a socket for the garbage collector where HiSLIP is refused.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

PATIENCE = 60.0
"""Seconds for anything to come about."""
CABLES = {"hislip": HislipCable, "socket": TcpCable}
EVERY = {**CABLES, "vxi11": Vxi11Cable}


class Desk:
    """A supervised digitiser; what it published is in `items`, what the instrument sent in `ledger` (at speed 1)."""

    def __init__(self, kind="hislip", speed=1.0, name="daq970a", host=None, **options):
        self.items, self.ledger = [], []
        self.name, self.host = name, host or Options()
        self.instrument = simulator(name, ledger=self.ledger.append if speed == 1.0 else None, **options)
        self.cable = EVERY[kind]("127.0.0.1", 0)
        self.t0 = time.time()
        self.clock = Clock(speed, int(self.t0 * 1e9))
        self.scenario = ScenarioClock(self.t0, speed)

    async def run(self, script):
        async with plugged(self.instrument, self.cable, self.scenario) as listen:
            now = self.clock.now()
            timeline = Timeline(1, now.monotonic, now.utc)
            bus = Bus()
            bus.subscribe(self.items.append)
            host = KeysightDaq(Setup(self.name, self.host, inputs(self.name)))
            clocks = InstrumentClocks(self.clock.speed)
            header = lambda s: Header("ldf", s, "daq970a", "documented", "test", True)  # noqa: E731
            context = DeviceContext(
                {
                    s.name: StreamSequencer(header(s), timeline, clocks, host.silence * self.clock.speed)
                    for s in host.streams
                }
            )
            device = Device(
                Expected("ldf", True),
                lambda: KeysightDaq(
                    Setup(self.name, self.host, inputs(self.name), self.clock.speed, random=random.Random(3))
                ),
                lambda _: VisaPort(listen["resource"], self.clock),
                Patience(1.0),
            )
            supervisor = Supervisor(device, context, bus, self.clock, timeline, random.Random(1))
            task = asyncio.create_task(supervisor.run())
            try:
                await script()
            finally:
                supervisor.stop()
                await asyncio.wait_for(task, PATIENCE)
                for thread in threading.enumerate():
                    if thread.name.startswith("visa "):
                        await asyncio.to_thread(thread.join, PATIENCE)

    async def until(self, samples, gaps=0):
        """Wait until so many samples of the flux came after so many gaps."""
        for _ in range(int(PATIENCE / 0.05)):
            chunks = self.chunks("flux")
            begins = [0, *(k for k, chunk in enumerate(chunks) if chunk.gap)]
            if len(begins) > gaps and sum(map(len, chunks[begins[gaps] :])) >= samples:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {samples} samples after {gaps} gaps within {PATIENCE:g} s")

    def chunks(self, stream):
        return [i for i in self.items if isinstance(i, Chunk) and i.header.stream.name == stream]

    def events(self, kind):
        return [i for i in self.items if isinstance(i, Event) and i.kind == kind]


def whole(chunks):
    """First numbers, times (s) and values over all chunks."""
    first = np.concatenate([np.arange(c.first, c.first + len(c)) for c in chunks])
    return first, np.concatenate([c.time for c in chunks]), np.concatenate([c.values[:, 0] for c in chunks])


@pytest.mark.parametrize("kind", sorted(CABLES))
def test_a_pulled_cable_costs_at_most_the_answer_in_flight(kind):
    desk = Desk(kind)

    async def script():
        await desk.until(30)
        desk.cable.unplug()
        await asyncio.sleep(1.0)
        await desk.cable.replug()
        await desk.until(30, gaps=1)

    asyncio.run(desk.run(script))
    for stream in ("flux", "backscatter", "cuff_pressure"):
        chunks = desk.chunks(stream)
        number, at, values = whole(chunks)
        gaps = [c.gap for c in chunks if c.gap]
        assert len(gaps) == 1
        assert gaps[0].missing <= max(6, *map(len, chunks))
        sent = [row["values"][0] for row in desk.ledger if row["stream"] == stream]
        assert len(sent) >= number[-1] + 1
        assert values.tolist() == [sent[n] for n in number]
        # Where an answer comes earlier than any before it, the scale moves at once: on a busy machine now and then.
        assert np.quantile(np.abs(np.diff(at) / 1e9 - np.diff(number) * 0.05), 0.9) < 0.004
        assert number[-1] >= 30 + 19, "what was scanned before and while the cable was out has its numbers"
    assert [e.details["state"] for e in desk.events("state")].count("STREAMING") == 2
    assert sum("it is resumed" in e.text for e in desk.events("instrument")) == 1
    assert desk.instrument.scan.started is None


@pytest.mark.parametrize("speed", [1.0, 100.0])
def test_stored_times_are_the_participant_s_at_any_speed(speed):
    desk = Desk(speed=speed)

    async def script():
        await desk.until(30 * speed)

    asyncio.run(desk.run(script))
    chunks = desk.chunks("flux")
    _, at, values = whole(chunks)
    assert not [c.gap for c in chunks if c.gap]
    seconds = at / 1e9 - desk.t0
    # The clock map moves by at most 0.5 ms a second, from block to block.
    assert np.quantile(np.abs(np.diff(seconds) - 0.05), 0.9) < (0.003 if speed == 1.0 else 0.02)
    truth = 100 + 20 * np.sin(seconds)
    # The flux rises by at most 20 PU/s, and some real milliseconds lie between a sweep and its answer.
    assert np.median(np.abs(values - truth)) < 1 + 20 * 0.01 * min(speed, 100.0)
    real_polls = np.diff(sorted({c.arrived.monotonic for c in chunks})) / 1e9 / speed
    assert np.median(real_polls) < 1.0


def test_power_lost_is_followed_by_a_new_scan_on_the_same_link():
    desk, took = Desk(), []

    async def script():
        await desk.until(15)
        began = time.monotonic()
        desk.instrument.reset(desk.scenario.now())
        await desk.until(30, gaps=1)
        took.append(time.monotonic() - began)

    asyncio.run(desk.run(script))
    chunks = desk.chunks("flux")
    gaps = [c.gap for c in chunks if c.gap]
    assert len(gaps) == 1
    assert 10 < gaps[0].missing < 20 * took[0]
    number, at, _ = whole(chunks)
    assert (at[-1] - at[0]) / 1e9 == pytest.approx((number[-1] - number[0]) * 0.05, abs=0.3)


@pytest.mark.parametrize("kind", ["hislip", "socket", "vxi11"])
def test_binary_readings_pass_every_link_whatever_bytes_they_hold(kind):
    desk = Desk(kind, name="34465a", host=Options(interval=0.002, binary=True))

    async def script():
        await desk.until(760)

    asyncio.run(desk.run(script))
    number, _, values = whole(desk.chunks("flux"))
    assert number.tolist() == list(range(len(number)))
    assert values == pytest.approx([row["values"][0] for row in desk.ledger][: len(values)], abs=1e-5)
    assert not desk.events("noise")
