"""`perfusion session` and `perfusion observe` on a record without a daemon, and what they say."""

import json
from datetime import UTC, datetime, timedelta

import click
import pytest

from acquisition.cli import perfusion
from acquisition.cli.desk import moment
from acquisition.cli.session import _asked
from acquisition.config import load, resources
from acquisition.daemon import gateway
from acquisition.errors import ConfigurationError, Refused, StoreError
from acquisition.examination.protocol import KIND
from acquisition.examination.rules import Rules
from acquisition.model import Instant
from acquisition.store import Store, check
from tests.examination.patients import Study
from tests.examination.rooms import porh
from tests.store.records import T0, Recording


@pytest.fixture
def directory(tmp_path):
    with Recording(tmp_path) as writer:
        for event in porh().events:
            writer.put(event)
    return tmp_path


@pytest.fixture
def call(directory, capsys):
    def run(*arguments, code=0):
        ended = perfusion.main([*map(str, arguments), "--data", str(directory)], standalone_mode=False)
        assert ended == code
        return capsys.readouterr().out

    return run


def test_sessions_are_listed_and_shown_from_the_record(call):
    rows = json.loads(call("session", "list", "--json"))
    assert [(row["session"], row["subject"], row["state"]) for row in rows] == [("s1", "03-117", "completed")]
    assert "porh" in call("session", "list")
    text = call("session", "show")
    assert "s1 porh 03-117 baseline left: completed" in text
    assert "mark inflate" in text
    assert json.loads(call("session", "show", "s1", "--json"))["stages"][1]["phase"] == "occlusion"


def test_an_entry_without_a_daemon_goes_into_the_record_and_its_chain_holds(call, directory):
    out = call("observe", "vas", 62, "--session", "s1", "--by", "mk")
    assert "vas entered" in out
    call("observe", "ulcer", "--side", "left", "--site", "heel", "--length", 32, "--width", 18, "--session", "s1")
    call("observe", "abi", "--side", "left", "--dp", 80, "--brachial-left", 125, "--session", "s1")
    call("observe", "pressure", 130, 80, "--session", "s1")
    call("observe", "not-done", "tbi", "--reason", "toe bandaged", "--session", "s1")
    call("observe", "event", "adverse", "dizzy", "--session", "s1")
    session = gateway.session_log(directory).sessions["s1"]
    assert [item.name for item in session.observations()] == ["vas", "ulcer", "abi", "pressure", "not-done", "event"]
    assert session.observations("vas")[0].by == "mk"
    assert check(directory).ok


def test_a_correction_from_the_command_line_keeps_the_first_value(call, directory):
    call("observe", "vas", 62, "--session", "s1")
    call("session", "correct", 3, "--set", "mark=26", "--reason", "digits swapped", "--session", "s1")
    item = gateway.session_log(directory).sessions["s1"].observations("vas")[0]
    assert (item.fields["mark"], item.first("mark")) == (26, 62)
    assert "mark: 62.0 -> 26.0 (digits swapped" in call("session", "show")
    call("session", "correct", "--set", "limb=right", "--reason", "ticked the wrong box", "--session", "s1")
    assert gateway.session_log(directory).sessions["s1"].about["limb"] == "right"


def test_an_outline_comes_from_a_file(call, directory, tmp_path):
    path = tmp_path / "outline.csv"
    path.write_text("0,0\n100,0\n100,50\n0,50\n")
    call(
        "observe", "ulcer", "--side", "left", "--site", "heel", "--outline", path, "--mm-per-pixel", 0.1,
        "--session", "s1",
    )  # fmt: skip
    assert gateway.session_log(directory).sessions["s1"].observations("ulcer")[0].fields["outline"][1] == [100.0, 0.0]


def test_an_ulcer_is_entered_with_what_makes_it_usable(call, directory):
    digest = "0" * 64
    call(
        "observe", "ulcer", "--id", "u1", "--limb", "left", "--site", "heel", "--length", "3.2cm", "--width", "18mm",
        "--rater", "R2", "--debrided", "yes", "--photo-sha256", digest, "--session", "s1",
    )  # fmt: skip
    fields = gateway.session_log(directory).sessions["s1"].observations("ulcer")[0].fields
    assert (fields["length"], fields["width"], fields["ulcer"], fields["side"]) == (32.0, 18.0, "u1", "left")
    assert (fields["rater"], fields["debrided"], fields["photograph_sha256"]) == ("R2", True, digest)


