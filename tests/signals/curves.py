"""Hyperaemia as closed formulas, so that every level, time and area of it is known."""

from dataclasses import dataclass

import numpy as np
from scipy.special import gamma, gammainc

from acquisition.signals.hyperaemia import Settings
from acquisition.signals.occlusion import MarkSource, Occlusion
from acquisition.signals.result import Trace


@dataclass(frozen=True)
class Hyperaemia:
    """Flux falls to the zero in 3 s, rises after `lag` to its peak, falls as a stretched exponential."""

    rest: float = 12.0
    zero: float = 4.5
    peak: float = 85.0
    to_peak: float = 16.0
    rise: float = 5.0
    b: float = 28.0
    c: float = 1.35
    lag: float = 0.5
    on: float = 300.0
    off: float = 480.0

    @property
    def _e(self):
        return 1 - np.exp(-(self.to_peak - self.lag) / self.rise)

    def level(self, t):
        u = t - self.off
        closed = self.zero + (self.rest - self.zero) * np.exp(-np.maximum(t - self.on, 0) / 3)
        up = self.zero + (self.peak - self.zero) * (1 - np.exp(-np.maximum(u - self.lag, 0) / self.rise)) / self._e
        down = self.rest + (self.peak - self.rest) * np.exp(-((np.maximum(u - self.to_peak, 0) / self.b) ** self.c))
        x = np.where(t < self.on, self.rest, closed)
        x = np.where(u >= 0, up, x)
        return np.where(u >= self.to_peak, down, x)

    def trace(self, rate=40.0, stop=900.0, noise=0.0, seed=0, pulse=0.0):
        t = np.arange(0, stop, 1 / rate)
        rng = np.random.default_rng(seed)
        x = self.level(t)
        x = self.zero + (x - self.zero) * (1 + pulse * np.cos(2 * np.pi * 1.1 * t))
        return Trace.of(t, x + noise * np.sqrt(np.maximum(x, 0)) * rng.normal(size=t.size))

    def reaches(self, level):
        """Seconds after release at which the rise meets a level."""
        return self.lag - self.rise * np.log(1 - (level - self.zero) / (self.peak - self.zero) * self._e)

    def falls_to(self, share):
        """Seconds after release at which rest + share (peak - rest) is left."""
        return self.to_peak + self.b * (-np.log(share)) ** (1 / self.c)

    def debt(self):
        d = self.off - self.on
        return (self.rest - self.zero) * (d - 3 * (1 - np.exp(-d / 3)))

    def risen(self, u):
        """Integral of (x - zero) from release to u <= to_peak."""
        v = max(u - self.lag, 0.0)
        return (self.peak - self.zero) / self._e * (v - self.rise * (1 - np.exp(-v / self.rise)))

    def fallen(self, u):
        """Integral of (x - rest) from the peak to u seconds after release."""
        v = u - self.to_peak
        return (
            (self.peak - self.rest) * self.b / self.c * gamma(1 / self.c) * gammainc(1 / self.c, (v / self.b) ** self.c)
        )

    def area(self, u):
        """Integral of (x - zero) from release to u."""
        return self.risen(self.to_peak) + self.fallen(u) + (self.rest - self.zero) * (u - self.to_peak)


HEALTHY = Hyperaemia()
CLAUDICANT = Hyperaemia(9, 4, 24, 73, 35, 150, 1.2, 5)
CUFF = Occlusion(300.0, 480.0, MarkSource.CUFF)
EXACT = Settings(smoothing=0.0)


def value(results, name):
    """The value of an index that has one."""
    assert results[name].value is not None, results[name]
    return results[name].value
