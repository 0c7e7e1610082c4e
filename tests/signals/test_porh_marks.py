"""When the cuff closed and opened: by hand, from its pressure, inferred from the flux, or not known."""

import math

import numpy as np
import pytest

from acquisition.signals.occlusion import MarkSource, Occlusion, from_pressure, inferred
from acquisition.signals.porh import UNITS, porh
from acquisition.signals.result import Status, Trace
from tests.signals.curves import CLAUDICANT, CUFF, HEALTHY, Hyperaemia, value


def test_a_mark_by_hand_times_no_latency():
    found = porh(HEALTHY.trace(), Occlusion(300.0, 480.0, MarkSource.MANUAL))
    assert found["latency"].reason == "release_marked_by_hand"
    assert found["time_to_peak"].status is Status.OK


def test_a_release_taken_from_the_flux_times_neither_latency_nor_peak():
    found = porh(HEALTHY.trace(), Occlusion(300.0, 480.0, MarkSource.INFERRED))
    for name in ("latency", "time_to_peak", "half_rise", "mean_slope", "peak_over_time"):
        assert found[name].reason == "release_inferred_from_the_flux"
        assert found[name].value is None
    assert found["half_recovery_from_peak"].status is Status.OK


def test_without_a_release_only_rest_is_known():
    found = porh(HEALTHY.trace(), Occlusion(300.0, None))
    assert value(found, "rest_flow") == pytest.approx(12)
    assert {r.reason for n, r in found.items() if n != "rest_flow"} == {"no_release_mark"}


@pytest.mark.parametrize(
    ("marks", "reason"), [((480.0, 300.0), "marks_out_of_order"), ((None, 480.0), "no_occlusion_mark")]
)
def test_marks_that_make_no_occlusion_give_nothing(marks, reason):
    found = porh(HEALTHY.trace(), Occlusion(*marks))
    assert {(r.value, r.status, r.reason) for r in found.values()} == {(None, Status.NOT_COMPUTABLE, reason)}


def test_every_answer_is_there_whatever_is_missing():
    short = HEALTHY.trace().between(0, 470)
    for trace in (HEALTHY.trace(), short, Trace.of([], []), Trace.of(np.arange(900.0), np.full(900, math.nan))):
        assert list(porh(trace, CUFF)) == list(UNITS)
    assert porh(short, CUFF)["peak_flow"].reason == "record_ends_before_release"
    assert porh(short, CUFF)["rest_flow"].status is Status.OK


def test_cuff_pressure_gives_both_marks():
    t = np.arange(0, 900, 0.5)
    pressure = np.interp(t, [0, 300, 304, 480, 481.5, 900], [0, 0, 220, 215, 0, 0])
    (found,) = from_pressure(Trace.of(t, pressure), systolic=140)
    assert found.source is MarkSource.CUFF
    assert found.on == pytest.approx(300 + 4 * 30 / 220, abs=0.02)
    assert found.off == pytest.approx(480 + 1.5 * 185 / 215, abs=0.2)
    assert found.held is True
    assert from_pressure(Trace.of(t, pressure), systolic=200) == []
    (still_closed,) = from_pressure(Trace.of(t, pressure).between(0, 400), systolic=140)
    assert still_closed.fault == "no_release_mark"
    pressure[(t > 350) & (t < 360)] = 120
    assert from_pressure(Trace.of(t, pressure), systolic=140)[0].held is False


def test_a_blood_pressure_reading_on_the_same_cuff_is_no_second_release():
    t = np.arange(0, 600, 0.5)
    pressure = np.interp(t, [0, 50, 60, 100, 101, 300, 304, 480, 481], [0, 0, 160, 20, 0, 0, 220, 220, 0])
    found = from_pressure(Trace.of(t, pressure), systolic=140)
    assert [round(o.off) for o in found] == [481]


@pytest.mark.parametrize(("highest", "closes"), [(150.0, False), (151.0, True)])
def test_a_cuff_closes_above_150_where_no_systolic_pressure_is_known(highest, closes):
    t = np.arange(0, 600, 0.5)
    pressure = np.interp(t, [0, 300, 304, 480, 481], [0, 0, highest, highest, 0])
    assert bool(from_pressure(Trace.of(t, pressure))) is closes


def test_a_cuff_that_was_closed_before_the_record_began_gives_no_occlusion_and_shifts_no_other():
    t = np.arange(0, 600, 0.5)
    pressure = np.interp(t, [0, 50, 51, 300, 304, 480, 481], [220, 220, 0, 0, 220, 220, 0])
    (found,) = from_pressure(Trace.of(t, pressure), systolic=140)
    assert (found.on, found.off) == (pytest.approx(300 + 4 * 30 / 220), pytest.approx(480 + 190 / 220, abs=0.15))


def test_a_pressure_without_any_valid_sample_shows_no_occlusion():
    assert from_pressure(Trace.of([], []), systolic=140) == []
    assert from_pressure(Trace.of(np.arange(9.0), np.full(9, math.nan)), systolic=140) == []


@pytest.mark.parametrize("curve", [HEALTHY, CLAUDICANT], ids=["healthy", "claudicant"])
def test_the_inferred_release_is_within_its_stated_error(curve):
    found = inferred(curve.trace(noise=0.15, pulse=0.1), 300.0)
    assert abs(found.off - 480.0 - curve.lag) < 2 * found.error
    assert found.source is MarkSource.INFERRED


def test_no_rise_infers_no_release():
    assert inferred(Hyperaemia(peak=12.0).trace().between(0, 470), 300.0).off is None
    assert inferred(Trace.of([], []), 0.0).off is None
    assert inferred(HEALTHY.trace(stop=350), 300.0).off is None, "sooner than any release is looked for"
