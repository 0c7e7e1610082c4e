"""A device for ever: states, back-off, liveness, identity; hours of it in a moment."""

import asyncio
import logging
import random

import pytest

from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, DeviceState, Patience, Supervisor
from acquisition.driverkit.driver import Setup
from acquisition.errors import LinkLost
from acquisition.model import Chunk, Event, Header
from acquisition.ports.memory import MemoryPort
from acquisition.timing.clock import Timeline
from tests.virtual import Counter, VirtualClock, run


class Bench:
    """A supervisor over memory ports whose far end counts up once a second while `alive`."""

    def __init__(self, loop, expected=None, greet=b""):
        self.clock = VirtualClock(loop)
        self.items, self.ports = [], []
        self.plugged, self.alive, self.number = True, True, 0
        self.greet = greet
        bus = Bus()
        bus.subscribe(self.items.append)
        timeline = Timeline(1, 0, 10**18)
        driver = Counter(Setup("counter"))
        header = Header("box", driver.streams[0], "counter", "inferred", "test")
        self.sequencer = StreamSequencer(header, timeline, InstrumentClocks(), driver.silence)
        device = Device(
            expected or Expected("box"), lambda: Counter(Setup("counter")), lambda _: self.port(), Patience(1.0)
        )
        self.supervisor = Supervisor(
            device, DeviceContext({"count": self.sequencer}), bus, self.clock, timeline, random.Random(1)
        )

    def port(self):
        port = MemoryPort("/dev/box")
        write = port.write
        greeting = [self.greet]

        def answer(message):
            write(message)
            if message == b"?" and self.alive and port.receiver is not None:
                self.number += 1
                line, greeting[0] = greeting[0] + b"%d\n" % self.number, b""
                asyncio.get_running_loop().call_soon(port.feed, line, self.clock.now())

        port.write = answer
        if not self.plugged:
            port.refuse = LinkLost("there is no such port", "/dev/box")
        self.ports.append(port)
        return port

    @property
    def chunks(self):
        return [item for item in self.items if isinstance(item, Chunk)]

    @property
    def states(self):
        return [e.details["state"] for e in self.items if isinstance(e, Event) and e.kind == "state"]

    def events(self, kind):
        return [e for e in self.items if isinstance(e, Event) and e.kind == kind]


def play(script, **bench):
    async def body(loop):
        b = Bench(loop, **bench)
        task = asyncio.create_task(b.supervisor.run())
        await script(b)
        b.supervisor.stop()
        await asyncio.wait_for(task, 5)
        return b

    return run(body)


def test_ten_minutes_of_polling_lose_nothing():
    async def script(b):
        await asyncio.sleep(600)

    b = play(script)
    numbers = [c.values[0, 0] for c in b.chunks]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) in (600, 601)
    assert b.states == ["CONNECTING", "NEGOTIATING", "STREAMING"]
    assert b.ports[0].written[-1] == b"bye"


def test_unplug_and_replug_is_back_within_two_seconds_with_one_gap_and_two_log_lines(caplog):
    caplog.set_level(logging.INFO)

    async def script(b):
        await asyncio.sleep(10)
        b.plugged = False
        b.ports[-1].unplug()
        await asyncio.sleep(60)
        b.plugged = True
        b.back = b.clock.now().monotonic
        await asyncio.sleep(10)

    b = play(script)
    gaps = [c for c in b.chunks if c.gap]
    assert len(gaps) == 1
    assert gaps[0].gap.cause == "the link is gone"
    assert gaps[0].arrived.monotonic - b.back < 2e9
    assert gaps[0].first == gaps[0].gap.before == gaps[0].gap.after + 2
    assert b.states == ["CONNECTING", "NEGOTIATING", "STREAMING", "LOST", "STREAMING"]
    assert len([r for r in caplog.records if r.levelno >= logging.INFO]) == 2


