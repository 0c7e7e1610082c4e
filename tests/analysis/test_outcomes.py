"""Outcomes of simulated participants against their truth, and what the record must say where it cannot."""

import csv
import io
import json

import numpy as np
import pytest

from acquisition.analysis.outcomes import outcomes
from acquisition.cli import perfusion
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.signals.eligibility import CriterionVerdict
from acquisition.store import Store
from simulators.patient.physiology import Participant
from tests.examination.patients import ABI, PORH, REST, SECOND, Study, identity


def compute(directory, key):
    with Store(directory) as store:
        session_log = replay(events(store))
        return outcomes(store, session_log, session_log.sessions[key])


def by_name(found, place=None):
    return {o.result.name: o.result for o in found.results if place is None or o.place == place}


@pytest.fixture(scope="module")
def porh(tmp_path_factory):
    made = Study()
    arm = {"what": "pressure", "systolic": 130, "diastolic": 70}
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",), entries=[arm, ABI])
    return made.write(tmp_path_factory.mktemp("porh"))


def test_reactive_hyperaemia_is_that_of_the_participant(porh):
    truth = Participant("healthy", "porh", 3).truth()["porh"]
    found = by_name(compute(porh, "s1"), "ldf/flux/flux")
    assert found["rest_flow"].value == pytest.approx(truth["RF"], rel=0.15)
    assert found["biological_zero"].value == pytest.approx(truth["BZ"], abs=0.5)
    assert found["peak_flow"].value == pytest.approx(truth["PF"], rel=0.4)
    assert found["time_to_peak"].value == pytest.approx(truth["TP"], abs=8.0)
    assert found["peak_flow"].settings["mark"] == "cuff", "the cuff's own pressure goes before the marks"
    assert found["peak_flow"].settings["off"] == pytest.approx(truth["t_off"], abs=0.3)


def test_conductance_uses_the_pressure_that_was_entered(porh):
    found = by_name(compute(porh, "s1"))
    assert found["rest_flow_cvc"].value == pytest.approx(found["rest_flow"].value / 90.0)
    assert found["rest_flow_cvc"].reason == "includes_upstream_resistance", "ABI 0.8"
    assert found["rest_flow"].settings["abi"] == pytest.approx(0.8)
    assert found["abi"].value == pytest.approx(0.8)


def test_the_fall_from_the_peak_has_the_shape_of_the_participant(porh):
    found = by_name(compute(porh, "s1"), "ldf/flux/flux")
    assert found["decay_time_constant"].value == pytest.approx(28.0, rel=0.3)
    assert found["decay_r_squared"].value > 0.8
    assert found["decay_amplitude"].window[0] == pytest.approx(
        found["peak_flow"].settings["off"] + found["time_to_peak"].value
    )


def test_without_hyperaemia_nothing_falls(tmp_path):
    made = Study()
    made.examine("cli", "porh", "porh", PORH, 900.0, devices=("ldf",))
    found = by_name(compute(made.write(tmp_path), "s1"))
    assert "no_hyperaemia" in found["decay_time_constant"].reason


def test_an_old_blood_pressure_makes_a_conductance_doubtful(tmp_path):
    made = Study()
    arm = {"what": "pressure", "systolic": 130, "diastolic": 70}
    made.examine("healthy", "porh", "porh", PORH[:1], 300.0, devices=("ldf",), entries=[arm], stop="a test")
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",))
    made.write(tmp_path)
    # The second session begins an hour after the reading, which is before its release and its rest.
    found = by_name(compute(tmp_path, "s2"))["rest_flow_cvc"]
    assert found.value == pytest.approx(by_name(compute(tmp_path, "s2"))["rest_flow"].value / 90.0)
    assert (found.status, found.reason) == ("low_quality", "blood_pressure_not_within_10_min")
    assert by_name(compute(tmp_path, "s1"))["rest_flow_cvc"].status == "ok"


