"""Flux as conductance and in per cent, and where these forms have no meaning."""

import math

import numpy as np
import pytest

from acquisition.signals.kit.levels import block_means, judged, window_mean
from acquisition.signals.kit.units import (
    conductance,
    fluctuation,
    mean_arterial_pressure,
    min_max,
    percent_change,
    percent_of_maximum,
    pressure_between,
    vascular_conductance,
)
from acquisition.signals.result import Result, Status, Trace


def test_conductance_is_flux_over_pressure():
    assert mean_arterial_pressure(120, 80) == pytest.approx(93.333, abs=1e-3)
    assert conductance(93.0, 93.0) == pytest.approx(1.0)
    assert conductance(31.0, 90.0, height=30) == pytest.approx(31 / (90 + 23.1))
    assert math.isnan(conductance(31.0, 0.0))


def test_pressure_is_linear_between_cuff_readings_and_held_for_ten_minutes():
    at, readings = [0, 300, 2000], [90, 96, 80]
    found = pressure_between([-1, 0, 150, 300, 800, 901, 2100, 2601], at, readings)
    assert np.allclose(found, [math.nan, 90, 93, 96, 96, math.nan, 80, math.nan], equal_nan=True)
    assert np.isnan(pressure_between([1.0], [0], [math.nan])).all()
    origin = 86400.0
    moved = pressure_between([origin + 150, origin + 800], [origin + each for each in at], readings)
    assert moved.tolist() == [93, 96], "only the time between two readings counts, not when they were"


def test_conductance_under_a_cuff_or_without_pressure_is_none():
    rest = Result.of("rest", 20.0, "[arb'U]", uncertainty=2.0)
    assert vascular_conductance(rest, 80.0).value == pytest.approx(0.25)
    assert vascular_conductance(rest, 80.0).uncertainty == pytest.approx(0.025)
    assert vascular_conductance(rest, 80.0, under_cuff=True).reason == "under_a_cuff"
    assert vascular_conductance(rest, None).reason == "no_blood_pressure"
    assert vascular_conductance(Result.missing("rest", "[arb'U]", "no_data"), 80.0).reason == "no_data"
    assert vascular_conductance(rest, 20.0, height=-40).reason == "no_perfusion_pressure"
    for abi in (0.6, 1.5):
        assert vascular_conductance(rest, 80.0, abi=abi).reason == "includes_upstream_resistance"
    assert vascular_conductance(rest, 80.0, abi=1.0).status is Status.OK


def test_the_same_recording_gives_another_percentage_with_the_biological_zero_off():
    """636 or 1034 per cent: a percentage says which baseline it is of."""
    flux_rest, flux_peak, zero = 11.88, 87.4, 4.55
    assert percent_change(flux_peak, flux_rest).value == pytest.approx(636, abs=1)
    corrected = percent_change(flux_peak - zero, flux_rest - zero)
    assert corrected.value == pytest.approx(1030, abs=8)


@pytest.mark.parametrize(("baseline", "zero"), [(1.9, None), (5.0, 4.2), (0.0, None)])
def test_a_percentage_of_nearly_nothing_is_none(baseline, zero):
    assert percent_change(30.0, baseline, zero).reason == "low_baseline"
    assert percent_change(30.0, 2.0).value == 1400.0


def test_per_cent_of_the_maximum_needs_a_maximum():
    assert percent_of_maximum([5, 45, 85], 85, 5).tolist() == [0, 50, 100]
    assert min_max([5, 45, 85], 5, 85).tolist() == [0, 0.5, 1]
    assert np.isnan(percent_of_maximum([1.0], 4, 4)).all()


def test_the_fluctuation_is_larger_once_the_biological_zero_is_off():
    x = 20 + 4 * np.sin(np.arange(1000) * 2 * np.pi / 100)
    assert fluctuation(x).mean() == pytest.approx(0, abs=1e-12)
    assert np.ptp(fluctuation(x)) == pytest.approx(0.4, rel=1e-3)
    assert np.ptp(fluctuation(x, 4)) == pytest.approx(0.5, rel=1e-3)


def test_a_mean_says_how_much_of_its_window_was_data():
    t = np.arange(0, 100, 0.1)
    x = 12 + np.sin(2 * np.pi * t / 7)
    whole = window_mean(Trace.of(t, x), (0, 70), "rest", "[arb'U]")
    assert whole.value == pytest.approx(12, abs=1e-9)
    assert (whole.status, whole.n_valid, whole.pct_artefact) == (Status.OK, 700, 0.0)
    for bad, status in ((7, Status.OK), (70, Status.LOW_QUALITY), (210, Status.NOT_COMPUTABLE)):
        y = x.copy()
        y[:bad] = math.nan
        assert window_mean(Trace.of(t, y), (0, 70), "rest", "[arb'U]").status is status
    assert window_mean(Trace.of(t, x), (0, 50), "rest", "[arb'U]", least=60).reason == "less_than_60_s_of_data"
    assert window_mean(Trace.of(t, x), (200, 250), "rest", "[arb'U]").reason == "no_data"
    assert window_mean(Trace.of(t, x), (9, 9), "rest", "[arb'U]").reason == "empty_window"


def test_a_mean_is_no_median_and_its_error_is_that_of_the_means_of_ten_seconds():
    t = np.arange(0, 40, 0.1)
    steps = np.array([1.0, 2.0, 3.0, 10.0])
    result = window_mean(Trace.of(t, steps[(t // 10).astype(int)]), (0, 40), "rest", "1")
    assert result.value == pytest.approx(4.0)
    assert result.uncertainty == pytest.approx(math.sqrt((9 + 4 + 1 + 36) / 3) / 2)


def test_a_block_needs_half_of_its_data():
    t = np.arange(0, 30, 0.1)
    for lost, blocks in ((50, 3), (51, 2)):
        values = np.ones(t.size)
        values[100 : 100 + lost] = math.nan
        assert len(block_means(Trace.of(t, values), 10)) == blocks
    assert len(block_means(Trace.of([0.0], [1.0]), 10)) == len(block_means(Trace.of(t, t).between(0, 9), 10)) == 0


def test_the_uncertainty_of_a_mean_keeps_slow_waves_in():
    t = np.arange(0, 120, 0.05)
    fast = 12 + np.sin(2 * np.pi * t)
    slow = 12 + np.sin(2 * np.pi * t / 40)
    means = [window_mean(Trace.of(t, x), (0, 120), "rest", "1").uncertainty for x in (fast, slow)]
    assert means[1] > 50 * means[0]
    assert len(block_means(Trace.of(t, fast), 10)) == 12


def test_a_result_without_artefacts_keeps_its_status():
    assert judged(Result.of("a", 1, "1", pct_artefact=5.0)).status is Status.OK
