"""The table of a trial: attempts, changes from baseline, what is missing, what happened, over several records."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from acquisition.cli import perfusion
from acquisition.config.tables import Endpoint, Reliability
from acquisition.config.tables import Study as Plan
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.model import Instant
from acquisition.store import Store
from acquisition.study import collection, trial
from tests.examination.patients import REST, SECOND, T0, Study
from tests.store.records import Recording

DAY = 86_400 * SECOND
CALF = "tcpo2/calf/tcpo2"
MONTHS = {"model": "TCM400", "probe": "E5250", "calibration": "air", "sensor_temperature": 44.0}
COMMON = {"devices": ("tcpo2",), "site": "dorsum", "conditions": MONTHS}
ENDPOINTS = (Endpoint("oxygen", "tcpo2_rest", "tcpo2-rest"), Endpoint("pain", "pain_vas"), Endpoint("abi", "abi"))
PLAN = Plan(visits=("baseline", "month-3"), windows={"month-3": (76.0, 104.0)}, endpoint=ENDPOINTS)


def electrode(made, kind, visit, subject="03-117", marks=REST, **more):
    made.examine(kind, "rest", "tcpo2-rest", marks, 2200.0, **{**COMMON, "visit": visit, "subject": subject, **more})


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Baseline at one bed, three months later at another."""
    first, later = Study(), Study()
    later.start += 90 * DAY
    electrode(first, "cli", "baseline", marks=REST[:2], stop="electrodes never taken off")
    electrode(first, "cli", "baseline", entries=[{"what": "vas", "mark": 60}])
    electrode(first, "cli", "baseline", seed=5)
    electrode(first, "cli", "baseline", "03-118")
    entries = [
        {"what": "vas", "mark": 30}, {"what": "not-done", "measurement": "abi", "reason": "cuff broken"},
        {"what": "event", "kind": "infection"},
    ]  # fmt: skip
    electrode(later, "diabetic", "month-3", entries=entries)
    electrode(later, "cli", "month-3", "03-118", conditions={**MONTHS, "probe": "E5280"})
    folder = tmp_path_factory.mktemp("trial")
    return first.write(folder / "bed1"), later.write(folder / "bed2")


def attempts(*folders):
    made = []
    for folder in folders:
        with Store(folder) as store:
            made.append((folder.name, replay(events(store))))
    stores = [Store(folder) for folder in folders]
    try:
        return collection.attempts(
            (name, store, session_log) for (name, session_log), store in zip(made, stores, strict=True)
        )
    finally:
        for store in stores:
            store.close()


@pytest.fixture(scope="module")
def made(records):
    return attempts(*records)


@pytest.fixture(scope="module")
def table(made):
    return trial.rows(made, PLAN)


def row(table, subject, visit, index, place=None):
    (found,) = [
        r for r in table
        if (r["subject"], r["visit"], r["index"]) == (subject, visit, index) and place in (None, r["place"])
    ]  # fmt: skip
    return found


def test_the_first_complete_attempt_counts_and_every_one_is_kept(made):
    baseline = [a for a in made if a.found.session.about["subject"] == "03-117"][:3]
    assert [(a.number, a.counts, a.record) for a in baseline] == [
        (1, False, "bed1"),
        (2, True, "bed1"),
        (3, False, "bed1"),
    ]


def test_a_change_over_two_records_stands_beside_its_baseline_and_what_chance_brings(table):
    found = row(table, "03-117", "month-3", "tcpo2_rest", CALF)
    assert found["difference"] == pytest.approx(28.0, abs=3.0)
    assert found["value"] == pytest.approx(found["baseline"] + found["difference"])
    assert (found["change_status"], found["meaning"]) == ("ok", "beyond_smallest_detectable_change")
    assert (found["endpoint"], found["record"], found["attempt"]) == ("oxygen", "bed2", 1)
    assert row(table, "03-117", "month-3", "pain_vas")["difference"] == -30.0


