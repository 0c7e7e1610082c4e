"""A pause of this computer is no silence of an instrument: what waited is read first, and nobody is blamed for it."""

import asyncio
import random
from types import SimpleNamespace

import numpy as np
import pytest
import pyvisa
from pyvisa import constants

from acquisition.device import replay
from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.replay import play, tapes
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, DeviceState, Patience, Supervisor
from acquisition.device.tape import Label, TapeWriter
from acquisition.driverkit.driver import About, Driver, Setup
from acquisition.model import Channel, Chunk, Event, Header, Instant, Quality, Readings, Stream, TimeBase
from acquisition.ports import visa
from acquisition.ports.memory import MemoryPort
from acquisition.timing.clock import Clock, Timeline
from acquisition.timing.pauses import FULL, Latecomers, Pause, Pauses, held_back
from drivers.trackmaster import Options, Trackmaster
from tests.virtual import Counter, VirtualClock, run

SECOND = 1_000_000_000


class Sender(Counter):
    """A counting box that sends by itself."""

    def poll(self, at):
        pass


class Bench:
    """A counting box that sends ten times a second, on a memory port; what it sends in a pause waits in `waiting`."""

    def __init__(self, loop, make=Sender, tape=None):
        self.loop, self.clock = loop, VirtualClock(loop)
        self.items, self.link, self.number = [], None, 0
        self.pauses, self.told = Pauses(self.clock), []
        self.pauses.listen(self.told.append)
        bus, timeline = Bus(), Timeline(1, 0, 10**18)
        bus.subscribe(self.items.append)
        driver = make(Setup("counter"))
        header = Header("box", driver.streams[0], "counter", "inferred", "test")
        sequencer = StreamSequencer(header, timeline, InstrumentClocks(), driver.silence)
        device = Device(Expected("box"), lambda: make(Setup("counter")), lambda _: self.port(), Patience(1.0), tape)
        self.supervisor = Supervisor(
            device, DeviceContext({"count": sequencer}), bus, self.clock, timeline, random.Random(1), self.pauses
        )

    def port(self):
        self.link = MemoryPort("/dev/box")
        return self.link

    def say(self, lines=1):
        """Let the box say its next lines, as one read."""
        text = b""
        for _ in range(lines):
            self.number += 1
            text += b"%d\n" % self.number
        self.link.feed(text, self.clock.now())

    async def stream(self, seconds):
        for _ in range(round(10 * seconds)):
            await asyncio.sleep(0.1)
            self.say()

    async def pause(self, seconds, waiting):
        """Stand still: timers come late and first, then what waited."""
        self.loop.elapsed += seconds
        await asyncio.sleep(0.01)
        if waiting:
            self.say(waiting)

    @property
    def chunks(self):
        return [item for item in self.items if isinstance(item, Chunk)]

    @property
    def states(self):
        return [e.details["state"] for e in self.items if isinstance(e, Event) and e.kind == "state"]


def play_bench(script, **bench):
    async def body(loop):
        b = Bench(loop, **bench)
        b.pauses.start()
        task = asyncio.create_task(b.supervisor.run())
        await asyncio.sleep(0)
        await script(b)
        b.supervisor.stop()
        await asyncio.wait_for(task, 5)
        b.pauses.stop()
        return b

    return run(body)


def test_what_waited_while_the_computer_stood_still_is_kept_as_questionable_and_the_link_stays():
    async def script(b):
        await b.stream(5)
        await b.pause(6.1, 61)
        await b.stream(5)

    b = play_bench(script)
    (pause,) = b.told
    assert pause.text == "this computer was paused for 6.1 s"
    assert b.states == ["CONNECTING", "NEGOTIATING", "STREAMING"]
    assert [chunk.gap for chunk in b.chunks if chunk.gap] == []
    values = np.concatenate([chunk.values[:, 0] for chunk in b.chunks])
    assert values.tolist() == list(range(1, 162))
    quality = np.concatenate([chunk.quality[:, 0] for chunk in b.chunks])
    assert (quality[50:111] == Quality.QUESTIONABLE).all()
    assert (quality[:50] == 0).all()
    assert (quality[114:] == 0).all()


def test_what_did_not_wait_is_a_gap_whose_cause_is_the_pause():
    async def script(b):
        await b.stream(5)
        await b.pause(6.1, 1)
        await b.stream(5)

    b = play_bench(script)
    (gap,) = [chunk.gap for chunk in b.chunks if chunk.gap]
    assert (gap.cause, gap.missing) == ("this computer was paused for 6.1 s", None)
    assert b.states[-1] == "STREAMING"


