"""Links between a simulated instrument and a host: pseudo-terminals paced at the line rate, and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import socket
import struct
import termios
import tty
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

from acquisition.driverkit.driver import Serial
from acquisition.errors import ConfigurationError, PerfusionError

READ = 65536
SLICE = 0.008
"""Seconds of bytes that a paced line hands over at once."""
LOOK = 0.01
"""Seconds between looks for a host that opens a pseudo-terminal."""
UART_BUFFER = 65536
TCP_BUFFER = 4_000_000
_BAUD = {getattr(termios, name): int(name[1:]) for name in dir(termios) if name.startswith("B") and name[1:].isdigit()}


class Line(Protocol):
    """Whom a cable serves: the instrument's end of the link."""

    def connected(self) -> None:
        """Take note that a host opened the link."""

    def data(self, data: bytes) -> None:
        """Take bytes from the host, cut anywhere."""

    def disconnected(self) -> None:
        """Take note that the host closed the link, or that it was unplugged."""


class Cable(ABC):
    """One link, for one host at a time; every call on the asyncio loop that plugged it in."""

    @abstractmethod
    async def plug(self, line: Line) -> dict[str, Any]:
        """Offer the link; returns the `listen` document: kind, and where a host reaches it."""

    @abstractmethod
    def send(self, message: bytes) -> None:
        """Carry one whole message to the host; it is lost where no host is there."""

    @abstractmethod
    def unplug(self) -> None:
        """Take the link away: the host loses its connection, and a new one is refused."""

    @abstractmethod
    async def replug(self) -> None:
        """Offer the link again under the same name."""

    @abstractmethod
    async def close(self) -> None:
        """Take the link away for good."""


class PtyCable(Cable):
    """A serial line on a pseudo-terminal; `link` is its stable name, as `/dev/serial/by-id/...` is a real one's.

    Bytes leave no faster than on the wire, `speed` times as fast as the line's rate, or at once where
    `paced` is false, as on a USB port that only calls itself serial. What a host does not fetch is lost,
    as in a UART. A pseudo-terminal enforces no baud rate: where the host's differs from the instrument's,
    every byte is garbled here, both ways. Replugged, it has another number and the same link.
    """

    def __init__(self, link: str | None, serial: Serial, speed: float = 1.0, paced: bool = True, seed: int = 0) -> None:
        self._link = None if link is None else Path(link)
        self._serial = serial
        self._paced = paced
        self._rate = serial.baud * speed / (1 + serial.bits + (serial.parity != "N") + serial.stop)
        self._noise = random.Random(seed)
        self._line: Line | None = None
        self._master: int | None = None
        self._number = ""
        self._open = False
        self._waiting = bytearray()
        self._timer: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._free = 0.0

    async def plug(self, line: Line) -> dict[str, Any]:
        """Open the pseudo-terminal and set its link."""
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._offer()
        return {"kind": "pty", "path": str(self._link or self._number)}

    def send(self, message: bytes) -> None:
        """Queue the message on the wire."""
        if not self._open:
            return
        if not self._paced:
            self._write(message)
            return
        # What overruns the instrument's own buffer is lost.
        self._waiting += message[: UART_BUFFER - len(self._waiting)]
        if self._timer is None:
            self._free = max(self._free, self._loop.time())
            self._arm()

    def unplug(self) -> None:
        """Close the master: the host reads an error, and the link is gone."""
        if self._master is None:
            return
        if self._link is not None:
            self._link.unlink(missing_ok=True)
        self._hang_up()
        if self._look is not None:
            self._look.cancel()
        os.close(self._master)
        self._master = None

    async def replug(self) -> None:
        """Come back under the same link and, as adapters do, under another number."""
        if self._master is None:
            self._offer()

    async def close(self) -> None:
        """Unplug for good."""
        self.unplug()

    def _offer(self) -> None:
        former = self._number
        master, slave = os.openpty()
        if os.ttyname(slave) == former:
            other = os.openpty()
            os.close(master)
            os.close(slave)
            master, slave = other
        self._number = os.ttyname(slave)
        os.set_blocking(master, False)
        tty.setraw(slave)
        settings = termios.tcgetattr(slave)
        code = next((code for code, baud in _BAUD.items() if baud == self._serial.baud), None)
        if code is not None:
            settings[4] = settings[5] = code
            termios.tcsetattr(slave, termios.TCSANOW, settings)
        # With no slave open the master hangs up, and its end tells when a host opens the other.
        os.close(slave)
        self._master = master
        if self._link is not None:
            _point(self._link, self._number)
        self._look = self._loop.call_later(LOOK, self._watch)

    def _watch(self) -> None:
        if self._master is None:
            return
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        events = poll.poll(0)
        if any(event & select.POLLHUP and not event & select.POLLIN for _, event in events):
            self._look = self._loop.call_later(LOOK, self._watch)
            return
        self._look = None
        self._open = True
        self._loop.add_reader(self._master, self._readable)
        if self._line is not None:
            self._line.connected()

    def _readable(self) -> None:
        if self._master is None:
            return
        try:
            data = os.read(self._master, READ)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up()
            self._look = self._loop.call_later(LOOK, self._watch)
            return
        if self._line is not None:
            self._line.data(self._as_heard(data))

    def _hang_up(self) -> None:
        if not self._open:
            return
        self._open = False
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._master is not None:
            self._loop.remove_reader(self._master)
        if self._line is not None:
            self._line.disconnected()

    def _arm(self) -> None:
        count = min(len(self._waiting), max(1, int(self._rate * SLICE)))
        self._free += count / self._rate
        self._timer = self._loop.call_at(self._free, self._leave, count)

    def _leave(self, count: int) -> None:
        self._timer = None
        piece = bytes(self._waiting[:count])
        del self._waiting[:count]
        if self._waiting:
            self._arm()
        self._write(piece)

    def _write(self, data: bytes) -> None:
        if self._master is None:
            return
        # A full pseudo-terminal or one without a host loses bytes, as a UART does.
        with contextlib.suppress(OSError):
            os.write(self._master, self._as_heard(data))

    def _as_heard(self, data: bytes) -> bytes:
        if not self._paced or self._master is None:
            return data
        try:
            baud = _BAUD.get(termios.tcgetattr(self._master)[5])
        except termios.error:
            return data
        if baud is None or baud == self._serial.baud:
            return data
        return garbled_by_baud(data, self._serial.baud, baud, self._noise)


