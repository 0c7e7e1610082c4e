"""Rate monitor: lost samples of a steady stream without sequence numbers, found by counting against the clock."""

from __future__ import annotations

from collections import deque
from statistics import median


class RateMonitor:
    """Counts samples against the host's clock; tells of a step that stays, such as a lost or a doubled block.

    The least delay of each second is compared with that of the seconds before it, whose drift is taken for the
    difference between both clocks. A step is told when it has stayed for `CONFIRM` seconds, since samples may only come
    late; one of less than half a sample, or of `FINEST` seconds, cannot be told from a host
    that reads later than it did.
    """

    WINDOW = 1.0
    FINEST = 0.03
    MEMORY = 9
    ENOUGH = 3
    CONFIRM = 5

    def __init__(self, rate: float, patience: float = 1.0) -> None:
        self._rate = rate
        self._window = self.WINDOW * patience
        self._tolerance = max(0.5 / rate, self.FINEST * patience)
        self._count = 0
        self._least: float | None = None
        self._closes: float | None = None
        self._lows: deque[float] = deque(maxlen=self.MEMORY)
        self._suspected: list[float] = []

    def count(self, n: int, at: float) -> int:
        """Take `n` samples that arrived at `at` s; samples that are too many, negative for missing ones, mostly 0."""
        self._count += n
        delay = at - self._count / self._rate
        if self._closes is None:
            self._closes = at + self._window
        found = 0
        if at >= self._closes:
            if self._least is not None:
                found = self._close(self._least)
            self._least, self._closes = None, at + self._window
        self._least = delay if self._least is None else min(self._least, delay)
        return found

    def _close(self, low: float) -> int:
        lows = self._lows
        if len(lows) < self.ENOUGH:
            lows.append(low)
            return 0
        drift = median(b - a for a, b in zip(lows, list(lows)[1:], strict=False))
        expected = median(lows) + drift * ((len(lows) + 1) / 2 + len(self._suspected))
        step = low - expected
        if abs(step) <= self._tolerance:
            self._suspected.clear()
            lows.append(low)
            return 0
        self._suspected.append(step)
        if max(self._suspected) - min(self._suspected) > 2 * self._tolerance:
            self._suspected = [step]
        if len(self._suspected) < self.CONFIRM:
            return 0
        stays = median(self._suspected)
        # What the steps before it waited for goes on as if it had always been so.
        self._lows = deque((each + stays + drift * self.CONFIRM for each in lows), self.MEMORY)
        self._suspected.clear()
        return -round(stays * self._rate)