def test_pressure_between_two_readings_lies_between_them(tmp_path):
    made = Study()
    made.examine("healthy", "rest", "flowmotion", (), 5.0, devices=("ldf",), entries=[{"what": "map", "mean": 80}],
                 stop="a test")  # fmt: skip
    made.start -= 3540 * SECOND
    made.examine("healthy", "porh", "porh", PORH, 500.0, devices=("ldf",), entries=[{"what": "map", "mean": 100}],
                 stop="a test")  # fmt: skip
    found = by_name(compute(made.write(tmp_path), "s2"))
    ratio = found["rest_flow"].value / found["rest_flow_cvc"].value
    middle = 0.5 * sum(found["rest_flow"].window)
    # The readings were 60 s before the second session and 500 s after its start.
    assert ratio == pytest.approx(80.0 + 20.0 * (middle + 60.0) / 560.0, abs=0.1)


def test_an_electrode_that_drifted_says_so(tmp_path):
    made = Study()
    checked = [{"what": "recheck", "electrode": "calf", "reading": 130, "calibrated": 150},
               {"what": "recheck", "electrode": "chest", "reading": 149, "calibrated": 150}]  # fmt: skip
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), entries=checked)
    found = compute(made.write(tmp_path), "s1")
    calf, chest = by_name(found, "tcpo2/calf/tcpo2"), by_name(found, "tcpo2/chest/tcpo2")
    # 20 of 150 mmHg in 36 minutes.
    assert calf["tcpo2_drift"].value == pytest.approx(-100.0 * 20 / 150 / 0.6)
    assert (calf["tcpo2_rest"].status, calf["tcpo2_rest"].reason) == ("low_quality", "drift_over_tolerance")
    assert chest["tcpo2_rest"].status == "ok"


def test_a_longer_smoothing_is_a_setting_of_the_protocol_and_another_method(porh, tmp_path):
    made = Study()
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",), settings={"smoothing": 10.0})
    plain, steady = compute(porh, "s1"), compute(made.write(tmp_path), "s1")
    three, ten = (by_name(found)["peak_flow"] for found in (plain, steady))
    assert (three.settings["smoothing"], ten.settings["smoothing"]) == (3.0, 10.0)
    assert ten.value < three.value
    assert three.fingerprint != ten.fingerprint


def test_without_a_cuff_channel_the_marks_count_and_are_worth_less(tmp_path):
    made = Study()
    made.examine(
        "healthy", "porh", "porh", PORH, 700.0, devices=("ldf",),
        change=lambda signal, t, values: np.full(len(t), np.nan) if signal == "cuff_pressure" else values,
    )  # fmt: skip
    found = by_name(compute(made.write(tmp_path), "s1"))
    assert found["peak_flow"].settings["mark"] == "manual"
    assert found["latency"].value is None


def test_marks_that_part_from_the_cuff_are_told_and_the_cuff_is_believed(tmp_path):
    made = Study()
    made.examine("healthy", "porh", "porh", (("inflate", 240.0), ("release", 420.0)), 700.0, devices=("ldf",))
    result = by_name(compute(made.write(tmp_path), "s1"))["peak_flow"]
    assert result.settings["off"] == pytest.approx(360.0, abs=0.3)
    assert "marks_part_from_the_cuff" in result.reason


@pytest.fixture(scope="module")
def resting(tmp_path_factory):
    made = Study()
    made.items.append(identity("tcpo2", "M1018A"))
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), entries=[ABI])
    made.examine("healthy", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), subject="03-118")
    return made.write(tmp_path_factory.mktemp("resting"))


def test_resting_tcpo2_and_rpi_are_those_of_the_participant(resting):
    truth = Participant("cli", "rest", 3).truth()["tcpo2"]
    found = compute(resting, "s1")
    calf, chest = by_name(found, "tcpo2/calf/tcpo2"), by_name(found, "tcpo2/chest/tcpo2")
    assert calf["tcpo2_rest"].value == pytest.approx(truth["calf"], abs=2.0)
    assert chest["tcpo2_rest"].value == pytest.approx(truth["chest"], abs=2.0)
    assert calf["tcpo2_rpi"].value == pytest.approx(truth["RPI"], abs=0.05)
    assert calf["tcpo2_rest"].window == (900.0, 1200.0)


