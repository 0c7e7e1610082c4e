"""Dose and response with a known logistic, ratios, and series that say too little."""

import numpy as np
import pytest

from acquisition.signals.iontophoresis import UNITS, Dose, axon_fraction, drug_ratio, iontophoresis, logistic
from acquisition.signals.result import Result, Status, Trace

DOSES = [Dose(120.0 + 60 * k, 0.1, 20.0) for k in range(8)]
STOP = 600.0
TRUE = (5.0, 60.0, 6.0, 3.0)


def series(level=lambda q: logistic(q, *TRUE)):
    t = np.arange(0, STOP + 60, 0.1)
    dose = np.clip(np.floor((t - 120) / 60) + 1, 0, 8)
    return Trace.of(t, level(np.where(dose > 0, 2.0 * dose, 1e-12)))


def test_the_logistic_comes_back_and_areas_are_trapezoids():
    found = iontophoresis(series(), DOSES, STOP, vehicle_increase=1.0)
    assert list(found) == list(UNITS)
    q = 2.0 * np.arange(1, 9)
    e = logistic(q, *TRUE)
    assert np.allclose(found["dose_response"].curves["charge"], q)
    assert np.allclose(found["dose_response"].curves["response"], e)
    assert found["peak_response"].value == pytest.approx(e[-1])
    assert found["peak_response_increase"].value == pytest.approx(e[-1] - 5)
    assert found["peak_response_percent"].value == pytest.approx(100 * (e[-1] - 5) / 5)
    area = np.trapezoid(np.concatenate(([0], e - 5)), np.concatenate(([0], q)))
    assert found["response_area_by_charge"].value == pytest.approx(area)
    assert found["response_area_by_time"].value == pytest.approx((e - 5).sum() * 60, rel=1e-6)
    assert found["greatest_effect"].value == pytest.approx(60, rel=1e-4)
    assert found["half_effective_charge"].value == pytest.approx(6, rel=1e-4)
    assert found["hill_slope"].value == pytest.approx(3, rel=1e-4)
    assert {r.reason for r in found.values()} == {""}


def test_a_series_without_the_control_of_the_current_says_so():
    assert iontophoresis(series(), DOSES, STOP)["peak_response"].reason == "no_vehicle_control"


def test_four_doses_or_no_plateau_give_areas_only():
    few = iontophoresis(series(), DOSES[:4], 360.0)
    assert few["half_effective_charge"].reason == "fewer_than_five_doses"
    assert few["response_area_by_charge"].value is not None
    rising = iontophoresis(series(lambda q: 5 + 3 * q), DOSES, STOP)
    assert rising["greatest_effect"].reason == "plateau_not_reached"
    flat = iontophoresis(series(lambda q: 5 + 0 * q), DOSES, STOP)
    assert flat["greatest_effect"].reason == "no_response"


def test_marks_out_of_order_and_missing_flux_give_nothing():
    assert {r.reason for r in iontophoresis(series(), DOSES[::-1], STOP).values()} == {"marks_out_of_order"}
    assert {r.reason for r in iontophoresis(series(), [], STOP).values()} == {"no_doses"}
    empty = iontophoresis(Trace.of([], []), DOSES, STOP)
    assert {r.value for r in empty.values()} == {None}
    assert empty["peak_response"].reason == "no_data"


def test_ratios_take_the_worst_that_is_said_of_their_parts():
    ach, snp = Result.of("ach", 20.0, "1"), Result.of("snp", 40.0, "1")
    assert drug_ratio(ach, snp).value == 0.5
    assert axon_fraction(ach, snp.flagged("artefacts")).status is Status.LOW_QUALITY
    assert drug_ratio(ach, Result.missing("snp", "1", "no_data")).reason == "snp: no_data"
    assert drug_ratio(ach, Result.of("snp", -1.0, "1")).reason == "no_response_to_compare_with"
