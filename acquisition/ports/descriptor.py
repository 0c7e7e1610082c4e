"""Reading and writing a non-blocking file descriptor on the acquisition loop; serial and TCP ports share it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from acquisition.errors import LinkLost
from acquisition.ports import Receiver
from acquisition.ports.readers import Readers
from acquisition.timing.clock import Clock

READ = 16384
PENDING = 65536


class Descriptor:
    """An open descriptor tied to a receiver until it fails or is closed; `release` gives it back to its owner."""

    def __init__(
        self, fd: int, name: str, gone: str, clock: Clock, receiver: Receiver, release: Callable[[], None]
    ) -> None:
        self._fd = fd
        self._name = name
        self._gone = gone
        self._clock = clock
        self._receiver: Receiver | None = receiver
        self._release = release
        self._pending = b""
        self._loop = asyncio.get_running_loop()
        self._readers = Readers.here()
        self._readers.add(fd, self._readable)

    def write(self, message: bytes) -> None:
        """Write now what the kernel takes, the rest as it takes it; too much waiting loses the link."""
        if self._receiver is None:
            return
        if self._pending:
            self._queue(message)
            return
        try:
            written = os.write(self._fd, message)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._fail(error)
            return
        if written < len(message):
            self._loop.add_writer(self._fd, self._writable)
            self._queue(message[written:])

    def close(self) -> None:
        """Stop reading and release the descriptor."""
        if self._receiver is None:
            return
        self._receiver = None
        self._readers.remove(self._fd)
        if self._pending:
            self._loop.remove_writer(self._fd)
        self._release()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        arrived = self._clock.now()
        receiver = self._receiver
        if receiver is None:
            return
        if data:
            receiver.data(data, arrived)
        else:
            self._fail(None)

    def _writable(self) -> None:
        try:
            written = os.write(self._fd, self._pending)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        self._pending = self._pending[written:]
        if not self._pending:
            self._loop.remove_writer(self._fd)

    def _queue(self, data: bytes) -> None:
        self._pending += data
        if len(self._pending) > PENDING:
            self._fail(None, "the instrument takes no bytes")

    def _fail(self, error: OSError | None, what: str = "") -> None:
        receiver = self._receiver
        self.close()
        if receiver is not None:
            reason = what or (f"the link is gone ({error.strerror})" if error else "the link is gone (end of data)")
            receiver.lost(LinkLost(reason, self._name, self._gone, "wait: it is reopened as soon as it is back"))
