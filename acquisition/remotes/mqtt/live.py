"""Live queue to a broker: the newest chunks, the oldest dropped if the broker is too slow."""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from acquisition.model import Chunk, Header
from acquisition.remotes.mqtt import payloads
from acquisition.remotes.mqtt.link import Link
from acquisition.remotes.mqtt.payloads import Format
from acquisition.remotes.mqtt.topics import Topics

QUEUE = 1000
TICK = 0.02
"""Seconds between two looks at the queue."""

Key = tuple[str, str]


class LiveQueue:
    """Chunks that wait; `put` belongs to the acquisition loop, `take` to the remote's.

    Live is not the record: a full queue loses its oldest, and the stream's next message says how many samples.
    """

    def __init__(self, size: int = QUEUE) -> None:
        self.dropped = 0
        self._size = size
        self._chunks: deque[Chunk] = deque()
        self._lost: dict[Key, int] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many chunks wait."""
        return len(self._chunks)

    def put(self, chunk: Chunk) -> None:
        """Take one chunk; returns at once."""
        with self._lock:
            if len(self._chunks) >= self._size:
                self._drop()
            self._chunks.append(chunk)

    def take(self) -> tuple[Chunk, int] | None:
        """The next chunk, and how many samples of its stream were dropped before it."""
        with self._lock:
            if not self._chunks:
                return None
            chunk = self._chunks.popleft()
            return chunk, self._lost.pop(chunk.header.key, 0)

    def forget(self) -> None:
        """Drop all that waits: after an outage it is live no longer."""
        with self._lock:
            while self._chunks:
                self._drop()

    def _drop(self) -> None:
        oldest = self._chunks.popleft()
        self.dropped += len(oldest)
        key = oldest.header.key
        self._lost[key] = self._lost.get(key, 0) + len(oldest)


class LiveFeed:
    """Publishes the queue over one link; a stream's header goes before its first sample."""

    def __init__(self, client: Link, topics: Topics, how: Format) -> None:
        self._client = client
        self._topics = topics
        self._how = how
        self._headers: dict[Key, Header] = {}

    async def announce(self, header: Header) -> None:
        """Publish the header of a stream unless it is known."""
        if self._headers.get(header.key) is not header:
            self._headers[header.key] = header
            topic = self._topics.header(*header.key)
            await self._client.keep(topic, payloads.header(header, self._how))

    async def pump(self, queue: LiveQueue) -> None:
        """Publish what comes, until the link is lost."""
        while True:
            while (taken := queue.take()) is not None:
                await self._publish(*taken)
            await asyncio.sleep(TICK)

    async def _publish(self, chunk: Chunk, dropped: int) -> None:
        await self.announce(chunk.header)
        more: dict[str, object] = {} if chunk.gap is None else {"gap": payloads.gap(chunk.gap)}
        if dropped:
            more["dropped"] = dropped
        await self._client.publish(
            self._topics.data(*chunk.header.key), payloads.samples(chunk, self._how, **more), qos=0
        )
