"""Spoiled examinations: outcomes keep their status and say the reason, and nothing is invented."""

import numpy as np
import pytest

from acquisition.analysis.screening import screened
from acquisition.errors import Refused
from acquisition.examination import decisions
from acquisition.examination.session import replay
from acquisition.model import Quality
from acquisition.signals.result import Trace
from simulators.patient.physiology import Participant
from tests.analysis.test_outcomes import WALK, WALK_MARKS, by_name, compute
from tests.examination.patients import ABI, PORH, REST, SECOND, Study

FLUX, CALF = "ldf/flux/flux", "tcpo2/calf/tcpo2"
HEAT = (("heat", 600.0), ("maximum", 2400.0), ("off", 3300.0))


@pytest.fixture
def outcome(tmp_path):
    def examine(place, kind, scenario, protocol, marks, seconds, **more):
        made = Study()
        made.examine(kind, scenario, protocol, marks, seconds, **more)
        return by_name(compute(made.write(tmp_path), "s1"), place)

    return examine


def hyperaemia(outcome, marks=PORH, seconds=700.0, kind="healthy", **more):
    return outcome(FLUX, kind, "porh", "porh", marks, seconds, **{"devices": ("ldf",), **more})


def says(result, status, reason):
    assert (result.status, result.reason) == (status, reason)
    assert (result.value is None) == (status == "not_computable")


def without_cuff(signal, t, values):
    return np.full(len(t), np.nan) if signal == "cuff_pressure" else values


def spoiled(share):
    """Flags of single samples all over the flux."""

    def flags(signal, t):
        bad = np.random.default_rng(4).random(len(t)) < (share if signal == "flux" else 0.0)
        return np.where(bad, Quality.INVALID, 0).astype(np.uint8)

    return flags


@pytest.mark.parametrize(
    ("share", "status", "reason"),
    [(0.01, "ok", ""), (0.1, "low_quality", "artefacts"), (0.3, "not_computable", "too_many_artefacts")],
)
def test_artefacts_cost_trust_and_then_the_value(outcome, share, status, reason):
    rest = hyperaemia(outcome, flags=spoiled(share))["rest_flow"]
    says(rest, status, reason)
    assert rest.pct_artefact == pytest.approx(100 * share, abs=2.0)


def test_a_gap_in_the_hyperaemia_is_said(outcome):
    found = hyperaemia(outcome, lost=(365.0, 375.0))
    says(found["peak_flow"], "low_quality", "artefacts; hole_in_the_hyperaemia")
    says(found["rest_flow"], "ok", "")


def test_a_gap_in_the_recovery_costs_nothing_of_the_peak(outcome):
    says(hyperaemia(outcome, lost=(600.0, 620.0))["peak_flow"], "ok", "")


def saturated(outcome, high):
    def flags(signal, t):
        over = Participant("healthy", "porh", 3).values("flux", t) > high if signal == "flux" else t < 0
        return np.where(over, Quality.RANGE, 0).astype(np.uint8)

    return hyperaemia(outcome, flags=flags, change=lambda signal, t, x: np.minimum(x, high) if signal == "flux" else x)[
        "peak_flow"
    ]


def test_an_input_that_was_saturated_for_a_moment_makes_the_peak_a_bound(outcome):
    peak = saturated(outcome, 100.0)
    assert peak.status == "censored"
    assert "over_range" in peak.reason.split("; ")
    assert 80.0 < peak.value <= 100.0


def test_an_input_that_was_saturated_for_long_has_no_peak_and_the_reason_is_the_range(outcome):
    says(saturated(outcome, 50.0), "not_computable", "too_many_artefacts; over_range")


def test_a_probe_that_falls_off_at_the_release_leaves_no_peak(outcome):
    found = hyperaemia(outcome, change=lambda signal, t, x: np.where(t > 360.0, np.nan, x) if signal == "flux" else x)
    assert found["peak_flow"].status == "not_computable"
    says(found["rest_flow"], "ok", "")


def test_a_code_that_stands_still_is_no_flux(outcome):
    def stuck(signal, t, x):
        return np.where((t > 60.0) & (t < 110.0), x[2400], x) if signal == "flux" else x

    says(hyperaemia(outcome, change=stuck)["rest_flow"], "not_computable", "too_many_artefacts")


def test_a_probe_that_left_the_skin_measures_none():
    flux = Trace.of(np.arange(0.0, 200.0, 0.025), 10.0 + np.sin(np.arange(8000) * 0.7))
    light = Trace.of(np.arange(0.0, 200.0, 0.5), np.where(np.abs(np.arange(400) - 200) < 20, 30.0, 55.0))
    off = flux.time[~screened(flux, light).valid]
    assert (off.min(), off.max()) == (pytest.approx(90.5, abs=0.5), pytest.approx(109.5, abs=0.5))
    assert screened(flux, None).valid.all()


def test_without_a_release_mark_the_flux_shows_it_and_nothing_is_timed_by_it(outcome):
    found = hyperaemia(outcome, PORH[:1], change=without_cuff, stop="the release was not marked")
    says(found["peak_flow"], "low_quality", "no_release_mark")
    says(found["time_to_peak"], "not_computable", "release_inferred_from_the_flux")
    assert found["peak_flow"].settings["off"] == pytest.approx(360.0, abs=5.0)