def test_silence_is_lost_and_the_last_value_is_not_repeated():
    async def script(b):
        await asyncio.sleep(5)
        b.alive = False
        await asyncio.sleep(20)
        b.count = len(b.chunks)
        b.state = b.supervisor.state
        b.alive = True
        await asyncio.sleep(5)

    b = play(script)
    assert b.state is DeviceState.LOST
    assert b.count in (5, 6)
    assert b.supervisor.state is DeviceState.STREAMING
    gap = next(c.gap for c in b.chunks if c.gap)
    assert gap.cause.startswith("silent for")


def test_a_missing_port_at_the_start_is_waited_for():
    async def script(b):
        b.plugged = False
        await asyncio.sleep(30)
        assert b.supervisor.state is DeviceState.LOST
        b.plugged = True
        await asyncio.sleep(5)

    b = play(script)
    assert b.supervisor.state is DeviceState.STREAMING
    assert all(c.gap is None for c in b.chunks)
    assert len(b.ports) < 60, "no busy loop"


def test_a_bug_in_a_driver_fails_that_device_once_and_loudly(caplog):
    async def script(b):
        await asyncio.sleep(3)
        b.ports[-1].feed(b"!\n", b.clock.now())
        await asyncio.sleep(60)

    b = play(script)
    assert b.supervisor.state is DeviceState.FAILED
    assert len(b.ports) == 1
    assert "RuntimeError: a bug" in b.events("state")[-1].text
    assert "FAILED" in caplog.text


def test_bytes_outside_the_declared_queries_are_never_written():
    async def script(b):
        await asyncio.sleep(3)
        b.ports[-1].feed(b"w\n", b.clock.now())
        await asyncio.sleep(3)

    b = play(script)
    assert b.supervisor.state is DeviceState.FAILED
    assert "reset everything" in b.events("state")[-1].text
    assert not any(b"reset" in message for port in b.ports for message in port.written)


@pytest.mark.parametrize(
    ("expected", "greet", "words"),
    [
        (Expected("box", identity={"serial": "77"}), b"I78\n", "serial is '78', configured is '77'"),
        (Expected("box"), b"ISIM1\n", "a simulator answers"),
        (Expected("box", simulated=True), b"I78\n", "a real instrument answers"),
    ],
)
def test_another_instrument_than_the_configured_one_is_refused(expected, greet, words):
    async def script(b):
        await asyncio.sleep(0.5)

    b = play(script, expected=expected, greet=greet)
    assert b.chunks == []
    assert b.states[-1] == "LOST"
    assert words in b.events("state")[-1].text


def test_the_right_instrument_is_taken():
    async def script(b):
        await asyncio.sleep(5)

    b = play(script, expected=Expected("box", simulated=True, identity={"serial": "SIM1"}), greet=b"ISIM1\n")
    assert len(b.chunks) in (5, 6)
    assert b.events("identity")[0].details["serial"] == "SIM1"


def test_noise_is_summed_and_suspected_line_settings_are_named_once():
    async def script(b):
        b.alive = False
        await asyncio.sleep(0.1)
        for _ in range(100):
            b.ports[-1].feed(b"x" * 9 + b"\n", b.clock.now())
        await asyncio.sleep(0.1)

    b = play(script)
    assert len(b.events("warning")) == 1
    assert "baud rate" in b.events("warning")[0].text
    assert sum(e.details["bytes"] for e in b.events("noise")) == 1000
    assert len(b.events("noise")) == 2


def flap(links, samples, apart=0.0):
    """A link that ends a moment after it came, again and again, each time after so many samples."""

    async def script(b):
        for _ in range(links):
            known = len(b.ports)
            for _ in range(samples):
                b.number += 1
                b.ports[-1].feed(b"%d\n" % b.number, b.clock.now())
            await asyncio.sleep(apart)
            b.ports[-1].unplug()
            for _ in range(1000):
                if len(b.ports) == known:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0)

    return script


