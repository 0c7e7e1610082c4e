"""The list before an examination: what the bench shows, what a person says, and what forbids the start."""

from datetime import date
from pathlib import Path

import pytest

from acquisition.config import resources
from acquisition.errors import Refused
from acquisition.examination.preflight import CheckState, must_not_start, of_a_person, of_the_bench
from acquisition.examination.protocol import KIND, load
from acquisition.examination.rules import Rules
from tests.examination.rooms import T0
from tests.examination.test_session_service import START, Office

TODAY = date(2026, 3, 1)
GOOD = {
    "room": "23", "acclimatised": "25", "fasting": "yes", "zero": "yes", "calibration": "2026-02-01",
    "contraindications": "none", "vasoactive": "none", "position": "yes",
}  # fmt: skip


def said(answers, protocol="porh"):
    return {check.name: check for check in of_a_person(load(protocol), answers, TODAY)}


def bench(**channel):
    whole = {
        "stream": "flux", "name": "flux", "value": 12.3, "display_unit": "PU", "word": "live", "stale": False,
        "quality": ["GOOD"], "confidence": "documented", **channel,
    }  # fmt: skip
    return {
        "now": "2026-03-01T09:00:00.000Z", "utc": "2026-03-01T09:00:00.400Z", "speed": 1.0,
        "devices": [{"name": "ldf", "state": "STREAMING", "channels": [whole]}],
        "record": {"recording": True, "path": "/record.db", "trouble": None},
    }  # fmt: skip


def seen(snapshot, free=10**12):
    return {c.name: c for c in of_the_bench({"flux": ["ldf/flux/flux"]}, snapshot, free=lambda folder: free)}


def test_answers_within_their_limits_are_in_order():
    assert {check.state for check in said(GOOD).values()} == {CheckState.OK}


@pytest.mark.parametrize(
    ("name", "answer", "state"),
    [
        ("room", "24.0", CheckState.OK), ("room", "24.1", CheckState.LOOK), ("room", "21.9", CheckState.LOOK),
        ("acclimatised", "14", CheckState.LOOK), ("fasting", "no", CheckState.LOOK),
        ("calibration", "2025-12-01", CheckState.OK), ("calibration", "2025-11-30", CheckState.LOOK),
        ("calibration", "2026-03-02", CheckState.LOOK), ("contraindications", "deep vein thrombosis", CheckState.STOP),
        ("contraindications", "None", CheckState.OK),
    ],
)  # fmt: skip
def test_an_answer_beyond_its_limits_is_to_be_looked_at(name, answer, state):
    assert said({**GOOD, name: answer})[name].state is state


def test_a_reading_in_air_that_is_none_is_refused():
    with pytest.raises(Refused, match="no number"):
        said({"barometer": "760", "air": "154;155"}, "tcpo2-rest")


@pytest.mark.parametrize(("name", "answer"), [("room", "warm"), ("calibration", "1.3.2026"), ("roam", "23")])
def test_an_answer_that_is_none_is_refused(name, answer):
    with pytest.raises(Refused):
        said({name: answer})


@pytest.mark.parametrize(("name", "answer"), [("room", "nan"), ("acclimatised", "inf")])
def test_a_number_that_is_none_is_refused(name, answer):
    with pytest.raises(Refused, match="is no number"):
        said({**GOOD, name: answer})


def test_air_under_no_pressure_is_a_reading_to_be_looked_at():
    assert said({"barometer": "0", "air": "151"}, "tcpo2-rest")["air"].state is CheckState.LOOK


def test_what_nobody_answered_stays_unanswered_and_says_what_is_wanted():
    found = said({})
    assert {check.state for check in found.values()} == {CheckState.UNANSWERED}
    assert found["room"].wanted == "at least 22 and at most 24 Cel"
    assert found["calibration"].wanted == "a date, at most 90 days ago"


@pytest.mark.parametrize("name", resources.names(KIND))
def test_every_cuff_and_every_walk_asks_what_speaks_against_it(name):
    protocol = load(name)
    asked = {rule.name for rule in protocol.check if rule.stops and rule.wants == "none"}
    assert ("contraindications" in asked) == (protocol.measures in ("porh", "walking"))


def test_every_electrode_examination_asks_for_membrane_calibration_air_and_zero():
    for name in ("tcpo2-rest", "tcpo2-oxygen"):
        asked = {rule.name for rule in load(name).check}
        assert {"membrane", "calibration", "barometer", "air", "zero", "lifted", "room", "acclimatised"} <= asked


@pytest.mark.parametrize(
    ("readings", "state"),
    [
        ("154.7,154.7", CheckState.OK),
        ("147.1", CheckState.OK),
        ("146.9", CheckState.LOOK),
        ("154,163", CheckState.LOOK),
    ],
)
def test_a_reading_in_air_is_held_against_the_barometer(readings, state):
    found = said({"barometer": "760", "air": readings}, "tcpo2-rest")["air"]
    assert found.state is state
    assert found.wanted == "every electrode within 5 % of 154.8 mm[Hg]"


