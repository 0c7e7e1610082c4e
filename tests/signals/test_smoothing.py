"""Means over missing samples, and the share of an oscillation that a time constant leaves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.signals.kit.smoothing import amplitude_left, exponential_mean, moving_mean, samples

finite = st.floats(-1e4, 1e4)
series = st.lists(finite | st.just(math.nan), min_size=1, max_size=60).map(lambda v: np.array(v, float))


def plain(x, width, centred):
    out = []
    for i in range(len(x)):
        stop = min(i + (width - 1) // 2 + 1 if centred else i + 1, len(x))
        start = max((i + (width - 1) // 2 + 1 if centred else i + 1) - width, 0)
        window = x[start:stop]
        good = window[np.isfinite(window)]
        out.append(good.mean() if len(good) >= max(1, 0.5 * len(window)) else math.nan)
    return np.array(out)


@given(series, st.integers(0, 12), st.booleans())
def test_a_moving_mean_is_the_mean_of_each_window(x, half, centred):
    assert np.allclose(moving_mean(x, 2 * half + 1, centred=centred), plain(x, 2 * half + 1, centred), equal_nan=True)


@given(series, finite, st.floats(0.01, 100))
def test_means_follow_shift_and_scale(x, shift, scale):
    for smooth in (lambda v: moving_mean(v, 5), lambda v: exponential_mean(v, 10, 0.7)):
        assert np.allclose(smooth(scale * x + shift), scale * smooth(x) + shift, equal_nan=True, rtol=1e-9, atol=1e-6)


def test_a_level_far_from_zero_costs_no_digits():
    x = 1e9 + np.random.default_rng(1).normal(size=200_000)
    assert np.abs(moving_mean(x, 3)[1:-1] - (x[:-2] + x[1:-1] + x[2:]) / 3).max() < 1e-5


def test_channels_are_smoothed_as_if_alone():
    x = np.random.default_rng(2).normal(size=(3, 500))
    x[1, 40:90] = math.nan
    for smooth in (lambda v: moving_mean(v, 21), lambda v: exponential_mean(v, 40, 0.2)):
        assert np.array_equal(smooth(x), np.stack([smooth(row) for row in x]), equal_nan=True)


def test_an_even_window_has_no_centre():
    with pytest.raises(ValueError, match="odd"):
        moving_mean(np.ones(9), 4)
    assert [samples(3.0, 2.0), samples(3.0, 40.0), samples(0.1, 2.0)] == [7, 121, 1]


def test_an_exponential_mean_settles_like_a_resistor_and_a_capacitor():
    rate, tau = 1000.0, 0.2
    after = exponential_mean(np.concatenate([np.zeros(20_000), np.ones(2_000)]), rate, tau)[20_000:]
    t = np.arange(1, 2001) / rate
    assert np.allclose(after, 1 - np.exp(-t / tau), atol=1e-9)


def test_an_exponential_mean_is_its_recursion_from_the_first_sample_on():
    x = np.random.default_rng(0).normal(size=300)
    y, a = exponential_mean(x, 10.0, 3.0), math.exp(-1 / 30)
    assert y[0] == pytest.approx(x[0])
    assert np.allclose(y[1:], a * y[:-1] + (1 - a) * x[1:], atol=1e-12)
    late = np.concatenate([np.full(7, math.nan), x])
    assert np.allclose(exponential_mean(np.stack([late, np.r_[x, x[:7]]]), 10.0, 3.0)[0, 7:], y, atol=1e-12)


def test_a_time_constant_takes_its_share_of_the_pulse():
    assert amplitude_left(1.1, 0.2) == pytest.approx(0.586, abs=5e-4)
    assert amplitude_left(1.1, 3.0) == pytest.approx(0.048, abs=5e-4)
    t = np.arange(0, 200, 0.001)
    damped = exponential_mean(np.sin(2 * np.pi * 1.1 * t), 1000, 0.2)[100_000:]
    assert np.ptp(damped) / 2 == pytest.approx(float(amplitude_left(1.1, 0.2)), rel=1e-3)


def test_a_hole_leaves_the_exponential_mean_where_it_was():
    x = np.concatenate([np.full(200, 5.0), np.full(50, math.nan), np.full(3, 5.0)])
    y = exponential_mean(x, 10, 1.0)
    assert np.isnan(y[200:250]).all()
    assert np.allclose(y[np.isfinite(y)], 5.0)
