"""A falling TcPO2 must not pass as a plateau, and a plateau must be found in the end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from acquisition.signals.result import Trace
from acquisition.signals.stability import StabilityDetector, StabilitySettings, Steadiness, judge, slope_of
from tests.signals.oxygen import pieces, settling


def classes(trace, **more):
    return {j.elapsed: j.steadiness for j in judge(trace, 0.0, **more)}


def test_nothing_is_stable_before_a_quarter_of_an_hour_and_a_minute_of_confirmation():
    found = judge(Trace.of(np.arange(1800.0), np.full(1800, 42.0)), 0.0)
    first = next(j.elapsed for j in found if j.steadiness is Steadiness.STABLE)
    assert first == 900.0 + 60.0
    assert all(j.steadiness is Steadiness.NOT_YET for j in found if j.elapsed < 960.0)


def test_an_exponential_settles_when_its_slope_over_five_minutes_allows():
    """Slope of A exp(-t/205) under 0.3 mmHg/min over a window of 5 min; the line's own misfit widens it."""
    found = judge(settling(30), 0.0)
    first = next(j.elapsed for j in found if j.steadiness is Steadiness.STABLE)
    assert 1140.0 <= first <= 1320.0
    assert found[-1].steadiness is Steadiness.STABLE


@pytest.mark.parametrize("fall_from", [0.0, 600.0])
@pytest.mark.parametrize("air", [155.0, 60.0])
def test_a_fall_of_0_4_per_minute_is_called_stable_in_no_more_than_5_per_cent_of_runs(fall_from, air):
    runs = 100
    ever = sum(
        any(
            j.steadiness is Steadiness.STABLE
            for j in judge(settling(30, plateau=60, fall=0.4, fall_from=fall_from, seed=s, air=air), 0.0)
        )
        for s in range(runs)
    )
    assert ever <= 0.05 * runs


def test_most_plateaus_are_found_within_half_an_hour():
    quiet = [judge(settling(30, seed=s, slow=0.3), 0.0)[-1].steadiness for s in range(40)]
    noisy = [judge(settling(30, seed=s), 0.0)[-1].steadiness for s in range(40)]
    assert quiet.count(Steadiness.STABLE) >= 38
    assert noisy.count(Steadiness.STABLE) >= 30


def test_a_steady_fall_has_a_class_of_its_own_from_minute_20_on():
    found = classes(settling(25, fall=1.0))
    assert found[1190.0] is Steadiness.NOT_YET
    assert found[1490.0] is Steadiness.FALLING


def test_a_steady_rise_and_a_noisy_record_have_classes_of_their_own():
    assert classes(settling(25, fall=-1.2))[1490.0] is Steadiness.RISING
    time = np.arange(1500.0)
    assert classes(Trace.of(time, 40 + 8 * np.sin(time / 12.0)))[1490.0] is Steadiness.NOISY


def test_what_never_settles_is_unstable_after_half_an_hour():
    found = classes(settling(31, plateau=60, fall=0.4, fall_from=0.0, air=60.0))
    assert found[1490.0] is Steadiness.NOT_YET
    assert found[1800.0] is Steadiness.UNSTABLE


def test_a_plateau_that_begins_to_fall_is_stable_no_longer():
    found = classes(settling(45, air=50.0, fall=1.0, fall_from=1320.0))
    assert found[1320.0] is Steadiness.STABLE
    assert found[2690.0] is Steadiness.FALLING


def test_a_plateau_that_begins_to_fall_slowly_loses_its_word_though_it_has_no_class():
    found = classes(settling(50, air=50.0, fall=0.45, fall_from=1320.0))
    assert found[1320.0] is Steadiness.STABLE
    assert found[2990.0] is Steadiness.UNSTABLE


def test_a_sensor_that_warms_up_proves_nothing():
    trace = Trace.of(np.arange(1500.0), np.full(1500, 42.0))
    warming = Trace.of(trace.time, 44.0 + 0.001 * trace.time)
    held = Trace.of(trace.time, np.full(1500, 44.0))
    assert judge(trace, 0.0, temperature=warming)[-1].reason == "sensor_temperature_changed"
    assert judge(trace, 0.0, temperature=held)[-1].steadiness is Steadiness.STABLE


def test_a_window_with_too_few_data_is_not_judged():
    trace = settling(25)
    values = trace.values.copy()
    values[1100:1300] = np.nan
    found = {j.elapsed: j for j in judge(Trace.of(trace.time, values), 0.0)}
    assert found[1300.0].reason == "too_few_data"
    assert found[1300.0].slope is None


def test_the_slope_is_the_least_squares_slope():
    rng = np.random.default_rng(1)
    means = 40 + 0.02 * np.arange(30) + rng.standard_normal(30)
    means[[3, 17]] = np.nan
    known = np.isfinite(means)
    fitted = slope_of(means, 10.0)
    peer = linregress(np.flatnonzero(known) / 6.0, means[known])
    assert fitted.value == pytest.approx(peer.slope, rel=1e-12)
    assert fitted.half_width >= 1.9 * peer.stderr


def test_the_interval_of_independent_noise_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(400):
        fitted = slope_of(30.0 + 0.05 * np.arange(30) + rng.standard_normal(30), 60.0)
        hits += abs(fitted.value - 0.05) <= fitted.half_width
    assert hits >= 0.93 * 400


@given(
    st.lists(st.integers(1, 1499), max_size=12, unique=True), st.integers(0, 2**31), st.sampled_from([0.5, 1.0, 2.0])
)
@settings(max_examples=25, deadline=None)
def test_in_pieces_or_whole_the_judgements_are_the_same_bit_for_bit(cuts, seed, rate):
    trace = settling(25, seed=seed, rate=rate)
    cuts = [round(cut * rate) for cut in cuts]
    detector = StabilityDetector(0.0)
    live = [j for piece in pieces(trace, cuts) for j in detector.feed(piece)]
    assert live == judge(trace, 0.0)


@given(st.floats(-20, 60), st.integers(-40, 40))
@settings(max_examples=20, deadline=None)
def test_an_offset_or_another_time_origin_changes_no_class(offset, hours):
    trace = settling(25, seed=3, slow=0.2)
    moved = Trace.of(trace.time + hours * 3600.0, trace.values + offset)
    before, after = judge(trace, 0.0), judge(moved, hours * 3600.0)
    assert [j.steadiness for j in after] == [j.steadiness for j in before]
    assert after[-1].slope.value == pytest.approx(before[-1].slope.value, abs=1e-9)


def test_thresholds_are_settings():
    loose = StabilitySettings(limit=4.0, minimum=300.0, window=120.0, longest=120.0)
    assert judge(settling(10, fall=0.0), 0.0, loose)[-1].steadiness is Steadiness.STABLE
