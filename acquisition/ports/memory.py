"""A link inside the process, for tests and for playing back tapes."""

from __future__ import annotations

from acquisition.errors import LinkLost
from acquisition.model import Instant
from acquisition.ports import Receiver


class MemoryPort:
    """Hands over what `feed` is given and keeps what is written in `written`; `refuse` fails the next open."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.written: list[bytes] = []
        self.refuse: LinkLost | None = None
        self.receiver: Receiver | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect, or raise what `refuse` holds."""
        if self.refuse is not None:
            raise self.refuse
        self.receiver = receiver

    def write(self, message: bytes) -> None:
        """Keep the message."""
        self.written.append(message)

    def close(self) -> None:
        """Disconnect."""
        self.receiver = None

    def feed(self, data: bytes, arrived: Instant) -> None:
        """Let bytes arrive."""
        if self.receiver is not None:
            self.receiver.data(data, arrived)

    def unplug(self) -> None:
        """Take the link away."""
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.lost(LinkLost("the link is gone", self.name, "unplugged"))
