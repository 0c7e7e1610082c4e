"""Examinations recorded while a clock was wrong: their days are those of each run, and a doubt is asked about."""

import csv
import io
import json

import pytest

from acquisition.cli import clock, perfusion
from acquisition.config.tables import Endpoint, Study
from acquisition.daemon import gateway, timekeeping
from acquisition.errors import Refused
from acquisition.examination.session_service import SessionService
from acquisition.store import Store, check
from acquisition.study import collection, trial
from tests.store.clocks import AHEAD, DAY, HOUR, LDF, MINUTE, SECOND, Bedside, accident
from tests.store.records import T0

PLAN = Study(
    visits=("baseline", "month-3"), windows={"month-3": (76.0, 104.0)}, endpoint=(Endpoint("pain", "pain_vas"),)
)
EPOCH = 3 * DAY


@pytest.fixture
def call(capsys):
    def run(*arguments):
        perfusion.main([*map(str, arguments)], standalone_mode=False)
        return capsys.readouterr().out

    return run


def three_months(directory):
    """Baseline, a day with a clock that was ahead, and the visit after three months."""
    host = Bedside(directory)
    host.record(T0)
    host.record(T0 + DAY + AHEAD, "03-118")
    host.record(T0 + 90 * DAY, visit="month-3", pain=30)
    return host


def test_sessions_are_listed_and_shown_with_the_times_of_their_clock(tmp_path, call):
    accident(tmp_path)
    rows = json.loads(call("session", "list", "--json", "--data", tmp_path))
    assert [row["start"][:10] for row in rows] == ["2026-01-01", "2034-03-21", "2026-01-03"]
    shown = json.loads(call("session", "show", "s3", "--json", "--data", tmp_path))
    assert (shown["start"], shown["stop"]) == ("2026-01-03T00:00:10.000Z", "2026-01-03T00:01:10.000Z")
    assert shown["stages"][0]["start"] == shown["start"]
    assert {item["time"][:10] for item in shown["items"]} == {"2026-01-03"}
    assert json.loads(call("outcomes", "s3", "--json", "--data", tmp_path))["start"] == shown["start"]


def test_days_and_windows_of_a_study_go_by_the_wall_clock(tmp_path, call):
    three_months(tmp_path)
    with Store(tmp_path) as store:
        made = collection.attempts([("bed", store, gateway.session_log(tmp_path))])
        rows = {row["visit"]: row for row in trial.rows(made, PLAN) if row["endpoint"] and row["subject"] == "03-117"}
    assert (rows["month-3"]["day"], rows["month-3"]["window"]) == (90.0, "in")
    assert rows["month-3"]["difference"] == -30
    table = list(csv.DictReader(io.StringIO(call("outcomes", "--study", tmp_path, "--csv"))))
    assert {row["day"] for row in table if row["visit"] == "month-3" and row["value"]} == {"90.0"}


def test_what_happened_is_dated_by_the_wall_clock(tmp_path):
    host = three_months(tmp_path)
    with host.run(host.utc + HOUR) as run:
        run.ask("session.observe", session="s3", fields={"what": "event", "kind": "vasoactive"})
    with Store(tmp_path) as store:
        made = collection.attempts([("bed", store, gateway.session_log(tmp_path))])
        rows = [row for row in trial.rows(made, PLAN) if row["visit"] == "month-3" and row["subject"] == "03-117"]
    assert {row["intercurrent"] for row in rows} == {"vasoactive 2026-04-01"}


def test_a_mark_is_set_and_corrected_at_a_time_of_the_wall_clock(tmp_path):
    host = accident(tmp_path)
    with host.run(T0 + 3 * DAY) as run:
        run.ask("session.start", protocol="porh", subject="03-117", visit="later", checks={"contraindications": "none"})
        host.wait(320 * SECOND)
        answer = run.ask("session.mark", name="inflate", at="2026-01-04T00:05:05Z")
        assert answer["items"][0]["time"] == "2026-01-04T00:05:05.000Z"
        answer = run.ask("session.correct", entry=1, field="at", value="2026-01-04T00:05:03Z", reason="on the trace")
        assert answer["items"][0]["time"] == "2026-01-04T00:05:03.000Z"
        assert answer["stages"][1]["start"] == "2026-01-04T00:05:03.000Z"
        for wrong in ("2026-01-03T23:59:59.000Z", "2034-03-21T00:00:30Z"):
            with pytest.raises(Refused):
                run.ask("session.correct", entry=1, field="at", value=wrong, reason="on the trace")
        with pytest.raises(Refused, match="no time"):
            run.ask("session.correct", entry=1, field="at", value="soon", reason="on the trace")


def test_a_session_that_spans_runs_has_each_instant_by_its_own_run(tmp_path):
    host = accident(tmp_path)
    with host.run(T0 + 3 * DAY) as run:
        run.ask("session.start", protocol="porh", subject="03-117", visit="later", checks={"contraindications": "none"})
    with host.run(T0 + 3 * DAY + MINUTE) as run:
        answer = run.ask("session.stop", reason="the service was away")
    assert (answer["start"][11:19], answer["stop"][11:19]) == ("00:00:00", "00:01:00")
    assert answer["elapsed_s"] == 60.0, "the pause counts, though the axis is ahead"


