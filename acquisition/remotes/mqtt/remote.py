"""A station at its broker for ever: one thread, begun anew where it dies, and one session after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import aiomqtt
import apsw

from acquisition.errors import ConfigurationError, StoreError
from acquisition.model import Chunk, Event, Header
from acquisition.remotes.delivery import RetryPace
from acquisition.remotes.health import Say, Standing
from acquisition.remotes.mqtt import link
from acquisition.remotes.mqtt.backoff import Backoff
from acquisition.remotes.mqtt.credentials import Account
from acquisition.remotes.mqtt.durable import SettledCursor
from acquisition.remotes.mqtt.live import LiveQueue
from acquisition.remotes.mqtt.presence import DeviceStates
from acquisition.remotes.mqtt.session import BrokerSession, Ending, Station
from acquisition.remotes.worker import Worker
from acquisition.store import Store, StoreWriter

log = logging.getLogger(__name__)

NAME = "mqtt"
STEADY = 5.0
"""Seconds that a session must have lasted for the next one to be tried soon."""
GOODBYE = 1.0
"""Seconds beyond the time for what is left, for leaving in order."""

_EXPECTED = (aiomqtt.MqttError, ConfigurationError, StoreError, apsw.Error, OSError)


class MqttRemote:
    """One broker. `put` is a subscriber of the bus; `standing` says how it goes."""

    def __init__(
        self,
        account: Account,
        station: Station,
        writer: StoreWriter,
        headers: Callable[[], Iterable[Header]],
        say: Say,
        key_now: Callable[[], int],
        *,
        pace: RetryPace | None = None,
        standing: Standing | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = NAME
        self.standing = standing or Standing(NAME, say)
        if station.durable:
            self.standing.recorded = lambda: writer.stats.samples
        self.live = LiveQueue()
        self._account = account
        self._station = station
        self._writer = writer
        self._headers = headers
        self._key_now = key_now
        self._backoff = Backoff(pace or RetryPace(), rng or random.Random())
        self._states = DeviceStates(dict(station.devices), key_now)
        self._cursor: SettledCursor | None = None
        self._record = ""
        self._deadline = float("inf")
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending: Ending | None = None
        self._worker = Worker(self.standing, self._work, stopping=self._stopping, count=self._look_back)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._worker.alive

    @property
    def pending(self) -> int | None:
        """How many samples the durable feed is behind; None while nobody knows."""
        return self.standing.pending

    def start(self) -> None:
        """Begin."""
        if self._station.durable:  # from now on retention waits for this remote, even where it never answers
            self._writer.advance(NAME, {}, 0)
        self._worker.start()

    def put(self, item: Chunk | Event) -> None:
        """Take one item; on the acquisition loop, returns at once."""
        if isinstance(item, Chunk):
            self.live.put(item)
        elif item.kind == "state":
            state, cause = str(item.details.get("state", item.text)), str(item.details.get("cause", ""))
            self._states.take(item.device, state, cause, item.time)
            self._on_loop(self._states.signal, item.device)

    def stop(self, timeout: float) -> None:
        """Deliver what is left, for so many seconds at most, and say goodbye."""
        self._deadline = time.monotonic() + timeout
        self._stopping.set()
        if self._ending is not None:
            self._on_loop(self._ending.stopping.set)
        self._worker.join(timeout + GOODBYE)
        if self._worker.alive:
            log.warning("%s: the broker does not answer; the rest is sent after the next start", NAME)

    def _on_loop(self, call: Callable[..., object], *arguments: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(call, *arguments)

    def _work(self) -> None:
        asyncio.run(self._sessions())

    async def _sessions(self) -> None:
        self._states.listen()
        self._ending = Ending(late=lambda: time.monotonic() >= self._deadline)
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(link.quiet)
        if self._stopping.is_set():  # set after `stop` has looked for an ending, or before
            self._ending.stopping.set()
        while not self._ending.stopping.is_set():
            began = time.monotonic()
            self.standing.beat()
            fault = await self._one_session()
            if fault is None:
                return
            if time.monotonic() - began > STEADY:
                self._backoff.reset()
            word, reason = link.judge(fault)
            self.standing.fail(word, reason)
            self._look_back()
            wait = self._backoff.next(held=word == "held")
            self.standing.beat(wait)
            await link.pause(self._ending.stopping, wait)

    async def _one_session(self) -> BaseException | None:
        """Be connected as long as it goes; what ended it, None where that was the end of the service."""
        ending = self._ending
        assert ending is not None
        session = BrokerSession(
            self._account,
            self._station,
            self.live,
            self._states,
            self._headers,
            self._key_now,
            self.standing,
            self._rewound,
            self._backoff,
            ending,
        )
        try:
            await session.run()
        except _EXPECTED as error:
            return error
        except BaseExceptionGroup as group:
            expected, others = group.split(_EXPECTED)
            if expected is None or others is not None:
                raise
            return link.first_error(expected)
        return None

    def _look_back(self) -> None:
        """See how far the feed is behind, while there is no link; what is live does not wait for one."""
        if not self._station.durable:
            self.standing.lose_count()
        else:
            with contextlib.suppress(StoreError), Store(self._station.record) as store:
                self.standing.behind(self._rewound(store).pending(store.ends()))

    def _rewound(self, store: Store) -> SettledCursor:
        """The feed's cursor, back at what counts."""
        record = store.record
        if self._cursor is None or record != self._record:
            known = store.cursors().get(NAME)
            positions, event = (dict(known.positions), known.event) if known is not None else ({}, 0)
            advance = lambda moved, last: self._writer.advance(NAME, moved, last, record)  # noqa: E731
            self._record = record
            self._cursor = SettledCursor(positions, event, advance, self._station.settle)
        self._cursor.rewind()
        return self._cursor
