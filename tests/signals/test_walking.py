"""Distances of belts whose truth is known, and every way in which a walk can end."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from acquisition.signals.live.walking import WalkMeter
from acquisition.signals.result import Status, Trace, table
from acquisition.signals.walking import Course, StopReason, Walk, belt_start, belt_stop, distances, recovery_time
from acquisition.signals.walking_cost import (
    energy_rate,
    estimated_costs,
    estimated_mets,
    mets,
    oxygen_uptake,
    vertical_work,
)
from acquisition.signals.walking_protocols import BeltProtocol, BeltStage, adherence
from tests.signals.oxygen import pieces


def belt(speed=3.2, start=10.0, stop=400.0, seconds=450.0, rate=4.0, ramp=4.0):
    """A belt that ramps up within `ramp` s, runs, and ramps down."""
    time = np.arange(round(seconds * rate) + 1) / rate
    return Trace.of(time, np.interp(time, [start, start + ramp, stop, stop + ramp], [0.0, speed, speed, 0.0]))


def walked(walk, trace=None, **more):
    return table(distances(belt() if trace is None else trace, walk, **more))


CLAUDICATION = StopReason.CLAUDICATION


def test_distance_is_the_integral_of_the_measured_speed_ramp_included():
    result = walked(Walk(10.0, 310.0, CLAUDICATION, onset=100.0))
    ramp = 0.5 * 4.0 * 3.2 / 3.6
    assert result["icd_distance"].value == pytest.approx(ramp + 86.0 * 3.2 / 3.6, rel=1e-12)
    assert result["acd_distance"].value == pytest.approx(ramp + 296.0 * 3.2 / 3.6, rel=1e-12)
    assert (result["icd_time"].value, result["acd_time"].value) == (90.0, 300.0)
    assert result["acd_distance"].uncertainty == pytest.approx(0.5 * 3.2 / 3.6)
    assert result["acd_distance"].status is Status.OK


def test_a_mark_between_two_samples_is_read_on_the_line_between_them():
    trace = Trace.of([0.0, 10.0], [0.0, 3.6])
    assert Course(trace, hold=60.0).at(4.0) == pytest.approx(0.5 * 4.0 * 0.4)


def test_the_integral_is_scipys():
    rng = np.random.default_rng(2)
    time = np.cumsum(rng.uniform(0.1, 0.4, 2000))
    speed = rng.uniform(0.0, 6.0, 2000)
    assert Course(Trace.of(time, speed)).metres[-1] == pytest.approx(trapezoid(speed / 3.6, time), rel=1e-12)


def test_no_pain_censors_the_initial_distance_at_the_end():
    result = walked(Walk(10.0, 310.0, StopReason.PROTOCOL_END))
    assert (result["icd_distance"].status, result["icd_distance"].reason) == (Status.CENSORED, "pain_not_reached")
    assert result["icd_distance"].value == result["acd_distance"].value
    assert result["acd_distance"].reason == "stopped_for_protocol_end"


@pytest.mark.parametrize("reason", [r for r in StopReason if r is not CLAUDICATION])
def test_only_claudication_makes_a_distance_absolute(reason):
    result = walked(Walk(10.0, 310.0, reason, onset=100.0))
    assert result["acd_distance"].status is Status.CENSORED
    assert result["acd_time"].reason == f"stopped_for_{reason}"
    assert result["icd_distance"].status is Status.OK


def test_a_stop_without_a_reason_is_no_absolute_distance():
    result = walked(Walk(10.0, 310.0, None, onset=100.0))
    assert (result["acd_distance"].value, result["acd_distance"].reason) == (None, "stop_reason_missing")
    assert result["icd_distance"].status is Status.OK


def test_a_belt_that_the_operator_stopped_ends_an_unmarked_walk():
    result = walked(Walk(10.0, None, StopReason.OPERATOR, onset=100.0))
    assert result["acd_time"].value == pytest.approx(belt_stop(belt(), 10.0) - 10.0)
    assert result["acd_distance"].reason == "stopped_for_operator; stop_from_belt"


def test_a_walk_without_any_end_has_no_distance():
    running = belt().between(0.0, 300.0)
    assert walked(Walk(10.0, None, None), running)["icd_distance"].reason == "stop_not_marked"


@pytest.mark.parametrize(
    ("walk", "reason"),
    [
        (Walk(10.0, 5.0, CLAUDICATION), "stop before start"),
        (Walk(10.0, 310.0, CLAUDICATION, onset=320.0), "onset after stop"),
        (Walk(10.0, 310.0, CLAUDICATION, onset=5.0), "onset before start"),
        (Walk(10.0, 310.0, CLAUDICATION, onset=200.0, functional=150.0), "functional before onset"),
        (Walk(10.0, 310.0, CLAUDICATION, onset=200.0, pain_gone=300.0), "pain gone before stop"),
    ],
)
def test_marks_out_of_order_give_no_distance(walk, reason):
    result = walked(walk)
    assert {r.reason for r in result.values()} == {f"marks_out_of_order ({reason})"}
    assert {r.value for r in result.values()} == {None}


def test_a_walk_beyond_the_record_has_no_distance():
    assert walked(Walk(10.0, 900.0, CLAUDICATION))["acd_distance"].reason == "belt_not_recorded"


def without(trace, start, stop):
    keep = (trace.time < start) | (trace.time >= stop)
    return Trace(trace.time[keep], trace.values[keep], trace.quality[keep])


def test_a_hole_in_the_speed_is_held_and_makes_the_distance_uncertain():
    whole, holed = belt(), without(belt(), 150.0, 180.0)
    walk = Walk(10.0, 310.0, CLAUDICATION, onset=100.0)
    result = walked(walk, holed)
    assert result["acd_distance"].value == pytest.approx(walked(walk, whole)["acd_distance"].value, rel=1e-12)
    assert (result["acd_distance"].status, result["acd_distance"].reason) == (Status.LOW_QUALITY, "speed_missing")
    assert result["acd_distance"].uncertainty == pytest.approx(30.25 * 3.2 / 3.6 / math.sqrt(12.0), rel=0.01)
    assert result["icd_distance"].status is Status.OK, "before the hole nothing is in doubt"


def test_a_hole_before_the_walk_puts_nothing_of_it_in_doubt():
    result = walked(Walk(60.0, 310.0, CLAUDICATION, onset=100.0), without(belt(), 20.0, 50.0))
    assert {each.status for each in (result["icd_distance"], result["acd_distance"])} == {Status.OK}
    assert result["acd_distance"].uncertainty == pytest.approx(0.5 * 3.2 / 3.6)


def test_the_speed_is_held_at_both_edges_of_the_record():
    course = Course(Trace.of(np.arange(10.0, 21.0), np.append(np.full(10, 3.6), 7.2)))
    assert course.between(9.0, 21.0)[0] == pytest.approx(1.0 + 9.0 + 1.5 + 2.0)


def odometer(trace, factor=1.0):
    course = Course(trace)
    return Trace.of(course.time, factor * course.metres)


def test_the_odometer_is_preferred_and_fills_a_hole():
    walk = Walk(10.0, 310.0, CLAUDICATION, onset=100.0)
    result = walked(walk, without(belt(), 150.0, 180.0), odometer=odometer(belt(), 1.005))["acd_distance"]
    assert result.status is Status.OK
    assert result.value == pytest.approx(1.005 * walked(walk)["acd_distance"].value, rel=1e-9)


def test_an_odometer_that_differs_by_more_than_one_per_cent_is_reported():
    walk = Walk(10.0, 310.0, CLAUDICATION, onset=100.0)
    result = walked(walk, odometer=odometer(belt(), 1.02))["acd_distance"]
    assert result.status is Status.LOW_QUALITY
    assert result.reason.startswith("odometer_differs")
    assert result.value == walked(walk)["acd_distance"].value
    counter = odometer(belt())
    again = Trace.of(counter.time, np.where(counter.time < 200, counter.values, counter.values - 100))
    assert walked(walk, odometer=again)["acd_distance"].reason == "odometer_reset"


def test_belt_start_and_stop_are_crossings_of_walking_speed():
    assert belt_start(belt()) == pytest.approx(10.0 + 4.0 * 0.1 / 3.2)
    assert belt_stop(belt(), 10.0) == pytest.approx(404.0 - 4.0 * 0.1 / 3.2)
    assert belt_start(Trace.of([0.0, 1.0], [0.0, 0.0])) is None
    assert belt_stop(belt().between(0.0, 300.0), 10.0) is None


def test_pain_recovery_is_from_the_stop_on():
    assert recovery_time(Walk(10.0, 310.0, CLAUDICATION, onset=100.0, pain_gone=425.0)).value == 115.0
    assert recovery_time(Walk(10.0, 310.0, CLAUDICATION, onset=100.0)).reason == "end_of_pain_not_marked"
    assert recovery_time(Walk(10.0, 310.0, StopReason.PROTOCOL_END)).reason == "pain_not_reached"


@given(st.floats(0.5, 8.0), st.floats(20.0, 380.0), st.integers(-1000, 1000))
@settings(max_examples=50, deadline=None)
def test_distance_scales_with_speed_and_not_with_the_time_origin(speed, onset, hours):
    shift = 3600.0 * hours
    trace = belt(speed)
    moved = Trace.of(trace.time + shift, trace.values)
    base = walked(Walk(10.0, 390.0, CLAUDICATION, onset=onset), belt(1.0))["icd_distance"].value
    result = walked(Walk(10.0 + shift, 390.0 + shift, CLAUDICATION, onset=onset + shift), moved)["icd_distance"].value
    assert result == pytest.approx(speed * base, rel=1e-6)


@given(st.lists(st.integers(1, 1800), max_size=30, unique=True), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_the_live_distance_is_that_of_the_record_bit_for_bit(cuts, seed):
    rng = np.random.default_rng(seed)
    trace = belt()
    trace = Trace.of(trace.time, np.where(rng.random(len(trace)) < 0.1, np.nan, trace.values + 0.02 * rng.random()))
    meter = WalkMeter(10.0)
    for piece in pieces(trace, cuts):
        meter.feed(piece)
    end = float(trace.time[trace.valid][-1])
    assert meter.now(end).distance == Course(trace).at(end) - Course(trace).at(10.0)


def test_the_live_walk_holds_a_silent_belt_for_two_seconds_and_then_says_so():
    meter = WalkMeter(10.0)
    meter.feed(belt().between(0.0, 100.25), Trace.of([50.0], [10.0]))
    now = meter.now(100.0)
    assert (now.speed, now.grade, now.moving, now.held) == (3.2, 10.0, True, False)
    assert now.mets == pytest.approx(5.27, abs=0.01)
    late = meter.now(110.0)
    assert (late.speed, late.mets, late.held, late.uncertain) == (None, None, True, True)
    assert late.distance == pytest.approx(now.distance + 2.0 * 3.2 / 3.6)
    meter.mark("onset", 100.0)
    assert meter.now(101.0).marks["onset"] == (90.0, now.distance)


def test_the_live_walk_knows_nothing_that_no_sample_has_said():
    meter = WalkMeter(10.0)
    now = meter.now(20.0)
    assert (now.distance, now.speed, now.grade, now.mets, now.held, now.uncertain) == (
        0.0,
        None,
        None,
        None,
        True,
        False,
    )
    meter.feed(belt().between(0.0, 100.25))
    assert (meter.now(100.0).speed, meter.now(100.0).mets) == (3.2, None), "without a grade there is no cost"


def test_acsm_mets_of_the_gardner_skinner_stages():
    printed = {0: 2.52, 2: 3.07, 4: 3.62, 6: 4.17, 8: 4.72, 10: 5.27, 12: 5.82}
    assert np.allclose(mets(3.2, list(printed)), list(printed.values()), atol=0.006)
    # The same equation as it is printed for mph: 2.68 v + 0.48 v incline + 3.5.
    assert float(oxygen_uptake(2.0 * 1.609344, 10.0)) == pytest.approx(2.68 * 2 + 0.48 * 2 * 10 + 3.5, abs=0.1)
    assert energy_rate(3.2, 0.0, 70.0) == pytest.approx((3.5 + 0.1 * 3.2 / 0.06) * 70 / 200)


def test_mets_outside_the_equation_or_at_the_handrail_are_of_low_quality():
    assert estimated_mets(3.2, 10.0).status is Status.OK
    assert estimated_mets(2.0, 10.0).reason == "speed_outside_50_to_100_m_per_min"
    assert estimated_mets(3.2, 10.0, handrail=True).reason == "handrail_lowers_the_true_cost"
    assert estimated_mets(math.nan, 10.0).status is Status.NOT_COMPUTABLE


def test_oxygen_uptake_goes_with_the_mets():
    met, uptake = estimated_costs(3.2, 10.0, handrail=True)
    assert (uptake.value, uptake.unit) == (pytest.approx(3.5 * met.value), "mL/kg/min")
    assert (uptake.status, uptake.reason) == (Status.LOW_QUALITY, met.reason)
    for missing in estimated_costs(math.nan, 10.0):
        assert (missing.value, missing.reason) == (None, "speed_or_grade_missing")


def test_work_is_weight_times_height():
    assert vertical_work(80.0, 100.0, 10.0).value == pytest.approx(80 * 9.80665 * 100 * 0.1 / math.sqrt(1.01))
    assert vertical_work(0.0, 100.0, 10.0).reason == "mass_missing"


GRADED = BeltProtocol("walk-gs", tuple(BeltStage(120.0 * k, 3.2, 2.0 * k) for k in range(10)))
CONSTANT = BeltProtocol("walk-constant", (BeltStage(0.0, 3.2, 10.0),))


def test_a_protocol_says_speed_and_grade_at_every_moment():
    speeds, grades = GRADED.at([-5.0, 0.0, 119.9, 120.0, 700.0, 5000.0])
    assert np.all(speeds == 3.2)
    assert grades.tolist() == [0.0, 0.0, 0.0, 2.0, 10.0, 18.0]
    with pytest.raises(ValueError, match="follow"):
        BeltProtocol("odd", (BeltStage(0.0, 3.0, 0.0), BeltStage(0.0, 3.0, 2.0)))


def test_a_graded_belt_is_judged_stage_by_stage():
    trace = belt(stop=900.0, seconds=950.0)
    follows = Trace.of(trace.time, 2.0 * np.floor(np.maximum(trace.time - 10.0, 0.0) / 120.0))
    assert adherence(trace, follows, GRADED, 10.0, 900.0).value == 100.0
    stays = Trace.of(trace.time, np.zeros(len(trace)))
    assert adherence(trace, stays, GRADED, 10.0, 900.0).value == pytest.approx(13.6, abs=1.0)


def test_a_belt_that_leaves_its_protocol_is_reported():
    trace = belt()
    grade = Trace.of(trace.time, np.full(len(trace), 10.0))
    assert adherence(trace, grade, CONSTANT, 10.0, 400.0).value == 100.0
    assert adherence(trace, None, CONSTANT, 10.0, 400.0).reason == "grade_not_recorded"
    silent = Trace.of(trace.time, np.full(len(trace), np.nan))
    assert adherence(trace, silent, CONSTANT, 10.0, 400.0).reason == "grade_not_recorded"
    assert adherence(belt(3.34), grade, CONSTANT, 10.0, 400.0).value == 100.0
    assert adherence(belt(3.36), grade, CONSTANT, 10.0, 400.0).value == 0.0
    steep = Trace.of(trace.time, np.full(len(trace), 12.0))
    assert adherence(trace, steep, CONSTANT, 10.0, 400.0).reason == "protocol_not_followed"
    assert adherence(trace, grade, CONSTANT, 900.0, 990.0).reason == "belt_not_recorded"
