"""VISA sessions, each owned by one thread."""

from __future__ import annotations

from acquisition.clock import Clock
from acquisition.ports import Receiver


class VisaPort:
    """One VISA session to one instrument."""

    def __init__(self, resource: str, clock: Clock) -> None:
        self.name = resource
        self._clock = clock

    async def open(self, receiver: Receiver) -> None:
        """Open the session; LinkLost where that fails."""
        raise NotImplementedError

    def write(self, message: bytes) -> None:
        """Send one whole message."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the session."""
        raise NotImplementedError
