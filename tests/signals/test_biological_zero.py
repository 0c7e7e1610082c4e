"""The biological zero, and whether the cuff held: by what is left of the pulse under it."""

import numpy as np
import pytest

from acquisition.signals.biological_zero import OcclusionVerdict, biological_zero, cardiac_spectrum, verdict
from acquisition.signals.hyperaemia import measure
from acquisition.signals.occlusion import Occlusion
from acquisition.signals.porh import porh
from acquisition.signals.result import Status, Trace
from tests.signals.curves import CUFF, HEALTHY, Hyperaemia


def test_both_forms_of_the_biological_zero_agree():
    trace = HEALTHY.trace(noise=0.15, pulse=0.2)
    assert biological_zero(trace, CUFF).value == measure(trace.values, 40, 0, 300.0, 480.0).biological_zero[0]


def test_the_biological_zero_is_the_median_of_thirty_seconds_that_end_five_before_release():
    t = np.arange(0, 900, 0.1)
    x = np.where((t >= 445) & (t < 475), 4.5, 9.0)
    x[4500:4600] = 30.0
    found = biological_zero(Trace.of(t, x), CUFF)
    assert found.value == 4.5
    assert found.window == (445.0, 475.0)
    assert found.n_valid == 300


def test_a_short_occlusion_has_no_biological_zero_and_none_is_assumed():
    found = porh(Hyperaemia(off=350.0).trace(), Occlusion(300.0, 350.0))
    assert found["biological_zero"].reason == "occlusion_too_short"
    assert found["auc_60"].reason == "biological_zero: occlusion_too_short"
    assert found["hyperaemic_ratio"].status is Status.LOW_QUALITY


def test_a_zero_without_a_plateau_says_so():
    trace = HEALTHY.trace()
    tilted = Trace.of(trace.time, trace.values + 0.05 * np.clip(trace.time - 400, 0, 80))
    assert biological_zero(tilted, CUFF).reason == "no_plateau"
    found = porh(tilted, CUFF)
    told = {name for name, result in found.items() if result.reason == "biological_zero: no_plateau"}
    assert told == {"peak_percent_of_rest_corrected", "hyperaemic_reserve", "mean_slope", "auc_60", "auc_180"}
    assert {found[name].status for name in told} == {Status.LOW_QUALITY}


def failed_cuff(pulse_at_rest=0.2, pulse_closed=0.2, noise=0.05):
    t = np.arange(0, 900, 0.05)
    pulse = np.where((t >= 300) & (t < 480), pulse_closed, pulse_at_rest)
    x = 7 + 3 * pulse * np.cos(2 * np.pi * 1.1 * t) + noise * np.random.default_rng(0).normal(size=t.size)
    return Trace.of(t, x)


def test_a_pulse_under_the_cuff_is_an_incomplete_occlusion():
    found = porh(failed_cuff(), CUFF)
    assert "incomplete_occlusion" in found["biological_zero"].reason
    assert found["biological_zero"].value is None
    assert "incomplete_occlusion" in found["peak_flow"].reason
    assert found["peak_flow"].status is Status.LOW_QUALITY


def test_a_pulse_that_stops_proves_that_rest_had_no_flow_to_lose():
    found = porh(failed_cuff(pulse_closed=0.0), CUFF)
    assert found["biological_zero"].reason == "no_rest_flow"
    assert found["biological_zero"].value == pytest.approx(7, abs=0.1)
    assert found["hyperaemic_reserve"].reason.startswith("low_baseline")


@pytest.mark.parametrize(
    ("held", "abi", "expected"),
    [
        (None, None, OcclusionVerdict.INDETERMINATE),
        (True, None, OcclusionVerdict.NO_REST_FLOW),
        (True, 1.3, OcclusionVerdict.NO_REST_FLOW),
        (True, 1.31, OcclusionVerdict.INDETERMINATE),
        (False, 0.6, OcclusionVerdict.INDETERMINATE),
    ],
)
def test_without_a_pulse_only_pressure_decides_and_never_over_calcified_arteries(held, abi, expected):
    trace = failed_cuff(0.0, 0.0, noise=0.4)
    assert cardiac_spectrum(trace.between(180, 290)).line < 5
    assert verdict(trace, (180, 290), Occlusion(300.0, 480.0, held=held), 7.0, 6.9, abi) is expected


def test_a_swing_that_goes_on_over_a_deep_fall_is_no_leaking_cuff():
    trace = HEALTHY.trace()
    swinging = Trace.of(trace.time, trace.values + 0.6 * np.cos(2 * np.pi * 1.1 * trace.time))
    found = porh(swinging, CUFF)
    assert found["biological_zero"].status is Status.OK
    assert found["peak_flow"].status is Status.OK


@pytest.mark.parametrize(("swing", "expected"), [(1e-2, True), (1e-5, False)])
def test_a_line_as_small_as_rounding_is_no_pulse(swing, expected):
    t = np.arange(0, 100, 0.05)
    spectrum = cardiac_spectrum(Trace.of(t, 7 + swing * np.cos(2 * np.pi * 1.1 * t)))
    assert spectrum.line > 10
    assert spectrum.is_pulse(7.0) is expected


@pytest.mark.parametrize(("per_minute", "reason"), [(0.98, ""), (-1.02, "no_plateau")])
def test_a_zero_may_change_by_one_perfusion_unit_per_minute(per_minute, reason):
    t = np.arange(0, 900, 0.1)
    assert biological_zero(Trace.of(t, 7 + per_minute / 60 * (t - 460)), CUFF).reason == reason


def test_a_slow_record_cannot_show_a_pulse():
    t = np.arange(0, 900, 0.5)
    assert cardiac_spectrum(Trace.of(t, np.sin(t))) is None


def test_a_pulse_under_the_cuff_is_an_incomplete_occlusion_however_far_a_slow_wave_let_the_flux_fall():
    trace = failed_cuff()
    dipped = Trace.of(trace.time, trace.values - 2.0 * np.exp(-(((trace.time - 460) / 30) ** 2)))
    for told in (trace, dipped):
        assert "incomplete_occlusion" in porh(told, CUFF)["peak_flow"].reason


@pytest.mark.parametrize(
    ("closed", "expected"), [(0.0, OcclusionVerdict.NO_REST_FLOW), (0.04, OcclusionVerdict.INCOMPLETE)]
)
def test_a_small_pulse_is_followed_into_the_noise(closed, expected):
    trace = failed_cuff(0.04, closed, noise=0.2)
    assert 10 < cardiac_spectrum(trace.between(180, 290)).line < 60
    assert verdict(trace, (180, 290), Occlusion(300.0, 480.0), 7.0, 6.9) is expected