def test_without_a_barometer_a_reading_in_air_proves_nothing():
    found = said({"air": "154"}, "tcpo2-rest")["air"]
    assert found.state is CheckState.LOOK
    assert "barometer" in found.wanted


def test_a_bench_in_order():
    found = seen(bench())
    assert list(found) == ["flux", "record", "disk", "clock"]
    assert {check.state for check in found.values()} == {CheckState.OK}
    assert found["flux"].found == "12.3 PU"


@pytest.mark.parametrize(
    ("channel", "found"),
    [
        ({"stale": True, "word": "stale"}, "12.3 PU, stale"),
        ({"value": None, "word": "invalid", "quality": ["INVALID"]}, "no value, invalid, invalid"),
        ({"quality": ["RANGE"]}, "12.3 PU, range"),
        ({"confidence": "unconfirmed scale"}, "12.3 PU, unconfirmed scale"),
    ],
)
def test_a_channel_that_is_not_to_be_trusted_says_why(channel, found):
    check = seen(bench(**channel))["flux"]
    assert (check.state, check.found) == (CheckState.LOOK, found)


def test_a_full_disk_a_record_in_trouble_and_a_stepped_clock_are_shown():
    snapshot = bench()
    snapshot["record"].update(recording=False, trouble="no space")
    snapshot["utc"] = "2026-03-01T09:01:00.000Z"
    found = seen(snapshot, free=10**8)
    assert {found[name].state for name in ("record", "disk", "clock")} == {CheckState.LOOK}
    assert found["disk"].found == "0.1 GB"
    assert "60.0 s from the record's axis" in found["clock"].found


def test_the_disk_is_that_of_the_record():
    asked = []
    list(of_the_bench({}, bench(), free=lambda folder: asked.append(folder) or 10**12))
    assert asked == [Path("/")]


def test_the_list_is_kept_with_the_session_and_an_unanswered_one_does_not_stop_it():
    office = Office()
    answer = office.session_service.answer({**START, "checks": {"room": "26", "contraindications": "none"}})
    states = {check["name"]: check["state"] for check in answer["checks"]}
    assert (states["room"], states["contraindications"], states["zero"]) == ("look", "ok", "unanswered")
    assert office.session_service.session_log.sessions["s1"].about["checks"] == answer["checks"]


@pytest.mark.parametrize("given", [{}, {"contraindications": ""}, {"contraindications": "  "}, {"room": "23"}])
def test_what_may_forbid_an_examination_is_answered_before_it_starts(given):
    office = Office()
    with pytest.raises(
        Refused, match=r"thrombosis, bypass, stent.*nobody has answered.*--check contraindications=none"
    ):
        office.session_service.answer({**START, "checks": given})
    assert not office.events


@pytest.mark.parametrize("name", resources.names(KIND))
def test_no_question_that_stops_is_passed_over_in_any_protocol(name):
    rules = load(name).check
    every = [rule.name for rule in rules if rule.stops]
    for silent in every:
        checks = list(of_a_person(load(name), {rule.name: rule.wants for rule in rules if rule.stops} | {silent: ""},
                                  TODAY))  # fmt: skip
        with pytest.raises(Refused, match=f"--check {silent}="):
            must_not_start(checks)


def test_a_question_of_a_site_that_stops_needs_an_answer_too(tmp_path):
    text = resources.find(KIND, "flowmotion", None).read_text("utf-8")
    own = '[[check]]\nname = "pacemaker"\nsay = "A pacemaker"\nlow = 0\nhigh = 0\nstops = true\n'
    (tmp_path / KIND).mkdir()
    (tmp_path / KIND / "flowmotion.toml").write_text(f"{text}\n{own}")
    office = Office(rules=Rules(beside=tmp_path))
    with pytest.raises(Refused, match=r"A pacemaker: nobody has answered.*--check pacemaker=… "):
        office.session_service.answer({**START, "protocol": "flowmotion", "checks": {}})
    start = {**START, "protocol": "flowmotion", "checks": {"pacemaker": "0"}}
    assert office.session_service.answer(start)["state"] == "open"


def test_a_contraindication_starts_nothing():
    office = Office()
    with pytest.raises(Refused, match="bypass") as refused:
        office.session_service.answer({**START, "checks": {"contraindications": "bypass last year"}})
    assert "observe not-done" in str(refused.value)
    assert not office.events


def test_looking_starts_nothing_and_knows_the_bench():
    office = Office(bench=bench)
    answer = office("check", protocol="porh", checks={"room": "23"})
    states = {c["name"]: c["state"] for c in answer["checks"]}
    assert (states["flux"], states["room"], states["zero"]) == ("ok", "ok", "unanswered")
    assert not office.events
    assert office.now == T0


def test_an_answer_that_names_a_person_is_refused():
    office = Office()
    with pytest.raises(Refused):
        office.session_service.answer({**START, "checks": {"contraindications": "ask anna@example.org"}})