class TcpCable(Cable):
    """A TCP server for one client at a time; a second one is refused. Port 0 takes a free one and keeps it."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._line: Line | None = None
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._pending = b""

    async def plug(self, line: Line) -> dict[str, Any]:
        """Listen; ConfigurationError where the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        self._line = line
        self._listen()
        host, port = self._host, self._port
        return {
            "kind": "tcp",
            "host": host,
            "port": port,
            "url": f"socket://{host}:{port}",
            "resource": f"TCPIP0::{host}::{port}::SOCKET",
        }

    def send(self, message: bytes) -> None:
        """Send now what the kernel takes, the rest as it takes it; a client that reads nothing is dropped."""
        if self._client is None:
            return
        if not self._pending:
            self._loop.add_writer(self._client, self._writable)
        self._pending += message
        self._writable()
        if len(self._pending) > TCP_BUFFER:
            self._drop()

    def unplug(self) -> None:
        """Reset the connection and refuse new ones."""
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._drop()

    async def replug(self) -> None:
        """Listen again on the same port."""
        if self._listener is None:
            self._listen()

    async def close(self) -> None:
        """Unplug for good."""
        self.unplug()

    def _listen(self) -> None:
        try:
            listener = socket.create_server((self._host, self._port), backlog=8)
        except OSError as error:
            raise PerfusionError(
                f"cannot listen ({error.strerror or error})",
                f"{self._host}:{self._port}",
                "another program has the port, or the address is not this computer's",
                "choose another one; port 0 takes a free one",
            ) from error
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        self._listener = listener
        self._loop.add_reader(listener, self._accept)

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self._client is not None:
            _reset(client)
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._loop.add_reader(client, self._readable)
        if self._line is not None:
            self._line.connected()

    def _readable(self) -> None:
        if self._client is None:
            return
        try:
            data = self._client.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop()
        elif self._line is not None:
            self._line.data(data)

    def _writable(self) -> None:
        if self._client is None:
            return
        try:
            sent = self._client.send(self._pending)
        except BlockingIOError:
            return
        except OSError:
            self._drop()
            return
        self._pending = self._pending[sent:]
        if not self._pending:
            self._loop.remove_writer(self._client)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        self._loop.remove_reader(client)
        self._loop.remove_writer(client)
        self._pending = b""
        _reset(client)
        if self._line is not None:
            self._line.disconnected()


def garbled_by_baud(data: bytes, sent: int, heard: int, noise: random.Random) -> bytes:
    """What a receiver at another baud rate makes of the bytes: other bytes, more of them where it is faster."""
    count = max(1, round(len(data) * min(heard / sent, 4.0)))
    return bytes(noise.choice((0x00, 0x80, 0xF8, 0xFE, noise.randrange(256))) for _ in range(count)) if data else b""


def _point(link: Path, target: str) -> None:
    """Set a symbolic link, in one step where it exists."""
    if link.exists() and not link.is_symlink():
        raise ConfigurationError(
            "there is a file of that name", str(link), "--link names the port's stable name", "choose another name"
        )
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        raise ConfigurationError(f"cannot be set ({error.strerror})", str(link), "no permission there") from error


def _reset(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
