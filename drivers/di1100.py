"""DATAQ DI-1100: a four-input USB digitiser on a CDC serial port (manufacturer's public examples, binary_comm).

ASCII commands end with CR and are echoed while the device is idle: `stop`, `encode 0` (binary), `ps 0` (packets of
16 bytes), `slist POSITION CHANNEL`, `srate N` (scans a second = 60e6 / N), `start`. Then int16 little-endian for each
item of the scan list, +-10 V full scale: volts = n * 10 / 32768. The two lowest bits of a scan's first item carry
digital inputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from acquisition.driverkit.analog import Input, scale_together
from acquisition.driverkit.driver import About, Driver, Serial, Setup
from acquisition.driverkit.rate_monitor import RateMonitor
from acquisition.errors import ConfigurationError
from acquisition.model import Floats, Notice, Readings, Stream

BASE, DIVISOR_MAX = 60e6, 65535
VOLTS_PER_COUNT = 10 / 32768
DIGITAL = 0x3
CHANNELS = 4
REPLY = 1.0
"""Seconds within which a command's echo must come."""


@dataclass(frozen=True, slots=True)
class Scans:
    """n scans of c items: counts (n, c) int16, as on the wire; the first item still carries its digital bits."""

    counts: NDArray[np.int16]

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return self.counts.astype("<i2").tobytes()

    @classmethod
    def decode(cls, raw: bytes, items: int) -> Scans:
        """Whole scans of so many items."""
        return cls(np.frombuffer(raw, "<i2").reshape(-1, items))

    @property
    def volts(self) -> Floats:
        """Voltages (n, c) V, the digital bits of the first item masked off."""
        volts: Floats = self.counts.astype(np.float64) * VOLTS_PER_COUNT
        volts[:, 0] = (self.counts[:, 0] & ~DIGITAL) * VOLTS_PER_COUNT
        return volts


class Di1100Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate`: scans a second; the device cannot scan slower than 915.54."""

    rate: Annotated[float, msgspec.Meta(ge=BASE / DIVISOR_MAX, le=40_000)] = 1000.0


class Di1100Driver(Driver):
    """Sets up the scan list and decodes the stream block by block; time is told by counting scans.

    A stamp marks the instant at which the scan was complete. The stream has no mark: bytes that are lost show by the
    clock, after some seconds, as scans that are too few; the next block counts them as lost.
    """

    about = About(
        {"di1100": "DATAQ DI-1100"},
        "digitiser",
        ("serial",),
        "documented",
        "DATAQ public examples, binary_comm/DI-1100",
        (
            "the stream has no frame mark: a few bytes lost between device and host would exchange the inputs unseen "
            "until the next start; the clock tells of more than 30 ms",
            "whether `start` is echoed is not stated: an echo is taken off where it comes",
            "the device is not asked who it is: simulated and real ones cannot be told apart",
        ),
    )
    framed = counted = False
    enquiry = "of its documented commands none only asks: each stops or sets up a scan"
    Options = Di1100Options
    serial = Serial(115200)
    silence = 1.0
    queries = (
        re.compile(rb"(stop|start|encode 0|ps 0)\r"),
        re.compile(rb"slist [0-3] [0-3]\r"),
        re.compile(rb"srate \d{4,5}\r"),
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        if not setup.inputs:
            raise ConfigurationError("no input is configured", "channel", remedy="at least one [[device.channel]]")
        self._inputs = setup.inputs
        channels = [_channel(each, index) for index, each in enumerate(setup.inputs)]
        divisor = min(round(BASE / setup.options.rate), DIVISOR_MAX)
        self.streams = tuple(Stream(each.name, (each.channel,), BASE / divisor) for each in setup.inputs)
        self._commands = [
            b"stop\r", b"encode 0\r", b"ps 0\r",
            *(b"slist %d %d\r" % (position, channel) for position, channel in enumerate(channels)),
            b"srate %d\r" % divisor, b"start\r",
        ]  # fmt: skip
        self._step = 0
        self._stopped = False
        self._due: float | None = None
        self._rest = b""
        self._echo = self._commands[-1]
        self._pace = RateMonitor(BASE / divisor, setup.patience)
        self._lost = 0

    @property
    def _streaming(self) -> bool:
        return self._step == len(self._commands)

    def start(self, at: float) -> None:
        """Stop a scan that may run, and set up anew."""
        self._next(at)

    def poll(self, at: float) -> None:
        """Repeat the set-up from its beginning: an echo did not come."""
        self._step, self._rest, self._echo = 0, b"", self._commands[-1]
        self._next(at)

    def stop(self, at: float) -> None:
        """End the scan; what still comes is no sample."""
        self.send(b"stop\r")
        self._stopped = True

    def deadline(self) -> float | None:
        """When the echo is overdue."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes: echoes while setting up, then scans, one block for each input."""
        if self._stopped:
            return
        buffer = self._rest + data
        while not self._streaming:
            echo = self._commands[self._step - 1]
            place = buffer.find(echo)
            if place < 0:
                # What a running scan still had under way is in front of the echo.
                self._rest = buffer[1 - len(echo) :]
                return
            buffer = buffer[place + len(echo) :]
            self._next(at)
        if self._echo:
            if len(buffer) < len(self._echo) and self._echo.startswith(buffer):
                self._rest = buffer
                return
            buffer = buffer.removeprefix(self._echo)
            self._echo = b""
        yield from self._scans(buffer, at)

    def _scans(self, buffer: bytes, at: float) -> Iterator[Readings | Notice]:
        width = 2 * len(self._inputs)
        size = len(buffer) // width * width
        self._rest = buffer[size:]
        if not size:
            return
        scaled = scale_together(self._inputs, Scans.decode(buffer[:size], len(self._inputs)).volts)
        lost, self._lost = self._lost, 0
        for each, (values, quality) in zip(self._inputs, scaled, strict=True):
            yield Readings(each.name, values[:, None], quality[:, None], lost=lost)
        step = self._pace.count(size // width, at)
        if step:
            self._lost = max(-step, 0)
            what = (
                f"{step} scans more than the clock allows" if step > 0 else f"{-step} scans fewer than the clock says"
            )
            text = f"about {what} came: the inputs may be exchanged until the device is connected anew"
            yield Notice("warning", text, {"scans": step})

    def _next(self, at: float) -> None:
        self.send(self._commands[self._step])
        self._step += 1
        self._due = None if self._streaming else at + REPLY * self.setup.patience


def _channel(each: Input, index: int) -> int:
    if each.terminal not in map(str, range(CHANNELS)):
        raise ConfigurationError(f"no such input (value {each.terminal!r})", f"channel[{index}].input", remedy="0 to 3")
    return int(each.terminal)
