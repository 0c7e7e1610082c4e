"""The transform against its definition at full rate, against a formula, and against other people's programs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.signals.wavelet import REACH, TONE_ENERGY, Plan, Voices, plan
from tests.signals.waves import AMPLITUDES, FREQUENCIES, plain_powers, six_tones

SIX = Voices(0.005, 2.0)


def centred(x):
    return x - x.mean()


def test_the_grid_of_the_six_bands_has_139_voices():
    f = SIX.frequencies
    assert len(f) == 139
    assert f[0] == 2.0
    assert f[-1] == pytest.approx(0.0050658, abs=1e-7)
    assert np.allclose(np.diff(np.log2(f)), -1 / 16)


@pytest.mark.parametrize(("low", "high"), [(0.0095, 0.021), (0.6, 2.0), (0.052, 0.145)])
def test_the_cells_of_a_band_fill_it(low, high):
    assert SIX.share(low, high).sum() == pytest.approx(math.log(high / low))


@pytest.mark.parametrize("kind", ["ends", "direct"])
def test_every_sixth_voice_of_an_hour_agrees_with_the_full_rate_transform(kind):
    x = centred(six_tones())
    found = Plan(144_000, 40.0, SIX, direct=kind == "direct").powers(x).mean[0]
    # The padding follows from the slowest voice, so it is asked for last.
    some = np.append(np.arange(0, 138, 6), 138)
    expected = plain_powers(x, 40.0, SIX.frequencies[some])
    limit = 5e-11 if kind == "ends" else 3e-14
    assert np.abs(found[some] / expected - 1).max() < limit


def test_both_ways_agree_on_slow_drift_that_ends_in_a_step():
    x = centred(np.random.default_rng(0).normal(size=12_000).cumsum())
    ends, direct = Plan(12_000, 10.0, SIX).powers(x).mean, Plan(12_000, 10.0, SIX, direct=True).powers(x).mean
    assert np.nanmax(np.abs(ends / direct - 1)) < 2e-8


def test_a_tone_has_the_energy_of_the_formula():
    t = np.arange(0, 1200, 0.1)
    wide = Voices(0.02, 0.5)
    found = Plan(len(t), 10.0, wide, cone=REACH).powers(2.5 * np.cos(2 * np.pi * 0.1 * t + 1)).mean[0]
    energy = np.sum(found * math.log(2) / 16)
    assert energy == pytest.approx(TONE_ENERGY * 2.5**2, rel=1e-7)


def test_the_constant_of_the_formula_is_its_integral():
    v = np.linspace(-6, 3, 2_000_001)
    density = np.exp(-((2 * np.pi * (np.exp(-v) - 1)) ** 2))
    assert np.sum(density) * (v[1] - v[0]) == pytest.approx(TONE_ENERGY, abs=5e-10)


def test_six_tones_hold_the_sum_of_their_energies():
    x = centred(six_tones(noise=False))
    wide = Voices(0.0045, 2.5)
    found = Plan(144_000, 40.0, wide, cone=5.0).powers(x).mean[0]
    # Tones an octave apart beat a little where both reach a voice.
    assert np.sum(found * math.log(2) / 16) == pytest.approx(TONE_ENERGY * np.sum(AMPLITUDES**2), rel=2e-3)
    strongest = {wide.frequencies[np.argmin(np.abs(np.log(wide.frequencies / f)))] for f in FREQUENCIES}
    local = (found[1:-1] > found[:-2]) & (found[1:-1] > found[2:])
    assert set(wide.frequencies[1:-1][local]) == strongest


def test_a_cosine_of_amplitude_one_gives_one():
    t = np.arange(0, 600, 0.05)
    chosen = Plan(len(t), 20.0, Voices(0.1, 1.0), cone=REACH)
    found = chosen.powers(np.cos(2 * np.pi * 0.5 * t)).mean[0]
    assert found[np.argmin(np.abs(chosen.frequencies - 0.5))] == pytest.approx(1.0, rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.integers(0, 99))
def test_power_grows_with_the_square_and_does_not_know_the_direction_of_time(scale, seed):
    x = centred(np.random.default_rng(seed).normal(size=3000))
    chosen = plan(3000, 10.0, Voices(0.05, 2.0))
    one = chosen.powers(x).mean
    assert np.allclose(chosen.powers(scale * x).mean, scale**2 * one, rtol=1e-9, equal_nan=True)
    assert np.allclose(chosen.powers(x[::-1]).mean, one, rtol=1e-7, equal_nan=True)


def test_records_at_once_are_as_each_alone():
    x = np.random.default_rng(1).normal(size=(4, 12_000))
    chosen = plan(12_000, 10.0, SIX)
    together = chosen.powers(x).mean
    for k in range(4):
        assert np.allclose(chosen.powers(x[k]).mean[0], together[k], rtol=1e-12, equal_nan=True)


def test_what_happens_outside_the_cone_of_a_fast_voice_does_not_reach_it():
    rng = np.random.default_rng(2)
    x = centred(rng.normal(size=12_000))
    chosen = plan(12_000, 10.0, SIX)
    fast = chosen.frequencies > 0.6
    y = x.copy()
    y[:3] += 1e-3
    change = np.abs(chosen.powers(y).mean / chosen.powers(x).mean - 1)[0, fast]
    assert change.max() < 1e-3
    assert change.max() > 0


def test_a_voice_needs_three_valid_periods_and_two_samples_a_period():
    short = Plan(6000, 10.0, SIX)
    valid = 600 - 2 * math.sqrt(2) / short.frequencies
    assert np.array_equal(short.computable, valid >= 3 / short.frequencies)
    slow = Plan(3600, 2.0, SIX)
    assert not slow.computable[slow.frequencies > 0.61].any()
    assert slow.computable[(slow.frequencies < 0.6) & (slow.frequencies > 0.006)].all()
    assert np.isnan(slow.powers(np.ones(3600)).mean[0, 0])


def test_a_plan_is_for_its_length():
    with pytest.raises(ValueError, match="plan for 3000"):
        plan(3000, 10.0, SIX).powers(np.ones(2999))


@pytest.mark.parametrize("direct", [False, True])
def test_a_plan_that_keeps_its_memory_forgets_what_it_saw(direct):
    voices = Voices(0.005, 2.0)
    kept = Plan(12_000, 10.0, voices, 4.0, direct=direct, keep=True)
    rng = np.random.default_rng(0)
    for records in (8, 2, 5):
        x = rng.normal(size=(records, 12_000))
        fresh = Plan(12_000, 10.0, voices, 4.0, direct=direct).powers(x)
        np.testing.assert_array_equal(kept.powers(x).mean, fresh.mean)
