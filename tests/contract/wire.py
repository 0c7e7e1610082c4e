"""A simulator on a link inside the process, on a virtual loop, with the supervisor that keeps it connected."""

import random

from acquisition.device.bus import Bus
from acquisition.device.connection import DeviceContext, Expected
from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.device.supervisor import Device, Patience, Supervisor
from acquisition.device.tape import Label, TapeWriter
from acquisition.model import Chunk, Event, Header
from acquisition.ports.memory import MemoryPort
from acquisition.timing.clock import Timeline
from tests.contract.pairs import driver, simulator
from tests.virtual import VirtualClock


class Wire:
    """One pair: what its supervisor publishes is in `items`; while `mute` the instrument hears and is not heard.

    `tapes`: the folder of its tapes, if any. The instrument's time runs `tempo` times as fast as the host's; `pair`
    makes another driver and simulator than the registries' examples.
    """

    LATENCY = 0.002

    def __init__(self, loop, name, tapes=None, tempo=1.0, pair=(driver, simulator)):
        driver, simulator = pair
        self.tempo, self.mute = tempo, False
        self.items = []
        self._loop, self._clock = loop, VirtualClock(loop)
        self._instrument, self._port, self._timer = simulator(name), None, None
        built, timeline, clocks, bus = driver(name), Timeline(1, 0, 10**18), InstrumentClocks(), Bus()
        bus.subscribe(self.items.append)
        self.driver = built
        self.context = {
            stream.name: StreamSequencer(Header("box", stream, name, "", "", True), timeline, clocks, built.silence)
            for stream in built.streams
        }

        def make_tape(connection, driver):
            return TapeWriter(tapes, Label.of("box", 1, connection, driver.setup))

        device = Device(
            Expected("box", True),
            lambda: driver(name),
            lambda _: self._plug(),
            Patience(1.0),
            make_tape if tapes is not None else None,
        )
        self.supervisor = Supervisor(device, DeviceContext(self.context), bus, self._clock, timeline, random.Random(1))

    @property
    def states(self):
        """(second, state) of each change."""
        return [
            ((e.time - 10**18) / 1e9, e.details["state"])
            for e in self.items
            if isinstance(e, Event) and e.kind == "state"
        ]

    @property
    def chunks(self):
        return [item for item in self.items if isinstance(item, Chunk)]

    def _plug(self):
        port = MemoryPort("box")
        self._port = port
        port.write = lambda message: self._loop.call_later(self.LATENCY, self._hear, port, message)
        self._loop.call_soon(self._connect, port)
        return port

    def _connect(self, port):
        self._instrument.connect(self._own())
        self._carry(port)

    def _hear(self, port, message):
        if port is self._port:
            self._instrument.receive(message, self._own())
            self._carry(port)

    def _advance(self, port):
        self._timer = None
        if port is self._port:
            self._instrument.advance(self._own())
            self._carry(port)

    def _carry(self, port):
        for message in self._instrument.to_send():
            if not self.mute:
                self._loop.call_later(self.LATENCY, lambda data=message: port.feed(data, self._clock.now()))
        if self._timer is not None:
            self._timer.cancel()
        due = self._instrument.deadline()
        self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(max(due / self.tempo, self._loop.time()), self._advance, port)

    def _own(self):
        """The instrument's second; not before one that it wanted to be called at."""
        return self._loop.time() * self.tempo * (1 + 1e-12)
