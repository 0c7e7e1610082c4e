"""Numbers that are missing and numbers that cannot be: neither may become a clinical class."""

import math

import numpy as np
import pytest

from acquisition.signals import drop, oxygen_calibration, porh, tcpo2, walking, walking_cost, wound
from acquisition.signals.clinical import abi, abi_class, pain, pain_change, post_exercise, tbi, toe_pressure
from acquisition.signals.comparison import Detectable, Meaning, change, geometric_mean_ratio
from acquisition.signals.eligibility import CriterionVerdict, Provenance, by_abi, by_tcpo2
from acquisition.signals.heating import Stages, heating
from acquisition.signals.iontophoresis import Dose, drug_ratio, iontophoresis
from acquisition.signals.kit import units
from acquisition.signals.kit.plausible import TCPO2, impossible, present
from acquisition.signals.occlusion import MarkSource, Occlusion
from acquisition.signals.result import Result, Status, Trace
from acquisition.signals.staging import Symptoms, fontaine, ischaemia_grade, wifi_stage
from acquisition.signals.thermal_dose import ThermalDose

NAN, INF = math.nan, math.inf
KINDS = ("abi", "ankle", "toe", "tcpo2")


def of(name, value, unit="1"):
    return Result.of(name, value, unit)


def not_computable(*results):
    return all(r.value is None and r.status is Status.NOT_COMPUTABLE and r.reason for r in results)


def test_nan_is_a_missing_number_and_no_impossible_one():
    assert (present(NAN), present(None), present(0.0)) == (None, None, 0.0)
    assert impossible(("tcpo2", NAN, TCPO2), ("tcpo2", None, TCPO2), ("tcpo2", 800.0, TCPO2)) == ""
    assert impossible(("tcpo2", -5.0, TCPO2)) == "tcpo2_impossible (-5 is not 0 to 800 mm[Hg])"


@pytest.mark.parametrize("word", KINDS)
def test_a_measure_of_nan_grades_no_ischaemia_and_hides_no_other(word):
    assert ischaemia_grade(**{word: NAN}).reason == "nothing_measured"
    other = "toe" if word != "toe" else "abi"
    value = {"toe": 20.0, "abi": 0.3}[other]
    assert ischaemia_grade(**{other: value, word: NAN}) == ischaemia_grade(**{other: value})


@pytest.mark.parametrize("word", KINDS)
@pytest.mark.parametrize("value", [-5.0, -1e-9, 801.0, 1e300, INF, -INF])
def test_a_measure_that_cannot_be_grades_no_ischaemia(word, value):
    result = ischaemia_grade(**{"toe": 50.0, word: value})
    assert not_computable(result)
    assert result.reason.startswith(f"{word}_impossible")


def test_an_index_of_0_needs_the_ankle_pressure_that_it_is_of():
    assert ischaemia_grade(abi=0.0).reason.startswith("abi_impossible")
    assert ischaemia_grade(abi=0.0, ankle=0.0).value == 3.0
    assert by_abi([abi(0.0, 0.0, 120.0, 125.0)]).verdict is CriterionVerdict.MET
    assert by_abi([of("abi", 0.0)]).verdict is CriterionVerdict.UNUSABLE


def test_a_stage_of_wifi_needs_grades_that_are():
    grade = of("wifi_ischaemia", 2.0)
    assert wifi_stage(NAN, grade, 0).reason == "wound_grade_missing"
    assert not_computable(wifi_stage(4, grade, 0), wifi_stage(0, grade, -1), wifi_stage(0, of("x", 7.0), 0))


def test_pressures_of_nan_are_not_measured():
    assert abi(NAN, 90.0, 120.0, NAN).value == 0.75
    assert abi(NAN, NAN, 120.0, 120.0).reason == "ankle_pressure_missing"
    assert tbi(NAN, 120.0, 120.0).reason == "toe_pressure_missing"
    assert abi(INF, 90.0, 120.0, 120.0).reason == "pressure_impossible"
    assert tbi(-5.0, 120.0, 120.0).reason == "pressure_impossible"
    assert not_computable(toe_pressure(-5.0), toe_pressure(NAN), toe_pressure(INF))
    assert toe_pressure(40.0).value == 40.0


@pytest.mark.parametrize("value", [NAN, INF, -0.2])
def test_an_index_that_is_none_reads_as_nothing(value):
    with pytest.raises(ValueError, match="does not read"):
        abi_class(value)


