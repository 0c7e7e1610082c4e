"""The stretched exponential: its parameters come back, and what it cannot fit is said."""

import numpy as np
import pytest

from acquisition.signals.decay import fit_decay, level, without_decay
from acquisition.signals.result import Status, Trace

TRUE = {"decay_amplitude": 107.4, "decay_time_constant": 23.22, "decay_shape": 1.347, "decay_offset": 11.77}


def trace(noise=0.0, stop=300.0, wave=0.0):
    t = np.arange(0, stop, 0.1)
    x = level(list(TRUE.values()), t) + noise * np.random.default_rng(2).normal(size=t.size)
    return Trace.of(t + 500, x + wave * np.cos(2 * np.pi * 0.1 * t))


def test_the_parameters_come_back():
    found = fit_decay(trace(), 500, 800)
    for name, truth in TRUE.items():
        assert found[name].value == pytest.approx(truth, rel=1e-5), name
    assert found["decay_r_squared"].value == pytest.approx(1.0)


def test_noise_costs_little_and_shows_in_r_squared():
    found = fit_decay(trace(noise=6.0), 500, 800)
    for name, truth in TRUE.items():
        assert found[name].value == pytest.approx(truth, rel=0.05), name
    assert 0.8 < found["decay_r_squared"].value < 0.97


def test_without_the_fall_only_the_wave_is_left():
    rest, fit = without_decay(trace(wave=2.0), 500, 800)
    wave = 2.0 / fit["decay_offset"].value * np.cos(2 * np.pi * 0.1 * (rest.time - 500))
    assert np.abs(rest.values - wave)[200:].max() < 0.05


def test_a_straight_line_ends_on_a_bound():
    t = np.arange(0, 300, 0.5)
    found = fit_decay(Trace.of(t, 50 - 0.01 * t), 0, 300)
    assert Status.LOW_QUALITY in {r.status for r in found.values()}


def test_what_the_other_parameters_leave_is_no_better_than_the_one_on_its_bound():
    """A flux that has hardly begun to fall: the shape ends on its bound, and no other parameter is a measurement."""
    t = np.arange(0, 140, 0.05)
    wave = 3.0 * np.sin(2 * np.pi * t / 45.0) + 1.5 * np.sin(2 * np.pi * 1.1 * t)
    found = fit_decay(Trace.of(t, 22.0 + wave - 6.0 * (t > 115)), 0, 140)
    assert "on_its_bound" in {result.reason for result in found.values()}
    for name in TRUE:
        assert found[name].status is Status.LOW_QUALITY, name
        assert found[name].reason in ("on_its_bound", "fit_on_a_bound")


def test_too_few_data_fit_nothing():
    assert {r.reason for r in fit_decay(trace(), 500, 504).values()} == {"too_few_data"}
    rest, _ = without_decay(trace(), 500, 504)
    assert np.isnan(rest.values).all()
