"""The connection that carries the record: the durable feed from its cursor, and answers to requests for a range."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from acquisition.remotes.health import Standing
from acquisition.remotes.mqtt import outgoing
from acquisition.remotes.mqtt.backfill import Backfill
from acquisition.remotes.mqtt.backoff import Backoff
from acquisition.remotes.mqtt.durable import DurableFeed
from acquisition.remotes.mqtt.link import REFUSED, WINDOW, Link, pause
from acquisition.remotes.mqtt.outgoing import NotTaken
from acquisition.store import Store

log = logging.getLogger(__name__)

LOOK = 0.2
"""Seconds within which a request is seen."""


class RecordLink:
    """Serves one link; `feed` is None where no durable feed is configured."""

    def __init__(
        self,
        client: Link,
        store: Store,
        feed: DurableFeed | None,
        backfill: Backfill,
        standing: Standing,
        backoff: Backoff,
        flush: float,
    ) -> None:
        self._client = client
        self._store = store
        self._feed = feed
        self._backfill = backfill
        self._standing = standing
        self._backoff = backoff
        self._flush = flush
        self._due = 0.0
        self._refusals: list[outgoing.Outgoing] = []
        self._heard = False

    async def serve(self, stopping: asyncio.Event, late: Callable[[], bool], requests: str) -> None:
        """Serve until the service ends and the feed has nothing left, or it is too `late` for that."""
        await self._subscribe(requests)  # before `standing` says that all is well
        async with asyncio.TaskGroup() as group:
            receiver = group.create_task(self._receive())
            while True:
                ending = stopping.is_set()
                self._store.check_place()
                answered = await self._answer()
                delivered = await self._deliver(at_once=ending)
                if ending and (late() or not delivered):
                    break
                if not (answered or delivered):
                    await pause(stopping, min(LOOK, self._flush))
            receiver.cancel()

    async def _subscribe(self, requests: str) -> None:
        codes = await self._client.subscribe(requests, qos=1)
        worst = max((code if isinstance(code, int) else code.value for code in codes), default=REFUSED)
        if worst >= REFUSED:
            log.error("the broker does not let this station take requests for back-fill (reason code 0x%02x)", worst)

    async def _receive(self) -> None:
        async for message in self._client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else str(message.payload).encode()
            refusal = self._backfill.take(message.topic.value, payload)
            if refusal is not None:
                self._refusals.append(refusal)

    async def _answer(self) -> bool:
        """Publish the next part of an answer; False where nothing was asked for."""
        messages, self._refusals = self._refusals, []
        messages += self._backfill.next()
        if messages:
            try:
                await outgoing.publish(self._client, messages, heard=False)
            except NotTaken as error:
                log.error("a request cannot be answered: %s", error)
        return bool(messages)

    async def _deliver(self, *, at_once: bool) -> bool:
        """Publish the next load of the feed; whether more waits."""
        feed = self._feed
        if feed is None:
            self._standing.recover()
            self._standing.behind(0)
            return False
        feed.cursor.settle()
        if time.monotonic() < self._due and not at_once:
            return False
        ends = self._store.ends()
        self._standing.behind(feed.cursor.pending(ends))
        load = feed.load(ends)
        try:
            await self._publish(load.messages)
        except NotTaken as error:
            self._heard = False
            self._standing.fail("held", str(error))
            self._due = time.monotonic() + self._backoff.next()
            return False
        self._backoff.reset()
        self._standing.recover()
        if load.positions or load.event is not None:
            feed.cursor.acknowledge(load)
        self._standing.behind(feed.cursor.pending(ends))
        more = len(load.messages) >= WINDOW
        self._due = 0.0 if more else time.monotonic() + self._flush
        return more

    async def _publish(self, messages: Sequence[outgoing.Outgoing]) -> None:
        """Publish in order, the first one alone until somebody is known to hear it.

        A subscriber that comes while several are under way would get the later ones before the earlier.
        """
        for part in (messages,) if self._heard else (messages[:1], messages[1:]):
            if part:
                await outgoing.publish(self._client, part, heard=True)
                self._heard = True
