import asyncio

import numpy as np
import pytest

from acquisition.errors import ConfigurationError
from simulators.bench.runner import Runner, ScenarioClock
from simulators.simkit.faults import Faults, parse
from simulators.simkit.instrument import Instrument, Plan
from simulators.transports.cables import Cable
from tests.virtual import run


class Ticker(Instrument):
    """Says its time once a second, echoes what it hears in capitals."""

    names = ("ticker",)

    def __init__(self, plan):
        super().__init__(plan)
        self.next = 1.0
        self.happened = []

    def connect(self, at):
        self.happened.append(("connect", at))

    def receive(self, data, at):
        self.happened.append(("heard", data))
        if data == b"break":
            raise ZeroDivisionError("a bug")
        self.send(data.upper())

    def advance(self, at):
        while self.next <= at:
            self.send(f"{self.next:g};".encode())
            self.next += 1.0

    def deadline(self):
        return self.next

    def reset(self, at):
        self.happened.append(("reset", at))

    def fault(self, kind, on):
        self.happened.append((kind, on))
        return kind == "alarm"


class Wire(Cable):
    def __init__(self, loop):
        self.loop = loop
        self.log = []

    async def plug(self, line):
        self.line = line
        return {"kind": "wire"}

    def send(self, message):
        self.log.append((round(self.loop.time(), 3), message))

    def unplug(self):
        self.log.append((round(self.loop.time(), 3), "unplugged"))
        self.line.disconnected()

    async def replug(self):
        self.log.append((round(self.loop.time(), 3), "plugged"))

    async def close(self):
        self.log.append("closed")


class Clock:
    def __init__(self, loop, speed):
        self.loop = loop
        self.speed = speed

    def now(self):
        return self.loop.time() * self.speed


class Room:
    def values(self, signal, t):
        return np.asarray(t)


def play(seconds, *, faults=(), speed=1.0, host=(), instrument=None):
    """Run for so many wall seconds; `host`: (second, bytes) that it says. -> (wire's log, instrument)."""
    announced = []

    async def body(loop):
        device = instrument or Ticker(Plan("ticker", Room()))
        wire = Wire(loop)
        stop = asyncio.Event()
        runner = Runner(device, wire, Clock(loop, speed), Faults([parse(spec) for spec in faults]))
        task = loop.create_task(runner.run(announced.append, stop))
        await asyncio.sleep(0)
        for at, data in host:
            loop.call_at(at, wire.line.data, data)
        loop.call_at(0.0, wire.line.connected)
        loop.call_at(seconds, stop.set)
        await task
        assert announced == [{"kind": "wire"}]
        return wire.log, device

    return run(body)


def test_an_instrument_gets_bytes_and_time():
    log, ticker = play(3.5, host=[(0.5, b"hello")])
    assert log == [(0.5, b"HELLO"), (1.0, b"1;"), (2.0, b"2;"), (3.0, b"3;"), "closed"]
    assert ticker.happened == [("connect", 0.0), ("heard", b"hello")]


def test_speed_brings_more_seconds_into_one():
    log, _ = play(1.0, speed=4.0)
    assert log[:4] == [(0.25, b"1;"), (0.5, b"2;"), (0.75, b"3;"), (1.0, b"4;")]


def test_faults_stand_between_instrument_and_cable():
    log, ticker = play(
        12.5,
        faults=["silence@1.5s:1s", "delay@3.5s:1s:by=1500ms", "unplug@6.2s:1s", "reset@8.5s:1s", "alarm@11s:1s"],
        host=[(8.7, b"deaf")],
    )
    assert log == [
        (1.0, b"1;"), (3.0, b"3;"), (5.5, b"4;"), (5.5, b"5;"), (6.0, b"6;"),
        (6.2, "unplugged"), (7.0, b"7;"), (7.2, "plugged"), (8.0, b"8;"),
        (10.0, b"10;"), (11.0, b"11;"), (12.0, b"12;"), "closed",
    ]  # fmt: skip
    assert ticker.happened == [
        ("alarm", False), ("connect", 0.0), ("reset", 9.5), ("alarm", True), ("alarm", False),
    ]  # fmt: skip


def test_what_is_late_dies_with_the_link():
    log, _ = play(3.5, faults=["delay@0.5s:1s:by=2s", "unplug@2.5s:100ms"])
    assert log == [(2.5, "unplugged"), (2.6, "plugged"), (3.0, b"3;"), "closed"]


def test_a_fault_that_the_instrument_cannot_show_is_refused():
    with pytest.raises(ConfigurationError, match=r"has no fault 'detached'.*of its own it has"):
        play(1.0, faults=["detached@1s:1s"])


def test_a_failing_instrument_ends_the_run_and_the_link():
    with pytest.raises(ZeroDivisionError, match="a bug"):
        play(5.0, host=[(0.5, b"break")])


def test_an_instrument_that_stands_still_ends_the_run():
    class Still(Ticker):
        def advance(self, at):
            pass

    with pytest.raises(RuntimeError, match="stands still"):
        play(5.0, instrument=Still(Plan("ticker", Room())))


def test_the_clock_starts_now_or_at_its_origin_and_runs_at_its_speed(monkeypatch):
    import time

    monkeypatch.setattr(time, "time", lambda: 1_700_000_100.0)
    ticks = iter([50 * 10**9, 50 * 10**9, 53 * 10**9])
    monkeypatch.setattr("simulators.bench.runner.monotonic_ns", lambda: next(ticks))
    clock = ScenarioClock(1_700_000_000.0, 2.0)
    assert clock.now() == pytest.approx(200.0)
    assert clock.now() == pytest.approx(206.0)
    monkeypatch.setattr("simulators.bench.runner.monotonic_ns", lambda: 7 * 10**9)
    assert ScenarioClock().now() == 0.0


def test_a_fault_may_be_called_for_while_it_runs():
    async def body(loop):
        wire, stop = Wire(loop), asyncio.Event()
        runner = Runner(Ticker(Plan("ticker", Room())), wire, Clock(loop, 1.0), Faults())
        task = loop.create_task(runner.run(lambda _: None, stop))
        await asyncio.sleep(2.5)
        runner.strike(parse("silence@1s:2s"))
        runner.strike(parse("alarm@1s:2s"))
        with pytest.raises(ConfigurationError, match="from the start on only"):
            runner.strike(parse("stuck@1s:2s"))
        with pytest.raises(ConfigurationError, match="no fault 'detached'"):
            runner.strike(parse("detached@1s:2s"))
        await asyncio.sleep(5)
        stop.set()
        await task
        return wire.log

    assert [entry[0] for entry in run(body) if entry != "closed"] == [1.0, 2.0, 3.0, 6.0, 7.0]