def test_a_study_may_know_its_own_smallest_detectable_change(made):
    own = Plan(visits=PLAN.visits, endpoint=ENDPOINTS, sdc95={"tcpo2_rest": Reliability(50.0, source="own repeats")})
    found = row(trial.rows(made, own), "03-117", "month-3", "tcpo2_rest", CALF)
    assert found["meaning"] == "below_smallest_detectable_change"


def test_the_baseline_is_its_own(table):
    found = row(table, "03-117", "baseline", "tcpo2_rest", CALF)
    assert (found["baseline"], found["difference"], found["attempt"]) == (found["value"], None, 2)
    assert found["eligibility"] == "met"


def test_another_probe_makes_visits_incomparable(table):
    found = row(table, "03-118", "month-3", "tcpo2_rest", CALF)
    assert (found["difference"], found["change_reason"]) == (None, "not_comparable(probe)")
    assert found["baseline"] is not None


def test_days_since_baseline_are_held_against_the_window(table, made):
    found = row(table, "03-117", "month-3", "tcpo2_rest", CALF)
    assert (found["day"], found["window"]) == (pytest.approx(90.0, abs=0.2), "in")
    early = trial.rows(made, Plan(visits=PLAN.visits, windows={"month-3": (100.0, 120.0)}, endpoint=ENDPOINTS))
    assert row(early, "03-117", "month-3", "tcpo2_rest", CALF)["window"] == "early"


def test_what_was_not_done_has_its_reason_and_what_nobody_explained_is_missing(table):
    abi = row(table, "03-117", "month-3", "abi")
    assert (abi["value"], abi["status"], abi["reason"], abi["endpoint"]) == (None, "not_done", "cuff broken", "abi")
    assert row(table, "03-117", "baseline", "abi")["status"] == "missing"
    assert row(table, "03-118", "month-3", "pain_vas")["status"] == "missing"


def test_an_infection_stands_beside_what_came_with_it_and_not_before(table):
    assert row(table, "03-117", "month-3", "tcpo2_rest", CALF)["intercurrent"].startswith("infection 2026-")
    assert row(table, "03-117", "baseline", "tcpo2_rest", CALF)["intercurrent"] == ""


@pytest.fixture(scope="module")
def lost(tmp_path_factory):
    """One leg is lost before the visit of three months, which never comes."""
    made = Study()
    amputation = {"what": "event", "kind": "amputation", "limb": "left", "on": "2026-02-01"}
    electrode(made, "cli", "baseline", entries=[amputation])
    return attempts(made.write(tmp_path_factory.mktemp("lost")))


def test_an_amputation_of_the_limb_that_counts_explains_what_is_missing_and_another_does_not(lost):
    for limb, status in (("left", "intercurrent"), ("right", "missing")):
        plan = Plan(visits=PLAN.visits, endpoint=ENDPOINTS, index_limb={"03-117": limb})
        found = row(trial.rows(lost, plan), "03-117", "month-3", "tcpo2_rest")
        assert (found["status"], found["intercurrent"]) == (status, "amputation left 2026-02-01")


ORDERED = Plan(visits=("screening", "baseline", "month-1", "month-3", "month-6"), endpoint=ENDPOINTS)
AMPUTATION = {"what": "event", "kind": "amputation", "limb": "left", "on": "2026-03-20"}
ON_THAT_DAY = {key: value for key, value in AMPUTATION.items() if key != "on"}
NOT_DONE = {"what": "not-done", "measurement": "oxygen", "reason": "came too late"}


def with_entries(folder, *visits, protocol="entries"):
    """The rows of a participant of whom only entries are known: (visit, day of the entry, entries) each."""
    made = Study()
    start = made.start
    for visit, day, entries in visits:
        made.start = start + day * DAY
        named = protocol if isinstance(protocol, str) else protocol[visit]
        made.examine("cli", "rest", named, (), 5.0, entries=entries, stop="a test",
                     **{**COMMON, "visit": visit})  # fmt: skip
    return {r["visit"]: r for r in trial.rows(attempts(made.write(folder)), ORDERED) if r["endpoint"] == "oxygen"}