def test_an_instrument_that_is_silent_after_a_pause_too_is_lost_after_its_whole_patience():
    async def script(b):
        await b.stream(5)
        await b.pause(6.1, 0)
        await asyncio.sleep(1.5)
        b.soon = b.supervisor.state
        await asyncio.sleep(2)

    b = play_bench(script)
    assert b.soon is DeviceState.STREAMING
    assert "LOST" in b.states
    assert b.supervisor.state is DeviceState.LOST


def test_a_link_that_broke_in_a_pause_says_so():
    async def script(b):
        await b.stream(5)
        await b.pause(6.1, 0)
        b.link.unplug()
        await asyncio.sleep(0.5)
        await b.stream(1)

    b = play_bench(script)
    (gap,) = [chunk.gap for chunk in b.chunks if chunk.gap]
    assert gap.cause == "the link is gone, after this computer was paused for 6.1 s"


def test_a_driver_hears_of_the_pause_first_then_what_waited_and_is_called_for_its_deadlines_after_that():
    heard = []

    class Asking(Counter):
        def paused(self, seconds, at):
            heard.append(("paused", round(seconds)))

        def poll(self, at):
            super().poll(at)
            heard.append("poll")

        def receive(self, data, at):
            heard.append("receive")
            return super().receive(data, at)

    async def script(b):
        await asyncio.sleep(0.5)
        heard.clear()
        await b.pause(4, 1)
        await asyncio.sleep(0.5)

    play_bench(script, make=Asking)
    assert heard[:3] == [("paused", 4), "receive", "poll"]


def test_a_tape_plays_a_pause_as_it_was(tmp_path, monkeypatch):
    def tape(connection, driver):
        return TapeWriter(tmp_path, Label.of("box", 1, connection, driver.setup))

    async def script(b):
        await b.stream(2)
        await b.pause(6.1, 61)
        await b.stream(2)

    b = play_bench(script, tape=tape)
    (taped,) = tapes(tmp_path)
    monkeypatch.setattr(replay, "drivers", lambda: {"counter": Sender})
    rows = play(taped).rows["count"]
    assert rows.quality.tolist() == np.concatenate([chunk.quality for chunk in b.chunks]).tolist()
    assert (rows.quality == Quality.QUESTIONABLE).sum() >= 61


