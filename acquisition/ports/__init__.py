"""Ports, by which bytes enter and leave the host: serial lines, TCP, UDP, VISA sessions, memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from acquisition.errors import ForbiddenWrite, LinkLost
from acquisition.model import Instant


class Receiver(Protocol):
    """Whom a port hands what arrives, on the acquisition loop."""

    def data(self, data: bytes, arrived: Instant) -> None:
        """Take bytes, and when the last of them was read."""

    def lost(self, error: LinkLost) -> None:
        """Take note that the link is gone; said once, and nothing follows it."""


class Port(Protocol):
    """One link to one instrument; opened once, then closed for good."""

    name: str

    async def open(self, receiver: Receiver) -> None:
        """Open the link; LinkLost where that fails."""

    def write(self, message: bytes) -> None:
        """Send one whole message, at once or as soon as the link takes it; never blocks."""

    def close(self) -> None:
        """Let go of the link; nothing is handed over after this."""


class Guard:
    """A port's gate: lets through only messages that match one of the driver's declared queries in full."""

    def __init__(self, port: Port, queries: Sequence[re.Pattern[bytes]]) -> None:
        self._port = port
        self._queries = queries

    def write(self, message: bytes) -> None:
        """Send the message, or raise ForbiddenWrite and send nothing."""
        if not any(pattern.fullmatch(message) for pattern in self._queries):
            raise ForbiddenWrite(
                f"would have written {message!r}, which is none of the driver's declared queries",
                self._port.name,
                "a fault in the driver",
                "report it with this message; the device stays untouched until the service is restarted",
            )
        self._port.write(message)