@pytest.mark.parametrize("event", [AMPUTATION, ON_THAT_DAY])
def test_what_came_later_explains_nothing_earlier(tmp_path, event):
    entries = [("month-3", 90, [event])]
    found = with_entries(tmp_path, *entries)
    assert {visit: r["status"] for visit, r in found.items()} == {
        "screening": "missing", "baseline": "missing", "month-1": "missing",
        "month-3": "intercurrent", "month-6": "intercurrent",
    }  # fmt: skip
    assert {visit for visit, r in found.items() if r["intercurrent"]} == {"month-3", "month-6"}


def test_a_visit_without_an_examination_lies_between_those_that_have_one(tmp_path):
    protocol = {"baseline": "tcpo2-rest", "month-3": "tcpo2-rest"}
    found = with_entries(tmp_path, ("baseline", 0, []), ("month-3", 90, [{**AMPUTATION, "on": "2026-05-10"}]),
                         protocol=protocol)  # fmt: skip
    assert {visit: r["status"] for visit, r in found.items()} == {
        "screening": "missing", "baseline": "missing", "month-1": "missing", "month-3": "missing",
        "month-6": "intercurrent",
    }  # fmt: skip


@pytest.mark.parametrize("visit", ["baseline", "month-3", "month-6"])
def test_what_a_person_said_wins_over_what_is_inferred(tmp_path, visit):
    found = with_entries(tmp_path, ("month-3", 90, [AMPUTATION]), (visit, 200, [NOT_DONE]))
    assert (found[visit]["status"], found[visit]["reason"]) == ("not_done", "came too late")
    assert found[visit]["intercurrent"] == ("" if visit == "baseline" else "amputation left 2026-03-20")


def test_only_the_index_limb_has_endpoints(lost):
    plan = Plan(visits=PLAN.visits, endpoint=ENDPOINTS, index_limb={"03-117": "right"})
    found = row(trial.rows(lost, plan), "03-117", "baseline", "tcpo2_rest", CALF)
    assert (found["endpoint"], found["index_limb"]) == ("", False)
    assert row(trial.rows(lost, plan), "03-117", "baseline", "tcpo2_rest", "")["status"] == "missing"


def test_a_number_of_unconfirmed_scale_is_no_endpoint(tmp_path):
    made = Study()
    electrode(made, "cli", "baseline", head={"confidence": "unconfirmed scale"})
    table = trial.rows(attempts(made.write(tmp_path)), PLAN)
    assert row(table, "03-117", "baseline", "tcpo2_rest", CALF)["endpoint"] == ""
    (lacking,) = [r for r in table if r["endpoint"] == "oxygen" and r["visit"] == "baseline"]
    assert (lacking["value"], lacking["status"], lacking["reason"]) == (None, "missing", "scale_unconfirmed")


def test_a_protocol_that_a_site_changed_without_a_new_version_is_another(tmp_path):
    made = Study()
    electrode(made, "cli", "baseline")
    electrode(made, "cli", "month-3", settings={"thermal_limit_minutes": 240})
    table = trial.rows(attempts(made.write(tmp_path)), PLAN)
    assert row(table, "03-117", "month-3", "tcpo2_rest", CALF)["change_reason"] == "not_comparable(protocol)"


def test_entries_apart_from_any_examination_have_the_limits_of_their_leg(tmp_path):
    made = Study()
    leg = {"what": "abi", "side": "right", "dorsalis_pedis": 80, "posterior_tibial": 75,
           "brachial_left": 125, "brachial_right": 122}  # fmt: skip
    electrode(made, "healthy", "baseline", limb="", entries=[leg])
    electrode(made, "cli", "baseline", "03-118", limb="")
    table = trial.rows(attempts(made.write(tmp_path)), PLAN)
    assert row(table, "03-117", "baseline", "abi")["eligibility"] == "met"
    assert row(table, "03-118", "baseline", "tcpo2_rest", CALF)["eligibility"] == "met"