def test_what_changes_an_outcome_by_itself_has_its_word_its_limb_and_its_day(call, directory):
    call("observe", "event", "amputation", "--limb", "left", "--on", "2026-02-27", "--session", "s1")
    fields = gateway.session_log(directory).sessions["s1"].observations("event")[0].fields
    assert (fields["kind"], fields["limb"], fields["on"]) == ("amputation", "left", "2026-02-27")
    with pytest.raises(Refused, match="needs its limb"):
        call("observe", "event", "revascularisation", "--session", "s1")


def test_a_day_that_has_not_come_yet_is_refused_at_entry_and_at_correction(call, directory):
    ahead = (datetime.now(UTC) + timedelta(days=2)).date()
    with pytest.raises(Refused, match=f"{ahead} has not come yet"):
        call("observe", "event", "amputation", "--limb", "left", "--on", ahead, "--session", "s1")
    call("observe", "event", "amputation", "--limb", "left", "--on", datetime.now(UTC).date(), "--session", "s1")
    number = gateway.session_log(directory).sessions["s1"].observations("event")[0].number
    with pytest.raises(Refused, match=f"{ahead} has not come yet"):
        call("session", "correct", str(number), "--set", f"on={ahead}", "--reason", "a slip", "--session", "s1")


def test_a_session_that_is_kept_outlives_the_retention(call, directory):
    assert "the samples of session s1 are kept" in call("session", "keep", "--reason", "for the adverse event board")
    session = gateway.session_log(directory).sessions["s1"]
    with Store(directory) as store:
        (kept,) = store.events("keep")
    details = kept.body["details"]
    assert (details["from"], details["to"], details["session"]) == (session.start, session.stop, "s1")
    with pytest.raises(Refused, match="no session"):
        call("session", "keep", "s9")


STUDY = '[study]\nparticipant = "[0-9]{2}-[0-9]{3}"\nvisits = ["baseline", "month-3"]\n'
PHANTOMS = [("3-101", "baseline", "no participant code"), ("03-101", "basline", "no visit 'basline'")]


@pytest.fixture
def bench(directory):
    path = directory / "study.toml"
    device = '[[device]]\nname = "ldf"\ndriver = "intellivue"\nport = "/dev/null"\n'
    path.write_text(f'{STUDY}[store]\npath = "."\n{device}')
    return path


def entered(*arguments):
    perfusion.main([*map(str, arguments)], standalone_mode=False)


@pytest.mark.parametrize(("subject", "visit", "said"), PHANTOMS)
def test_without_a_daemon_a_study_has_the_same_participants_and_visits(bench, directory, subject, visit, said):
    before = set(gateway.session_log(directory).sessions)
    with pytest.raises(Refused, match=said):
        entered("observe", "vas", 40, "--visit", visit, "--subject", subject, "-c", bench)
    assert set(gateway.session_log(directory).sessions) == before
    change = f"subject={subject}" if "code" in said else f"visit={visit}"
    with pytest.raises(Refused, match=said):
        entered("session", "correct", "--set", change, "--reason", "a slip", "--session", "s1", "-c", bench)
    entered("observe", "vas", 40, "--visit", "month-3", "--subject", "03-101", "-c", bench)


@pytest.mark.parametrize(("subject", "visit", "said"), PHANTOMS)
def test_a_record_knows_the_study_of_its_latest_run(call, bench, directory, subject, visit, said):
    rules = Rules.of(load(bench))
    with Recording(directory, begin=False) as writer:
        writer.begin_run(Instant(0, T0), T0, {"study": rules.as_dict()})
    with pytest.raises(Refused, match=said):
        call("observe", "vas", 40, "--visit", visit, "--subject", subject)
    call("observe", "vas", 40, "--visit", "month-3", "--subject", "03-101")


def test_a_study_without_a_bench_takes_entries_and_gives_outcomes_and_records_nothing(directory, capsys):
    path = directory / "study.toml"
    path.write_text(f'{STUDY}[store]\npath = "."\n')
    entered("observe", "vas", 40, "--visit", "month-3", "--subject", "03-101", "-c", path)
    with pytest.raises(Refused, match="no visit 'basline'"):
        entered("observe", "vas", 40, "--visit", "basline", "--subject", "03-101", "-c", path)
    capsys.readouterr()
    entered("outcomes", "--study", "-c", path)
    said = capsys.readouterr()
    assert "03-101" in said.out
    assert said.err == ""
    with pytest.raises(ConfigurationError, match="no device is configured"):
        load(path)


def test_a_table_without_a_study_file_says_what_it_does_not_know(directory, capsys):
    entered("observe", "vas", 40, "--visit", "month-3", "--subject", "03-101", "--data", directory)
    capsys.readouterr()
    entered("outcomes", "--study", "--data", directory)
    assert "without -c FILE the study has no visits, windows or limbs of its own" in capsys.readouterr().err


