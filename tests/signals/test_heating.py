"""Local heating on curves with known peak, nadir, plateau and maximum, and what takes them away."""

import math

import numpy as np
import pytest

from acquisition.model import Quality
from acquisition.signals.heating import Settings, Stages, heating, heating_rate, names
from acquisition.signals.kit.units import CONDUCTANCE
from acquisition.signals.result import Status, Trace

STAGES = Stages(600.0, 3000.0, 4200.0)


def curve(t, base=30.0, top=180.0, reflex=0.65, late=0.85):
    """Axon reflex, slow rise to 85 per cent and a last step at 44 C, as shares of (top - base)."""
    u = np.maximum(t - 600, 0)
    share = reflex * (u / 150) ** 3 * np.exp(3 * (1 - u / 150)) + late / (1 + np.exp(-(u - 495) / 180))
    share = share - late / (1 + np.exp(495 / 180)) * np.exp(-u / 60)
    share = share + np.where(t > 3000, (1 - late) * (1 - np.exp(-(t - 3000) / 60)), 0.0)
    return base + (top - base) * np.where(t < 600, 0.0, share)


def trace(stop=4200, rate=10.0, noise=0.0, **kw):
    t = np.arange(0, stop, 1 / rate)
    return Trace.of(t, curve(t, **kw) + noise * np.random.default_rng(0).normal(size=t.size))


def test_levels_and_times_are_those_of_the_curve():
    found = heating(trace(), STAGES, Settings(mean=0.1))
    t = np.arange(600, 900, 0.1)
    x = curve(t)
    peak, at = x.max(), t[np.argmax(x)]
    nadir = curve(np.arange(at, 1080, 0.1)).min()
    assert found["heating_baseline"].value == pytest.approx(30)
    assert found["initial_peak"].value == pytest.approx(peak, rel=1e-6)
    assert found["time_to_initial_peak"].value == pytest.approx(at - 600, abs=0.2)
    assert found["nadir"].value == pytest.approx(nadir, rel=1e-6)
    assert found["plateau"].value == pytest.approx(30 + 0.85 * 150, rel=1e-3)
    assert found["maximum"].value == pytest.approx(180, rel=1e-3)
    assert found["plateau_percent_of_maximum"].value == pytest.approx(100 * (30 + 127.5) / 180, rel=1e-3)
    assert found["plateau_over_baseline"].value == pytest.approx(157.5 / 30, rel=1e-3)
    assert found["plateau_increase"].value == pytest.approx(127.5, rel=1e-3)
    assert found["auc_0_300"].value == pytest.approx((x - 30).sum() * 0.1, rel=1e-3)
    assert found["slope_after_peak"].value < 0
    assert {r.status for r in found.values()} == {Status.OK}
    assert list(found) == list(names())


def test_a_longer_mean_lowers_the_peak_and_is_stored():
    sharp, smooth = (heating(trace(), STAGES, Settings(mean=s))["initial_peak"] for s in (1.0, 30.0))
    assert smooth.value < sharp.value
    assert smooth.settings["mean"] == 30.0


def test_the_biological_zero_moves_every_per_cent_of_the_maximum():
    plain = heating(trace(), STAGES)["plateau_percent_of_maximum"]
    corrected = heating(trace(), STAGES, biological_zero=5.0)["plateau_percent_of_maximum"]
    assert corrected.value == pytest.approx(100 * (157.5 - 5) / 175, rel=1e-3)
    assert corrected.value < plain.value


def test_conductances_keep_their_shares():
    flux = trace()
    cvc = heating(Trace.of(flux.time, flux.values / 90), STAGES, unit=CONDUCTANCE)
    assert cvc["plateau"].unit == CONDUCTANCE
    for name in ("plateau_percent_of_maximum", "initial_peak_percent_of_maximum", "plateau_over_baseline"):
        assert cvc[name].value == pytest.approx(heating(flux, STAGES)[name].value, rel=1e-9)


def test_without_a_fall_after_it_a_peak_is_no_axon_reflex():
    found = heating(trace(reflex=0.0), STAGES)
    assert found["nadir"].value is None
    assert found["nadir"].reason == "no_nadir"
    assert (found["initial_peak"].status, found["initial_peak"].reason) == (Status.LOW_QUALITY, "no_nadir")
    assert "no_nadir" in found["initial_peak_percent_of_maximum"].reason
    assert found["plateau"].status is Status.OK


@pytest.mark.parametrize(
    ("lowest", "status", "reason"), [(94.0, Status.OK, ""), (96.0, Status.LOW_QUALITY, "no_nadir")]
)
def test_a_fall_of_less_than_five_per_cent_is_no_nadir_and_its_slope_says_so(lowest, status, reason):
    t = np.arange(0, 4200, 1.0)
    flux = Trace.of(t, np.interp(t, [600, 700, 900, 1500], [30, 100, lowest, 150]))
    slope = heating(flux, STAGES, Settings(mean=1.0))["slope_after_peak"]
    assert slope.value == pytest.approx(60 * (lowest - 100) / 200)
    assert (slope.status, slope.reason) == (status, reason)