def test_the_inclusion_limits_are_those_of_the_visit(resting):
    ill = compute(resting, "s1").eligibility
    tcpo2 = next(c for c in ill.criteria if c.name == "tcpo2")
    assert (ill.verdict, tcpo2.verdict) == (CriterionVerdict.MET, CriterionVerdict.MET)
    assert tcpo2.value == by_name(compute(resting, "s1"), "tcpo2/calf/tcpo2")["tcpo2_rest"].value
    well = compute(resting, "s2").eligibility
    assert [(c.name, c.verdict, c.reason) for c in well.criteria] == [
        ("abi", CriterionVerdict.UNUSABLE, "not_measured"), ("tcpo2", CriterionVerdict.NOT_MET, ""),
    ]  # fmt: skip
    assert well.verdict is CriterionVerdict.UNUSABLE


def test_no_limit_is_shown_while_the_session_goes_on(tmp_path):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST[:1], 2200.0, devices=("tcpo2",), stop=False, entries=[ABI])
    found = compute(made.write(tmp_path), "s1")
    assert found.eligibility is None
    plain = found.as_dict()
    assert plain["eligibility"]["verdict"] == "hidden"
    assert plain["provisional"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ({"profile": "radiometer-tcm4-tcpo2-800"}, "accuracy_only_10"),
        ({"confidence": "unconfirmed scale"}, "scale_unconfirmed"),
    ],
)
def test_a_scale_that_is_coarse_or_unconfirmed_decides_nothing(tmp_path, head, reason):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), head=head)
    criterion = compute(made.write(tmp_path), "s1").eligibility.criteria[1]
    assert (criterion.verdict, criterion.reason) == (CriterionVerdict.NOT_COMPARABLE, reason)


def test_electrodes_that_nobody_marked_as_applied_have_no_resting_value(tmp_path):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", (), 1000.0, devices=("tcpo2",), stop="the electrodes were forgotten")
    found = by_name(compute(made.write(tmp_path), "s1"), "tcpo2/calf/tcpo2")
    assert found["tcpo2_rest"].reason == "electrodes_not_marked_as_applied"


def test_a_leak_is_no_tissue(tmp_path):
    def leak(signal, t, values):
        rise = np.interp(t, [1000.0, 1010.0, 1100.0, 1110.0], [0.0, 1.0, 1.0, 0.0])
        gain = {"tcpo2_calf": 30.0, "tcpco2_calf": -20.0}.get(signal, 0.0)
        return values + gain * rise

    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), change=leak)
    result = by_name(compute(made.write(tmp_path), "s1"), "tcpo2/calf/tcpo2")["tcpo2_rest"]
    assert result.value == pytest.approx(20.0, abs=2.0)
    assert result.pct_artefact > 25.0
    assert "data_missing" in result.reason


def test_the_oxygen_challenge_is_that_of_the_participant(tmp_path):
    truth = Participant("diabetic", "o2-challenge", 3).truth()
    made = Study()
    marks = (("applied", 0.0), ("next", 901.0), ("oxygen_on", 2100.0), ("oxygen_off", 2700.0))
    made.examine("diabetic", "o2-challenge", "tcpo2-oxygen", marks, 2760.0, devices=("tcpo2",), since=-1800.0)
    found = by_name(compute(made.write(tmp_path), "s1"), "tcpo2/calf/tcpo2")
    assert found["tcpo2_oxygen_delta"].value == pytest.approx(truth["oxygen"]["calf"], abs=3.0)
    assert found["tcpo2_rest"].value == pytest.approx(truth["tcpo2"]["calf"], abs=2.0)


def test_without_marks_of_the_mask_there_is_no_challenge(tmp_path):
    made = Study()
    made.examine("diabetic", "o2-challenge", "tcpo2-oxygen", (), 600.0, devices=("tcpo2",), stop="no oxygen at hand")
    assert "tcpo2_oxygen_delta" not in by_name(compute(made.write(tmp_path), "s1"))