def test_the_chest_is_no_endpoint(table):
    rests = [r for r in table if r["index"] == "tcpo2_rest" and r["subject"] == "03-117" and r["value"] is not None]
    assert {r["place"]: r["endpoint"] for r in rests} == {CALF: "oxygen", "tcpo2/chest/tcpo2": ""}


def test_what_was_not_done_stands_in_the_table_by_whatever_people_call_it(entered):
    said = [{"what": "not-done", "measurement": name, "reason": "toe bandaged"} for name in ("Ulcer", "TBI")]
    table = entered([ulcer()], said)
    found = {r["index"]: r["status"] for r in table if r["visit"] == "month-3"}
    assert found == {"ulcer_area": "not_done", "tbi": "not_done"}


def test_pain_of_another_context_or_recall_is_another_pain(entered):
    pain = {"what": "vas", "mark": 60, "context": "walking", "recall": "24h"}
    table = entered([pain], [{**pain, "mark": 30}, {**pain, "recall": "7d"}])
    assert later(table, "pain_vas", "pain walking 24h")["difference"] == -30.0
    assert later(table, "pain_vas", "pain walking 7d")["change_reason"] == "no_baseline"


def ulcer(length=30, width=20, name="U1", **more):
    return {"what": "ulcer", "side": "left", "site": "heel", "ulcer": name, "length": length, "width": width, **more}


def outline(size, name="U1"):
    square = [[0, 0], [size, 0], [size, size], [0, size]]
    return {"what": "ulcer", "side": "left", "site": "heel", "ulcer": name, "outline": square, "mm_per_pixel": [1.0]}


PAIR = Plan(visits=PLAN.visits, endpoint=(Endpoint("ulcer", "ulcer_area"),))


@pytest.fixture
def entered(tmp_path_factory):
    """The rows of entries at two visits, each in a session that was broken off."""

    def run(before, after, weeks=12):
        made = Study()
        for visit, entries in (("baseline", before), ("month-3", after)):
            made.examine("cli", "rest", "tcpo2-rest", REST[:1], 5.0, entries=entries, stop="a test",
                         **{**COMMON, "visit": visit})  # fmt: skip
            made.start += weeks * 7 * DAY
        return trial.rows(attempts(made.write(tmp_path_factory.mktemp("entered"))), PAIR)

    return run


def later(table, index, place=None):
    return row(table, "03-117", "month-3", index, place)


def test_what_a_person_entered_counts_whatever_became_of_the_session(entered):
    found = later(entered([ulcer(debrided=True)], [ulcer(15, 10, debrided=True)]), "ulcer_area")
    assert (found["percent"], found["change_status"], found["limb"]) == (pytest.approx(-75.0), "ok", "left")
    assert found["endpoint"] == "ulcer"


def test_an_entry_has_its_baseline_in_whatever_examination_took_it(tmp_path):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST[:1], 5.0, entries=[ulcer(debrided=True)], stop="a test", **COMMON)
    more = {"site": "hallux", "visit": "month-3", "devices": ("ldf",), "limb": ""}
    made.examine("cli", "rest", "flowmotion", (), 5.0, entries=[ulcer(15, 10, debrided=True)], stop="a test", **more)
    assert later(trial.rows(attempts(made.write(tmp_path)), PAIR), "ulcer_area")["percent"] == pytest.approx(-75.0)


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ({"debrided": True}, {"debrided": False}, "debrided"),
        ({"debrided": True}, {}, "debrided"),
        ({"method": "rectangle"}, {"method": "ellipse"}, "method"),
    ],
)
def test_ulcers_that_were_measured_in_another_way_have_no_change(entered, before, after, field):
    table = entered([ulcer(**before)], [ulcer(15, 10, **after)])
    area, reduction = later(table, "ulcer_area"), later(table, "ulcer_area_reduction")
    assert (area["difference"], area["change_reason"]) == (None, f"not_comparable({field})")
    assert (reduction["value"], reduction["reason"]) == (None, f"not_comparable({field})")


