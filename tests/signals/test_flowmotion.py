"""Band powers of tones with known energy, and what record, artefacts and instrument leave of each band."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.model import Quality
from acquisition.signals.decay import level, without_decay
from acquisition.signals.flowmotion import (
    band_powers,
    courses,
    envelope_area,
    flowmotion,
    power_density,
)
from acquisition.signals.kit.bands import LINKOPING, OROZCO, SETS, STEFANOVSKA
from acquisition.signals.result import Status, Trace
from acquisition.signals.wavelet import TONE_ENERGY, Plan, Voices
from tests.recordings import forearm
from tests.signals.waves import AMPLITUDES, FREQUENCIES, six_tones

NAMES = [band.name for band in STEFANOVSKA.bands]
SLOW_FIRST = NAMES[::-1]


def record(minutes=60, rate=10.0, noise=True):
    n = int(minutes * 60 * rate)
    return Trace.of(np.arange(n) / rate, six_tones(rate, n, noise))


def test_sets_are_named_and_their_bands_touch():
    for name, one in SETS.items():
        assert one.name == name
        for fast, slow in zip(one.bands, one.bands[1:], strict=False):
            assert fast.low == slow.high
    assert [(b.low, b.high) for b in STEFANOVSKA.bands][-1] == (0.005, 0.0095)
    assert OROZCO.bands[0].high == 2.0
    assert LINKOPING.bands[-1].name == "endothelial_no"


def test_each_tone_lies_in_its_band_with_its_share_of_the_energy():
    found = band_powers(record(noise=False).values - 20, 10.0)
    # Above and below its frequency a tone spreads by 0.11 in ln f, so a band holds what its edges let in.
    v = np.linspace(-3, 3, 60_001)
    density = np.exp(-((2 * np.pi * (np.exp(-v) - 1)) ** 2)) * (v[1] - v[0])
    for k, band in enumerate(STEFANOVSKA.bands):
        expected = sum(
            a**2 * density[(v + np.log(f) > np.log(band.low)) & (v + np.log(f) < np.log(band.high))].sum()
            for a, f in zip(AMPLITUDES, FREQUENCIES, strict=True)
        )
        # The cone is only sqrt(2) wide: what is left of the ends costs the slowest bands some per cent.
        assert found.energy[0, k] == pytest.approx(expected, rel=0.06 if band.high < 0.03 else 0.01), band.name
    assert density.sum() == pytest.approx(TONE_ENERGY, rel=1e-6)


def test_power_is_pooled_over_samples_and_energy_over_voices():
    x = record(12).values
    x = x - x.mean()
    plan = Plan(len(x), 10.0, Voices(0.005, 2.0))
    voices, found = plan.powers(x), band_powers(x, 10.0)
    for k, band in enumerate(STEFANOVSKA.bands[:5]):
        share = plan.voices.share(band.low, band.high) * plan.computable
        each = np.where(plan.computable, voices.mean[0], 0)
        assert found.mean[0, k] == pytest.approx(np.average(each, weights=share * voices.samples))
        assert found.energy[0, k] == pytest.approx(np.sum(each * share))
    assert np.average(each, weights=share) != pytest.approx(found.mean[0, 4], rel=1e-3)


def test_fine_voices_agree_with_sixteen():
    x = record().values
    coarse, fine = (band_powers(x - x.mean(), 10.0, per_octave=n) for n in (16, 64))
    assert np.abs(coarse.relative()[0] / fine.relative()[0] - 1).max() < 0.004
    assert np.abs(coarse.mean[0] / fine.mean[0] - 1).max() < 0.03


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 100), st.floats(0, 1e6))
def test_units_and_the_origin_of_time_change_no_relative_power(scale, origin):
    trace = record(5)
    one = flowmotion(trace)
    other = flowmotion(Trace.of(trace.time + origin, scale * trace.values))
    for name, result in one.items():
        if result.value is not None and "median" not in name:
            assert other[name].value == pytest.approx(result.value, rel=1e-5), name


def test_an_hour_answers_for_all_bands():
    found = flowmotion(record())
    for name in NAMES:
        assert found[f"{name}_power"].status is Status.OK, found[f"{name}_power"]
        assert found[f"{name}_power"].settings["bands"] == "stefanovska"
    assert sum(found[f"{n}_relative_energy_all"].value for n in NAMES) == pytest.approx(1)
    assert sum(found[f"{n}_relative_energy"].value for n in NAMES[:-1]) == pytest.approx(1)
    for name, f in zip(SLOW_FIRST[1:], FREQUENCIES[1:], strict=True):
        assert found[f"{name}_peak_frequency"].value == pytest.approx(f, rel=0.04), name


def test_mean_amplitude_and_median_of_a_single_tone():
    t = np.arange(0, 3600, 0.1)
    found = flowmotion(Trace.of(t, 10 + 2 * np.cos(2 * np.pi * 0.1 * t)))
    power, amplitude = found["myogenic_power"].value, found["myogenic_amplitude"].value
    # |W| = 0.2 exp(-(w0 (e^-v - 1))^2 / 2) over the band, the same at every instant.
    v = np.linspace(np.log(0.052), np.log(0.145), 20_001) - np.log(0.1)
    w = 0.2 * np.exp(-0.5 * (2 * np.pi * (np.exp(-v) - 1)) ** 2)
    assert amplitude == pytest.approx(w.mean(), rel=0.01)
    assert power == pytest.approx((w**2).mean(), rel=0.01)
    assert found["myogenic_median_ratio"].value > 100 * found["neurogenic_median_ratio"].value


@pytest.mark.parametrize(
    ("minutes", "missing", "poor"),
    [
        (21, set(), set()),
        (14, {"endothelial_independent"}, {"neurogenic"}),
        (9, {"endothelial_independent"}, {"myogenic", "neurogenic", "endothelial_no"}),
        (1.5, {"neurogenic", "endothelial_no", "endothelial_independent"}, {"cardiac", "respiratory", "myogenic"}),
    ],
)
def test_a_short_record_answers_for_fast_bands_only(minutes, missing, poor):
    found = flowmotion(record(minutes))
    assert {n for n in NAMES if found[f"{n}_power"].value is None} == missing
    assert {n for n in NAMES if found[f"{n}_power"].status is Status.LOW_QUALITY} == poor
    assert all(found[f"{n}_power"].reason == "record_too_short" for n in missing)
    total = found["cardiac_relative_energy_all"]
    assert (total.value is None) == bool(missing)


def test_three_seconds_of_time_constant_leave_no_fast_band():
    found = flowmotion(record(), tau=3.0)
    for name in ("cardiac", "respiratory", "myogenic"):
        assert found[f"{name}_power"].value is None
        assert found[f"{name}_power"].reason.startswith("time_constant_leaves")
    assert found["respiratory_power"].reason == "time_constant_leaves_4_per_cent"
    assert found["myogenic_power"].reason == "time_constant_leaves_22_per_cent"
    assert found["neurogenic_power"].status is Status.LOW_QUALITY
    assert found["endothelial_no_power"].status is Status.OK
    assert found["cardiac_relative_energy"].value is None
    assert flowmotion(record(), tau=0.2)["cardiac_power"].reason == "time_constant_leaves_34_per_cent"
    assert flowmotion(record(), tau=0.03)["cardiac_power"].status is Status.OK


def test_two_samples_a_second_hold_no_pulse():
    found = flowmotion(record(25, rate=2.0))
    assert found["cardiac_power"].reason == "sampled_too_slowly"
    assert found["respiratory_power"].value is not None


@pytest.mark.parametrize(
    ("share", "status"), [(0.01, Status.OK), (0.08, Status.LOW_QUALITY), (0.3, Status.NOT_COMPUTABLE)]
)
def test_artefacts_cost_quality_and_then_the_value(share, status):
    trace = record(22)
    quality = trace.quality.copy()
    quality[np.random.default_rng(0).random(len(trace)) < share] = Quality.INVALID
    found = flowmotion(Trace(trace.time, trace.values, quality))
    # One lost sample in ten a second is less than a quarter of the fastest period in every slow band.
    assert found["myogenic_power"].status is status
    if share == 0.01:
        assert found["myogenic_power"].value == pytest.approx(flowmotion(trace)["myogenic_power"].value, rel=0.01)


def test_a_few_spikes_inflate_breathing_unless_they_are_found():
    trace = record(22)
    spoiled = trace.values.copy()
    spoiled[np.random.default_rng(1).integers(0, len(trace), 40)] += 120
    raw = band_powers(spoiled - spoiled.mean(), 10.0).energy[0, 1]
    clean = band_powers(trace.values - trace.values.mean(), 10.0).energy[0, 1]
    assert raw > 2 * clean
    kept = flowmotion(Trace.of(trace.time, spoiled))["respiratory_energy"]
    assert kept.value == pytest.approx(flowmotion(trace)["respiratory_energy"].value, rel=0.15)
    assert kept.pct_artefact > 0.5


def test_a_gap_condemns_the_bands_that_are_faster_than_it():
    trace = record(30)
    keep = (trace.time < 600) | (trace.time >= 604)
    found = flowmotion(Trace(trace.time[keep], trace.values[keep], trace.quality[keep]))
    for name in ("cardiac", "respiratory"):
        assert found[f"{name}_power"].reason == "hole_longer_than_a_quarter_period"
    for name in ("myogenic", "neurogenic"):
        assert found[f"{name}_power"].status is Status.OK


def test_nothing_gives_reasons_and_never_zero():
    for trace, reason in (
        (Trace.of([], []), "no_data"),
        (Trace.of(np.arange(0, 600, 0.1), np.full(6000, math.nan)), "no_data"),
        (Trace.of(np.arange(0, 600, 0.1), np.zeros(6000)), "low_baseline"),
    ):
        found = flowmotion(trace)
        assert {r.reason for r in found.values()} == {reason}
        assert {r.value for r in found.values()} == {None}
        assert list(found) == list(flowmotion(record(1)))


def test_a_biological_zero_makes_the_waves_larger_by_what_it_takes_from_the_mean():
    trace = record(20)
    plain, corrected = flowmotion(trace), flowmotion(trace, biological_zero=5.0)
    mean = trace.values.mean()
    ratio = corrected["myogenic_power"].value / plain["myogenic_power"].value
    assert ratio == pytest.approx((mean / (mean - 5)) ** 2, rel=1e-3)


def test_the_decline_of_a_hyperaemia_makes_false_slow_power_unless_it_is_taken_off():
    t = np.arange(0, 900, 0.1)
    x = level([80, 60, 1.2, 12], t) * (1 + 0.1 * np.cos(2 * np.pi * 0.1 * t))
    left_in = flowmotion(Trace.of(t, x))
    u, _ = without_decay(Trace.of(t, x), 0, 900)
    taken_off = flowmotion(u, normalise=False)
    assert left_in["neurogenic_energy"].value > 3 * taken_off["neurogenic_energy"].value
    assert taken_off["neurogenic_energy"].unit == "[arb'U]2"


def test_a_course_follows_a_band_in_time():
    t = np.arange(0, 3600, 0.1)
    x = np.where(t < 1800, 1.0, 3.0) * np.cos(2 * np.pi * 0.1 * t)
    time, course = courses(x, 10.0)
    early, late = (time > 300) & (time < 1600), (time > 2000) & (time < 3200)
    assert np.allclose(course[2, late].mean() / course[2, early].mean(), 9, rtol=0.02)
    assert np.isnan(course[5, time < 279]).all()
    assert np.isfinite(course[0, (time > 3) & (time < 3590)]).all()
    whole = band_powers(x, 10.0).mean[0, 2]
    assert np.nanmean(course[2]) == pytest.approx(whole, rel=0.01)


def test_power_density_and_envelope_of_a_tone():
    t = np.arange(0, 1200, 0.1)
    x = 3 * np.cos(2 * np.pi * 0.1 * t)
    f, density = power_density(x, 10.0)
    assert f[np.argmax(density)] == pytest.approx(0.1, abs=0.003)
    assert density.sum() * (f[1] - f[0]) == pytest.approx(4.5, rel=0.01)
    assert envelope_area(x, 10.0) == pytest.approx(6 * 1200, rel=0.02)
    assert math.isnan(envelope_area(np.arange(50.0), 10.0))


def test_a_real_forearm_has_all_six_bands():
    time, values = forearm()
    found = flowmotion(Trace.of(time, values))
    relative = [found[f"{n}_relative_energy_all"].value for n in NAMES]
    assert sum(relative) == pytest.approx(1)
    assert min(relative) > 0.02
    assert 0.7 < found["cardiac_peak_frequency"].value < 1.2
    linkoping = flowmotion(Trace.of(time, values), bands=LINKOPING)
    assert "endothelial_independent_power" not in linkoping
    assert linkoping["myogenic_power"].settings["bands"] == "linkoping"
