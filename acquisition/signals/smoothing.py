"""Moving and exponential means that know missing samples, and what an instrument's time constant takes away."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import lfilter

from acquisition.model import Floats


def samples(seconds: float, rate: float) -> int:
    """Return the least odd number of samples that covers `seconds`, so that a centred window has a centre."""
    return 2 * (round(seconds * rate) // 2) + 1


def moving_mean(values: ArrayLike, width: int, *, centred: bool = True, least: float = 0.5) -> Floats:
    """Return the mean of `width` samples along the last axis, without the NaN among them.

    Centred (`width` odd) or trailing. At the ends the window shrinks to what there is; a window with a
    smaller share of data than `least` is NaN. Linear in time for every width.
    """
    x = np.asarray(values, np.float64)
    if width < 1 or (centred and width % 2 == 0):
        raise ValueError(f"{width} samples: a centred window is odd, every window at least 1")
    n = x.shape[-1]
    if n == 0 or width == 1:
        return x.copy()
    good = np.isfinite(x)
    # Sums of values far from zero lose digits: sum the deviations from one level and add it again.
    level = np.where(good, x, 0.0).sum(-1, keepdims=True) / np.maximum(good.sum(-1, keepdims=True), 1)
    total = _running_sum(np.where(good, x - level, 0.0))
    count = _running_sum(good.astype(np.float64))
    after = (width - 1) // 2 if centred else 0
    stop = np.minimum(np.arange(n) + after + 1, n)
    start = np.maximum(np.arange(n) + after + 1 - width, 0)
    found = count[..., stop] - count[..., start]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total[..., stop] - total[..., start]) / found + level
    return np.where((found >= 1) & (found >= least * (stop - start)), mean, np.nan)


def exponential_mean(values: ArrayLike, rate: float, tau: float) -> Floats:
    """Return y[n] = a y[n-1] + (1 - a) x[n], a = exp(-1/(rate tau)), along the last axis.

    Started as the weighted mean of what came so far, not from zero. Where x is NaN so is y, and the
    recursion continues over the hole as if its samples had no weight. `tau` in s, 0 for none.
    """
    x = np.asarray(values, np.float64)
    if tau <= 0 or x.shape[-1] == 0:
        return x.copy()
    a = float(np.exp(-1.0 / (rate * tau)))
    good = np.isfinite(x)
    total = lfilter([1 - a], [1, -a], np.where(good, x, 0.0), axis=-1)
    weight = lfilter([1 - a], [1, -a], good.astype(np.float64), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: Floats = np.where(good, total / weight, np.nan)
    return mean


def amplitude_left(frequency: ArrayLike, tau: float) -> Floats:
    """Return the share of an oscillation's amplitude that a first-order time constant of `tau` s lets through.

    1 / sqrt(1 + (2 pi f tau)^2): 0.586 of a pulse of 1.1 Hz at 0.2 s, 0.048 at 3 s.
    """
    f = np.asarray(frequency, np.float64)
    left: Floats = 1.0 / np.sqrt(1.0 + np.square(2 * np.pi * f * tau))
    return left


def _running_sum(x: Floats) -> Floats:
    total = np.zeros((*x.shape[:-1], x.shape[-1] + 1))
    np.cumsum(x, axis=-1, out=total[..., 1:])
    return total
