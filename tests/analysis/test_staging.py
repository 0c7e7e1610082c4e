"""The stages of a leg at a visit follow from what was entered and measured, and from nothing else."""

import json

import pytest

from acquisition.analysis.outcomes import outcomes
from acquisition.cli import perfusion
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.store import Store
from simulators.patient.physiology import Participant
from tests.examination.patients import ABI, REST, Study

WIFI = {"what": "wifi", "side": "left", "wound": 2, "infection": 1}
TOE = {**ABI, "toe": 35}
OPEN = {"what": "ulcer", "side": "left", "site": "heel", "length": 20, "width": 10}
WALK = Participant("claudicant", "walk-constant", 3).truth()["walk"]
MARKS = (("standing", 30.0), ("start", 180.6), ("onset", WALK["t_ICD"]), ("stop", WALK["stop"], "claudication"))


def stage(**said):
    return {"what": "stage", "side": "left", **said}


def study(*entries, scenario=None):
    """A record of one visit without instruments: what was entered, in one session."""
    made = Study()
    made.examine("claudicant", "rest", "tcpo2-rest", REST[:1], 5.0, entries=entries, stop="a test", devices=("tcpo2",))
    return made


def found(directory, key="s1", **more):
    with Store(directory) as store:
        session_log = replay(events(store))
        return {
            (o.place, o.result.name): o for o in outcomes(store, session_log, session_log.sessions[key], **more).results
        }


@pytest.fixture
def of(tmp_path_factory):
    def run(*entries, **more):
        seen = found(study(*entries).write(tmp_path_factory.mktemp("record")), **more)
        return {name: outcome.result for (place, name), outcome in seen.items() if place == "leg left"}

    return run


def test_the_three_grades_give_the_stage_and_the_toe_decides_the_ischaemia(of):
    seen = of(TOE, WIFI)
    assert [seen[f"wifi_{each}"].value for each in ("wound", "ischaemia", "infection", "stage")] == [2.0, 2.0, 1.0, 4.0]
    assert (seen["wifi_stage"].settings["reads"], seen["wifi_stage"].settings["risk"]) == ("W2 I2 fI1", "high")


def test_an_ischaemia_by_the_worst_measure_is_a_setting(of):
    low = {**ABI, "dorsalis_pedis": 60, "posterior_tibial": 55, "toe": 65}
    assert of(low)["wifi_ischaemia"].value == 0.0
    assert of(low, rule="worst")["wifi_ischaemia"].value == 2.0


def test_a_grade_that_nobody_entered_is_missing_and_no_zero(of):
    seen = of(TOE)
    assert (seen["wifi_ischaemia"].value, "wifi_wound" in seen) == (2.0, False)
    assert seen["wifi_stage"].reason == "wound_grade_missing; infection_grade_missing"
    assert of(WIFI)["wifi_stage"].reason == "ischaemia_grade_missing (nothing_measured)"
    assert of(TOE, {**WIFI, "infection": None})["wifi_stage"].reason == "infection_grade_missing"


def test_stiff_arteries_grade_nothing_without_a_toe(of):
    stiff = {**ABI, "dorsalis_pedis": 200, "posterior_tibial": 190}
    assert of(stiff, WIFI)["wifi_ischaemia"].reason == "non_compressible"
    assert of({**stiff, "toe": 25}, WIFI)["wifi_ischaemia"].value == 3.0


def test_symptoms_give_both_stages_and_nothing_else_does(of):
    seen = of(stage(symptoms="rest_pain"))
    assert (seen["rutherford"].value, seen["fontaine"].value, seen["fontaine"].settings["reads"]) == (4.0, 3.0, "III")
    seen = of(OPEN, TOE)
    assert (seen["rutherford"].reason, seen["fontaine"].reason) == ("symptoms_not_stated", "symptoms_not_stated")


