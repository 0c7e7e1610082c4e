"""Serial lines, read on the acquisition loop; opened with pyserial, exclusively."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import termios
from pathlib import Path

import serial

from acquisition.driverkit.driver import Serial
from acquisition.errors import LinkLost
from acquisition.ports import Receiver
from acquisition.ports.descriptor import Descriptor
from acquisition.timing.clock import Clock


class SerialPort:
    """One serial line by its stable name, such as `/dev/serial/by-id/...`."""

    def __init__(self, path: str, line: Serial, clock: Clock) -> None:
        self.name = path
        self._line = line
        self._clock = clock
        self._open: Descriptor | None = None

    async def open(self, receiver: Receiver) -> None:
        """Open the line exclusively with the instrument's settings; LinkLost says why it cannot."""
        line = await asyncio.to_thread(self._acquire)
        fd = os.dup(line.fd)
        # pyserial keeps four more descriptors for its own blocking reads, which nobody does here.
        line.close()
        try:
            self._open = Descriptor(
                fd, self.name, "unplugged, or a second program reads the port", self._clock, receiver,
                lambda: os.close(fd),
            )  # fmt: skip
        except BaseException:
            os.close(fd)
            raise

    def write(self, message: bytes) -> None:
        """Send one whole message."""
        if self._open is not None:
            self._open.write(message)

    def close(self) -> None:
        """Let go of the line."""
        if self._open is not None:
            self._open.close()

    def _acquire(self) -> serial.Serial:
        settings = self._line
        try:
            line = serial.Serial(
                self.name,
                settings.baud,
                bytesize=settings.bits,
                parity=settings.parity,
                stopbits=settings.stop,
                rtscts=settings.handshake == "rts-cts",
                xonxoff=settings.handshake == "xon-xoff",
                timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as error:
            raise self._refusal(error) from error
        with contextlib.suppress(OSError, termios.error):
            fcntl.ioctl(line.fd, termios.TIOCEXCL)
        with contextlib.suppress(OSError, ValueError, AttributeError, NotImplementedError):
            line.set_low_latency_mode(True)
        return line

    def _refusal(self, error: Exception) -> LinkLost:
        number = getattr(error, "errno", None)
        text = str(error)
        if number == errno.ENOENT:
            return LinkLost(
                "there is no such port", self.name, "not plugged in, or plugged into another adapter",
                "perfusion devices lists the ports that exist",
            )  # fmt: skip
        if number in (errno.EACCES, errno.EPERM):
            return LinkLost(
                "no permission to open the port", self.name, "the account is not in the group that owns it",
                "add it to that group (often dialout) and log in again",
            )  # fmt: skip
        if number in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in text:
            holders = ", ".join(f"PID {pid} ({name})" for pid, name in holders_of(self.name)) or "another program"
            return LinkLost(
                f"the port is in use by {holders}", self.name, "two programs on one port",
                "end the other program; two readers would each get half of the bytes",
            )  # fmt: skip
        return LinkLost(f"the port cannot be opened: {text}", self.name, "the adapter is failing or is no serial port")


def holders_of(path: str) -> list[tuple[int, str]]:
    """Which processes have the device open: (PID, name), as far as /proc lets this account see."""
    target = os.path.realpath(path)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        pid = int(process.name)
        with contextlib.suppress(OSError):
            if pid != os.getpid() and any(os.path.realpath(fd) == target for fd in (process / "fd").iterdir()):
                found.append((pid, (process / "comm").read_text().strip()))
    return sorted(found)
