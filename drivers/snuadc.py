"""SNUADC: an open-hardware digitiser of eight inputs that streams over serial (vitaldb/snuadc, firmware source).

57600 8N1; a continuous stream of 12-byte frames, 100 of them a second unless `sr<rate>` + CR sets another. Only the
first byte of a frame has bit 7 set. Four groups of three bytes carry the channels (0,1), (2,3), (4,5), (6,7): bits
6..0 of each, then bits 9..7 of both and an event bit. 10-bit counts: volts = (counts - 512) / 102.4.
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

FRAME = 12
CHANNELS = 8
MIDDLE, PER_VOLT = 512.0, 102.4
SYNC = 0x80
RATE = 100


@dataclass(frozen=True, slots=True)
class Frames:
    """n frames: counts (n, 8) of 0..1023 and buttons (n, 2), whether each of the two event inputs is pressed."""

    counts: NDArray[np.uint16]
    buttons: NDArray[np.bool_]

    def encode(self) -> bytes:
        """The bytes on the wire."""
        low, high = self.counts & 0x7F, self.counts >> 7
        groups = np.empty((len(self.counts), 4, 3), np.uint8)
        groups[:, :, 0], groups[:, :, 1] = low[:, 0::2], low[:, 1::2]
        groups[:, :, 2] = high[:, 0::2] << 4 | high[:, 1::2] << 1
        groups[:, :2, 2] |= self.buttons
        groups[:, 0, 0] |= SYNC
        return groups.tobytes()

    @classmethod
    def decode(cls, raw: NDArray[np.uint8]) -> Frames:
        """Whole frames, raw (n, 12)."""
        groups = raw.reshape(-1, 4, 3).astype(np.uint16)
        counts = np.empty((len(raw), CHANNELS), np.uint16)
        counts[:, 0::2] = groups[:, :, 0] & 0x7F | (groups[:, :, 2] >> 4 & 7) << 7
        counts[:, 1::2] = groups[:, :, 1] & 0x7F | (groups[:, :, 2] >> 1 & 7) << 7
        return cls(counts, (groups[:, :2, 2] & 1).astype(bool))

    @property
    def volts(self) -> Floats:
        """Voltages (n, 8) V."""
        volts: Floats = (self.counts.astype(np.float64) - MIDDLE) / PER_VOLT
        return volts


class SnuadcOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rate`: samples a second of each input."""

    rate: Annotated[int, msgspec.Meta(ge=1, le=1000)] = RATE


class SnuadcDriver(Driver):
    """Reads the inputs that the configuration names; time is told by counting frames at the nominal rate.

    A stamp marks the instant at which the frame was complete. The frame has no number: lost frames show by the bytes
    of damaged ones, and otherwise by the clock, after some seconds, as frames that are too few.
    """

    about = About(
        {"snuadc": "SNUADC eight-channel digitiser"},
        "digitiser",
        ("serial", "tcp"),
        "documented",
        "vitaldb/snuadc, firmware source",
        (
            "resolution: a device list of VitalDB says 12 bits at 500 Hz, the published firmware 10 bits",
            "the device does not identify itself: simulated and real ones cannot be told apart",
        ),
    )
    counted = False
    enquiry = "it has no identity query: it sends by itself, and its one command sets the rate"
    Options = SnuadcOptions
    serial = Serial(57600)
    queries = (re.compile(rb"sr([1-9]\d{0,2}|1000)\r"),)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        rate = setup.options.rate
        self._inputs = setup.inputs
        self._columns = [_column(each, index) for index, each in enumerate(setup.inputs)]
        if not self._columns:
            raise ConfigurationError("no input is configured", "channel", remedy="at least one [[device.channel]]")
        self.streams = tuple(Stream(each.name, (each.channel,), float(rate)) for each in setup.inputs)
        self.silence = max(1.0, 5.0 / rate)
        self._rest = np.empty(0, np.uint8)
        self._lost = 0
        self._damaged = 0
        self._pace = RateMonitor(rate, setup.patience)
        self._pressed = np.zeros(2, bool)

    def start(self, at: float) -> None:
        """Set the rate; the stream runs by itself."""
        self.send(b"sr%d\r" % self.setup.options.rate)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes; all frames between two damages become one block for each input."""
        buffer = np.concatenate([self._rest, np.frombuffer(data, np.uint8)])
        marks = np.append(np.flatnonzero(buffer & SYNC), len(buffer))
        # A frame that ends with the buffer may still be cut; the mark behind it is then the buffer's end.
        cut = len(marks) > 1 and marks[-1] - marks[-2] < FRAME
        end = int(marks[-2]) if cut else len(buffer)
        self._rest = buffer[end:].copy()
        frames = marks[:-1][np.diff(marks) >= FRAME]
        reached = 0
        for block in np.split(frames, np.flatnonzero(np.diff(frames) != FRAME) + 1) if len(frames) else []:
            self._miss(int(block[0]) - reached)
            reached = int(block[-1]) + FRAME
            yield from self._decode(buffer[block[0] : reached].reshape(-1, FRAME))
        self._miss(end - reached)
        stray = end - FRAME * len(frames)
        if stray:
            yield Notice("noise", "bytes that belong to no frame", {"bytes": stray})
        yield from self._compare(len(frames), at)

    def _compare(self, frames: int, at: float) -> Iterator[Notice]:
        step = self._pace.count(frames + self._damaged, at)
        self._damaged = 0
        if step:
            self._lost += max(-step, 0)
            what = (
                f"{step} frames more than the clock allows" if step > 0 else f"{-step} frames fewer than the clock says"
            )
            yield Notice("warning", f"about {what} came", {"frames": step})

    def _decode(self, raw: NDArray[np.uint8]) -> Iterator[Readings | Notice]:
        frames = Frames.decode(raw)
        lost, self._lost = self._lost, 0
        scaled = scale_together(self._inputs, frames.volts[:, self._columns])
        for each, (values, quality) in zip(self._inputs, scaled, strict=True):
            yield Readings(each.name, values[:, None], quality[:, None], lost=lost)
        before = np.vstack([self._pressed, frames.buttons[:-1]])
        self._pressed = frames.buttons[-1].copy()
        for button in np.flatnonzero((frames.buttons & ~before).any(axis=0)).tolist():
            yield Notice("state", f"event button {button + 1} pressed", {"button": button + 1})

    def _miss(self, stray: int) -> None:
        """Count lost frames: at least one was damaged where stray bytes are, more where there are many."""
        if stray:
            frames = max(1, round(stray / FRAME))
            self._lost += frames
            self._damaged += frames


def _column(each: Input, index: int) -> int:
    if each.terminal not in map(str, range(CHANNELS)):
        raise ConfigurationError(
            f"no such input (value {each.terminal!r})", f"channel[{index}].input", remedy="0 to 7"
        )  # fmt: skip
    return int(each.terminal)
