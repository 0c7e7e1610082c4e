"""Orders and walks from the control socket to a simulated belt, through supervisor, connection and driver."""

import asyncio
import random

import pytest

from acquisition.bus import Bus
from acquisition.clock import Timeline
from acquisition.conductor import Conductor
from acquisition.connection import Books, Expected
from acquisition.driver import Setup
from acquisition.errors import ConfigurationError, LinkLost, Refused
from acquisition.model import Chunk, Event, Header
from acquisition.ports.memory import MemoryPort
from acquisition.streambook import InstrumentClocks, StreamBook
from acquisition.supervisor import Device, Patience, Supervisor
from drivers.trackmaster import Options, Trackmaster
from simulators.instrument import Plan
from simulators.trackmaster import Trackmaster as Treadmill
from tests.treadmill import Belt
from tests.virtual import VirtualClock, run

LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0}


class Bench:
    """A controlled treadmill on a memory port, in virtual time."""

    def __init__(self, loop):
        self.loop, self.clock = loop, VirtualClock(loop)
        self.items, self.timer, self.away, self.link = [], None, False, None
        self.treadmill = Treadmill(Plan("trackmaster", Belt()))
        bus, timeline = Bus(), Timeline(1, 0, 10**18)
        self.conductor = Conductor({"treadmill": self.give}, self.clock, self.say)
        for subscriber in (self.items.append, self.conductor.put):
            bus.subscribe(subscriber)
        self.bus = bus
        setup = Setup("trackmaster", Options(unit="mph", **LIMITS), control=True)
        driver = Trackmaster(setup)
        header = Header("treadmill", driver.streams[0], "trackmaster", "documented", "test")
        books = Books({"belt": StreamBook(header, timeline, InstrumentClocks(), 5.0)})
        device = Device(Expected("treadmill"), lambda: Trackmaster(setup), lambda _: self.port(), Patience(1.0))
        self.supervisor = Supervisor(device, books, bus, self.clock, timeline, random.Random(1))

    def give(self, order):
        self.supervisor.order(order)

    def say(self, device, kind, text):
        self.bus.publish(Event(kind, 0, device, text))

    def port(self):
        port = MemoryPort("/dev/treadmill")
        write = port.write
        if self.away and self.link is not None:
            port.refuse = LinkLost("there is no such port", port.name)
        self.link = port

        def wire(message):
            write(message)
            self.treadmill.receive(message, self.loop.time())
            self.pump(port)

        port.write = wire
        return port

    def pump(self, port, due=0.0):
        now = max(self.loop.time(), due)
        self.treadmill.advance(now)
        for message in self.treadmill.to_send():
            self.loop.call_soon(port.feed, message, self.clock.now())
        if self.timer is not None:
            self.timer.cancel()
        due = self.treadmill.deadline()
        self.timer = None if due is None else self.loop.call_at(due, self.pump, port, due)

    async def ask(self, do, **request):
        return await self.conductor.answers[do](request)

    @property
    def phases(self):
        return [e.details["control"] for e in self.items if isinstance(e, Event) and "control" in e.details]

    def speed(self):
        return next(item.values[-1, 0] for item in reversed(self.items) if isinstance(item, Chunk))


def play(script):
    async def body(loop):
        bench = Bench(loop)
        task = asyncio.create_task(bench.supervisor.run())
        await asyncio.sleep(2)
        await script(bench)
        bench.conductor.close()
        bench.supervisor.stop()
        await asyncio.wait_for(task, 5)
        return bench

    return run(body)


def test_a_person_starts_and_stops_the_belt():
    async def script(bench):
        for order in ("prepare", "confirm"):
            assert (await bench.ask("order", order=order, by="technician"))["device"] == "treadmill"
            await asyncio.sleep(3)
        await bench.ask("order", device="treadmill", order="speed", value=3.2)
        await asyncio.sleep(20)
        assert bench.speed() == pytest.approx(3.219, abs=0.001)
        await bench.ask("order", order="stop")
        await asyncio.sleep(10)
        assert bench.speed() == 0.0

    bench = play(script)
    assert bench.phases == ["preparing", "ready", "starting", "walking", "stopping", "idle"]


def test_a_protocol_moves_the_belt_in_its_time_until_its_limit():
    async def script(bench):
        await bench.ask("walk", protocol="walk-gs", limit=300, max_grade=3)
        await asyncio.sleep(5)
        await bench.ask("order", order="confirm")
        await asyncio.sleep(100)
        assert (bench.speed(), bench.treadmill.grade) == (pytest.approx(3.219, abs=0.001), 0.0)
        await asyncio.sleep(60)
        assert bench.treadmill.grade == 2.0
        await asyncio.sleep(100)
        assert bench.treadmill.grade == 3.0
        await asyncio.sleep(60)
        assert bench.treadmill.speed == 0.0

    bench = play(script)
    assert bench.phases[-2:] == ["stopping", "idle"]
    assert not [item for item in bench.items if isinstance(item, Event) and item.kind in ("warning", "alarm")]


def test_whoever_stops_the_belt_ends_the_protocol():
    async def script(bench):
        await bench.ask("walk", protocol="walk-gs")
        await asyncio.sleep(5)
        await bench.ask("order", order="confirm")
        await asyncio.sleep(60)
        await bench.ask("order", order="emergency", by="patient: pain")
        await asyncio.sleep(600)

    bench = play(script)
    assert bench.phases[-1] == "latched"
    assert bench.treadmill.grade == 0.0
    assert not [item for item in bench.items if isinstance(item, Event) and item.kind == "warning"]


@pytest.mark.parametrize("away", [False, True])
def test_a_cable_pull_ends_the_walk_and_nothing_goes_on_by_itself(away):
    async def script(bench):
        bench.away = away
        await bench.ask("walk", protocol="walk-gs")
        await asyncio.sleep(5)
        await bench.ask("order", order="confirm")
        await asyncio.sleep(60)
        bench.link.unplug()
        await asyncio.sleep(300)
        bench.treadmill.advance(bench.loop.time())
        assert bench.treadmill.speed == 0.0
        assert not [item for item in bench.items if isinstance(item, Event) and item.kind == "warning"]
        with pytest.raises(Refused):
            await bench.ask("order", order="confirm")

    play(script)


@pytest.mark.parametrize(
    ("do", "request_", "error", "words"),
    [
        ("order", {"order": "confirm"}, Refused, "ready"),
        ("order", {"order": "speed", "value": "fast"}, Refused, "no number"),
        ("order", {"order": "stop", "device": "ldf"}, Refused, "one of: treadmill"),
        ("walk", {"protocol": "bruce"}, ConfigurationError, "walk-gs"),
        ("walk", {"protocol": "walk-gs", "limit": 0}, Refused, "above 0"),
    ],
)
def test_what_cannot_be_done_is_refused(do, request_, error, words):
    async def script(bench):
        with pytest.raises(error, match=words):
            await bench.ask(do, **request_)

    assert play(script).phases == []


def test_a_device_that_is_away_takes_no_orders():
    async def script(bench):
        bench.link.unplug()
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="LOST"):
            await bench.ask("order", order="emergency")

    play(script)