def test_a_record_that_knows_no_study_says_so(directory, capsys):
    entered("observe", "vas", 40, "--visit", "basline", "--subject", "3-101", "--data", directory)
    assert "warning: not held against the study" in capsys.readouterr().err
    entered("observe", "vas", 30, "--session", "s1", "--data", directory)
    assert not capsys.readouterr().err


def test_protocols_beside_the_configuration_count_without_a_daemon(bench, directory):
    (bench.parent / "protocols").mkdir()
    text = resources.find(KIND, "entries").read_text("utf-8").replace("version = 1", "version = 7")
    (bench.parent / "protocols" / "entries.toml").write_text(text)
    entered("observe", "vas", 40, "--visit", "month-3", "--subject", "03-101", "-c", bench)
    assert gateway.session_log(directory).sessions["s2"].about["version"] == 7


def test_a_session_starts_only_where_something_is_recorded(call, directory):
    with pytest.raises(Refused, match="nothing is being recorded"):
        call("session", "start", "--protocol", "porh", "--subject", "03-118", "--visit", "baseline")
    with Store(directory) as store:
        assert len(store.runs()) == 1, "what was refused opened no run"


def test_a_wrong_folder_does_not_become_a_record(tmp_path):
    with pytest.raises(StoreError, match="no record"):
        gateway.send(tmp_path, {"do": "session.note", "text": "x", "session": "s1"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "fields"),
    [(None, {}), ("-4s", {"ago": 4.0}), ("-4", {"ago": 4.0}), ("-1.5m", {"ago": 90.0}),
     ("2026-03-01T09:30:00.250Z", {"at": "2026-03-01T09:30:00.250Z"}),
     ("2026-03-01T10:30:00+01:00", {"at": "2026-03-01T10:30:00+01:00"})],
)  # fmt: skip
def test_moments(text, fields):
    assert moment(text) == fields


def test_an_open_session_is_as_old_as_its_newest_sample(tmp_path, capsys):
    made = Study()
    made.examine("healthy", "porh", "porh", (("inflate", 178.0),), 400.0, devices=("ldf",), stop=False)
    made.write(tmp_path)
    perfusion.main(["session", "show", "--json", "--data", str(tmp_path)], standalone_mode=False)
    assert json.loads(capsys.readouterr().out)["elapsed_s"] == pytest.approx(222.0, abs=1.1)


def test_what_was_corrected_is_shown_in_words_and_times_that_a_person_reads(call):
    call("session", "correct", 1, "--at", "2026-01-01T00:05:01Z", "--reason", "seen on the trace", "--session", "s1")
    call("session", "correct", "--set", "site=hallux", "--reason", "forgotten", "--session", "s1")
    call("session", "note", "a remark", "--session", "s1")
    struck = call("session", "correct", 3, "--strike", "--reason", "not of this one", "--session", "s1")
    assert "entry 3 struck: not of this one" in struck
    shown = call("session", "show", "s1")
    assert "at: 2026-01-01T00:05:00.000Z -> 2026-01-01T00:05:01.000Z (seen on the trace" in shown
    assert "session site: nothing -> hallux (forgotten" in shown
    assert "struck (not of this one" in shown


def test_a_correction_says_which_times_it_takes(call):
    with pytest.raises(click.BadParameter, match="such as 2026-03-01T09:30:00Z"):
        call("session", "correct", 1, "--at", "-10s", "--reason", "seen on the trace", "--session", "s1")
    with pytest.raises(click.BadParameter, match="such as -4s or"):
        call("session", "mark", "moved", "--at", "+5s")


def test_an_answer_that_is_none_is_asked_for_again_and_no_other_one(monkeypatch, capsys):
    typed = iter(["23", "yesterday", "2025-12-20", "", "no"])
    monkeypatch.setattr(click, "prompt", lambda *_args, **_more: next(typed))
    asked = []

    def look(said, **about):
        asked.append(about)
        if said.get("calibration") == "yesterday":
            raise Refused("'yesterday' is no date", "--check", remedy="such as 2026-02-27")
        names = ("room", "calibration", "zero", "contraindications")
        return [{"name": n, "say": n, "state": "unanswered", "wanted": "", "stops": False} for n in names]

    answers = _asked(look, {"position": "yes"}, {"subject": "03-117"})
    assert answers == {"position": "yes", "room": "23", "calibration": "2025-12-20", "contraindications": "no"}
    assert asked[0] == {"subject": "03-117"}
    assert "'yesterday' is no date; next: such as 2026-02-27" in capsys.readouterr().err
