"""Means of a stream block by block: what the batch form gives for the whole, from bounded memory.

All live forms take blocks (n, c) of uniform samples, NaN where there is no data, in their order of time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.smoothing import FirstOrder, moving_mean


class TrailingMean:
    """The mean of the last `width` samples of each channel, as `moving_mean(centred=False)`; lags half its width."""

    def __init__(self, channels: int, width: int, least: float = 0.5) -> None:
        self.width, self.least = width, least
        self._recent = np.empty((0, channels))

    def feed(self, block: Floats) -> Floats:
        """Take samples (n, c); return their means (n, c)."""
        joined = np.concatenate((self._recent, block))
        means = moving_mean(joined.T, self.width, centred=False, least=self.least).T
        self._recent = joined[max(0, len(joined) - self.width + 1) :].copy() if self.width > 1 else joined[:0].copy()
        return means[len(joined) - len(block) :]


class ExponentialMean:
    """The first-order low-pass of each channel, as `exponential_mean`; lags `tau` s."""

    def __init__(self, channels: int, rate: float, tau: float) -> None:
        self._filter = FirstOrder(channels, rate, tau)

    def feed(self, block: Floats) -> Floats:
        """Take samples (n, c); return the filtered ones (n, c), NaN where a sample is."""
        return self._filter.feed(numbers(block).T).T


class Recent:
    """The newest `length` samples (n, c) of a stream."""

    def __init__(self, channels: int, length: int, kind: DTypeLike = np.float64) -> None:
        self.length = length
        self._held: NDArray[Any] = np.empty((2 * length, channels), kind)
        self._stop = 0

    def __len__(self) -> int:
        return min(self._stop, self.length)

    def feed(self, block: NDArray[Any]) -> None:
        """Take samples (n, c)."""
        block = block[-self.length :]
        if self._stop + len(block) > len(self._held):
            # Rarely: once in `length` samples the newest go back to the front.
            keep = min(self.length, self._stop)
            self._held[:keep] = self._held[self._stop - keep : self._stop].copy()
            self._stop = keep
        if self._stop + len(block) > len(self._held):
            keep = self.length - len(block)
            self._held[:keep] = self._held[self._stop - keep : self._stop].copy()
            self._stop = keep
        self._held[self._stop : self._stop + len(block)] = block
        self._stop += len(block)

    def newest(self, count: int | None = None) -> NDArray[Any]:
        """Return the newest `count` samples (all): a view, valid until the next `feed`."""
        n = len(self) if count is None else min(count, len(self))
        return self._held[self._stop - n : self._stop]
