"""A driver for measurements only: lines of comma-separated numbers, `rate` of them a second."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from acquisition.driverkit.driver import About, Driver, Serial, Setup
from acquisition.model import Channel, Notice, Readings, Stream

NUMBERS = msgspec.json.Decoder(list[float])
"""Three times as fast as `float` on each of them."""


class LineOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many numbers a line has, and how many lines a second come."""

    channels: int = 10
    rate: float = 40.0


class LineDriver(Driver):
    """Streams lines; every whole line of a read becomes one block."""

    about = About({"bench-line": "a line of numbers"}, "measurement", ("serial",), "inferred", "benchmarks/line.py")
    Options = LineOptions
    serial = Serial(115200)
    silence = 5.0
    queries: tuple[re.Pattern[bytes], ...] = ()

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        channels = tuple(Channel(f"c{i}", "1") for i in range(setup.options.channels))
        self.streams = (Stream("line", channels, setup.options.rate),)
        self._rest = b""
        self._width = len(channels)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes; one block for all whole lines."""
        body, separator, rest = data.rpartition(b"\n")
        if not separator:
            self._rest += data
            return
        lines = (self._rest + body).replace(b"\n", b",")
        self._rest = rest
        try:
            values = np.array(NUMBERS.decode(b"[" + lines + b"]")).reshape(-1, self._width)
        except (ValueError, msgspec.DecodeError):
            yield Notice("noise", "no line of numbers", {"bytes": len(body)})
            return
        yield Readings("line", values, np.zeros(values.shape, np.uint8))


def entry_point(folder: Path) -> dict[str, str]:
    """Announce the driver by an entry point in `folder`; answers the environment that finds it."""
    meta = folder / "perfusion_bench-0.dist-info"
    meta.mkdir(parents=True, exist_ok=True)
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: perfusion-bench\nVersion: 0\n")
    (meta / "entry_points.txt").write_text("[perfusion.drivers]\nbench-line = benchmarks.line:LineDriver\n")
    here = str(Path(__file__).parent.parent)
    path = os.pathsep.join([str(folder), here, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}
