"""Moving and exponential means that know missing samples, and what an instrument's time constant takes away."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers


def samples(seconds: float, rate: float) -> int:
    """Return the least odd number of samples that covers `seconds`, so that a centred window has a centre."""
    return 2 * (round(seconds * rate) // 2) + 1


def moving_mean(values: ArrayLike, width: int, *, centred: bool = True, least: float = 0.5) -> Floats:
    """Return the mean of `width` samples along the last axis, without the NaN among them.

    Centred (`width` odd) or trailing. At the ends the window shrinks to what there is; a window with a
    smaller share of data than `least` is NaN. Linear in time for every width.
    """
    x = numbers(values)
    if width < 1 or (centred and width % 2 == 0):
        raise ValueError(f"{width} samples: a centred window is odd, every window at least 1")
    n = x.shape[-1]
    if n == 0 or width == 1:
        return x.copy()
    good = np.isfinite(x)
    whole = bool(good.all())
    # Sums of values far from zero lose digits: sum the deviations from one level and add it again.
    level = _middle(x)
    after = (width - 1) // 2 if centred else 0
    total = _window_sum(x - level if whole else np.where(good, x - level, 0.0), width, after)
    size = _sizes(n, width, after)
    if whole:
        return np.asarray(total / size + level)
    found = _window_sum(good.astype(np.float64), width, after)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / found + level
    return np.where((found >= 1) & (found >= least * size), mean, np.nan)


def exponential_mean(values: ArrayLike, rate: float, tau: float) -> Floats:
    """Return y[n] = a y[n-1] + (1 - a) x[n], a = exp(-1/(rate tau)), along the last axis; y is x at the first sample.

    Where x is NaN so is y, and the recursion continues over the hole as if its samples had no weight. `tau` in s, 0
    for none.
    """
    x = numbers(values)
    if tau <= 0 or x.shape[-1] == 0:
        return x.copy()
    rows = x.reshape(-1, x.shape[-1])
    return FirstOrder(len(rows), rate, tau).feed(rows).reshape(x.shape)


class FirstOrder:
    """The recursion of `exponential_mean` for channels (c,) that come in pieces."""

    def __init__(self, channels: int, rate: float, tau: float) -> None:
        self._a = float(np.exp(-1.0 / (rate * tau))) if tau > 0 else 0.0
        self._total = np.zeros((channels, 1))
        self._weight = np.zeros((channels, 1))
        self._begun = np.zeros(channels, np.bool_)

    def feed(self, x: Floats) -> Floats:
        """Take samples (c, n); return the filtered ones, NaN where a sample is."""
        good = np.isfinite(x)
        fresh = ~self._begun & good.any(1)
        if not fresh.any():
            return self._run(x, good, slice(None))
        # Before its first sample a channel is thought to have been what it then is.
        result = np.full(x.shape, np.nan)
        first = np.where(fresh, np.argmax(good, axis=1), 0)
        for start in np.unique(first).tolist():
            rows = np.flatnonzero(first == start)
            new = rows[fresh[rows]]
            self._total[new, 0], self._weight[new, 0] = self._a * x[new, start], self._a
            result[rows, start:] = self._run(x[rows, start:], good[rows, start:], rows)
        self._begun |= fresh
        return result

    def _run(self, x: Floats, good: NDArray[np.bool_], rows: slice | NDArray[np.int64]) -> Floats:
        from scipy.signal import lfilter  # a second to load, which no recorded session needs

        b, a = [1 - self._a], [1, -self._a]
        total, self._total[rows] = lfilter(b, a, np.where(good, x, 0.0), zi=self._total[rows])
        weight, self._weight[rows] = lfilter(b, a, good.astype(np.float64), zi=self._weight[rows])
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: Floats = np.where(good, total / weight, np.nan)
        return mean


def amplitude_left(frequency: ArrayLike, tau: float) -> Floats:
    """Return the share of an oscillation's amplitude that a first-order time constant of `tau` s lets through.

    1 / sqrt(1 + (2 pi f tau)^2): 0.586 of a pulse of 1.1 Hz at 0.2 s, 0.048 at 3 s.
    """
    f = numbers(frequency, "frequency")
    left: Floats = 1.0 / np.sqrt(1.0 + np.square(2 * np.pi * f * tau))
    return left


def _middle(x: Floats) -> Floats:
    """Return a level (..., 1) that most samples are near and that no spike moves: the middle one of some 64 of them."""
    some = x[..., :: max(1, x.shape[-1] // 64)]
    good = np.isfinite(some)
    ordered = np.sort(np.where(good, some, np.inf), axis=-1)
    count = good.sum(-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, -1)
    return np.where(np.isfinite(middle), middle, 0.0)


def _sizes(n: int, width: int, after: int) -> Floats:
    """Return how many samples each window holds, cut off at both ends."""
    if n < 2 * width:
        return _window_sum(np.ones(n), width, after)
    sizes = np.full(n, float(width))
    sizes[: width - 1 - after] = np.arange(after + 1, width)
    sizes[n - after :] = np.arange(width - 1, width - 1 - after, -1)
    return sizes


def _window_sum(x: Floats, width: int, after: int) -> Floats:
    """Return the sum of each window that ends `after` samples behind its own, cut off at both ends.

    Of the samples of the window alone (van Herk 1992): one sum runs on from each block of `width` samples, one back
    towards its start, and a window is the end of one block and the start of the next. A difference of one running sum
    of the whole record would carry a single huge value into every window behind it.
    """
    n = x.shape[-1]
    before, after = min(width - 1 - after, n - 1), min(after, n - 1)
    width = before + after + 1
    blocks = -(-(n + width - 1) // width)
    if width < 8:
        padded = np.zeros((*x.shape[:-1], n + width - 1))
        padded[..., before : before + n] = x
        total: Floats = np.add.reduce([padded[..., k : k + n] for k in range(width)])
        return total
    padded = np.zeros((*x.shape[:-1], blocks * width))
    padded[..., before : before + n] = x
    block = padded.reshape(*x.shape[:-1], blocks, width)
    forward = np.cumsum(block, axis=-1).reshape(padded.shape)
    back = np.empty_like(block)
    np.cumsum(block[..., :0:-1], axis=-1, out=back[..., :0:-1])
    # A window that is a whole block is there already.
    back[..., 0] = 0.0
    result: Floats = forward[..., width - 1 : width - 1 + n]
    result += back.reshape(padded.shape)[..., :n]
    return result