def test_a_run_is_mended_with_a_reason_and_everything_follows(tmp_path, call):
    host = three_months(tmp_path)
    request = {"do": "clock.mend", "run": 2, "offset": -AHEAD, "reason": "the battery was changed", "by": "mk"}
    done = timekeeping.send(tmp_path, request, host.clock)["done"]
    assert "run 2 began at 2026-01-02 00:00:00 UTC, not at 2034-03-21 00:00:00 UTC" in done
    rows = json.loads(call("session", "list", "--json", "--data", tmp_path))
    assert [row["start"][:10] for row in rows] == ["2026-01-01", "2026-01-02", "2026-04-01"]
    with Store(tmp_path) as store:
        (event,) = store.events("clock-mended")
        assert event.body["details"]["said"] == T0 + DAY + AHEAD, "the first value stays"
        assert event.body["details"]["by"] == "mk"
        assert store.doubt(host.utc) is None
    assert check(tmp_path).ok
    with pytest.raises(Refused, match="already"):
        timekeeping.send(tmp_path, request, host.clock)
    with pytest.raises(Refused, match="no run 9"):
        timekeeping.send(tmp_path, {**request, "run": 9}, host.clock)
    for wrong in ({"reason": " "}, {"utc": T0}, {"offset": None}):
        with pytest.raises(Refused):
            timekeeping.send(tmp_path, {**request, "run": 1, **wrong}, host.clock)


def test_a_clock_in_doubt_is_accepted_with_a_reason_and_not_asked_about_again(tmp_path):
    host = three_months(tmp_path)
    with Store(tmp_path) as store:
        assert [run.number for run in store.doubt(host.utc).runs] == [2]
    request = {"do": "clock.accept", "reason": "compared with the telephone", "by": "mk"}
    timekeeping.send(tmp_path, request, host.clock)
    with Store(tmp_path) as store:
        (event,) = store.events("clock-accepted")
        assert (event.body["details"]["by"], event.body["details"]["reason"]) == ("mk", "compared with the telephone")
        assert store.doubt(host.utc + MINUTE) is None
        assert store.doubt(EPOCH) is not None, "again behind, it is asked about again"
    with pytest.raises(Refused, match="nothing to accept"):
        timekeeping.send(tmp_path, request, host.clock)


def test_another_start_does_not_make_the_doubt_go_away(tmp_path):
    host = accident(tmp_path)
    host.record(host.utc + HOUR)
    with Store(tmp_path) as store:
        assert [run.number for run in store.doubt(host.utc).runs] == [2]


def test_without_a_daemon_a_visit_is_not_opened_by_a_clock_in_doubt(tmp_path):
    host = Bedside(tmp_path)
    host.record(T0)
    host.utc = EPOCH
    with pytest.raises(Refused, match="this clock is behind") as refused:
        gateway.send(tmp_path, {"do": "session.visit", "subject": "03-117", "visit": "later"}, clock=host.clock)
    assert "perfusion clock accept" in refused.value.remedy
    answer = gateway.send(tmp_path, {"do": "session.note", "text": "warm hands", "session": "s1"}, clock=host.clock)
    assert answer["items"][-1]["time"].startswith("1970-01-04")
    assert "this clock is behind" in answer["warnings"][0]
    host.utc = T0 + DAY
    answer = gateway.send(tmp_path, {"do": "session.visit", "subject": "03-117", "visit": "later"}, clock=host.clock)
    assert answer["start"].startswith("2026-01-02")


def test_no_session_begins_while_the_clock_is_in_doubt(tmp_path):
    host = accident(tmp_path)
    with Store(tmp_path) as store:
        alarm = store.doubt(host.utc).alarm(T0)
    office = SessionService((), lambda: T0, print, headers=lambda: LDF, alarms=lambda: (alarm,))
    with pytest.raises(Refused, match="that run's was ahead"):
        office.answer({"do": "session.start", "protocol": "porh", "subject": "03-117", "visit": "baseline"})
    with pytest.raises(Refused, match="that run's was ahead"):
        office.answer({"do": "session.visit", "subject": "03-117", "visit": "baseline"})


@pytest.mark.parametrize(("text", "ns"), [("-3000d", -AHEAD), ("+1h30m", 90 * MINUTE), ("-1.5s", -1_500_000_000)])
def test_an_offset_is_said_in_days_hours_minutes_and_seconds(tmp_path, call, text, ns):
    accident(tmp_path)
    call("clock", "mend", 2, "--offset", text, "--reason", "the battery was changed", "--by", "mk", "--data", tmp_path)
    runs = json.loads(call("clock", "--json", "--data", tmp_path))["runs"]
    assert [run["mended"] for run in runs] == [False, True, False, False]
    with Store(tmp_path) as store:
        assert store.history()[1].began == T0 + DAY + AHEAD + ns


def test_the_runs_and_the_doubt_are_shown(tmp_path, call, monkeypatch):
    host = accident(tmp_path)
    monkeypatch.setattr(clock, "Clock", lambda: host.clock)
    for words in (("clock",), ("clock", "show")):
        text = call(*words, "--data", tmp_path)
        assert "2034-03-21 00:00:00 UTC" in text
        assert "2999 d" in text
        assert "perfusion clock accept" in text, "what to do next"
