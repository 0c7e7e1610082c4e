"""A station at its broker for ever: one thread, and one session after the other."""

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
from acquisition.remotes.delivery import Pace
from acquisition.remotes.mqtt import link
from acquisition.remotes.mqtt.account import Account
from acquisition.remotes.mqtt.backoff import Backoff
from acquisition.remotes.mqtt.durable import Cursor
from acquisition.remotes.mqtt.live import LiveQueue
from acquisition.remotes.mqtt.presence import DeviceStates
from acquisition.remotes.mqtt.session import Ending, Session, Station
from acquisition.remotes.standing import Say, Standing
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
        pace: Pace | None = None,
        standing: Standing | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.name = NAME
        self.standing = standing or Standing(NAME, say)
        self.live = LiveQueue()
        self._account = account
        self._station = station
        self._writer = writer
        self._headers = headers
        self._key_now = key_now
        self._backoff = Backoff(pace or Pace(), rng or random.Random())
        self._states = DeviceStates(dict(station.devices), key_now)
        self._cursor: Cursor | None = None
        self._record = ""
        self._session: Session | None = None
        self._behind = 0
        self._deadline = float("inf")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"remote-{NAME}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def pending(self) -> int:
        """How many samples the durable feed is behind, as far as is known."""
        linked = self._session.pending if self._session is not None else None
        return self._behind if linked is None else linked

    def start(self) -> None:
        """Begin; only then may `put` be called."""
        if self._station.durable:  # from now on retention waits for this remote, even where it never answers
            self._writer.advance(NAME, {}, 0)
        self._thread.start()
        self._ready.wait()

    def put(self, item: Chunk | Event) -> None:
        """Take one item; on the acquisition loop, returns at once."""
        if isinstance(item, Chunk):
            self.live.put(item)
        elif item.kind == "state":
            state, cause = str(item.details.get("state", item.text)), str(item.details.get("cause", ""))
            self._on_loop(self._states.take, item.device, state, cause, item.time)

    def stop(self, timeout: float) -> None:
        """Deliver what is left, for so many seconds at most, and say goodbye."""
        self._deadline = time.monotonic() + timeout
        self._on_loop(self._ending.stopping.set)
        self._thread.join(timeout + GOODBYE)
        if self._thread.is_alive():
            log.warning("%s: the broker does not answer; the rest is sent after the next start", NAME)

    def _on_loop(self, call: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _work(self) -> None:
        try:
            asyncio.run(self._sessions())
        except Exception as error:
            log.critical("%s: its thread died", NAME, exc_info=error)
            self.standing.fail("failed", type(error).__name__)
        finally:
            self._ready.set()

    async def _sessions(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(link.quiet)
        self._ending = Ending(late=lambda: time.monotonic() >= self._deadline)
        self._ready.set()
        while not self._ending.stopping.is_set():
            began = time.monotonic()
            fault = await self._one_session()
            if fault is None:
                return
            if time.monotonic() - began > STEADY:
                self._backoff.reset()
            word, reason = link.judge(fault)
            self.standing.fail(word, reason)
            self._look_back()
            await link.pause(self._ending.stopping, self._backoff.next(held=word == "held"))

    async def _one_session(self) -> BaseException | None:
        """Be connected as long as it goes; what ended it, None where that was the end of the service."""
        self._session = Session(
            self._account,
            self._station,
            self.live,
            self._states,
            self._headers,
            self._key_now,
            self.standing,
            self._rewound,
            self._backoff,
            self._ending,
        )
        try:
            await self._session.run()
        except _EXPECTED as error:
            return error
        except BaseExceptionGroup as group:
            expected, others = group.split(_EXPECTED)
            if expected is None or others is not None:
                raise
            return link.first_error(expected)
        return None

    def _look_back(self) -> None:
        """See how far the feed is behind, while there is no link."""
        self._session = None
        if self._station.durable:
            with contextlib.suppress(StoreError), Store(self._station.record) as store:
                self._behind = self._rewound(store).pending(store.ends())

    def _rewound(self, store: Store) -> Cursor:
        """The feed's cursor, back at what counts."""
        record = store.record
        if self._cursor is None or record != self._record:
            known = store.cursors().get(NAME)
            positions, event = (dict(known.positions), known.event) if known is not None else ({}, 0)
            advance = lambda moved, last: self._writer.advance(NAME, moved, last, record)  # noqa: E731
            self._record = record
            self._cursor = Cursor(positions, event, advance, self._station.settle)
        self._cursor.rewind()
        return self._cursor
