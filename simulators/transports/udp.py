"""A UDP link between a simulated instrument and a host."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from acquisition.errors import PerfusionError
from simulators.transports.cables import READ, Cable, Line


class UdpCable(Cable):
    """A UDP socket that answers the host which spoke last; port 0 takes a free one and keeps it.

    Unplugged, the port is closed: a host on this computer hears that at its next datagram.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._line: Line | None = None
        self._link: socket.socket | None = None
        self._peer: Any = None

    async def plug(self, line: Line) -> dict[str, Any]:
        """Bind; PerfusionError where the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._bind()
        return {"kind": "udp", "host": self._host, "port": self._port, "url": f"udp://{self._host}:{self._port}"}

    def send(self, message: bytes) -> None:
        """Send one datagram to the host that spoke last; it is lost where none has or the kernel has no room."""
        if self._link is None or self._peer is None:
            return
        try:
            self._link.sendto(message, self._peer)
        except BlockingIOError:
            return
        except OSError:
            self._lose_peer()

    def unplug(self) -> None:
        """Close the port."""
        link, self._link = self._link, None
        if link is not None:
            self._loop.remove_reader(link)
            link.close()
        self._lose_peer()

    async def replug(self) -> None:
        """Bind the same port again."""
        if self._link is None:
            self._bind()

    async def close(self) -> None:
        """Unplug for good."""
        self.unplug()

    def _bind(self) -> None:
        link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        link.setblocking(False)
        try:
            link.bind((self._host, self._port))
        except OSError as error:
            link.close()
            raise PerfusionError(
                f"cannot listen ({error.strerror or error})",
                f"{self._host}:{self._port}",
                "another program has the port, or the address is not this computer's",
                "choose another one; port 0 takes a free one",
            ) from error
        self._port = link.getsockname()[1]
        self._link = link
        self._loop.add_reader(link, self._readable)

    def _readable(self) -> None:
        if self._link is None:
            return
        try:
            data, peer = self._link.recvfrom(READ)
        except BlockingIOError:
            return
        except OSError:
            self._lose_peer()
            return
        if peer != self._peer:
            self._lose_peer()
            self._peer = peer
            if self._line is not None:
                self._line.connected()
        if self._line is not None:
            self._line.data(data)

    def _lose_peer(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None and self._line is not None:
            self._line.disconnected()
