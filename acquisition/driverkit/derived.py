"""Streams computed from an instrument's own, which must outlive its connections: the distance walked, for one."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from acquisition.model import Channel, Chunk, Floats, Quality, Readings, Stream


class Derivation(ABC):
    """Turns chunks of the stream named `source` into readings of `stream`, one object per device and run."""

    source: str
    stream: Stream

    def resume(self, values: Floats) -> None:
        """Continue from the last recorded row, values (c,) in the order of the stream's channels."""

    @abstractmethod
    def feed(self, chunk: Chunk) -> Readings | None:
        """Take a chunk of the source; return rows of this stream, one for each sample of the chunk, or None."""


class Distance(Derivation):
    """Distance (m) and time (s) walked on a belt: its actual speed (km/h, a few Hz), integrated by trapezoids.

    Both only ever grow, over reconnections and restarts; a walk is the difference between two rows. They
    rest while the belt does. Between speeds more than `LIMIT` seconds apart nothing is added: nobody saw
    what the belt did, and the total is from then on a lower bound. Rows say so, QUESTIONABLE, until the
    belt is seen to start from a standstill, so that the last row of a walk tells of the whole walk. A
    restart of the service is such a hole too. `patience` stretches the limit where the clock is accelerated.
    """

    LIMIT = 1.0

    def __init__(self, source: str = "belt", speed: str = "speed", patience: float = 1.0) -> None:
        self.source = source
        self.stream = Stream("distance", (Channel("distance", "m", 0.0), Channel("elapsed", "s", 0.0)))
        self._speed = speed
        self._limit = self.LIMIT * patience
        self._distance = self._elapsed = 0.0
        self._uncertain = False
        self._last: tuple[int, float] | None = None

    def resume(self, values: Floats) -> None:
        """Continue from the recorded totals (m, s); what was walked since is unknown."""
        self._distance, self._elapsed = float(values[0]), float(values[1])
        self._uncertain = True

    def feed(self, chunk: Chunk) -> Readings:
        """Integrate up to each sample of the chunk; one without a speed repeats the totals before it."""
        column = [channel.name for channel in chunk.header.stream.channels].index(self._speed)
        totals = np.empty((len(chunk), 2))
        quality = np.empty((len(chunk), 2), np.uint8)
        for row, (time, speed) in enumerate(zip(chunk.time.tolist(), chunk.values[:, column].tolist(), strict=True)):
            uncertain = self._step(time, abs(speed) / 3.6)
            totals[row] = self._distance, self._elapsed
            quality[row] = Quality.QUESTIONABLE if uncertain else Quality.GOOD
        return Readings(self.stream.name, totals, quality)

    def _step(self, time: int, speed: float) -> bool:
        """Take one speed (m/s, NaN = none) at its time key (ns); answer whether the totals are a lower bound."""
        seconds, before = (0.0, speed) if self._last is None else ((time - self._last[0]) / 1e9, self._last[1])
        hole = seconds > self._limit
        if np.isnan(speed):
            return self._uncertain or hole
        if hole:
            self._uncertain = True
        else:
            if before == 0.0 < speed:
                self._uncertain = False
            self._distance += seconds * (before + speed) / 2
            self._elapsed += seconds * ((before > 0.0) + (speed > 0.0)) / 2
        self._last = (time, speed)
        return self._uncertain