@pytest.mark.parametrize(("samples", "after"), [(1, "after one sample"), (0, "without a sample")])
def test_links_that_end_at_once_are_tried_ever_more_seldom_and_told_in_summaries(caplog, samples, after):
    async def script(b):
        b.alive = False
        await asyncio.sleep(0)
        await flap(30, samples)(b)
        b.took = b.clock.now().seconds
        b.last = b.supervisor.state
        b.alive = True
        await asyncio.sleep(30)

    caplog.set_level(logging.INFO)
    b = play(script)
    assert b.took > 60, "each link writes a gap record: they must be few"
    told = [e for e in b.events("state") if e.time - 10**18 < b.took * 1e9]
    assert len(told) <= 12
    summaries = [e.details["cause"] for e in told if "connected" in e.text]
    assert 2 <= len(summaries) <= 3
    assert "times in the last 1" in summaries[0]
    assert f"each link ended {after}" in summaries[0]
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) <= 3 + len(summaries)
    assert b.last is DeviceState.LOST
    assert b.supervisor.state is DeviceState.STREAMING
    assert [c.values[0, 0] for c in b.chunks] == list(range(1, len(b.chunks) + 1)), "samples of brief links are kept"
    assert sum(c.gap is not None for c in b.chunks) == (30 if samples else 0)


def test_a_link_that_lasted_is_tried_again_at_once_and_told_at_once():
    async def script(b):
        b.alive = False
        await asyncio.sleep(0)
        await flap(10, 1)(b)
        b.alive = True
        await asyncio.sleep(30)
        b.seen = len(b.states)
        b.ports[-1].unplug()
        b.lost = b.clock.now().monotonic
        await asyncio.sleep(5)

    b = play(script)
    assert b.states[b.seen :] == ["LOST", "STREAMING"]
    assert [c for c in b.chunks if c.gap][-1].arrived.monotonic - b.lost < 0.2e9


def test_what_each_of_many_links_says_again_is_recorded_once():
    async def script(b):
        b.alive = False
        await asyncio.sleep(0)
        for _ in range(8):
            b.ports[-1].feed(b"I77\n", b.clock.now())
            await flap(1, 1)(b)

    b = play(script, expected=Expected("box", identity={"serial": "77"}))
    assert len(b.events("identity")) == 3


def test_bytes_of_which_none_fits_are_no_silence_and_are_counted_over_connections(caplog):
    async def script(b):
        b.alive = False
        await asyncio.sleep(0)
        for _ in range(200):
            b.ports[-1].feed(b"T=61\r\x1b[2J", b.clock.now())
            await asyncio.sleep(0.1)

    b = play(script)
    lost = [e.details["cause"] for e in b.events("state") if e.details["state"] == "LOST"]
    assert "silent" not in "".join(lost)
    assert r"none fits; likely cause: terminator, pattern or line settings" in lost[0]
    assert r"which sends 'T=61\r\x1b[2J'" in lost[0]
    assert r"none fits" in caplog.text
    counts = [int(cause.split("receives ")[1].split()[0]) for cause in lost]
    assert len(counts) == 2, "and is told again, seldom"
    assert counts[1] > 1000 > counts[0] > 100


def test_an_instrument_that_answers_without_a_sample_is_neither_silent_nor_misread():
    async def script(b):
        b.alive = False
        await asyncio.sleep(0)
        for _ in range(50):
            b.ports[-1].feed(b"I77\n", b.clock.now())
            await asyncio.sleep(0.1)

    b = play(script)
    assert "no sample for" in b.events("state")[-1].text
    assert "bytes came" in b.events("state")[-1].text


def test_bytes_of_long_ago_are_no_reason_not_to_call_it_silent():
    async def script(b):
        await asyncio.sleep(5.5)
        b.alive = False
        b.ports[-1].feed(b"I77\n", b.clock.now())
        await asyncio.sleep(20)

    b = play(script)
    lost = [e.details["cause"] for e in b.events("state") if e.details["state"] == "LOST"]
    assert len(lost) == 1
    assert "silent for" in lost[0]


def test_back_off_doubles_to_its_cap():
    class Middle:
        @staticmethod
        def uniform(low, high):
            return high

    waits = [Patience(1.0).wait(n, Middle()) for n in range(1, 8)]
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