def test_claudication_needs_a_clinician_or_a_walk_to_be_iia_or_iib(of):
    reason = "IIa_or_IIb_not_stated; no_walking_distance"
    assert of(stage(symptoms="mild_claudication"))["fontaine"].reason == reason
    seen = of(stage(symptoms="mild_claudication", fontaine="IIa"))["fontaine"]
    assert (seen.value, seen.settings["reads"], str(seen.status)) == (2.1, "IIa", "ok")


def test_a_fontaine_stage_alone_gives_a_category_where_only_one_belongs_to_it(of):
    assert of(stage(fontaine="III"))["rutherford"].value == 4.0
    assert of(stage(fontaine="IV"))["rutherford"].value is None


def test_an_open_ulcer_speaks_against_a_stage_without_loss_of_tissue(of):
    assert of(OPEN, stage(symptoms="rest_pain"))["fontaine"].reason == "open_ulcer_entered"
    assert str(of(OPEN, stage(symptoms="minor_tissue_loss"))["fontaine"].status) == "ok"
    assert str(of({**OPEN, "side": "right"}, stage(symptoms="rest_pain"))["fontaine"].status) == "ok"


def test_the_walk_of_the_visit_suggests_a_stage(tmp_path):
    made = study(stage(symptoms="moderate_claudication"))
    made.examine("claudicant", "walk-constant", "walking-constant", MARKS, 1020.0, devices=("treadmill",))
    seen = found(made.write(tmp_path))["leg left", "fontaine"]
    walked = found(tmp_path, "s2")
    metres = next(o.result.value for (_, name), o in walked.items() if name == "acd_distance")
    assert (seen.reads, seen.result.reason) == ("IIb" if metres <= 200 else "IIa", "suggested_by_walking_distance")


def test_the_resting_oxygen_of_the_limb_grades_where_pressures_do_not(tmp_path):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), entries=(WIFI,))
    seen = found(made.write(tmp_path))
    oxygen = next(o.result.value for (place, name), o in seen.items() if name == "tcpo2_rest" and "calf" in place)
    grade = sum(oxygen < limit for limit in (60, 40, 30))
    ischaemia = seen["leg left", "wifi_ischaemia"].result
    assert (ischaemia.value, ischaemia.settings["decided_by"]) == (grade, ["tcpo2"])


def test_pressures_after_a_walk_are_held_against_those_at_rest(tmp_path):
    after = {**ABI, "moment": "after-exercise", "dorsalis_pedis": 60, "posterior_tibial": 50}
    seen = found(study(ABI, after).write(tmp_path / "1"))
    fall, pressure = (seen["leg left after-exercise", name].result for name in ("abi_fall", "ankle_pressure_fall"))
    assert (fall.value, pressure.value) == (pytest.approx(40.0), 40.0)
    assert (
        found(study(after).write(tmp_path / "2"))["leg left after-exercise", "abi_fall"].result.reason == "abi_missing"
    )


def test_the_command_line_enters_and_shows_them(tmp_path, capsys):
    study().write(tmp_path)

    def call(*arguments, code=0):
        ended = perfusion.main([*map(str, arguments), "--data", str(tmp_path)], standalone_mode=False)
        assert ended == code
        return capsys.readouterr().out

    call("observe", "abi", "--limb", "left", "--toe", 35, "--session", "s1")
    call("observe", "wifi", "--limb", "left", "--wound", 1, "--session", "s1")
    call("observe", "infection", "--limb", "left", "--grade", 0, "--session", "s1")
    call("observe", "stage", "--limb", "left", "--rutherford", 5, "--session", "s1")
    call("observe", "map", 93, "--session", "s1")
    plain = {each["name"]: each for each in json.loads(call("outcomes", "s1", "--json"))["outcomes"]}
    assert (plain["wifi_stage"]["value"], plain["wifi_stage"]["reads"]) == (2.0, "W1 I2 fI0")
    assert (plain["rutherford"]["value"], plain["fontaine"]["reads"]) == (5.0, "IV")
    assert (plain["tbi"]["reason"], plain["toe_pressure"]["value"]) == ("arm_pressure_missing", 35.0)
    assert "W1 I2 fI0" in call("outcomes", "s1")
    assert "IV" in call("outcomes", "s1", "--csv")
