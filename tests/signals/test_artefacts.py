"""Spikes, stuck codes, lifted probes and error levels are marked; a pulse, a step and a release are not."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.signals.artefacts import (
    Hampel,
    fill,
    flat,
    hampel,
    judge,
    lifted,
    long_runs,
    quantum,
    runs,
    screened,
    sentinel,
    temperature_jump,
    too_steep,
)
from acquisition.signals.result import Status, Trace
from tests.recordings import forearm

RATE = 20.0


def flux(seconds=120, seed=0):
    t = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).normal(size=t.size)
    return t, 20 + 3 * np.sin(2 * np.pi * 1.1 * t) + 2 * np.sin(2 * np.pi * 0.1 * t) + 0.5 * noise


@pytest.mark.parametrize("form", ["two_pass", "windowed"])
def test_bursts_are_marked_with_their_neighbours_and_nothing_else(form):
    _, x = flux()
    clean = hampel(x, RATE, Hampel(form=form))
    x[500:510] += 80
    x[1500] = -40
    found = runs(hampel(x, RATE, Hampel(form=form)))
    assert clean.mean() < 0.005
    assert (496, 514) in found
    assert (1496, 1505) in found
    assert len(found) <= 2 + len(runs(clean))


def test_the_true_windowed_deviation_agrees_with_its_definition():
    _, x = flux(60, seed=3)
    x[300:304] += 30
    rule = Hampel(window=5.0, widen=0, form="windowed", resolution=0.0)
    half = 49
    padded = np.pad(x, half, mode="reflect")
    expected = []
    for i in range(len(x)):
        window = padded[i : i + 2 * half + 1]
        middle = np.median(window)
        expected.append(abs(x[i] - middle) > 5 * 1.4826 * np.median(np.abs(window - middle)))
    assert np.array_equal(hampel(x, RATE, rule), expected)


@settings(max_examples=30)
@given(st.floats(0.01, 1000), st.floats(-1000, 1000), st.integers(0, 20))
def test_scale_and_shift_change_no_mark(scale, shift, seed):
    _, x = flux(30, seed)
    x[200:206] += 60
    rule = Hampel(resolution=0.0)
    assert np.array_equal(hampel(x, RATE, rule), hampel(scale * x + shift, RATE, rule))


def test_a_coarse_flat_record_is_not_all_spikes():
    rng = np.random.default_rng(5)
    x = np.round(4.5 + 0.03 * rng.normal(size=2000), 1)
    x[700] = 9.0
    assert quantum(x) == pytest.approx(0.1)
    assert runs(hampel(x, RATE)) == [(696, 705)]


def test_missing_samples_are_no_spikes():
    _, x = flux()
    x[300:400] = math.nan
    assert not hampel(x, RATE)[300:400].any()
    assert not hampel(np.full(50, math.nan), RATE).any()


def test_channels_are_judged_as_if_alone():
    x = np.stack([flux(seed=k)[1] for k in range(3)])
    x[1, 77] = 500
    assert np.array_equal(hampel(x, RATE), np.stack([hampel(row, RATE) for row in x]))


def test_filled_samples_lie_on_the_line_between_their_neighbours():
    bad = np.array([1, 0, 1, 1, 0, 1], bool)
    assert fill([9, 2, 99, 99, 5, 9], bad).tolist() == [2, 2, 3, 4, 5, 5]
    assert np.isnan(fill([9, 2, 99, 99, 5, 9], bad, longest=1)[2:4]).all()
    assert np.isnan(fill([1.0, 2.0], np.array([True, True]))).all()


def test_a_stuck_code_is_marked_from_its_first_sample():
    x = np.arange(200.0)
    x[50:100] = 7.0
    assert runs(flat(x, RATE)) == [(50, 100)]
    assert not flat(x, RATE, seconds=3.0).any()
    assert long_runs(np.array([1, 1, 0, 1], bool), 1).tolist() == [True, True, False, False]


def test_a_pulse_is_not_too_steep_but_a_pulled_cable_is():
    _, x = flux()
    assert not too_steep(x, RATE).any()
    x[900] = 400
    assert runs(too_steep(x, RATE)) == [(899, 902)]


def test_backscatter_that_leaves_its_level_condemns_the_flux():
    light = np.full(2000, 1.8) + 0.01 * np.sin(np.arange(2000))
    assert not lifted(light, RATE).any()
    light[1000:1040] = 1.2
    assert runs(lifted(light, RATE)) == [(1000, 1040)]
    light[1000:] = 1.2
    assert runs(lifted(light, RATE, reference=1.8)) == [(1000, 2000)]
    assert lifted(np.full(50, math.nan), RATE).all()
    assert lifted(np.full(50, 9.0), RATE, limits=(0.5, 4.0)).all()


def test_error_levels_are_never_data():
    assert sentinel([-2500, -5000.2, 0.0, 0.3, 5000, 12, 4900]).tolist() == [
        True,
        True,
        True,
        False,
        True,
        False,
        False,
    ]


def test_a_jump_of_temperature_is_seen_and_its_drift_is_not():
    t = 32 + np.arange(1200) / RATE * 0.01
    assert not temperature_jump(t, RATE).any()
    t[600:] += 0.6
    assert runs(temperature_jump(t, RATE)) == [(600, 700)]


@pytest.mark.parametrize(
    ("bad", "lowest", "expected"),
    [
        (0, None, (Status.OK, "")),
        (1, None, (Status.OK, "")),
        (6, None, (Status.LOW_QUALITY, "artefacts")),
        (30, None, (Status.NOT_COMPUTABLE, "too_many_artefacts")),
        (4, 0.1, (Status.LOW_QUALITY, "hole_longer_than_a_quarter_period")),
        (4, 0.05, (Status.OK, "")),
    ],
)
def test_a_window_is_worth_what_its_artefacts_leave(bad, lowest, expected):
    mask = np.zeros(100, bool)
    mask[10 : 10 + bad] = True
    assert judge(mask, 1.0, lowest) == expected


def test_the_rise_after_a_release_is_not_screened_away():
    t = np.arange(0, 600, 1 / RATE)
    rise = 60 * np.exp(-np.maximum(t - 305, 0) / 20) * (t > 300)
    x = 5 + 0.2 * np.random.default_rng(0).normal(size=t.size) + rise
    taken = screened(Trace.of(t, x)).bad
    kept = screened(Trace.of(t, x), releases=(300.0,)).bad
    around = (t >= 280) & (t < 420)
    assert taken[around].mean() > 0.05
    assert kept[around].sum() == 0


def test_every_reason_is_counted():
    t, x = flux()
    x[100] = 300
    keep = np.ones(len(t), bool)
    keep[400:410] = False
    keep[800:900] = False
    done = screened(Trace.of(t[keep], x[keep]))
    assert np.isfinite(done.values).all()
    # Both ends of a hole of 10 samples are data, so 10 grid points lie between them.
    assert done.why["bridged"] == 10
    assert done.why["hole"] == 100
    assert done.why["spike"] >= 9


def test_no_data_at_all_is_wholly_bad():
    assert screened(Trace.of([], [])).pct_bad == 100.0


def test_a_real_forearm_has_its_few_artefacts_marked():
    time, values = forearm()
    done = screened(Trace.of(time, values))
    assert done.rate == pytest.approx(15.15, abs=0.01)
    assert 0.3 < done.pct_bad < 0.8
    assert 20 <= hampel(Trace.of(time, values).uniform().values, done.rate, Hampel(widen=0)).sum() <= 80
