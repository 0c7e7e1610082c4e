"""Perfusion from the raw photodetector: moments of the Doppler spectrum, for digitisers behind an open monitor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import get_window

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Noise:
    """Power density of a static reflector at a level of light: n0 + n1 dc (shot noise grows with dc), unit^2/Hz."""

    n0: float = 0.0
    n1: float = 0.0

    def density(self, dc: Floats) -> Floats:
        """Return the density at each light level."""
        return self.n0 + self.n1 * dc

    @classmethod
    def fitted(cls, dc: ArrayLike, density: ArrayLike) -> Noise:
        """Return the noise that fits densities measured on a static reflector at several levels of light."""
        slope, offset = np.polyfit(numbers(dc, "dc"), numbers(density, "density"), 1)
        return cls(float(offset), float(slope))


@dataclass(frozen=True, slots=True)
class Moments:
    """Arrays (n,), one value a block; NaN where there is none.

    concentration M0/dc^2 (share of moving cells; linear below about 1 per cent of them), flux M1/dc^2 (Hz), speed
    M1/M0 (Hz: the mean Doppler shift). Dividing by dc^2 frees them from the level of light. `low_light`,
    `over_range`: the spectrum does not end below the upper limit.
    """

    concentration: Floats
    flux: Floats
    speed: Floats
    low_light: Mask
    over_range: Mask


def moments(
    blocks: ArrayLike,
    rate: float,
    dc: ArrayLike,
    *,
    low: float = 20.0,
    high: float = 13_000.0,
    noise: Noise | None = None,
    least_light: float = 0.0,
    gains: tuple[float, float] = (1.0, 1.0),
) -> Moments:
    """Return the moments of detector blocks (n, m) at `rate` Hz, with total light dc (n,).

    Hann window, one-sided density, integrals from `low` to `high` Hz with the noise taken off; `gains` are the
    instrument's k0 and k1. A block whose M0 is not above the noise has no speed.
    """
    x = np.atleast_2d(numbers(blocks, "blocks"))
    light = np.broadcast_to(numbers(dc, "dc"), len(x))
    window = get_window("hann", x.shape[1])
    spectrum = np.fft.rfft((x - x.mean(1, keepdims=True)) * window, axis=1)
    density = 2.0 * (np.square(spectrum.real) + np.square(spectrum.imag)) / (rate * np.square(window).sum())
    frequency = np.fft.rfftfreq(x.shape[1], 1.0 / rate)
    inside = (frequency >= low) & (frequency <= high)
    f = frequency[inside]
    step = float(frequency[1])
    bare = density[:, inside] - (noise or Noise()).density(light)[:, None]
    m0, m1 = bare.sum(1) * step, (bare * f).sum(1) * step
    dark = ~(light > least_light)
    with np.errstate(divide="ignore", invalid="ignore"):
        concentration = np.where(dark, np.nan, gains[0] * m0 / np.square(light))
        flux = np.where(dark, np.nan, gains[1] * m1 / np.square(light))
        speed = np.where(dark | ~(m0 > 0), np.nan, m1 / m0)
    # The last tenth of the band against all of it: an exponential spectrum that fits holds next to nothing there.
    top = bare[:, f >= low + 0.9 * (high - low)].sum(1) * step
    return Moments(concentration, flux, speed, dark, top > 0.05 * m0)
