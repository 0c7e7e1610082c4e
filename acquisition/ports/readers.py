"""Many descriptors read at one wake-up of the acquisition loop, which watches a single one for all of them."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

_OF: dict[asyncio.AbstractEventLoop, Readers] = {}


class Readers:
    """The descriptors that are read on one loop: an epoll within that of the loop.

    asyncio itself would make a key, tuples and a queued handle for each descriptor that has something: 500 ports at
    40 Hz cost an eighth more. A descriptor that an earlier callback of the same wake-up removed is not called any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        loop.add_reader(self._epoll, self._ready)

    @classmethod
    def here(cls) -> Readers:
        """Those of the running loop; they exist from the first descriptor to the last."""
        loop = asyncio.get_running_loop()
        if loop not in _OF:
            _OF[loop] = cls(loop)
        return _OF[loop]

    def add(self, fd: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever the descriptor has something to read, or has failed."""
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def remove(self, fd: int) -> None:
        """Forget the descriptor, which is still open."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)
        if not self._callbacks:
            del _OF[self._loop]
            self._loop.remove_reader(self._epoll)
            self._epoll.close()

    def _ready(self) -> None:
        callbacks = self._callbacks
        for fd, _ in self._epoll.poll(0):
            callback = callbacks.get(fd)
            if callback is not None:
                callback()
