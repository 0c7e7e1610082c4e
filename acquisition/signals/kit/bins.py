"""Means over equal bins of time: the same numbers whether a record comes whole or in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from acquisition.model import Floats
from acquisition.signals.result import Trace

MOST_BINS = 1_000_000
"""In one piece of a record: eleven days of seconds."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Bin k covers [origin + k * width, origin + (k + 1) * width) s, from k = `first` on.

    sums (n,) float64 of the samples that were data; counts (n,) of them.
    """

    origin: float
    width: float
    first: int
    sums: Floats
    counts: Floats

    def __len__(self) -> int:
        return len(self.sums)

    @property
    def means(self) -> Floats:
        """The mean of each bin, NaN where it holds no data."""
        means: Floats = np.divide(self.sums, self.counts, out=np.full(len(self), np.nan), where=self.counts > 0)
        return means

    @property
    def ends(self) -> Floats:
        """Where each bin ends, s: the moment from which its mean is known."""
        ends: Floats = (
            self.origin + np.arange(self.first + 1, self.first + 1 + len(self), dtype=np.float64) * self.width
        )
        return ends


def bin_means(trace: Trace, origin: float, width: float) -> Bins:
    """Average the samples that are data in every bin that the trace has completed.

    The last bin counts as complete only when a sample beyond it, data or not, has been seen.
    """
    binner = Binner(origin, width)
    return binner.feed(trace)


class Binner:
    """Averages a stream of traces into bins; samples before `origin` are left out."""

    def __init__(self, origin: float, width: float) -> None:
        self.origin = origin
        self.width = width
        self._next = 0
        self._pending = Trace.of([], [])

    def feed(self, trace: Trace) -> Bins:
        """Take the samples that follow; answer the bins which they completed."""
        pending = _joined(self._pending, trace)
        index = np.floor((pending.time - self.origin) / self.width).astype(np.int64)
        open_bin = max(int(index[-1]), self._next) if len(index) else self._next
        if open_bin == self._next and (index >= open_bin).all():
            self._pending = pending
            return Bins(self.origin, self.width, open_bin, np.empty(0), np.empty(0))
        # Samples are added in their order within one bin, so pieces of any size give the same bits.
        if open_bin - self._next > MOST_BINS:
            k = int(np.argmax(np.diff(pending.time)))
            raise ValueError(
                f"hole of {pending.time[k + 1] - pending.time[k]:.4g} s after {pending.time[k]:.9g} s: "
                f"{open_bin - self._next} bins of {self.width:g} s; cut the window out first, with Trace.between"
            )
        done = index < open_bin
        use = done & (index >= self._next) & pending.valid
        slots, size = index[use] - self._next, open_bin - self._next
        counts: Floats = np.bincount(slots, minlength=size).astype(np.float64)
        sums: Floats = np.bincount(slots, pending.values[use], size).astype(np.float64, copy=False)
        bins = Bins(self.origin, self.width, self._next, sums, counts)
        self._pending = Trace(pending.time[~done], pending.values[~done], pending.quality[~done])
        self._next = open_bin
        return bins


def _joined(left: Trace, right: Trace) -> Trace:
    if not len(left):
        return right
    return Trace(
        np.concatenate([left.time, right.time]),
        np.concatenate([left.values, right.values]),
        np.concatenate([left.quality, right.quality]),
    )