def test_a_stage_that_still_rises_has_no_plateau():
    t = np.arange(0, 4200, 0.1)
    found = heating(Trace.of(t, 30 + 0.03 * np.maximum(t - 600, 0)), STAGES)
    assert found["plateau"].reason == "no_plateau"
    assert found["plateau_percent_of_maximum"].status is Status.LOW_QUALITY


def test_a_stage_that_was_cut_short_has_no_plateau_value():
    found = heating(trace(stop=1150), Stages(600.0, None, None))
    assert found["plateau"].reason == "stage_too_short"
    assert found["maximum"].reason == "no_maximum_stage"
    assert found["initial_peak_percent_of_maximum"].reason == "maximum: no_maximum_stage"
    assert found["initial_peak"].value is not None


def test_a_maximum_of_three_minutes_is_not_settled():
    assert heating(trace(), Stages(600.0, 3000.0, 3240.0))["maximum"].reason == "maximum_not_settled"


def test_a_plateau_after_forty_five_minutes_falls_by_itself():
    t = np.arange(0, 4200, 0.5)
    assert heating(Trace.of(t, curve(t)), Stages(600.0, None, 4200.0))["plateau"].reason == "later_than_45_min"


@pytest.mark.parametrize(
    ("stages", "reason"),
    [
        (Stages(None, 3000.0, 4200.0), "no_heating_mark"),
        (Stages(3000.0, 600.0, 4200.0), "marks_out_of_order"),
        (Stages(600.0, 3000.0, 3000.0), "marks_out_of_order"),
    ],
)
def test_marks_that_make_no_heating_give_nothing(stages, reason):
    assert {(r.value, r.reason) for r in heating(trace(), stages).values()} == {(None, reason)}


def test_no_data_and_artefacts():
    assert {r.reason for r in heating(Trace.of([], []), STAGES).values()} == {"no_data"}
    flux = trace()
    quality = flux.quality.copy()
    quality[(flux.time > 650) & (flux.time < 740)] = Quality.SUSPECT
    found = heating(Trace(flux.time, flux.values, quality), STAGES)
    assert found["initial_peak"].reason == "too_many_artefacts"
    assert found["plateau"].status is Status.OK


def test_a_maximum_below_the_zero_gives_no_share():
    t = np.arange(0, 4200, 0.5)
    found = heating(Trace.of(t, np.full(t.size, 4.0)), STAGES, biological_zero=5.0)
    assert found["plateau_percent_of_maximum"].reason == "maximum_not_above_the_zero"


def test_a_heater_that_creeps_elicits_no_axon_reflex():
    t = np.arange(0, 4200, 1.0)
    fast, slow = (np.clip(33 + (t - 600) * k, 33, 42) for k in (0.1, 0.1 / 60))
    assert heating_rate(Trace.of(t, fast), STAGES) == pytest.approx(6.0, rel=0.02)
    good = heating(trace(), STAGES, temperature=Trace.of(t, fast))["initial_peak"]
    assert good.status is Status.OK
    assert "heated_at" in heating(trace(), STAGES, temperature=Trace.of(t, slow))["initial_peak"].reason
    assert math.isnan(heating_rate(Trace.of([], []), STAGES))
    assert math.isnan(heating_rate(Trace.of(t, np.full(t.size, 42.0)), STAGES)), "no step, no rate"


def test_the_baseline_is_that_of_the_last_three_minutes():
    flux = trace()
    before = np.where(flux.time < 420.0, 99.0, flux.values)
    assert heating(Trace.of(flux.time, before), STAGES)["heating_baseline"].value == pytest.approx(30)


def test_a_record_that_begins_with_the_heat_has_no_baseline_and_nothing_that_needs_one():
    found = heating(trace().between(600.0, 4200.0), STAGES)
    lacking = {name for name, result in found.items() if result.value is None}
    assert lacking == {
        "heating_baseline", "heating_baseline_percent_of_maximum", "plateau_increase", "plateau_over_baseline",
        "maximum_over_baseline", "auc_0_300",
    }  # fmt: skip
    assert found["auc_0_300"].reason.startswith("heating_baseline: ")


def test_without_data_in_the_first_five_minutes_they_have_no_area():
    flux = trace()
    gone = (flux.time >= 600.0) & (flux.time < 900.0)
    found = heating(Trace(flux.time, flux.values, np.where(gone, Quality.INVALID, 0).astype(np.uint8)), STAGES)
    assert found["auc_0_300"].value is None
    assert found["plateau"].status is Status.OK
