"""Those who watch the page: each has a bounded queue, and one that cannot keep up skips to what is newest."""

from __future__ import annotations

import asyncio
from collections import deque

from acquisition.live.history import Window

QUEUE = 64
"""Messages that may wait for one viewer: about three seconds."""

Message = bytes | str


class Viewer:
    """One open page.

    `offer` never waits. On overflow all that waited is dropped and `fell_behind` set: whoever sends then
    begins anew with a hello and the past, as a message of state may have been among what was dropped.
    `asked` is set while the past of `window` is wanted.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.dropped = 0
        self.fell_behind = True
        self.asked = asyncio.Event()
        self._queue: deque[Message] = deque()
        self._wake = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Queue one message, or drop to the latest."""
        if len(self._queue) >= QUEUE:
            self.dropped += len(self._queue)
            self._queue.clear()
            self.fell_behind = True
        self._queue.append(message)
        self._wake.set()

    async def next(self) -> Message:
        """The next message, oldest first."""
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        return self._queue.popleft()