def test_a_fall_after_exercise_is_one_of_pressures_that_can_be():
    rest = abi(96, 90, 120, 120)
    index, ankle = post_exercise(rest, of("abi", -0.4), NAN, 60.0)
    assert not_computable(index, ankle)
    assert not_computable(post_exercise(rest, rest, -20.0, 60.0)[1], post_exercise(rest, rest, 90.0, INF)[1])


def test_pain_is_marked_on_a_line_that_has_an_end():
    assert not_computable(pain(50.0, INF), pain(INF), pain(-1.0), pain(50.0, NAN))
    assert not_computable(*pain_change(of("pain_vas", -20.0, "mm"), pain(30.0)))


def test_a_pressure_of_oxygen_that_cannot_be_meets_no_limit_and_makes_no_ratio():
    for value in (-5.0, 801.0):
        criterion = by_tcpo2([(of("tcpo2_rest", value, "mm[Hg]"), Provenance())])
        assert (criterion.verdict, criterion.reason[:16]) == (CriterionVerdict.UNUSABLE, "tcpo2_impossible")
    good = of("b", 60.0, "mm[Hg]")
    assert not_computable(tcpo2.rpi(of("a", -2.0, "mm[Hg]"), good), tcpo2.rpi(good, of("a", 900.0, "mm[Hg]")))
    assert tcpo2.rpi(of("a", 6.6, "kPa"), good).reason == "unit_is_not_mmHg (kPa, mm[Hg])"
    assert by_abi([of("abi", -0.3)]).verdict is CriterionVerdict.UNUSABLE


def test_an_accuracy_that_cannot_be_confirms_no_scale():
    assert Provenance(accuracy=NAN).objection() == ""
    assert Provenance(accuracy=-3.0).objection().startswith("accuracy_impossible")
    assert Provenance(accuracy=INF).objection() == "accuracy_only_inf"


def test_a_change_is_one_of_values_that_can_be_and_beside_a_limit_that_is_one():
    low, good = of("tcpo2_rest", -4.0, "mm[Hg]"), of("tcpo2_rest", 30.0, "mm[Hg]")
    assert not_computable(change(low, good, ({}, {}), ()).difference)
    for limit in (NAN, -15.0, 0.0, INF):
        found = change(good, good, ({}, {}), (), {"tcpo2_rest": Detectable(limit, False, "")})
        assert found.meaning is Meaning.UNKNOWN
    for ratios in ([], [NAN], [0.0], [-1.0], [INF]):
        with pytest.raises(ValueError, match="above 0"):
            geometric_mean_ratio(ratios)


def test_an_ulcer_heals_by_areas_and_days_that_can_be():
    closed, negative = of("ulcer_area", 0.0, "cm2"), of("ulcer_area", -1.0, "cm2")
    assert wound.healed(closed, NAN).reason == "epithelialisation_not_stated"
    assert not_computable(wound.healed(negative, 20.0), wound.healed(closed, INF), wound.healed(closed, -1.0))
    assert not_computable(*(wound.area_by_ruler(x, 5.0) for x in (NAN, INF, -1.0, 1e6)))
    assert not_computable(wound.area_by_ruler(9.0, 5.0, reading=NAN))
    assert not_computable(wound.area_reduction(negative, closed), wound.area_reduction(of("a", 3.0, "mm2"), closed))
    one = of("ulcer_area", 1.0, "cm2")
    assert wound.healing_advance(one, closed, NAN, 1.0, 2.0).reason == "perimeter_missing"
    assert not_computable(wound.healing_advance(one, closed, 4.0, -1.0, 2.0))
    assert not_computable(wound.healing_advance(one, closed, 4.0, 0.0, INF), wound.healing_advance(one, one, 4, 4, NAN))
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * 10.0
    assert not_computable(*wound.area_by_outline(square, 1.0, traced_to=NAN), *wound.area_by_outline(square, INF))


def test_walking_takes_nan_as_no_mark_and_no_infinite_one():
    belt = Trace.of(np.arange(400.0), np.full(400, 3.2))
    reason = walking.StopReason.CLAUDICATION
    never = walking.distances(belt, walking.Walk(10.0, 300.0, reason, onset=NAN))
    assert never == walking.distances(belt, walking.Walk(10.0, 300.0, reason))
    assert not_computable(*walking.distances(belt, walking.Walk(NAN, 300.0, reason)))
    assert not_computable(*walking.distances(belt, walking.Walk(10.0, INF, reason)))
    assert not_computable(walking.recovery_time(walking.Walk(10.0, 300.0, reason, onset=200.0, pain_gone=INF)))
    assert fontaine(Symptoms.MILD_CLAUDICATION, of("acd_distance", -50.0, "m")).stage == "II"


