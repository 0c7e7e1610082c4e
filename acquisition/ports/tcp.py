"""TCP links, such as a serial server in front of an instrument, read on the acquisition loop."""

from __future__ import annotations

import asyncio
import socket

from acquisition.errors import LinkLost
from acquisition.ports import Receiver
from acquisition.ports.descriptor import Descriptor
from acquisition.timing.clock import Clock

TIMEOUT = 3.0


class TcpPort:
    """A TCP client link to host:port, with keep-alive so that a dead peer is noticed."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self.name = f"socket://{host}:{port}"
        self._address = (host, port)
        self._clock = clock
        self._open: Descriptor | None = None

    async def open(self, receiver: Receiver) -> None:
        """Connect within three seconds, or raise LinkLost."""
        loop = asyncio.get_running_loop()
        link = None
        try:
            async with asyncio.timeout(TIMEOUT):
                family, kind, protocol, _, address = (
                    await loop.getaddrinfo(*self._address, type=socket.SOCK_STREAM)
                )[0]  # fmt: skip
                link = socket.socket(family, kind, protocol)
                link.setblocking(False)
                await loop.sock_connect(link, address)
        except OSError as error:
            if link is not None:
                link.close()
            raise LinkLost(
                f"cannot connect ({error or 'no answer within 3 s'})", self.name,
                "the instrument or its serial server is off, or a firewall is between",
                "check its power and address",
            ) from error  # fmt: skip
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._open = Descriptor(
            link.fileno(),
            self.name,
            "the peer closed the connection; somebody else may hold the serial server",
            self._clock,
            receiver,
            link.close,
        )

    def write(self, message: bytes) -> None:
        """Send one whole message."""
        if self._open is not None:
            self._open.write(message)

    def close(self) -> None:
        """Close the connection."""
        if self._open is not None:
            self._open.close()
