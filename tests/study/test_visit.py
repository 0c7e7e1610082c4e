"""Results of a visit and of no single examination: entries by hand, and heat summed over sessions."""

import json

import pytest

from acquisition.analysis import indices
from acquisition.analysis.outcomes import outcomes
from acquisition.cli import perfusion
from acquisition.daemon import gateway
from acquisition.errors import Refused
from acquisition.examination.rules import Rules
from acquisition.examination.session import replay
from acquisition.store import Store
from acquisition.study import collection
from tests.analysis.test_outcomes import by_name, compute
from tests.examination.patients import ABI, BENCH, REST, Study
from tests.examination.test_session_service import START, Office

HEATING = (("heat", 600.0), ("maximum", 2400.0), ("off", 3300.0))


def test_entries_of_a_visit_go_to_one_place_while_an_examination_goes_on():
    office = Office()
    place = office("visit", subject="03-117", visit="baseline")
    assert (place["session"], place["protocol"], place["state"]) == ("s1", "entries", "completed")
    office.session_service.answer(START)
    assert office("visit", subject="03-117", visit="baseline")["session"] == "s1"
    assert office("visit", subject="03-117", visit="month-3")["session"] == "s3"
    office("observe", fields={"what": "vas", "mark": 20}, session="s1")
    assert office.session_service.session_log.current.id == "s2", "the examination goes on"
    assert len(replay(office.events).sessions["s1"].items) == 1


def test_a_visit_that_the_study_does_not_have_and_a_name_take_no_entries():
    office = Office(rules=Rules(visits=("baseline",)))
    for fields in ({"subject": "03-117", "visit": "month-9"}, {"subject": "Ivanova", "visit": "baseline"}):
        with pytest.raises(Refused):
            office("visit", **fields)
    assert not office.events


@pytest.fixture
def call(tmp_path, capsys):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",))
    made.write(tmp_path)

    def run(*arguments):
        assert perfusion.main([*map(str, arguments), "--data", str(tmp_path)], standalone_mode=False) == 0
        return capsys.readouterr().out

    run.record = tmp_path
    return run


def test_what_is_entered_for_a_participant_counts_for_the_limits_of_every_session_of_the_visit(call):
    before = compute(call.record, "s1").eligibility.criteria[0]
    assert before.reason == "not_measured"
    abi = ("observe", "abi", "--side", "left", "--dp", 80, "--brachial-left", 125)
    call(*abi, "--subject", "03-117", "--visit", "baseline")
    call("observe", "vas", 41, "--subject", "03-117", "--visit", "baseline")
    assert [s.id for s in gateway.session_log(call.record).sessions.values()] == ["s1", "s2"], "one place for both"
    after = compute(call.record, "s1").eligibility.criteria[0]
    assert after.value == pytest.approx(0.64)
    rows = {(r["protocol"], r["index"]): r for r in json.loads(call("outcomes", "--attempts", "--json"))}
    assert rows["entries", "pain_vas"]["value"] == 41
    assert rows["entries", "pain_vas"]["counts"]
    with Store(call.record) as store:
        assert len(collection.attempts([("", store, replay(gateway.events(store)))])) == 2


def test_heat_of_one_site_is_summed_over_the_sessions_of_a_visit_and_of_another_site_is_not(tmp_path):
    made = Study()
    common = {"devices": ("ldf",), "settings": {"thermal_limit_minutes": 25.0}, "entries": [ABI]}
    for site, visit in (("hallux", "baseline"), ("heel", "baseline"), ("hallux", "baseline"), ("hallux", "month-3")):
        made.examine("diabetic", "heating", "local-heating", HEATING, 3400.0, site=site, visit=visit, **common)
    made.write(tmp_path)
    summed = {key: by_name(compute(tmp_path, key))["thermal_dose_of_the_visit"] for key in ("s1", "s2", "s3", "s4")}
    alone = by_name(compute(tmp_path, "s3"))["thermal_dose"].value
    assert alone == pytest.approx(15.0, abs=0.5)
    assert [summed[key].value for key in ("s1", "s2", "s3", "s4")] == pytest.approx([alone, alone, 2 * alone, alone])
    assert (summed["s1"].status, summed["s3"].reason) == ("ok", "limit_reached")
    place = next(o.place for o in compute(tmp_path, "s3").results if o.result.name == "thermal_dose_of_the_visit")
    assert place == "left hallux"


def test_a_site_that_was_heated_while_nobody_recorded_it_has_no_dose_that_is_ok(tmp_path, monkeypatch):
    made = Study()
    common = {"devices": ("ldf",), "settings": {"thermal_limit_minutes": 25.0}, "site": "hallux"}
    made.examine("diabetic", "heating", "local-heating", HEATING, 3400.0, **common)
    blind = {key: channels for key, channels in BENCH.items() if key[1] != "heater_temperature"}
    monkeypatch.setattr("tests.examination.patients.BENCH", blind)
    made.examine("diabetic", "heating", "local-heating", HEATING, 3400.0, **common)
    made.write(tmp_path)
    found = by_name(compute(tmp_path, "s2"))
    alone, summed = found["thermal_dose"], found["thermal_dose_of_the_visit"]
    assert (alone.value, alone.reason) == (None, "heater_temperature_not_recorded")
    assert summed.value == pytest.approx(15.0, abs=0.5)
    assert (summed.status, summed.reason) == ("low_quality", "a_stay_without_a_temperature")


def test_a_visit_of_k_sessions_is_analysed_k_times(tmp_path, monkeypatch):
    made, count = Study(), []
    for seed in (3, 5, 7):
        # The pressures ask for stages of the leg, which ask for its TcPO2, as the inclusion limits do.
        made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, seed=seed, devices=("tcpo2",), entries=[ABI])
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), visit="month-3")
    made.write(tmp_path)
    compute_it = indices.ANALYSES["tcpo2"]

    def counted(evidence, known):
        count.append(evidence.session.id)
        return compute_it(evidence, known)

    monkeypatch.setitem(indices.ANALYSES, "tcpo2", counted)
    with Store(tmp_path) as store:
        session_log = replay(gateway.events(store))
        table = collection.attempts([("", store, session_log)])
        assert sorted(count) == ["s1", "s2", "s3", "s4"]
        count.clear()
        alone = outcomes(store, session_log, session_log.sessions["s1"])
    assert sorted(count) == ["s1", "s2", "s3"], "of its own visit alone"
    assert alone.as_dict() == table[0].found.as_dict()
