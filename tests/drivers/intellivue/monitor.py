"""A simulated monitor to which things happen, and what a driver made of it."""

import random

import numpy as np

from acquisition.driverkit.driver import Setup
from acquisition.model import Readings
from drivers.intellivue import Electrode, IntelliVue, Options
from simulators.intellivue import IntelliVueMonitor
from simulators.intellivue import Options as Monitor
from simulators.simkit.instrument import Plan
from tests.intellivue import Room

CHEST, CALF = Electrode("chest", 257), Electrode("calf", 258)
BOTH = (CHEST, CALF)
POLLS = ("extended", "single")
TCPO2, TCPCO2, SITE_TIME, TEMPERATURE, POWER = range(5)


def reader(*electrodes, datagrams=False, **options):
    return IntelliVue(Setup("intellivue", Options(electrodes, **options), datagrams=datagrams, random=random.Random(1)))


class Scripted(IntelliVueMonitor):
    """A monitor to which things happen at given seconds; it is deaf and dumb in the intervals `away`."""

    def __init__(self, options=None, events=(), away=(), room=None, datagrams=False):
        self.rows = []
        self.sent_at = []
        self.received = []
        plan = Plan("intellivue", room or Room(), options or Monitor(), ledger=self._note, datagrams=datagrams)
        super().__init__(plan)
        self.events = sorted(events, key=lambda event: event[0])
        self.away = away
        self.now = 0.0

    def _note(self, row):
        self.rows.append((self.now, row))

    def receive(self, data, at):
        self.received.append((at, data))
        self._happen(at)
        if not any(start <= at < stop for start, stop in self.away):
            super().receive(data, at)

    def advance(self, at):
        self._happen(at)
        super().advance(at)

    def to_send(self):
        messages = super().to_send()
        gone = any(start <= self.now < stop for start, stop in self.away)
        return [] if gone else messages

    def _happen(self, at):
        self.now = at
        while self.events and self.events[0][0] <= at:
            self.events.pop(0)[1](self)


def texts(said, kind):
    return [notice.text for notice in said.notices if notice.kind == kind]


def device_times(said, stream):
    return np.concatenate([r.device_time for r in said.readings if r.stream == stream])


def arrivals(said, stream):
    return [at for at, item in said if isinstance(item, Readings) and item.stream == stream]
