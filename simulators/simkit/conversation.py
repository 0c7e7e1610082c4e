"""A driver and an instrument talking to each other in virtual time, without a link: pure, fast, repeatable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from acquisition.driverkit.driver import Driver
from acquisition.model import Floats, Notice, Readings
from simulators.simkit.instrument import Instrument

Cut = Callable[[bytes], list[bytes]]
"""Splits what the instrument sends into the pieces that the driver is handed."""
Tamper = Callable[[bytes, float], bytes]
"""Damages what the instrument sends at a given second, before it is cut."""

STANDSTILL = 1000


@dataclass(slots=True)
class Conversation:
    """What was said: `heard` by the driver with its instants, `written` by it, `sent` by the instrument."""

    heard: list[tuple[float, Readings | Notice]] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[float, Readings | Notice]]:
        return iter(self.heard)

    @property
    def readings(self) -> list[Readings]:
        """All readings in the order they were heard."""
        return [item for _, item in self.heard if isinstance(item, Readings)]

    @property
    def notices(self) -> list[Notice]:
        """All notices in the order they were heard."""
        return [item for _, item in self.heard if isinstance(item, Notice)]

    def values(self, stream: str) -> Floats:
        """Every sample of one stream -> (n, c); (0, 0) where there was none."""
        blocks = [r.values for r in self.readings if r.stream == stream]
        return np.concatenate(blocks) if blocks else np.empty((0, 0))


def converse(
    driver: Driver,
    instrument: Instrument,
    seconds: float,
    start: float = 0.0,
    latency: float = 0.002,
    cut: Cut | None = None,
    tamper: Tamper | None = None,
) -> Conversation:
    """Open the link at `start`, let both talk for so many seconds, then stop the driver.

    Every message takes `latency` seconds. AssertionError where the driver writes what it has not
    declared in `queries`, or where one side wants to be called again and again at the same instant.
    """
    table = _Table(driver, instrument, latency, cut, tamper)
    return table.run(start, start + seconds)


class _Table:
    def __init__(
        self, driver: Driver, instrument: Instrument, latency: float, cut: Cut | None, tamper: Tamper | None
    ) -> None:
        self._driver = driver
        self._instrument = instrument
        self._latency = latency
        self._cut = cut
        self._tamper = tamper
        self._outward: deque[tuple[float, bytes]] = deque()
        self._inward: deque[tuple[float, bytes]] = deque()
        self._said = Conversation()

    def run(self, start: float, end: float) -> Conversation:
        self._instrument.connect(start)
        self._collect_instrument(start)
        self._driver.start(start)
        self._collect_driver(start)
        self._until(start, end)
        self._driver.stop(end)
        self._collect_driver(end)
        last = end
        while self._outward or self._inward:
            last = min(queue[0][0] for queue in (self._outward, self._inward) if queue)
            if last > end + 4 * self._latency:
                break
            self._deliver(last)
        return self._said

    def _until(self, now: float, end: float) -> None:
        turns = 0
        while True:
            upcoming = self._upcoming()
            if upcoming is None or upcoming > end:
                return
            turns = turns + 1 if upcoming <= now else 0
            if turns > STANDSTILL:
                raise AssertionError(
                    f"time stands still at {now} s: the driver wants poll() at {self._driver.deadline()}, "
                    f"the instrument advance() at {self._instrument.deadline()}"
                )
            now = max(now, upcoming)
            self._deliver(now)
            due = self._instrument.deadline()
            if due is not None and due <= now:
                self._instrument.advance(now)
                self._collect_instrument(now)
            due = self._driver.deadline()
            if due is not None and due <= now:
                self._driver.poll(now)
                self._collect_driver(now)

    def _upcoming(self) -> float | None:
        instants = [queue[0][0] for queue in (self._outward, self._inward) if queue]
        instants += [due for due in (self._driver.deadline(), self._instrument.deadline()) if due is not None]
        return min(instants, default=None)

    def _deliver(self, now: float) -> None:
        while self._outward and self._outward[0][0] <= now:
            self._instrument.receive(self._outward.popleft()[1], now)
            self._collect_instrument(now)
        while self._inward and self._inward[0][0] <= now:
            data = self._inward.popleft()[1]
            self._said.heard.extend((now, item) for item in self._driver.receive(data, now))
            self._collect_driver(now)

    def _collect_driver(self, now: float) -> None:
        self._said.heard.extend((now, notice) for notice in self._driver.to_say())
        for message in self._driver.to_send():
            if not any(query.fullmatch(message) for query in self._driver.writable):
                raise AssertionError(f"the driver wrote {message!r}, which is none of its declared queries")
            self._said.written.append(message)
            self._outward.append((now + self._latency, message))

    def _collect_instrument(self, now: float) -> None:
        for message in self._instrument.to_send():
            self._said.sent.append(message)
            damaged = self._tamper(message, now) if self._tamper else message
            pieces = self._cut(damaged) if self._cut else [damaged]
            self._inward.extend((now + self._latency, piece) for piece in pieces if piece)
