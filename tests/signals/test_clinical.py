"""Pain, pressure indices, stages, heat, comparison of visits and the inclusion limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.signals.catalogue.index import FLUX, PAIN, PRESSURE, TCPO2, ULCER, WALKING
from acquisition.signals.clinical import AbiClass, abi, abi_class, pain, pain_change, post_exercise, tbi
from acquisition.signals.comparison import (
    Meaning,
    change,
    geometric_mean_ratio,
    incomparable,
    sdc95_from_cv,
    sdc95_from_differences,
)
from acquisition.signals.eligibility import (
    CriterionVerdict,
    Provenance,
    by_abi,
    by_tcpo2,
    eligibility,
    first_valid,
)
from acquisition.signals.result import Result, Status, Trace
from acquisition.signals.staging import Symptoms, fontaine, ischaemia_grade, rutherford, wifi_code, wifi_stage
from acquisition.signals.thermal_dose import Heated, ThermalDose, doses
from tests.signals.oxygen import pieces


def test_pain_is_read_to_a_millimetre_and_a_mark_at_0_is_not_a_missing_one():
    assert pain(62.4).value == 62.0
    assert pain(0.0).value == 0.0
    assert pain(312.5, 500.0).value == 63.0
    assert pain(None).reason == "not_marked"
    assert pain(101.0).reason == "mark_off_the_line"
    assert pain(50.0, 0.0).reason == "length_of_line_missing"


def test_pain_that_was_none_has_no_change_in_per_cent():
    delta, percent = pain_change(pain(0.0), pain(20.0))
    assert (delta.value, percent.value, percent.reason) == (20.0, None, "no_pain_at_baseline")
    assert [r.value for r in pain_change(pain(60.0), pain(30.0))] == [-30.0, -50.0]
    assert pain_change(pain(None), pain(30.0))[0].reason == "pain_missing"


def test_abi_is_the_higher_ankle_over_the_higher_arm():
    result = abi(80.0, 90.0, 120.0, 125.0)
    assert (result.value, result.status) == (0.72, Status.OK)
    assert abi(80.0, 90.0, 120.0, 125.0, "lowest").value == 0.64
    assert abi(80.0, None, 120.0, None).reason == "one_ankle_artery_only; one_arm_only"
    assert abi(0.0, 0.0, 120.0, 125.0).value == 0.0


@pytest.mark.parametrize(
    ("pressures", "reason"),
    [((None, None, 120, 120), "ankle_pressure_missing"), ((90, 90, None, None), "arm_pressure_missing"),
     ((900, 90, 120, 120), "pressure_impossible"), ((90, 90, 0, 0), "pressure_impossible")],
)  # fmt: skip
def test_abi_needs_pressures_that_can_be(pressures, reason):
    assert abi(*pressures).reason == reason


def test_stiff_arteries_make_an_abi_unusable():
    result = abi(180.0, 170.0, 120.0, 125.0)
    assert (result.status, result.reason) == (Status.LOW_QUALITY, "non_compressible")
    assert [abi_class(v) for v in (1.31, 1.30, 0.99, 0.90, 0.904)] == [
        AbiClass.NON_COMPRESSIBLE, AbiClass.NORMAL, AbiClass.BORDERLINE, AbiClass.PAD, AbiClass.PAD,
    ]  # fmt: skip


def test_tbi_and_pressures_after_exercise():
    assert tbi(60.0, 120.0, 110.0).value == 0.5
    assert tbi(60.0, 120.0, None).reason == "one_arm_only"
    assert tbi(None, 120.0, 110.0).reason == "toe_pressure_missing"
    fall, ankle = post_exercise(abi(96, 90, 120, 120), abi(60, 55, 120, 120), 96.0, 60.0)
    assert (fall.value, ankle.value) == (pytest.approx(37.5), 36.0)
    assert post_exercise(abi(None, None, 1, 1), abi(60, 55, 120, 120), None, 60.0)[0].reason == "abi_missing"
    assert post_exercise(abi(180, 90, 120, 120), abi(60, 55, 120, 120), 96.0, 60.0)[0].reason == "non_compressible"


def walking(metres, censored=False):
    result = Result.of("acd_distance", metres, "m")
    return result.censored("stopped_for_dyspnoea") if censored else result


def test_fontaine_and_rutherford_follow_the_symptoms():
    assert [rutherford(s) for s in Symptoms] == [0, 1, 2, 3, 4, 5, 6]
    assert [fontaine(s).stage for s in Symptoms] == ["I", "II", "II", "II", "III", "IV", "IV"]


def test_a_treadmill_only_suggests_iia_or_iib():
    claudicant = Symptoms.MODERATE_CLAUDICATION
    assert fontaine(claudicant, walking(250.0)).stage == "IIa"
    assert fontaine(claudicant, walking(200.0)).stage == "IIb"
    assert fontaine(claudicant, walking(250.0)).suggested
    assert fontaine(claudicant, walking(250.0, censored=True)).stage == "IIa", "it was further still"
    assert fontaine(claudicant, walking(100.0, censored=True)).stage == "II", "it shows neither"
    assert fontaine(Symptoms.REST_PAIN, walking(250.0)).stage == "III"


@pytest.mark.parametrize(
    ("measured", "grade", "decided"),
    [
        ({"abi": 0.80}, 0, ["abi"]),
        ({"abi": 0.795}, 0, ["abi"]),
        ({"abi": 0.79}, 1, ["abi"]),
        ({"abi": 0.59}, 2, ["abi"]),
        ({"abi": 0.39}, 3, ["abi"]),
        ({"ankle": 101.0}, 0, ["ankle"]),
        ({"ankle": 70.0}, 1, ["ankle"]),
        ({"ankle": 50.0}, 2, ["ankle"]),
        ({"ankle": 49.0}, 3, ["ankle"]),
        ({"toe": 60.0}, 0, ["toe"]),
        ({"toe": 59.0}, 1, ["toe"]),
        ({"toe": 30.0}, 2, ["toe"]),
        ({"tcpo2": 29.0}, 3, ["tcpo2"]),
        ({"abi": 0.9, "toe": 25.0}, 3, ["toe"]),
        ({"abi": 1.4, "ankle": 180.0, "tcpo2": 35.0}, 2, ["tcpo2"]),
        ({"abi": 0.9, "tcpo2": 25.0}, 0, ["abi"]),
        ({"abi": 0.9, "ankle": 60.0, "tcpo2": 25.0}, 2, ["abi", "ankle"]),
        ({"abi": 0.9, "tcpo2": 25.0, "rule": "worst"}, 3, ["abi", "tcpo2"]),
    ],
)
def test_wifi_ischaemia(measured, grade, decided):
    result = ischaemia_grade(**measured)
    assert (result.value, result.settings["decided_by"]) == (grade, decided)


def test_wifi_needs_all_three_letters():
    assert ischaemia_grade(abi=1.4).reason == "non_compressible"
    assert ischaemia_grade().reason == "nothing_measured"
    assert wifi_code(1, ischaemia_grade(toe=35.0), 0) == "W1 I2 fI0"
    assert wifi_code(None, ischaemia_grade(toe=35.0), 0) is None
    assert wifi_code(1, ischaemia_grade(), 0) is None


GRADES = range(4)


def wifi(wound, ischaemia, infection):
    return wifi_stage(wound, Result.of("wifi_ischaemia", float(ischaemia), "1"), infection).value


def test_the_stage_of_wifi_never_falls_with_a_grade_and_has_the_published_corners():
    table = np.array([[[wifi(w, i, f) for f in GRADES] for w in GRADES] for i in GRADES])
    assert all(np.all(np.diff(table, axis=axis) >= 0) for axis in range(3))
    # How often the published table says very low, low, moderate and high.
    assert [int((table == stage).sum()) for stage in (1, 2, 3, 4)] == [6, 10, 16, 32]
    # Ischaemia, wound, infection: a row of each table that tells its neighbours apart.
    assert [table[k].tolist() for k in ((0, 2), (1, 1), (2, 1), (3, 0), (3, 1))] == [
        [2, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4, 4], [2, 3, 3, 4], [3, 3, 4, 4],
    ]  # fmt: skip


def test_a_stage_of_wifi_is_worth_no_more_than_its_grade_of_ischaemia():
    ischaemia = Result.of("wifi_ischaemia", 2.0, "1")
    assert wifi_stage(1, ischaemia, 0).status is Status.OK
    doubtful = wifi_stage(1, ischaemia.flagged("toe: one_arm_only"), 0)
    assert (doubtful.value, doubtful.status, doubtful.reason) == (2.0, Status.LOW_QUALITY, "toe: one_arm_only")


def heat(seconds=3600.0, hot=(600.0, 2400.0), at=44.0):
    time = np.arange(seconds)
    return Trace.of(time, np.where((time >= hot[0]) & (time < hot[1]), at, 33.0))


def test_minutes_of_heat_add_up_over_the_probes_of_a_site():
    found = doses([Heated("foot", heat()), Heated("foot", heat(at=43.0)), Heated("calf", heat(at=42.9))], 100.0)
    assert found["foot"].value == pytest.approx(60.0, abs=0.1)
    assert found["calf"].value == 0.0
    assert found["foot"].status is Status.OK
    assert doses([Heated("foot", heat())])["foot"].reason == "limit_not_configured"


def test_an_interval_counts_when_either_of_its_ends_is_hot():
    for ends in ([33.0, 44.0], [44.0, 33.0], [44.0, 44.0]):
        assert doses([Heated("foot", Trace.of([0.0, 60.0], ends))])["foot"].value == 1.0


def test_a_silent_heater_is_a_hot_heater():
    trace = heat(hot=(600.0, 3600.0))
    keep = (trace.time < 1000.0) | (trace.time >= 1600.0)
    silent = Trace(trace.time[keep], trace.values[keep], trace.quality[keep])
    assert doses([Heated("foot", silent)])["foot"].value == doses([Heated("foot", trace)])["foot"].value


def test_two_stays_at_one_site_add_up_without_the_time_between():
    first, second = (Trace.of([start, start + 60.0], [44.0, 44.0]) for start in (0.0, 6000.0))
    assert doses([Heated("foot", first), Heated("foot", second)])["foot"].value == 2.0


def test_a_piece_without_data_changes_no_dose():
    dose = ThermalDose("foot")
    assert dose.feed(Trace.of([], [])) == 0.0
    assert dose.feed(Trace.of([0.0, 60.0], [44.0, 44.0])) == 1.0
    assert dose.feed(Trace.of([90.0], [math.nan])) == 1.0
    assert dose.feed(Trace.of([120.0], [33.0])) == 2.0
    assert dose.feed(Trace.of([180.0], [33.0])) == 2.0
    assert dose.feed(Trace.of([240.0, 300.0], [33.0, 44.0])) == 3.0
    assert dose.feed(Trace.of([360.0], [33.0])) == 4.0


def test_the_alarm_comes_when_the_limit_is_reached_in_pieces_or_whole():
    dose = ThermalDose("foot", 25.0)
    for piece in pieces(heat(), range(7, 3600, 61)):
        dose.feed(piece)
        assert dose.alarm == (dose.minutes >= 25.0)
    assert dose.result().reason == "limit_reached"
    assert dose.minutes == pytest.approx(doses([Heated("foot", heat())])["foot"].value, abs=1e-9)


def test_the_time_between_two_stays_is_not_heated():
    dose = ThermalDose("foot")
    dose.feed(Trace.of([0.0, 60.0], [44.0, 44.0]))
    dose.lift()
    dose.feed(Trace.of([6000.0, 6060.0], [44.0, 44.0]))
    assert dose.minutes == 2.0


SAME = {
    "model": "TCM400", "probe": "E5250", "calibration": "air", "sensor_temperature": 44.0, "site": "dorsum",
    "position": "supine", "protocol": "tcpo2-rest", "time_constant": 0.2,
}  # fmt: skip


def rested(number, **more):
    return Result.of("tcpo2_rest", number, "mm[Hg]", uncertainty=1.0, **more)


@pytest.mark.parametrize("field", TCPO2)
def test_visits_that_differ_or_are_unknown_in_one_field_are_not_comparable(field):
    for other in ({**SAME, field: "other"}, {k: v for k, v in SAME.items() if k != field}, {**SAME, field: None}):
        result = change(rested(30.0), rested(40.0), (SAME, other), TCPO2)
        assert result.difference.reason == f"not_comparable({field})"
        assert result.difference.value is None


EVERY = {"FLUX": FLUX, "TCPO2": TCPO2, "WALKING": WALKING, "PRESSURE": PRESSURE, "ULCER": ULCER, "PAIN": PAIN}


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, fields in EVERY.items() for field in fields])
def test_every_field_that_must_agree_is_named_where_it_does_not(kind, field):
    same = dict.fromkeys(EVERY[kind], "as before")
    result = change(rested(30.0), rested(40.0), (same, {**same, field: "changed"}), EVERY[kind])
    assert (result.difference.value, result.difference.reason) == (None, f"not_comparable({field})")
    assert change(rested(30.0), rested(40.0), (same, same), EVERY[kind]).difference.value == 10.0


def test_what_nobody_knows_of_either_visit_is_not_the_same():
    unknown = {**SAME, "probe": None}
    assert incomparable(unknown, unknown, TCPO2) == "probe"


def test_a_time_constant_matters_to_flux_and_not_to_tcpo2():
    other = {**SAME, "time_constant": 3.0}
    assert incomparable(SAME, other, TCPO2) is None
    assert incomparable(SAME, other, FLUX) == "time_constant"


def test_a_change_stands_beside_what_chance_brings():
    small = change(rested(30.0), rested(40.0), (SAME, SAME), TCPO2)
    assert (small.difference.value, small.percent.value, small.meaning) == (10.0, pytest.approx(33.3, abs=0.1),
                                                                            Meaning.BELOW)  # fmt: skip
    assert small.difference.uncertainty == pytest.approx(math.sqrt(2.0))
    assert "within what chance" in small.statement
    assert change(rested(30.0), rested(44.9), (SAME, SAME), TCPO2).meaning is Meaning.BELOW
    assert change(rested(30.0), rested(45.1), (SAME, SAME), TCPO2).meaning is Meaning.BEYOND
    distance = change(walking(100.0), walking(140.0), (SAME, SAME), ())
    assert (distance.meaning, distance.ratio.value) == (Meaning.BEYOND, 1.4)
    other = Result.of("porh_latency", 2.0, "s")
    assert change(other, other, (SAME, SAME), ()).meaning is Meaning.UNKNOWN


@pytest.mark.parametrize("setting", ["search", "smoothing", "bands"])
def test_results_of_another_method_are_not_comparable(setting):
    one, other = (Result.of("peak_flow", 40.0, "[arb'U]", settings={setting: value}) for value in (60, 400))
    assert change(one, other, (SAME, SAME), ()).difference.reason == f"not_comparable({setting})"
    assert change(one, one, (SAME, SAME), ()).difference.value == 0.0


@pytest.mark.parametrize(
    ("name", "unit", "before", "after", "percent"),
    [
        ("peak_flow", "[arb'U]", 40.0, 50.0, 25.0),
        ("peak_flow", "[arb'U]", 1.9, 50.0, None),
        ("abi", "1", 0.6, 0.75, 25.0),
    ],
)
def test_only_a_flux_needs_two_units_for_a_change_in_per_cent(name, unit, before, after, percent):
    found = change(Result.of(name, before, unit), Result.of(name, after, unit), (SAME, SAME), ())
    assert found.percent.value == pytest.approx(percent)
    assert found.percent.reason == ("low_baseline" if percent is None else "")
    assert found.difference.value == pytest.approx(after - before)


def test_two_readings_of_one_set_point_are_one_temperature():
    assert incomparable(SAME, {**SAME, "sensor_temperature": 44.2}, TCPO2) is None
    assert incomparable(SAME, {**SAME, "sensor_temperature": 44.3}, TCPO2) == "sensor_temperature"


def test_missing_censored_and_unlike_results_carry_over():
    gone = Result.missing("tcpo2_rest", "mm[Hg]", "sensor_detached")
    assert change(rested(30.0), gone, (SAME, SAME), TCPO2).difference.reason == "after_missing (sensor_detached)"
    bound = change(walking(100.0), walking(140.0, censored=True), (SAME, SAME), ())
    assert bound.difference.status is Status.CENSORED
    kpa = Result.of("tcpo2_rest", 4.0, "kPa")
    assert change(rested(30.0), kpa, (SAME, SAME), TCPO2).difference.reason == "not_comparable(unit)"
    assert change(rested(30.0), walking(3.0), (SAME, SAME), TCPO2).difference.reason == "not_comparable(index)"
    newer = rested(30.0, version="2")
    assert "version" in change(rested(30.0), newer, (SAME, SAME), TCPO2).difference.reason


def test_smallest_detectable_changes_of_the_published_coefficients():
    assert [round(sdc95_from_cv(cv)) for cv in (13, 15, 25)] == [36, 42, 69]
    assert sdc95_from_differences(7.6) == pytest.approx(14.9, abs=0.01)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=20))
def test_a_geometric_mean_of_ratios_and_of_their_inverses_are_inverse(ratios):
    assert geometric_mean_ratio(ratios) * geometric_mean_ratio([1 / r for r in ratios]) == pytest.approx(1.0)


def abi_of(value):
    return abi(value * 100.0, value * 100.0, 100.0, 100.0)


def tc(value, provenance=None):
    return [(rested(value), provenance or Provenance())]


@pytest.mark.parametrize(
    ("index", "oxygen", "verdict"),
    [
        (0.69, 45.0, CriterionVerdict.MET),
        (0.70, 29.9, CriterionVerdict.MET),
        (0.70, 30.0, CriterionVerdict.NOT_MET),
        (1.40, 25.0, CriterionVerdict.MET),
        (1.40, 45.0, CriterionVerdict.UNUSABLE),
    ],
)
def test_either_limit_includes_and_only_two_usable_values_exclude(index, oxygen, verdict):
    assert eligibility(by_abi([abi_of(index)]), by_tcpo2(tc(oxygen))).verdict is verdict


def test_what_was_not_measured_is_unusable_and_not_unmet():
    assert by_abi([]).reason == "not_measured"
    failed = by_abi([Result.missing("abi", "1", "pulse_not_found")])
    assert (failed.verdict, failed.value, failed.reason) == (CriterionVerdict.UNUSABLE, None, "pulse_not_found")
    failed = by_tcpo2([(Result.missing("tcpo2_rest", "mm[Hg]", "sensor_detached"), Provenance())])
    assert (failed.verdict, failed.value, failed.reason) == (CriterionVerdict.UNUSABLE, None, "sensor_detached")
    assert eligibility(by_abi([]), by_tcpo2(tc(45.0))).verdict is CriterionVerdict.UNUSABLE
    assert by_abi([abi_of(1.4)]).reason == "non_compressible"
    assert by_abi([Result.of("abi", 1.4, "1")]).verdict is CriterionVerdict.UNUSABLE, "even where nobody flagged it"


@pytest.mark.parametrize(
    ("provenance", "reason"),
    [
        (Provenance(accuracy=10.0), "accuracy_only_10"),
        (Provenance(scale_confirmed=False), "scale_unconfirmed"),
        (Provenance(unit_checked=False), "unit_not_checked"),
    ],
)
def test_a_number_of_unsure_scale_decides_nothing(provenance, reason):
    criterion = by_tcpo2(tc(8.0, provenance))
    assert (criterion.verdict, criterion.reason) == (CriterionVerdict.NOT_COMPARABLE, reason)
    assert eligibility(by_abi([abi_of(1.0)]), criterion).verdict is CriterionVerdict.NOT_COMPARABLE


def test_a_falling_tcpo2_decides_nothing():
    falling = rested(25.0).flagged("falling (steadily_falling)")
    assert by_tcpo2([(falling, Provenance())]).verdict is CriterionVerdict.UNUSABLE


def test_the_first_valid_attempt_counts_and_no_later_one():
    attempts = [rested(20.0).flagged("not_yet"), rested(35.0), rested(25.0)]
    assert first_valid(attempts) is attempts[1]
    assert by_tcpo2([(r, Provenance()) for r in attempts]).verdict is CriterionVerdict.NOT_MET
    gone = Result.missing("tcpo2_rest", "mm[Hg]", "sensor_detached")
    assert first_valid([gone, attempts[0]]) is attempts[0]
    assert first_valid([]) is None
