"""Orders and walks from the control socket to a simulated belt, through supervisor, connection and driver."""

import asyncio
import random

import pytest

from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, Patience, Supervisor
from acquisition.driverkit.driver import Order, Setup
from acquisition.errors import ConfigurationError, LinkLost, Refused
from acquisition.model import Chunk, Event, Header
from acquisition.ports.memory import MemoryPort
from acquisition.timing.clock import Clock, Timeline
from acquisition.treadmill import Command, Control, Do, Limits, Motion
from acquisition.treadmill.control import Phase
from acquisition.treadmill.dispatcher import TreadmillDispatcher
from drivers.trackmaster import Options, Trackmaster
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Trackmaster as Treadmill
from tests.treadmill.belt import Belt
from tests.virtual import VirtualClock, run

MPH = 1.609344
LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0}


class Bench:
    """A controlled treadmill on a memory port, in virtual time."""

    def __init__(self, loop):
        self.loop, self.clock = loop, VirtualClock(loop)
        self.items, self.timer, self.away, self.link = [], None, False, None
        self.treadmill = Treadmill(Plan("trackmaster", Belt()))
        bus, timeline = Bus(), Timeline(1, 0, 10**18)
        self.dispatcher = TreadmillDispatcher({"treadmill": self}, self.clock, self.say)
        for subscriber in (self.items.append, self.dispatcher.put):
            bus.subscribe(subscriber)
        self.bus = bus
        setup = Setup("trackmaster", Options(unit="mph", **LIMITS), control=True)
        driver = Trackmaster(setup)
        header = Header("treadmill", driver.streams[0], "trackmaster", "documented", "test")
        session_logs = DeviceContext({"belt": StreamSequencer(header, timeline, InstrumentClocks(), 5.0)})
        device = Device(Expected("treadmill"), lambda: Trackmaster(setup), lambda _: self.port(), Patience(1.0))
        self.supervisor = Supervisor(device, session_logs, bus, self.clock, timeline, random.Random(1))

    @property
    def commands(self):
        return self.supervisor.commands

    def order(self, order):
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
        return await self.dispatcher.answers[do](request)

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
        bench.dispatcher.close()
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


STOPS = ("stop", "emergency")
STOP = b"\xa2"


@pytest.mark.parametrize("order", STOPS)
def test_a_device_that_is_away_takes_no_orders_and_names_the_red_button(order):
    async def script(bench):
        bench.link.unplug()
        await asyncio.sleep(0)
        with pytest.raises(Refused, match=r"LOST.*red button"):
            await bench.ask("order", order=order)

    play(script)


async def ordered(bench, order, **more):
    """Give a stop; answers how often it was written to the belt by then."""
    before = len(bench.link.written)
    await bench.ask("order", order=order, **more)
    return sum(message == STOP for message in bench.link.written[before:])


@pytest.mark.parametrize("order", STOPS)
def test_a_stop_is_written_in_every_phase(order):
    async def script(bench):
        assert await ordered(bench, order), "idle"
        await asyncio.sleep(5)
        if order == "emergency":
            assert await ordered(bench, order), "latched"
            await asyncio.sleep(5)
            await bench.ask("order", order="release")
        for wait in (0.05, 3.0):
            await bench.ask("order", order="prepare")
            await asyncio.sleep(wait)
            assert await ordered(bench, order), f"{wait} s after prepare"
            await asyncio.sleep(5)
            if order == "emergency":
                await bench.ask("order", order="release")
        await bench.ask("order", order="prepare")
        await asyncio.sleep(3)
        await bench.ask("order", order="confirm")
        await asyncio.sleep(10)
        assert await ordered(bench, order), "walking"
        assert await ordered(bench, order), "stopping"
        assert await ordered(bench, "stop"), "stopping"

    play(script)


@pytest.mark.parametrize("order", STOPS)
@pytest.mark.parametrize("walking", [False, True])
def test_a_deaf_belt_is_never_said_to_be_stopped(order, walking):
    async def script(bench):
        if walking:
            await bench.ask("order", order="prepare")
            await asyncio.sleep(3)
            await bench.ask("order", order="confirm")
            await asyncio.sleep(10)
        bench.treadmill.receive = lambda message, at: None
        with pytest.raises(Refused, match=r"acknowledges no stop.*red button"):
            await ordered(bench, order)
        with pytest.raises(Refused, match=r"keeps silent.*nothing was sent|nothing was sent.*keeps silent"):
            await ordered(bench, order)
        await asyncio.sleep(2)
        if bench.supervisor.state != "LOST":
            with pytest.raises(Refused, match="red button"):
                await ordered(bench, order)

    play(script)


def test_a_person_who_says_stop_again_and_again_puts_off_no_alarm():
    said = []
    control = Control(Limits(MPH, 0.4, 5.0, 18.0, 1.0, 20.0, 0.5), 1.0, said.append)
    at = 0.0
    while control.phase is not Phase.LATCHED and at < 40.0:
        control.order(Order("stop"), at)
        assert control.command() == Command(Do.STOP)
        control.acknowledged(at + 0.05)
        control.observe_motion(Motion.ORDERED, at + 0.1)
        control.observe_speed(3.2, at + 0.1)
        at += 0.5
        control.tick(at)
    assert at == pytest.approx(20.5)
    assert any(notice.details.get("red_button") for notice in said)


class Belts:
    """Two devices of which the test says what becomes of an order."""

    def __init__(self, **fates):
        self.given = []
        self.dispatcher = TreadmillDispatcher(
            {name: self.device(name, fate) for name, fate in fates.items()}, Clock(), lambda *_: None
        )

    def device(self, name, fate):
        given = self.given

        class Device:
            commands = 0

            def order(self, order):
                given.append((name, order.name))
                if isinstance(fate, Refused):
                    raise fate
                self.commands += fate

        return Device()

    def ask(self, **request):
        return asyncio.run(self.dispatcher.answers["order"](request))


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr("acquisition.treadmill.dispatcher.ANSWERED", 0.01)


@pytest.mark.parametrize("order", STOPS)
def test_without_a_name_every_belt_is_stopped(patient, order):
    belts = Belts(left=1, right=1)
    assert belts.ask(order=order)["devices"] == ["left", "right"]
    assert belts.given == [("left", order), ("right", order)]
    assert belts.ask(order=order, device="right")["devices"] == ["right"]


def test_one_belt_that_cannot_be_stopped_keeps_no_other_from_it(patient):
    belts = Belts(left=Refused("the order 'stop' cannot be given", "left", "the device is LOST"), right=1)
    with pytest.raises(Refused, match=r"left: .*LOST; right: stop sent.*red button"):
        belts.ask(order="stop")
    assert len(belts.given) == 2


@pytest.mark.parametrize("fates", [{}, {"left": 0}, {"left": 1, "right": 0}])
def test_what_was_not_sent_is_no_success(patient, fates):
    with pytest.raises(Refused, match=r"nothing was sent.*red button"):
        Belts(**fates).ask(order="stop")


def test_any_other_order_still_needs_its_name():
    with pytest.raises(Refused, match=r"several treadmills.*--device with one of: left, right"):
        Belts(left=1, right=1).ask(order="prepare")