def test_a_debridement_of_which_nobody_speaks_and_another_rater_leave_a_doubt(entered):
    found = later(entered([ulcer(rater="R1")], [ulcer(15, 10, rater="R2")]), "ulcer_area")
    assert (found["percent"], found["change_status"]) == (pytest.approx(-75.0), "low_quality")
    assert found["change_reason"] == "debrided_not_said; another_rater"


def test_an_ulcer_that_was_hardly_there_has_no_per_cent(entered):
    table = entered([ulcer(4, 3, debrided=True)], [ulcer(2, 1, debrided=True)])
    found = later(table, "ulcer_area")
    assert found["difference"] is not None
    assert found["percent"] is None
    assert later(table, "ulcer_area_reduction")["reason"] == "ulcer_too_small_at_baseline"


def test_the_index_ulcer_is_the_largest_at_baseline_and_stays_it(entered):
    table = entered([ulcer(10, 5, "U1"), ulcer(30, 20, "U2")], [ulcer(20, 10, "U1"), ulcer(5, 4, "U2")])
    areas = {r["place"]: r["endpoint"] for r in table if r["index"] == "ulcer_area" and r["visit"] == "month-3"}
    assert areas == {"ulcer U1 left heel": "", "ulcer U2 left heel": "ulcer"}


def test_the_edge_of_a_traced_ulcer_advances(entered):
    found = later(entered([outline(40)], [outline(20)], weeks=10), "ulcer_healing_advance")
    # (16 - 4) cm2 over (16 + 8) / 2 cm in ten weeks and an hour.
    assert found["value"] == pytest.approx(0.1, rel=2e-3)
    assert later(entered([ulcer()], [ulcer(15, 10)]), "ulcer_healing_advance")["reason"] == "perimeter_missing"


def test_of_two_entries_the_first_valid_one_counts(entered):
    first = {"what": "abi", "side": "left", "dorsalis_pedis": 90, "brachial_left": 120}
    both = {**first, "posterior_tibial": 80, "brachial_right": 125}
    table = entered([first, both, {**both, "dorsalis_pedis": 60}], [both])
    assert row(table, "03-117", "baseline", "abi")["value"] == pytest.approx(0.72)
    assert later(table, "abi")["meaning"] == "below_smallest_detectable_change"


@pytest.mark.parametrize(
    ("entry", "changed", "index", "field"),
    [
        ({"what": "abi", "side": "left", "dorsalis_pedis": 90, "posterior_tibial": 80, "brachial_left": 120,
          "brachial_right": 120}, {"position": "sitting"}, "abi", "position"),
        ({"what": "abi", "side": "left", "toe": 60, "brachial_left": 120, "brachial_right": 120},
         {"method": "laser-doppler"}, "tbi", "method"),
        ({"what": "vas", "mark": 60}, {"scale": "spoken"}, "pain_vas", "scale"),
    ],
)  # fmt: skip
def test_entries_that_were_measured_in_another_way_have_no_change(entered, entry, changed, index, field):
    found = later(entered([entry], [{**entry, **changed}]), index)
    assert (found["difference"], found["change_reason"]) == (None, f"not_comparable({field})")


@pytest.mark.parametrize("field", ["model", "probe", "calibration", "sensor_temperature", "site", "position"])
def test_electrodes_that_differ_in_one_thing_have_no_change(tmp_path, field):
    made = Study()
    electrode(made, "cli", "baseline")
    other = {"site": "heel"} if field == "site" else {"conditions": {**MONTHS, field: 43.0}}
    electrode(made, "cli", "month-3", **other)
    found = row(trial.rows(attempts(made.write(tmp_path)), PLAN), "03-117", "month-3", "tcpo2_rest", CALF)
    assert (found["difference"], found["change_reason"]) == (None, f"not_comparable({field})")