WALK = Participant("claudicant", "walk-constant", 3).truth()["walk"]
WALK_MARKS = (
    ("standing", 30.0),
    ("start", 180.6),
    ("onset", WALK["t_ICD"]),
    ("stop", WALK["stop"], "claudication"),
)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    made = Study()
    made.examine("claudicant", "walk-constant", "walking-constant", WALK_MARKS, 1020.0, devices=("tcpo2", "treadmill"))
    return made.write(tmp_path_factory.mktemp("walked"))


def test_walking_distances_are_those_of_the_participant(walked):
    found = by_name(compute(walked, "s1"), "treadmill/belt/speed")
    assert found["icd_distance"].value == pytest.approx(WALK["ICD"], abs=1.0)
    assert found["acd_distance"].value == pytest.approx(WALK["ACD"], abs=1.0)
    assert found["acd_distance"].status == "ok"
    assert found["fcd_distance"].status == "censored"
    assert found["protocol_adherence"].value > 95.0
    assert found["mets"].value == pytest.approx(5.29, abs=0.1)
    assert found["oxygen_uptake"].value == pytest.approx(3.5 * found["mets"].value)


def test_the_drop_is_negative_and_carries_its_protocol(walked):
    found = by_name(compute(walked, "s1"), "tcpo2/calf/tcpo2")
    assert found["drop_min"].value == pytest.approx(WALK["DROP"], abs=5.0)
    assert found["drop_positive"].value == 1.0
    assert found["drop_min"].settings["protocol"] == "walking-constant"
    assert found["drop_min"].settings["chest"] in ("flat", "rise", "fall")
    assert by_name(compute(walked, "s1"), "all sites")["drop_sum"].value == found["drop_min"].value


def test_a_walk_whose_start_nobody_marked_has_no_distance(tmp_path):
    made = Study()
    made.examine("claudicant", "walk-constant", "walking-constant", (), 200.0, stop="the marks were forgotten")
    found = by_name(compute(made.write(tmp_path), "s1"))
    assert found["acd_distance"].reason == "start_not_marked"


def test_local_heating_is_that_of_the_participant(tmp_path):
    truth = Participant("diabetic", "heating", 3).truth()["heating"]
    made = Study()
    marks = (("heat", 600.0), ("maximum", 2400.0), ("off", 3300.0))
    made.examine("diabetic", "heating", "local-heating", marks, 3400.0, devices=("ldf",))
    found = by_name(compute(made.write(tmp_path), "s1"))
    assert found["heating_baseline"].value == pytest.approx(truth["baseline"], rel=0.15)
    assert found["maximum"].value == pytest.approx(truth["max"], rel=0.1)
    assert found["thermal_dose"].value == pytest.approx((3300 - 2400) / 60.0, abs=1.0)
    assert found["thermal_dose"].reason == "limit_not_configured"


def test_flowmotion_reports_its_bands(tmp_path):
    made = Study()
    made.examine("healthy", "rest", "flowmotion", (), 2200.0, devices=("ldf",), stop="never left acclimatisation")
    found = by_name(compute(made.write(tmp_path), "s1"))
    assert found["cardiac_power"].status == "ok"


@pytest.fixture
def call(capsys):
    def run(directory, *arguments):
        assert perfusion.main(["outcomes", *arguments, "--data", str(directory)], standalone_mode=False) == 0
        return capsys.readouterr().out

    return run


def test_the_command_gives_a_session_as_table_json_and_csv(call, resting):
    text = call(resting, "s1")
    assert "SIMULATED" in text
    assert "inclusion limits: met" in text
    assert "tcpo2/calf/tcpo2" in text
    assert "mmHg" in text
    document = json.loads(call(resting, "s1", "--json"))
    assert document["eligibility"]["verdict"] == "met"
    rest = next(o for o in document["outcomes"] if o["name"] == "tcpo2_rest")
    assert "curves" not in rest
    assert len(rest["method"]) == 12
    rows = list(csv.DictReader(io.StringIO(call(resting, "s1", "--csv"))))
    assert {row["index"] for row in rows} >= {"tcpo2_rest", "tcpo2_rpi", "abi"}
    assert all(row["subject"] == "03-117" for row in rows)


def test_the_same_record_gives_the_same_outcomes(resting):
    assert compute(resting, "s1").as_dict() == compute(resting, "s1").as_dict()
