import re
from collections.abc import Iterator

import numpy as np
import pytest

from acquisition.driverkit.driver import About, Driver, Setup
from acquisition.model import Channel, Notice, Readings, Stream
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Instrument, Plan


class Room:
    def values(self, signal, t):
        return np.asarray(t) * 2


class Meter(Instrument):
    names = ("echo",)

    def __init__(self, plan):
        super().__init__(plan)
        self.pending = b""
        self.connected_at = None

    def connect(self, at):
        self.connected_at = at

    def receive(self, data, at):
        self.pending += data
        while b"\n" in self.pending:
            line, _, self.pending = self.pending.partition(b"\n")
            if line == b"read":
                value = self.plan.bench.values("flux", np.array([at]))[0]
                self.send(f"{value:.3f}\n".encode())


class Poller(Driver):
    about = About({"echo": "Echo"}, "line", ("serial",), "documented", "tests")
    streams = (Stream("main", (Channel("flux", "1"),), 10.0),)
    silence = 1.0
    queries = (re.compile(rb"read\n"),)

    def __init__(self, setup):
        super().__init__(setup)
        self.due = None
        self.buffer = b""

    def start(self, at):
        self.due = at

    def poll(self, at):
        self.send(b"read\n")
        self.due += 0.1

    def deadline(self):
        return self.due

    def receive(self, data, at) -> Iterator[Readings | Notice]:
        self.buffer += data
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            try:
                yield Readings("main", np.array([[float(line)]]), np.zeros((1, 1), np.uint8))
            except ValueError:
                yield Notice("noise", "bad line", {"bytes": len(line)})


def test_driver_and_instrument_talk_in_virtual_time():
    said = converse(Poller(Setup("echo")), meter := Meter(Plan("echo", Room())), 1.0, start=5.0, latency=0.01)
    assert meter.connected_at == 5.0
    assert said.written == [b"read\n"] * len(said.written)
    assert len(said.readings) in (10, 11)
    at, first = said.heard[0]
    assert at == pytest.approx(5.02)
    assert first.values[0, 0] == pytest.approx(2 * 5.01)
    assert said.values("main").shape == (len(said.readings), 1)
    assert said.values("other").size == 0


def test_pieces_arrive_one_by_one_and_damage_shows():
    whole = converse(Poller(Setup("echo")), Meter(Plan("echo", Room())), 1.0)
    pieces = converse(
        Poller(Setup("echo")), Meter(Plan("echo", Room())), 1.0, cut=lambda m: [m[i : i + 1] for i in range(len(m))]
    )
    assert np.array_equal(whole.values("main"), pieces.values("main"))
    spoilt = converse(
        Poller(Setup("echo")), Meter(Plan("echo", Room())), 1.0, tamper=lambda m, at: m.replace(b".", b"x")
    )
    assert not spoilt.readings
    assert {n.kind for n in spoilt.notices} == {"noise"}


def test_an_undeclared_write_is_refused():
    driver = Poller(Setup("echo"))
    driver.queries = ()
    with pytest.raises(AssertionError, match="declared"):
        converse(driver, Meter(Plan("echo", Room())), 1.0)


def test_time_that_stands_still_is_an_error():
    driver = Poller(Setup("echo"))
    driver.poll = lambda at: None
    with pytest.raises(AssertionError, match="stands still"):
        converse(driver, Meter(Plan("echo", Room())), 1.0)