def test_a_heater_that_was_set_lower_is_another_stimulus(tmp_path):
    made = Study()
    said = {"devices": ("ldf",), "site": "hallux", "conditions": {"model": "PF", "probe": "457", "time_constant": 0.2,
                                                                 "calibration": "motility"}}  # fmt: skip
    marks = (("heat", 600.0), ("maximum", 2400.0))

    def cooler(signal, t, x):
        return np.minimum(x, 39.0) if signal == "heater_temperature" else x

    for visit, change in (("baseline", None), ("month-3", cooler), ("month-6", None)):
        more = {} if change is None else {"change": change}
        made.examine("healthy", "heating", "local-heating", marks, 3420.0, stop="a test", **said, **more, visit=visit)
    study_of = attempts(made.write(tmp_path))
    counted = [replace(each, counts=True) for each in study_of]
    table = trial.rows(counted, PLAN)
    assert later(table, "plateau")["change_reason"] == "not_comparable(sensor_temperature)"
    assert row(table, "03-117", "month-6", "plateau")["difference"] == pytest.approx(0.0, abs=1e-9)


def test_stages_stand_in_the_table_by_their_words(entered):
    pressures = {"what": "abi", "side": "left", "toe": 35, "brachial_left": 120, "brachial_right": 120}
    grades = {"what": "wifi", "side": "left", "wound": 1, "infection": 0}
    table = entered([pressures, grades], [{**pressures, "toe": 65}, grades])
    assert row(table, "03-117", "baseline", "wifi_stage")["reads"] == "W1 I2 fI0"
    found = later(table, "wifi_ischaemia")
    assert (found["value"], found["difference"], found["percent"]) == (0.0, -2.0, None)
    assert (later(table, "wifi_stage")["baseline"], later(table, "wifi_stage")["difference"]) == (2.0, -1.0)
    assert later(table, "wifi_wound")["difference"] == 0.0


@pytest.fixture
def call(capsys):
    def run(*arguments):
        assert perfusion.main(["outcomes", *map(str, arguments)], standalone_mode=False) == 0
        return capsys.readouterr().out

    return run


def test_the_command_gives_the_table_of_several_records_the_same_each_time(call, records):
    text = call("--study", *records, "--csv")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == trial.COLUMNS
    assert {r["record"] for r in rows if r["record"]} == {"bed1", "bed2"}
    assert call("--study", *records, "--csv") == text
    found = json.loads(call("--study", *records, "--json"))
    assert all(math.isfinite(r["difference"]) for r in found if r["difference"] is not None)


def test_the_command_gives_every_attempt(call, records):
    rows = list(csv.DictReader(io.StringIO(call("--attempts", "--csv", "--data", records[0]))))
    assert tuple(rows[0]) == collection.ROWS
    assert {r["counts"] for r in rows} == {"yes", "no"}


def test_records_of_the_same_name_are_told_apart_by_site_and_station(tmp_path, capsys):
    folders = []
    for station, subject in (("bed1", "03-117"), ("bed2", "03-118")):
        made = Study()
        electrode(made, "cli", "baseline", subject, marks=REST[:1], stop="a test",
                  entries=[{"what": "vas", "mark": 60}])  # fmt: skip
        folder = tmp_path / station / "rec"
        with Recording(folder, begin=False) as writer:
            writer.begin_run(Instant(0, T0), T0, {"site": "ward", "station": station})
            for item in (*made.items, *made.events):
                writer.put(item)
        with Recording(folder, begin=False) as writer:
            writer.begin_run(Instant(0, T0 + DAY), T0 + DAY, {"site": "moved", "station": "later"})
        with Recording(folder, begin=False) as writer:
            writer.begin_run(Instant(0, T0 + DAY), T0 + 2 * DAY, {"purpose": "entries without a daemon"})
        folders.append(folder)
    for command in ("--study", "--attempts"):
        perfusion.main(["outcomes", command, *map(str, folders), "--csv"], standalone_mode=False)
        rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
        where = {(r["subject"], r["record"], r["site"], r["station"]) for r in rows if r["index"] == "pain_vas"}
        assert where == {("03-117", "rec", "ward", "bed1"), ("03-118", "rec", "ward", "bed2")}
