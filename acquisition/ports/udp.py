"""UDP links, such as a monitor's export port on a hospital network, read on the acquisition loop."""

from __future__ import annotations

import asyncio
import socket

from acquisition.errors import LinkLost
from acquisition.ports import Receiver
from acquisition.timing.clock import Clock

READ = 65536


class UdpPort:
    """A UDP socket that talks to one host:port; each message is a datagram, and each datagram is handed over whole.

    UDP has no connection: opening succeeds whether or not anybody is there, and datagrams may be lost,
    doubled or late. Only a host that answers "port unreachable" is a lost link; silence is the driver's to notice.
    """

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self.name = f"udp://{host}:{port}"
        self._address = (host, port)
        self._clock = clock
        self._link: socket.socket | None = None
        self._receiver: Receiver | None = None

    async def open(self, receiver: Receiver) -> None:
        """Bind to a free local port and listen to this one peer alone; LinkLost where it has no address or route."""
        self._loop = asyncio.get_running_loop()
        link = None
        try:
            family, kind, protocol, _, address = (
                await self._loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
            )[0]  # fmt: skip
            link = socket.socket(family, kind, protocol)
            link.setblocking(False)
            link.connect(address)
        except OSError as error:
            if link is not None:
                link.close()
            raise LinkLost(
                f"cannot be reached ({error.strerror or error})", self.name, "a wrong address, or no network",
                "check the address and the network",
            ) from error  # fmt: skip
        self._link, self._receiver = link, receiver
        self._loop.add_reader(link, self._readable)

    def write(self, message: bytes) -> None:
        """Send one datagram; one that the kernel cannot take now is lost, as any may be on the way."""
        if self._link is None:
            return
        try:
            self._link.send(message)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Close the socket."""
        link, self._link, self._receiver = self._link, None, None
        if link is not None:
            self._loop.remove_reader(link)
            link.close()

    def _readable(self) -> None:
        if self._link is None or self._receiver is None:
            return
        try:
            data = self._link.recv(READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error)
            return
        self._receiver.data(data, self._clock.now())

    def _fail(self, error: OSError) -> None:
        receiver = self._receiver
        self.close()
        if receiver is not None:
            receiver.lost(
                LinkLost(
                    f"the link is gone ({error.strerror})",
                    self.name,
                    "the instrument is off, its network export is disabled, or a firewall is between",
                    "check its power and settings; it is tried again by itself",
                )
            )
