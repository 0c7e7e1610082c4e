"""Oscillations with known energy: the reference record of six tones, with and without noise."""

import numpy as np
from scipy.fft import next_fast_len

FREQUENCIES = np.array([0.007, 0.014, 0.035, 0.09, 0.27, 1.1])
AMPLITUDES = np.array([2, 3.5, 3, 2.5, 1, 3])
PHASES = np.array([0.3, 1.1, 2, 0.7, 2.9, 0.1])


def six_tones(rate=40.0, n=144_000, noise=True):
    """20 + six cosines, one in each band, and pink noise of standard deviation 1, rounded to 0.01."""
    t = np.arange(n) / rate
    x = 20 + (AMPLITUDES[:, None] * np.cos(2 * np.pi * FREQUENCIES[:, None] * t + PHASES[:, None])).sum(0)
    if not noise:
        return x
    white = np.fft.rfft(np.random.default_rng(20240501).normal(size=n))
    f = np.fft.rfftfreq(n)
    f[0] = f[1]
    pink = np.fft.irfft(white / np.sqrt(f), n)
    return np.round(x + (pink - pink.mean()) / pink.std(), 2)


def plain_powers(x, rate, frequencies, pad=6.0):
    """Mean |W|^2 of each voice by one inverse FFT of the whole record at its full rate: the definition, written out."""
    n = len(x)
    size = next_fast_len(n + int(np.ceil(pad / frequencies[-1] * rate)), real=True)
    spectrum = np.fft.fft(x, size)
    w = 2 * np.pi * np.fft.fftfreq(size, 1 / rate)
    out = []
    for f in frequencies:
        gain = np.where(w > 0, 2 * np.exp(-0.5 * (w / f - 2 * np.pi) ** 2), 0.0)
        lead = int(np.ceil(np.sqrt(2) / f * rate - 1e-9))
        part = np.fft.ifft(spectrum * gain)[lead : n - lead]
        out.append(np.mean(np.abs(part) ** 2) if len(part) else np.nan)
    return np.array(out)