def test_what_walking_costs_needs_a_speed_a_grade_and_a_mass_that_can_be():
    for speed, grade in ((NAN, 0.0), (3.0, NAN), (-3.2, 0.0), (INF, 0.0), (3.2, 900.0)):
        assert not_computable(*walking_cost.estimated_costs(speed, grade))
    assert not_computable(walking_cost.vertical_work(NAN, 100.0, 10.0), walking_cost.vertical_work(INF, 100.0, 10.0))
    assert not_computable(walking_cost.vertical_work(70.0, -5.0, 10.0))


def test_a_drop_needs_marks_and_a_cutoff_that_are_numbers():
    trace = Trace.of(np.arange(900.0), np.full(900, 60.0))
    assert not_computable(*drop.indices(trace, trace, NAN, 400.0), *drop.indices(trace, trace, 200.0, INF))
    with pytest.raises(ValueError, match="cutoff is nan"):
        drop.DropSettings(cutoff=NAN)
    for settings in (walking.WalkingSettings, tcpo2.StabilitySettings, porh.Settings):
        with pytest.raises(ValueError, match="a finite number is needed"):
            settings(**{"hold": NAN} if settings is walking.WalkingSettings else {
                "noise": INF} if settings is tcpo2.StabilitySettings else {"rest": (-120.0, NAN)})  # fmt: skip


def test_a_conductance_needs_a_pressure_that_can_be():
    flux = of("rest_flow", 20.0, "[arb'U]")
    assert units.vascular_conductance(flux, NAN).reason == "no_blood_pressure"
    assert units.vascular_conductance(flux, 90.0, abi=NAN).status is Status.OK
    for pressure, more in (
        (INF, {}),
        (-3.0, {}),
        (90.0, {"height": NAN}),
        (90.0, {"height": 1e9}),
        (90.0, {"abi": -1}),
    ):
        assert not_computable(units.vascular_conductance(flux, pressure, **more))
    assert not_computable(units.percent_change(INF, 20.0), units.percent_change(30.0, NAN))


def test_a_drift_needs_readings_and_hours_that_can_be():
    assert oxygen_calibration.drift(150.0, NAN, 1.0).reason == "not_rechecked_in_air"
    for given in ((150.0, 140.0, INF), (INF, 140.0, 1.0), (150.0, -5.0, 1.0), (NAN, 140.0, 1.0), (150.0, 140.0, NAN)):
        assert not_computable(oxygen_calibration.drift(*given))


def test_a_limit_of_heat_is_a_number_of_minutes():
    dose = ThermalDose("foot", NAN)
    dose.feed(Trace.of(np.arange(60.0), np.full(60, 44.0)))
    assert dose.result().reason.endswith("limit_not_configured")
    for limit in (-1.0, INF):
        with pytest.raises(ValueError, match="no number of minutes"):
            ThermalDose("foot", limit)


def test_a_hyperaemia_needs_marks_and_an_abi_that_can_be():
    flux = Trace.of(np.arange(900.0), 20.0 + np.sin(np.arange(900.0)))
    marked = Occlusion(300.0, 480.0, MarkSource.CUFF, True)
    assert porh.porh(flux, marked, abi=NAN) == porh.porh(flux, marked)
    assert not_computable(*porh.porh(flux, marked, abi=-1.0).values())
    for on, off in ((NAN, 480.0), (300.0, INF), (-INF, 480.0)):
        assert Occlusion(on, off).fault == "mark_is_no_time"


def test_heating_needs_marks_and_a_temperature_that_can_be():
    flux = Trace.of(np.arange(3000.0), 20.0 + np.sin(np.arange(3000.0)))
    for stages in (Stages(NAN, None, None), Stages(300.0, INF, None), Stages(300.0, None, None, NAN)):
        assert not_computable(*heating(flux, stages).values())
    stages = Stages(300.0, None, 2400.0)
    assert heating(flux, stages, biological_zero=NAN) == heating(flux, stages)


def test_iontophoresis_needs_doses_that_can_be_and_a_control_that_was_made():
    flux = Trace.of(np.arange(900.0), 20.0 + np.sin(np.arange(900.0)))
    for dose in (Dose(100.0, NAN, 20.0), Dose(100.0, 0.1, -20.0), Dose(INF, 0.1, 20.0)):
        assert not_computable(*iontophoresis(flux, [dose], 400.0).values())
    made = iontophoresis(flux, [Dose(100.0, 0.1, 20.0)], 400.0, vehicle_increase=NAN)
    assert "no_vehicle_control" in made["peak_response"].reason
    assert not_computable(drug_ratio(of("a", 3.0, "[arb'U]"), of("b", 3.0, "mV")))
