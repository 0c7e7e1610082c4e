"""Power density by Welch's method: the mean periodogram of overlapping windowed segments (Welch 1967)."""

from __future__ import annotations

import numpy as np

from acquisition.model import Floats


def welch(x: Floats, rate: float, segment: int) -> tuple[Floats, Floats]:
    """Return frequency (Hz) and one-sided power density (unit^2/Hz) of samples (n,) at `rate` Hz.

    Hann segments of `segment` samples, each overlapping the next by half, a line fitted and taken away from each.
    ValueError where there is less than one segment of two samples.
    """
    if not 2 <= segment <= len(x):
        raise ValueError(f"segments of {segment} samples in {len(x)}")
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(segment) / segment)
    parts = np.lib.stride_tricks.sliding_window_view(x, segment)[:: segment - segment // 2]
    t = np.arange(segment) - (segment - 1) / 2.0
    level = parts.mean(axis=1, keepdims=True)
    slope = (parts @ t)[:, None] / np.square(t).sum()
    spectrum = np.fft.rfft((parts - level - slope * t) * window, axis=1)
    density: Floats = (np.square(spectrum.real) + np.square(spectrum.imag)).mean(axis=0)
    density *= 2.0 / (rate * np.square(window).sum())
    density[0] /= 2.0
    if segment % 2 == 0:
        density[-1] /= 2.0
    frequency: Floats = np.fft.rfftfreq(segment, 1.0 / rate).astype(np.float64)
    return frequency, density