class Hand:
    """A clock that is moved by hand, in seconds."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return round(self.at * 1e9)


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_a_pause_is_told_once_in_seconds_of_the_wall(speed):
    hand, told = Hand(), []
    pauses = Pauses(Clock(speed, monotonic=hand, utc=hand))
    pauses.listen(told.append)

    async def body():
        hand.at += 50
        assert pauses.look() is None, "nobody watches yet"
        pauses.start()
        hand.at += 0.7
        assert pauses.look() is None, "a loop that is only busy"
        hand.at += 6.1
        first = pauses.look()
        assert first is pauses.look()
        hand.at += 0.3
        assert pauses.look() is None
        assert pauses.blamed() is first
        hand.at += 0.6
        pauses.look()
        pauses.stop()
        hand.at += 50
        assert pauses.look() is None

    asyncio.run(body())
    (pause,) = told
    assert pause.seconds == pytest.approx(6.1, abs=1e-3)
    assert pause.ended - pause.began == pytest.approx(6.1e9 * speed, abs=1e6)


def pause(ended=10.0, seconds=6.0):
    at = round(ended * SECOND)
    return Pause(at - round(seconds * SECOND), at, at + SECOND // 4, at + 15 * SECOND, seconds)


def test_a_full_read_lengthens_the_time_in_which_bytes_may_have_waited():
    late = Latecomers()
    assert not late.waited(SECOND, 10)
    late.heed(pause())
    assert late.waited(10 * SECOND + 1, FULL)
    assert late.more_until(FULL) > 10 * SECOND
    for k in range(10):
        assert late.waited(10 * SECOND + k * SECOND // 5, FULL)
    assert late.more_until(10) == 0
    assert not late.waited(17 * SECOND, FULL)
    assert not late.waited(3 * SECOND, 10), "it was read before the pause, and is handed over now"


def test_samples_with_a_time_of_their_own_keep_it_and_their_quality():
    plain = Readings("s", np.array([[1.0, np.nan]]), np.array([[0, 1]], np.uint8))
    assert held_back(plain).quality.tolist() == [[4, 1]]
    timed = Readings("s", np.zeros((1, 1)), np.zeros((1, 1), np.uint8), np.array([3.0]), TimeBase("t"))
    assert held_back(timed).quality.tolist() == [[0]]
    assert not held_back(timed).fresh


def sequencer(rate=None, patience=3.0):
    header = Header("d", Stream("s", (Channel("x", "1"),), rate), "driver", "documented", "test")
    return StreamSequencer(header, Timeline(1, 0, 10_000 * SECOND), InstrumentClocks(), patience)


def rows(n=1, lost=0, device=None):
    base = None if device is None else TimeBase("t", 0.0)
    time = None if device is None else np.array(device, dtype=float)
    return Readings("s", np.zeros((n, 1)), np.zeros((n, 1), np.uint8), time, base, lost)


def at(seconds):
    return Instant(round(seconds * SECOND), 0)


def streamed(b, device=False):
    """Ten samples a second up to 4 s, then a pause of 6 s."""
    for k in range(41):
        b.chunk(rows(device=[k / 10] if device else None), at(k / 10), 1)
    b.paused(pause())
    return b


def test_the_rest_of_what_waited_is_waited_for_before_the_samples_are_counted():
    b = streamed(sequencer())
    b.held(20, more=11 * SECOND)
    assert b.chunk(rows(20), at(10.01), 1).gap is None
    b.held(40)
    assert b.chunk(rows(40), at(10.02), 1).gap is None
    b = streamed(sequencer())
    b.held(20, more=round(10.3 * SECOND))
    assert b.chunk(rows(20), at(10.01), 1).gap is None
    gap = b.chunk(rows(), at(10.4), 1).gap
    assert gap.cause == "this computer was paused for 6.0 s", "the kernel had no room for the rest"


def test_the_instruments_own_clock_says_what_a_pause_cost():
    b = streamed(sequencer(10.0), device=True)
    chunk = b.chunk(rows(60, device=np.arange(41, 101) / 10), at(10.05), 1)
    assert chunk.gap is None
    assert np.diff(chunk.time) == pytest.approx([0.1 * SECOND] * 59, abs=2)
    gap = streamed(sequencer(10.0), device=True).chunk(rows(30, device=np.arange(71, 101) / 10), at(10.05), 1).gap
    assert (gap.cause, gap.missing) == ("this computer was paused for 6.0 s", 30)


def test_samples_lost_in_the_aftermath_of_a_pause_are_put_down_to_it():
    b = streamed(sequencer(10.0, patience=100.0))
    b.held(60)
    assert b.chunk(rows(60), at(10.01), 1).gap is None
    assert b.chunk(rows(lost=7), at(16), 1).gap.cause == "this computer was paused for 6.0 s"
    assert b.chunk(rows(lost=7), at(26), 1).gap.cause == "samples lost on the way"


def test_a_treadmill_is_not_called_silent_after_a_pause():
    driver = Trackmaster(Setup("trackmaster", Options(unit="mph")))
    driver.start(0.0)
    driver.paused(2.4, 2.5)
    assert driver.deadline() == pytest.approx(2.9)
    driver.poll(2.9)
    assert driver.to_say() == []


class Quiet(Driver):
    about = About({"quiet": "nothing"}, "nothing", ("serial",), "inferred", "made for these tests")

    def receive(self, data, at):
        yield from ()


def test_a_driver_need_not_care():
    Quiet(Setup("quiet")).paused(6.0, 10.0)


@pytest.mark.parametrize(("stood_still", "answered"), [(0.0, False), (6.0, True)])
def test_a_visa_answer_that_came_in_a_pause_is_read(monkeypatch, stood_still, answered):
    now, reads = [0.0], []
    monkeypatch.setattr(visa, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def read():
        reads.append(now[0])
        if len(reads) > 1 and stood_still:
            return b"1\n"
        now[0] += 0.5 + stood_still
        raise pyvisa.VisaIOError(constants.StatusCode.error_timeout)

    session = visa._Bytes.__new__(visa._Bytes)
    session._resource = SimpleNamespace(timeout=500)
    if answered:
        assert session._wait(read, lambda: False) == b"1\n"
    else:
        with pytest.raises(TimeoutError):
            session._wait(read, lambda: False)
