"""The pulse in flux: its strength and its rate over the last ten seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, sosfilt

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.streaming import Recent

BAND = (0.6, 2.0)
SHOWN = 10.0
"""Seconds that rms and rate are of; the lag of both is half of it."""
CLEAR = 0.4
"""Autocorrelation at one beat below which no rate is shown."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Arrays (c,): rms (PU) of the band 0.6-2 Hz, beats/min (NaN when unclear), autocorrelation at one beat."""

    strength: Floats
    rate: Floats
    clarity: Floats


class PulseMeter:
    """Follows the pulse of each channel at `rate` Hz (at least 5 Hz)."""

    def __init__(self, channels: int, rate: float) -> None:
        if rate < 5.0:
            raise ValueError(f"{rate:g} samples/s cannot show a pulse; at least 5")
        self.rate = rate
        self._sections = butter(2, BAND, "bandpass", fs=rate, output="sos")
        self._state = np.zeros((len(self._sections), channels, 2))
        self._level = np.full(channels, np.nan)
        self._held = np.full(channels, np.nan)
        self._recent = Recent(channels, round(SHOWN * rate))

    def feed(self, block: Floats) -> None:
        """Take samples (n, c); a missing one is the one before it."""
        x = held(numbers(block), self._held)
        if not len(x):
            return
        self._held = x[-1]
        # Filtered from its first level on, a channel does not ring with a step from zero.
        first = x[np.argmax(np.isfinite(x), axis=0), np.arange(x.shape[1])]
        self._level = np.where(np.isfinite(self._level), self._level, first)
        y = np.where(np.isfinite(x), x - self._level, 0.0)
        out, self._state = sosfilt(self._sections, y.T, axis=-1, zi=self._state)
        self._recent.feed(out.T)

    def now(self) -> Pulse:
        """Return the pulse of the last ten seconds; NaN before there are that many."""
        return pulse(self._recent.newest().T, self.rate, len(self._recent) == self._recent.length)


def pulse(filtered: Floats, rate: float, whole: bool = True) -> Pulse:
    """Return the pulse of band-passed samples (c, n): rms, and the highest autocorrelation in 36-120 /min."""
    c, n = filtered.shape
    if not whole or n < 4:
        none = np.full(c, np.nan)
        return Pulse(none, none.copy(), none.copy())
    size = next_fast_len(2 * n, real=True)
    spectrum = rfft(filtered, size, axis=-1)
    correlation = irfft(np.square(spectrum.real) + np.square(spectrum.imag), size, axis=-1)[:, :n]
    # Of fewer products at longer lags: unbiased, or every rate would be drawn towards the fast ones.
    correlation = correlation / (n - np.arange(n))
    strength = np.sqrt(correlation[:, 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        normal = correlation / correlation[:, :1]
    first, last = max(1, int(rate / BAND[1])), min(n - 2, int(np.ceil(rate / BAND[0])))
    lags = normal[:, first : last + 1]
    at = np.argmax(np.where(np.isfinite(lags), lags, -np.inf), axis=1) + first
    rows = np.arange(c)
    before, here, after = normal[rows, at - 1], normal[rows, at], normal[rows, at + 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.clip(0.5 * (before - after) / (before - 2 * here + after), -0.5, 0.5)
    beats = np.where(here >= CLEAR, 60.0 * rate / (at + shift), np.nan)
    return Pulse(strength, beats, here)


def held(block: Floats, last: Floats) -> Floats:
    """Return the block (n, c) with each missing sample replaced by the one before it, the first by `last`."""
    good = np.isfinite(block)
    if good.all():
        return block
    row = np.where(good, np.arange(len(block))[:, None], -1)
    newest = np.maximum.accumulate(row, axis=0)
    filled: Floats = np.where(newest >= 0, np.take_along_axis(block, np.maximum(newest, 0), axis=0), last)
    return filled