def test_without_a_release_mark_and_without_a_rise_only_rest_is_known(outcome):
    found = hyperaemia(outcome, PORH[:1], 350.0, change=without_cuff, stop="the record ended in the occlusion")
    says(found["peak_flow"], "not_computable", "no_release_mark")
    says(found["rest_flow"], "low_quality", "no_release_mark")


def test_marks_out_of_order_are_refused_whether_entered_or_corrected():
    made = Study()
    with pytest.raises(Refused, match=r"inflate|phase"):
        made.examine("healthy", "porh", "porh", (("release", 100.0), ("inflate", 178.0)), 200.0, devices=("ldf",))
    made = Study()
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",))
    session_log = replay(made.events)
    session = session_log.sessions["s1"]
    release = next(item for item in session.items if item.name == "release")
    with pytest.raises(Refused, match="out of order"):
        decisions.correct(
            session_log, session.stop + SECOND, release.number, "at", session.start + 100 * SECOND, "a slip", "", "s1"
        )


def test_a_first_pain_before_the_belt_moved_gives_no_distance(outcome):
    marks = (("standing", 30.0), ("start", 180.6), ("onset", 200.0), ("stop", WALK["stop"], "claudication"))
    late = {"change": lambda signal, t, x: np.where(t < 205.0, 0.0, x) if signal == "belt_speed" else x}
    found = outcome("treadmill/belt/speed", "claudicant", "walk-constant", "walking-constant", marks, 1020.0, **late)
    assert found["icd_distance"].status == "not_computable"
    assert found["icd_distance"].reason.startswith("marks_out_of_order")


def test_a_peak_at_the_end_of_the_search_is_a_bound_until_the_legs_disease_is_known(outcome, tmp_path):
    found = hyperaemia(outcome, kind="claudicant", seconds=1000.0)
    assert found["peak_flow"].status == "censored"
    assert found["peak_flow"].reason.startswith("peak_not_reached")


def test_a_leg_with_a_low_abi_is_searched_longer(outcome):
    found = hyperaemia(outcome, kind="claudicant", seconds=1000.0, entries=[{**ABI, "dorsalis_pedis": 70}])
    assert "peak_not_reached" not in found["peak_flow"].reason
    assert found["time_to_peak"].value > 60.0


def test_heat_that_never_reaches_a_plateau_says_so(outcome):
    def rising(signal, t, values):
        return values + np.clip(t - 1200.0, 0.0, 1200.0) / 20.0 if signal == "flux" else values

    found = outcome(None, "diabetic", "heating", "local-heating", HEAT, 3400.0, devices=("ldf",), change=rising)
    assert found["plateau"].status == "low_quality"
    assert "no_plateau" in found["plateau"].reason


def test_a_chest_electrode_that_falls_spoils_the_ratio_and_not_the_limb(outcome):
    def falling(signal, t, values):
        return values - 0.6 * np.maximum(t - 600.0, 0.0) / 60.0 if signal == "tcpo2_chest" else values

    found = outcome(CALF, "diabetic", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), change=falling)
    says(found["tcpo2_rest"], "ok", "")
    assert found["tcpo2_rpi"].status == "low_quality"
    assert found["tcpo2_rpi"].reason.startswith("chest: ")


def test_an_electrode_that_comes_off_has_no_resting_value(outcome):
    def off(signal, t, values):
        return np.where(t > 700.0, 152.0, values) if signal == "tcpo2_calf" else values

    found = outcome(CALF, "diabetic", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), change=off)
    assert found["tcpo2_rest"].status == "not_computable"
    assert "detached" in found["tcpo2_rest"].reason


def test_ten_minutes_of_an_electrode_are_no_rest(outcome):
    found = outcome(
        CALF, "healthy", "rest", "tcpo2-rest", REST[:1], 600.0, devices=("tcpo2",), stop="it ended early"
    )  # fmt: skip
    says(found["tcpo2_rest"], "not_computable", "window_not_recorded")


def test_a_short_record_at_rest_has_fast_bands_that_are_doubted_and_no_slow_ones(outcome):
    found = outcome(FLUX, "healthy", "rest", "flowmotion", (("next", 1.0),), 400.0, devices=("ldf",), stop="ended")
    says(found["myogenic_power"], "low_quality", "record_shorter_than_10_min")
    assert found["endothelial_independent_power"].status == "not_computable"


def test_an_occlusion_of_half_a_minute_has_no_biological_zero(outcome):
    found = hyperaemia(outcome, (("inflate", 178.0), ("release", 210.0)), change=without_cuff)
    says(found["biological_zero"], "not_computable", "occlusion_too_short")
    assert found["peak_flow"].status == "low_quality"


def test_a_belt_that_the_operator_stopped_bounds_the_distance(outcome):
    marks = (*WALK_MARKS[:3], ("stop", WALK["stop"], "operator"))
    found = outcome("treadmill/belt/speed", "claudicant", "walk-constant", "walking-constant", marks, 1020.0)
    says(found["acd_distance"], "censored", "stopped_for_operator")
    assert found["acd_distance"].value == pytest.approx(WALK["distance"], abs=1.0)
    says(found["icd_distance"], "ok", "")


def test_electrodes_taken_off_at_the_stop_make_the_drop_a_bound(outcome):
    found = outcome(
        CALF, "claudicant", "walk-constant", "walking-constant", WALK_MARKS, WALK["stop"] + 30.0,
        stop="the participant had to go",
    )  # fmt: skip
    assert found["drop_min"].status == "censored"
