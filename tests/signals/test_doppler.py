"""Moments of synthetic Doppler spectra: linear in speed and concentration, free of the level of light."""

import numpy as np
import pytest

from acquisition.signals.doppler import Noise, moments

RATE, BLOCK = 40_000.0, 1024


def detector(mean_shift, concentration=1.0, dc=1.0, blocks=400, seed=0, noise=0.0):
    """Gaussian noise whose density falls as exp(-f/mean_shift), and white noise of a density."""
    rng = np.random.default_rng(seed)
    f = np.fft.rfftfreq(BLOCK * blocks, 1 / RATE)
    density = concentration * dc**2 * np.exp(-f / mean_shift) / mean_shift + noise
    size = len(f)
    spectrum = np.sqrt(density * RATE * BLOCK * blocks / 4) * (rng.normal(size=size) + 1j * rng.normal(size=size))
    return np.fft.irfft(spectrum, BLOCK * blocks).reshape(blocks, BLOCK)


def test_moments_of_an_exponential_spectrum_are_those_of_the_formula():
    found = moments(detector(600.0), RATE, 1.0)
    # Integrals of exp(-f/600)/600 from 20 Hz on; the window blurs the lowest bins a little.
    a = 20 / 600
    assert found.concentration.mean() == pytest.approx(np.exp(-a), rel=0.05)
    assert found.flux.mean() == pytest.approx(600 * (1 + a) * np.exp(-a), rel=0.03)
    assert not found.over_range.any()


def test_flux_is_linear_in_speed_and_in_concentration():
    flux = [moments(detector(fc), RATE, 1.0).flux.mean() for fc in (300, 600, 1200)]
    assert flux[1] / flux[0] == pytest.approx(2, rel=0.03)
    assert flux[2] / flux[1] == pytest.approx(2, rel=0.03)
    dense = [moments(detector(600, c), RATE, 1.0) for c in (1, 2, 4)]
    assert dense[2].flux.mean() / dense[0].flux.mean() == pytest.approx(4, rel=1e-6)
    assert dense[2].speed.mean() == pytest.approx(dense[0].speed.mean(), rel=1e-6)


def test_more_light_changes_nothing():
    one, two = (moments(detector(600, dc=dc), RATE, dc) for dc in (1.0, 2.5))
    assert np.allclose(one.flux, two.flux)
    assert np.allclose(one.concentration, two.concentration)


def test_noise_of_a_static_reflector_comes_off():
    level = 2e-5
    raw, bare = (moments(detector(600, noise=level), RATE, 1.0, noise=n) for n in (None, Noise(0.0, level)))
    clean = moments(detector(600), RATE, 1.0)
    assert raw.flux.mean() > 1.5 * clean.flux.mean()
    assert bare.flux.mean() == pytest.approx(clean.flux.mean(), rel=0.05)
    fitted = Noise.fitted([1.0, 2.0, 3.0], [0.3, 0.5, 0.7])
    assert (fitted.n0, fitted.n1) == (pytest.approx(0.1), pytest.approx(0.2))


def test_no_light_has_no_perfusion_and_no_movement_no_speed():
    dark = moments(detector(600), RATE, 0.0)
    assert dark.low_light.all()
    assert np.isnan(dark.flux).all()
    still = moments(np.zeros((3, BLOCK)), RATE, 1.0, noise=Noise(1e-3))
    assert np.isnan(still.speed).all()


def test_a_spectrum_that_does_not_end_in_the_band_is_over_range():
    assert moments(detector(40_000.0), RATE, 1.0).over_range.mean() > 0.9
