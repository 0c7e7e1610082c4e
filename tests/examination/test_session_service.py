"""Requests become events of the record, once each; whoever asks hears what is and what may come next."""

import pytest

from acquisition.errors import ConfigurationError, Refused
from acquisition.examination.requests import REQUESTS
from acquisition.examination.rules import Rules
from acquisition.examination.session_service import SessionService
from acquisition.model import Alarm
from tests.examination.rooms import SECOND, T0
from tests.examination.test_binding import LDF

START = {"do": "session.start", "protocol": "porh", "subject": "03-117", "visit": "baseline", "limb": "left",
         "checks": {"contraindications": "none"}}  # fmt: skip


class Office:
    def __init__(self, events=(), **more):
        self.now = T0
        self.events = list(events)
        self.session_service = SessionService(
            tuple(events), lambda: self.now, self.events.append, headers=lambda: LDF, **more
        )

    def __call__(self, do, wait=0.0, **fields):
        self.now += round(wait * SECOND)
        return self.session_service.answer({"do": f"session.{do}", **fields})


@pytest.fixture
def office():
    office = Office()
    office.session_service.answer(START)
    return office


def test_an_examination_from_start_to_stop_is_one_event_for_each_request(office):
    assert office("mark", 300, name="inflate")["phase"] == "occlusion"
    answer = office("mark", 184, name="release", ago=4)
    assert answer["stages"][-1]["start_key"] == T0 + 480 * SECOND
    office("observe", fields={"what": "vas", "mark": 20})
    office("note", text="warm hands")
    assert office("stop", 600)["state"] == "completed"
    kinds = [event.kind for event in office.events]
    assert kinds == ["session", "mark", "mark", "observation", "note", "session"]


def test_the_answer_says_where_the_session_stands_and_what_may_come(office):
    answer = office("show", 20)
    assert (answer["phase"], answer["elapsed_s"], answer["planned_s"], answer["least_s"]) == (
        "rest",
        20.0,
        300.0,
        130.0,
    )
    assert [mark["name"] for mark in answer["marks"]] == ["inflate", "moved", "position"]
    assert answer["bindings"]["flux"] == ["ldf/flux/flux"]
    assert answer["simulated"], "it says that its instruments are simulated"
    assert office("list")["sessions"][0]["state"] == "open"


def test_a_session_is_kept_once_it_is_over(office):
    with pytest.raises(Refused, match="goes on"):
        office("keep", session="s1")
    office("stop", 600, reason="no time left")
    assert office("keep")["done"] == "the samples of session s1 are kept"
    kept = office.events[-1]
    assert (kept.kind, kept.details["from"], kept.details["to"]) == ("keep", T0, T0 + 600 * SECOND)


def test_a_condition_that_is_a_number_is_said_as_one():
    office = Office()
    with pytest.raises(Refused, match=r"time_constant is a number, not '0.2s'"):
        office.session_service.answer({**START, "conditions": {"time_constant": "0.2s"}})
    office.session_service.answer({**START, "conditions": {"time_constant": 0.2, "probe": "457"}})


def test_what_is_refused_leaves_no_event(office):
    before = list(office.events)
    for do, fields in (
        ("mark", {"name": "release"}),
        ("mark", {"name": "inflate", "ago": -3}),
        ("mark", {"nome": "inflate"}),
        ("note", {"text": ""}),
        ("stop", {}),
        ("observe", {"fields": {"what": "vas", "mark": 400}}),
        ("correct", {"entry": 7, "field": "at", "value": 3, "reason": "a reason"}),
        ("show", {"session": "s9"}),
    ):
        with pytest.raises(Refused):
            office(do, **fields)
    assert office.events == before
    with pytest.raises(ConfigurationError, match="no protocol 'pohr'"):
        office.session_service.answer({**START, "protocol": "pohr"})


def test_nothing_begins_while_an_alarm_blocks_and_what_goes_on_may_be_marked(office):
    standing = []
    waiting = Office(office.events, alarms=lambda: standing)
    standing += [Alarm("disk", "little room", "make some", False, T0), Alarm("record", "it is gone", "wait", True, T0)]
    waiting("mark", 300, name="inflate")
    waiting("stop", 1, reason="the record is gone")
    for request in (START, {"do": "session.check", "protocol": "porh"}):
        with pytest.raises(Refused, match=r"session start: it is gone; next: wait") as caught:
            waiting.session_service.answer(request)
        assert caught.value.exit_code == 8
    standing.pop()
    assert waiting.session_service.answer(START)["done"]


def test_a_record_that_is_begun_anew_holds_the_session_that_goes_on_alone(office):
    office("stop", 600, reason="over")
    office.session_service.answer({**START, "visit": "month3"})
    office("mark", 300, name="inflate")
    carried = [event for event in office.events if event.details["session"] == "s2"]
    office.session_service.go_on_anew()
    with pytest.raises(Refused, match="there is no session s1"):
        office("note", text="too late", session="s1")
    assert office.session_service.session_log.current.items[-1].name.startswith("the record was begun anew")
    office("stop", 600, reason="over")
    assert office.session_service.answer(START)["session"] == "s3"
    heir = Office(carried)
    assert [session.id for session in heir.session_service.session_log.sessions.values()] == ["s2"]
    heir("stop", 600, reason="over")
    assert heir.session_service.answer(START)["session"] == "s3"


def test_a_new_clerk_knows_what_the_old_one_did(office):
    office("mark", 300, name="inflate")
    later = Office(office.events)
    later.now = office.now + 60 * SECOND
    later.session_service.resume()
    assert later.events[-1].details["do"] == "resume"
    assert later("mark", 120, name="release")["phase"] == "recovery"


def test_a_clerk_without_a_daemon_takes_entries_and_starts_nothing(office):
    office("stop", reason="power cut")
    alone = Office(office.events, recording=False)
    alone.now = office.now + SECOND
    alone("observe", fields={"what": "vas", "mark": 20}, session="s1")
    with pytest.raises(Refused, match="nothing is being recorded"):
        alone.session_service.answer(START)


def test_every_request_is_known_by_its_word():
    words = ("start", "check", "mark", "note", "next", "stop", "keep", "correct", "observe", "visit", "show", "list")
    assert set(REQUESTS) == {f"session.{word}" for word in words}


def test_a_study_may_name_its_visits():
    office = Office(rules=Rules(visits=("baseline", "month-3")))
    with pytest.raises(Refused, match=r"no visit 'Baseline'.*baseline, month-3"):
        office.session_service.answer({**START, "visit": "Baseline"})
    assert office.session_service.answer(START)["visit"] == "baseline"


def test_a_study_may_have_a_pattern_of_codes():
    office = Office(rules=Rules(r"X\d"))
    with pytest.raises(Refused, match="pattern"):
        office.session_service.answer(START)
    assert office.session_service.answer({**START, "subject": "X1"})["subject"] == "X1"


def test_the_list_refuses_what_the_start_would_refuse_before_anybody_answers_it(office):
    look = {"do": "session.check", "protocol": "porh"}
    with pytest.raises(Refused, match="s1 goes on"):
        office.session_service.answer({**look, "subject": "03-117", "visit": "baseline"})
    assert office.session_service.answer(look)["checks"], "asked without a participant it may be seen meanwhile"
    office("stop", 600, reason="over")
    with pytest.raises(Refused, match="reads as a name"):
        office.session_service.answer({**look, "subject": "Ivanova", "visit": "baseline"})
    assert office.session_service.answer({**look, "subject": "03-117", "visit": "baseline"})["checks"]
