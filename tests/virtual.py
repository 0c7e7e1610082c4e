"""A virtual event loop, clock and instrument: ten minutes of conversation in a moment, without a sleep."""

import asyncio
import selectors
from collections.abc import Iterator

import numpy as np

from acquisition.driverkit.driver import About, Driver
from acquisition.model import Channel, Instant, Notice, Readings, Stream

SECOND = 1_000_000_000


class _Selector(selectors.SelectSelector):
    """Never waits: it moves the loop's time on instead."""

    def __init__(self, loop):
        super().__init__()
        self._loop = loop

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self._loop.elapsed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass at once."""

    def __init__(self):
        self.elapsed = 0.0
        super().__init__(_Selector(self))

    def time(self):
        return self.elapsed


class VirtualClock:
    """The clock of a virtual loop; `utc` may be stepped."""

    speed = 1.0

    def __init__(self, loop):
        self._loop = loop
        self.step = 0

    def now(self):
        ns = round(self._loop.time() * SECOND)
        return Instant(ns, 1_700_000_000 * SECOND + ns + self.step)

    def real(self, seconds):
        return seconds


def run(body):
    """Run an async function (taking the loop) to its end on a virtual loop."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(body(loop))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class Counter(Driver):
    """Lines `<number>\\n`, one sample each; `?` asks for one a second; `I<serial>\\n` identifies; `!` raises."""

    about = About({"counter": "a counting box"}, "counter", ("serial",), "inferred", "made for these tests")

    def __init__(self, setup):
        super().__init__(setup)
        import re

        self.streams = (Stream("count", (Channel("n", "1"),)),)
        self.silence = 2.0
        self.queries = (re.compile(rb"\?"), re.compile(rb"bye"))
        self._buffer = b""
        self._next = None

    def start(self, at):
        self.poll(at)

    def poll(self, at):
        self.send(b"?")
        self._next = at + 1.0

    def stop(self, at):
        self.send(b"bye")

    def deadline(self):
        return self._next

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if line == b"!":
                raise RuntimeError("a bug")
            if line == b"w":
                self.send(b"reset everything")
            elif line[:1] == b"I":
                yield Notice("identity", "it says", {"model": "Counter", "serial": line[1:].decode()})
            elif line.isdigit():
                yield Readings("count", np.array([[float(line)]]), np.zeros((1, 1), np.uint8))
            else:
                yield Notice("noise", "no number", {"bytes": len(line) + 1})
