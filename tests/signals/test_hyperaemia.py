"""Hyperaemia: its presence, its peak, and its end."""

import numpy as np
import pytest

from acquisition.signals.hyperaemia import Settings
from acquisition.signals.porh import porh
from acquisition.signals.result import Status, Trace
from tests.signals.curves import CLAUDICANT, CUFF, EXACT, HEALTHY, Hyperaemia, value


def waves(seed, size=0.25, rate=10, stop=1500):
    """Slow vasomotion that never was a hyperaemia."""
    t = np.arange(0, stop, 1 / rate)
    rng = np.random.default_rng(seed)
    x = 7 + 3 * size * sum(np.cos(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (0.03, 0.012, 0.09))
    x[(t > 300) & (t < 480)] = 4
    return Trace.of(t, x + 0.4 * rng.normal(size=t.size))


def test_waves_are_no_hyperaemia_and_the_height_stays_a_finding():
    found = porh(waves(1), CUFF, Settings.ischaemic())
    assert found["hyperaemia"].value == 0.0
    assert found["peak_flow"].status is Status.OK
    assert found["peak_flow"].reason == "no_hyperaemia"
    for name in ("time_to_peak", "half_rise", "half_recovery", "recovery_time", "mean_slope", "max_slope"):
        assert found[name].value is None
        assert "no_hyperaemia" in found[name].reason
        assert found[name].uncertainty is None


def test_the_rule_takes_no_wave_for_a_hyperaemia_and_finds_every_real_one():
    names = [porh(waves(k), CUFF, Settings.ischaemic())["hyperaemia"].value for k in range(30)]
    assert sum(names) == 0
    real = [
        porh(CLAUDICANT.trace(rate=10, noise=0.15, seed=k, stop=1500), CUFF, Settings.ischaemic()) for k in range(30)
    ]
    assert [r["hyperaemia"].value for r in real] == [1.0] * 30


def test_a_claudicant_needs_the_long_search():
    slow = CLAUDICANT.trace(rate=10, stop=1500)
    short = porh(slow, CUFF)
    assert short["time_to_peak"].status is Status.CENSORED
    assert short["peak_flow"].reason == "peak_not_reached"
    for name in ("half_rise", "mean_slope", "peak_over_time", "recovery_75", "half_recovery", "recovery_25"):
        assert (short[name].status, short[name].reason) == (Status.LOW_QUALITY, "peak_not_reached"), name
    assert value(porh(slow, CUFF, Settings.ischaemic()), "time_to_peak") == pytest.approx(73, abs=1.5)


def test_a_peak_at_the_end_of_the_record_is_a_bound():
    found = porh(CLAUDICANT.trace(rate=10, stop=520), CUFF, Settings.ischaemic())
    assert found["peak_flow"].status is Status.CENSORED
    assert "record_ends_before_the_search_does" in found["peak_flow"].reason


@pytest.mark.parametrize(("stop", "whole"), [(540.0, True), (539.9, False)])
def test_the_record_must_hold_the_whole_search(stop, whole):
    found = porh(HEALTHY.trace(rate=10, stop=stop), CUFF)["peak_flow"]
    assert found.reason == ("" if whole else "record_ends_before_the_search_does")


def test_of_two_equal_summits_the_first_is_the_peak():
    trace = HEALTHY.trace(rate=10)
    t = trace.time
    x = trace.values.copy()
    x += 0.9 * (85 - np.interp(496 + 15, t, x)) * np.exp(-(((t - 511) / 2) ** 2))
    x += (85 - x[np.searchsorted(t, 511)]) * 1.005 * np.exp(-(((t - 511) / 2) ** 2))
    found = porh(Trace.of(t, x), CUFF, EXACT)
    assert np.argmax(x) / 10 == pytest.approx(511, abs=0.2)
    assert value(found, "time_to_peak") == pytest.approx(16, abs=0.2)
    later = porh(Trace.of(t, x), CUFF, Settings(smoothing=0.0, twin=0.0))
    assert value(later, "time_to_peak") == pytest.approx(31, abs=0.2)


def test_no_recovery_before_the_end_is_a_bound():
    found = porh(HEALTHY.trace(stop=560), CUFF)
    assert found["recovery_time"].status is Status.CENSORED
    assert value(found, "recovery_time") == pytest.approx(560 - 480 - 5, abs=0.1)
    assert found["repayment"].status is Status.CENSORED
    cut = porh(HEALTHY.trace(stop=510), CUFF)
    assert cut["half_recovery"].status is Status.CENSORED
    assert "not_reached_before_the_end" in cut["half_recovery"].reason
    assert value(cut, "half_recovery") == pytest.approx(30, abs=0.1)
    assert cut["half_recovery_from_peak"].status is Status.CENSORED
    assert value(cut, "half_recovery_from_peak") == pytest.approx(30 - HEALTHY.to_peak, abs=0.1)
    later = porh(HEALTHY.trace(stop=525), CUFF, EXACT)
    assert [later[name].status for name in ("recovery_25", "half_recovery", "half_recovery_from_peak")] == [
        Status.CENSORED, Status.OK, Status.OK,
    ]  # fmt: skip
    assert cut["auc_60"].reason == "record_ends_before"


def test_flow_that_never_reaches_rest_again_has_no_latency():
    found = porh(Hyperaemia(rest=12, peak=9, zero=4, b=200).trace(stop=700), CUFF)
    assert (found["latency"].value, found["latency"].reason) == (None, "flow_did_not_reach_rest")
    assert found["hyperaemia_area"].reason.startswith("flow_did_not_reach_rest")
    assert found["hyperaemia"].value == 0.0


@pytest.mark.parametrize(("peak", "wave", "expected"), [(15.0, 0.0, 0.0), (18.0, 0.0, 1.0), (18.0, 3.5, 0.0)])
def test_a_hyperaemia_exceeds_rest_by_half_of_its_flow_and_by_three_of_its_standard_deviations(peak, wave, expected):
    """Rest 12 and zero 4.5: above 15.75 in steady skin, and above the waves in skin that has them."""
    trace = Hyperaemia(peak=peak, to_peak=20, b=200).trace(rate=10)
    rest = np.where(trace.time < 300, wave * np.sin(2 * np.pi * trace.time / 50), 0.0)
    assert porh(Trace.of(trace.time, trace.values + rest), CUFF)["hyperaemia"].value == expected


def test_a_dip_of_two_seconds_is_no_recovery():
    trace = HEALTHY.trace(rate=10)
    dip = (trace.time >= 505) & (trace.time < 507)
    found = porh(
        Trace.of(trace.time, np.where(dip, 5.0, trace.values)), CUFF, Settings(smoothing=0.0, recovery_level=1.1)
    )
    assert value(found, "recovery_time") == pytest.approx(HEALTHY.falls_to(1.2 / 73), abs=0.05)
    short = porh(Trace.of(trace.time, np.where(dip, 5.0, trace.values)), CUFF, Settings(smoothing=0.0, sustained=1.0))
    assert value(short, "recovery_time") == pytest.approx(25, abs=0.1)
