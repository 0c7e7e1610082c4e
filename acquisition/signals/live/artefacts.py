"""Spikes while they come: each sample against the twenty seconds before it."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from acquisition.model import Floats
from acquisition.signals.artefacts import NORMAL_MAD, Hampel
from acquisition.signals.result import Mask


def causal_hampel(values: Floats, rate: float, rule: Hampel | None = None, resolution: float = 0.0) -> Mask:
    """Return which samples (n, c) are spikes against the window that ends with them; none in its first half.

    It marks a jump to a new level until half of the window has followed, and it looks at nothing that is
    still to come; results are made with the centred form. `resolution` is the step of the input.
    """
    rule = rule or Hampel()
    before = np.full((_width(rule, rate) - 1, values.shape[1]), np.nan)
    return _marks(np.concatenate((before, values)), _width(rule, rate), rule, resolution)


class SpikeMeter:
    """Marks spikes of each channel of a stream at `rate` Hz, as `causal_hampel` does for the whole of it."""

    def __init__(self, channels: int, rate: float, rule: Hampel | None = None, resolution: float = 0.0) -> None:
        self.rule, self.resolution = rule or Hampel(), resolution
        self._width = _width(self.rule, rate)
        self._before = np.full((self._width - 1, channels), np.nan)

    def feed(self, block: Floats) -> Mask:
        """Take samples (n, c); return the marks (n, c)."""
        joined = np.concatenate((self._before, block))
        self._before = joined[len(joined) - self._width + 1 :].copy()
        return _marks(joined, self._width, self.rule, self.resolution)


def _width(rule: Hampel, rate: float) -> int:
    return max(3, round(rule.window * rate))


def _marks(joined: Floats, width: int, rule: Hampel, resolution: float) -> Mask:
    """Return the marks of the samples behind the first width - 1."""
    n, c = len(joined) - width + 1, joined.shape[1]
    marks = np.zeros((n, c), np.bool_)
    block = max(1, 2_000_000 // (width * c))
    for start in range(0, n, block):
        windows = sliding_window_view(joined[start : start + block + width - 1], width, axis=0)
        newest = windows[..., -1]
        enough = np.isfinite(windows).sum(-1) >= width // 2
        # NaN of the median costs much more, and only the start and holes need it.
        middle = _median if np.isfinite(windows).all() else _nanmedian
        centre = middle(windows, axis=-1)
        spread = middle(np.abs(windows - centre[..., None]), axis=-1)
        limit = rule.threshold * np.maximum(NORMAL_MAD * spread, resolution)
        marks[start : start + block] = enough & (np.abs(newest - centre) > limit + 1e-12 * np.abs(centre))
    return marks


def _median(x: Floats, axis: int) -> Floats:
    """Return the median of finite values, as `np.median`, which looks for NaN too."""
    n = x.shape[axis]
    low, high = (n - 1) // 2, n // 2
    ordered = np.partition(x, (low, high) if high > low else low, axis)
    middle: Floats = 0.5 * (ordered.take(low, axis) + ordered.take(high, axis))
    return middle


def _nanmedian(x: Floats, axis: int) -> Floats:
    """Return the median of what is finite; NaN, without a warning, where nothing is."""
    good = np.isfinite(x)
    count = good.sum(axis)
    ordered = np.sort(np.where(good, x, np.inf), axis=axis)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    pick = [np.take_along_axis(ordered, k[..., None], axis)[..., 0] for k in (low, np.minimum(high, x.shape[axis] - 1))]
    with np.errstate(invalid="ignore"):
        middle: Floats = np.where(count > 0, 0.5 * (pick[0] + pick[1]), np.nan)
    return middle
