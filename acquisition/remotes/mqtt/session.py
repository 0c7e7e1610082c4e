"""One connected session of a station at its broker: birth, live and durable feeds, last will."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

from acquisition import __version__
from acquisition.model import Header
from acquisition.remotes.health import Standing
from acquisition.remotes.mqtt import link, payloads
from acquisition.remotes.mqtt.backfill import Backfill
from acquisition.remotes.mqtt.backoff import Backoff
from acquisition.remotes.mqtt.credentials import Account
from acquisition.remotes.mqtt.durable import DurableFeed, RecordMessages, SettledCursor
from acquisition.remotes.mqtt.link import Link
from acquisition.remotes.mqtt.live import LiveFeed, LiveQueue
from acquisition.remotes.mqtt.payloads import Format
from acquisition.remotes.mqtt.presence import DeviceStates, presence
from acquisition.remotes.mqtt.recordlink import RecordLink
from acquisition.remotes.mqtt.topics import Topics
from acquisition.store import Store

BEAT = 10.0
"""Seconds between two states of the station, which also witness the head of its chain of events."""


@dataclass(frozen=True, slots=True)
class Station:
    """What stands in the configuration: topics, devices (name -> simulated), and how its messages are sent.

    `flush` is the longest time between two looks of the durable feed at the record, `settle` how long a broker must
    have lived on before its word counts; s.
    """

    topics: Topics
    devices: Mapping[str, bool]
    record: Path
    how: Format = "json"
    durable: bool = False
    flush: float = 1.0
    settle: float = 15.0


@dataclass(slots=True)
class Ending:
    """The end of the service as the session sees it."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    late: Callable[[], bool] = lambda: False


class BrokerSession:
    """One connection for the station, which carries what is live, one for each device, and one for the record.

    Each may leave one will behind, hence so many. Where one breaks, `run` ends with what broke it.
    """

    def __init__(
        self,
        account: Account,
        station: Station,
        queue: LiveQueue,
        states: DeviceStates,
        headers: Callable[[], Iterable[Header]],
        key_now: Callable[[], int],
        standing: Standing,
        cursor: Callable[[Store], SettledCursor],
        backoff: Backoff,
        ending: Ending,
    ) -> None:
        self._account = account
        self._station = station
        self._queue = queue
        self._states = states
        self._headers = headers
        self._key_now = key_now
        self._standing = standing
        self._cursor = cursor
        self._backoff = backoff
        self._ending = ending

    async def run(self) -> None:
        """Be there until the service ends."""
        async with self._present("", self._station.topics.status) as client, asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(link.watch(client)),
                group.create_task(self._tell_station(client)),
                group.create_task(self._tell_live(client)),
                *(group.create_task(self._tell_device(device)) for device in self._station.devices),
            ]
            await self._tell_record()
            for task in tasks:
                task.cancel()

    def _present(self, part: str, topic: str) -> AbstractAsyncContextManager[Link]:
        return presence(self._account, self._identifier(part), topic, self._ending.stopping.is_set)

    def _identifier(self, part: str) -> str:
        topics = self._station.topics
        return "/".join(filter(None, ("perfusion", topics.site, topics.station, part)))

    async def _tell_station(self, client: Link) -> None:
        with Store(self._station.record) as store:
            while True:
                store.check_place()
                number, digest = store.head()
                now = self._key_now()
                state = {
                    "state": "ONLINE",
                    "time": now,
                    "wall_offset": store.wall().shift(now),
                    "version": __version__,
                    "devices": list(self._station.devices),
                    "durable": self._station.durable,
                    "pending": self._standing.pending,
                    "dropped": self._queue.dropped,
                    "head": {"event": number, "hash": digest},
                }
                await client.keep(self._station.topics.status, payloads.encode(state))
                await asyncio.sleep(BEAT)

    async def _tell_live(self, client: Link) -> None:
        live = LiveFeed(client, self._station.topics, self._station.how)
        self._queue.forget()
        for header in self._headers():
            await live.announce(header)
        await live.pump(self._queue)

    async def _tell_device(self, device: str) -> None:
        topic = self._station.topics.device(device)
        async with self._present(device, topic) as client, asyncio.TaskGroup() as group:
            group.create_task(link.watch(client))
            group.create_task(self._states.publish(device, client, topic))

    async def _tell_record(self) -> None:
        station = self._station
        with Store(station.record) as store:
            messages = RecordMessages(store, station.topics, station.how)
            feed = DurableFeed(messages, station.topics, self._cursor(store)) if station.durable else None
            backfill = Backfill(messages, station.topics)
            async with link.connect(self._account, self._identifier("_record")) as client:
                record = RecordLink(client, store, feed, backfill, self._standing, self._backoff, station.flush)
                await record.serve(self._ending.stopping, self._ending.late, station.topics.requests)
