"""A session follows from its events alone; nothing that was said is ever lost, and nothing happens out of turn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.errors import Refused
from acquisition.examination import decisions
from acquisition.examination.session import replay
from acquisition.model import Event
from tests.examination.rooms import SECOND, T0, Room, porh


def test_a_whole_examination():
    room = porh()
    session = room.session
    assert (session.open, session.outcome, session.reason) == (False, "completed", "")
    assert [stage.phase for stage in session.stages] == ["rest", "occlusion", "recovery"]
    assert session.window("occlusion") == (T0 + 300 * SECOND, T0 + 480 * SECOND)
    assert session.window("recovery") == (T0 + 480 * SECOND, T0 + 1080 * SECOND)
    assert session.about["subject"] == "03-117"
    assert room.session_log.current is None


def test_what_was_known_before_a_crash_is_known_after_it():
    room = porh(stop=False)
    room.do("observe", {"what": "vas", "mark": 62})
    assert room.again() == room.session_log
    resumed = decisions.resume(room.again(), room.now + 90 * SECOND)
    assert resumed.details["phase"] == "recovery"
    assert "90 s after its last entry" in resumed.text
    assert decisions.resume(porh().session_log, T0) is None


def test_events_of_other_kinds_and_foreign_events_change_nothing():
    room = porh()
    noise = [Event("state", T0, "ldf", "STREAMING"), Event("mark", T0, "ldf", "an instrument's own mark")]
    assert replay([*noise, *room.events, *noise]) == room.session_log


def test_a_second_session_waits_for_the_first_to_end():
    room = Room()
    with pytest.raises(Refused, match="s1 goes on"):
        decisions.start(room.session_log, room.now, "porh", room.protocol, room.session.about)
    done = porh()
    second = done.take(decisions.start(done.session_log, done.now, "porh", done.protocol, {"subject": "03-118"}))
    assert second.details["session"] == "s2"
    assert list(done.session_log.sessions) == ["s1", "s2"]


def test_a_name_starts_no_session():
    with pytest.raises(Refused, match="reads as a name"):
        Room(subject="Ivanova")


def test_a_mark_may_be_set_late_and_says_both_times():
    room = Room().wait(300)
    room.do("mark", "inflate", at=room.now - 4 * SECOND)
    mark = room.session.marks("inflate")[0]
    assert (mark.at, mark.entered) == (T0 + 296 * SECOND, T0 + 300 * SECOND)
    assert room.session.window("occlusion")[0] == T0 + 296 * SECOND


@pytest.mark.parametrize(
    ("at", "message"), [(T0 + 301 * SECOND, "not come yet"), (T0 - SECOND, "before the session began")]
)
def test_a_mark_lies_within_the_session_and_not_ahead(at, message):
    with pytest.raises(Refused, match=message):
        Room().wait(300).do("mark", "moved", at=at)


def test_marks_belong_to_their_phase():
    room = Room().wait(300)
    with pytest.raises(Refused, match=r"release cannot be marked in the phase rest.*now: inflate, moved"):
        room.do("mark", "release")
    with pytest.raises(Refused, match="no mark jump"):
        room.do("mark", "jump")


def test_a_mark_is_set_once_unless_its_rule_says_again():
    room = Room("walking-constant")
    room.do("mark", "standing")
    room.wait(120).do("mark", "start")
    room.wait(60).do("mark", "onset")
    with pytest.raises(Refused, match=r"onset is already marked.*correct 3"):
        room.wait(10).do("mark", "onset")
    room.do("mark", "handrail")
    room.wait(5).do("mark", "handrail")
    assert len(room.session.marks("handrail")) == 2


def test_a_stop_needs_its_reason_and_only_a_known_one():
    room = Room("walking-constant")
    room.do("mark", "standing")
    room.wait(120).do("mark", "start")
    with pytest.raises(Refused, match=r"needs a value.*claudication"):
        room.do("mark", "stop")
    with pytest.raises(Refused, match="cannot be 'tired'"):
        room.do("mark", "stop", value="tired")
    with pytest.raises(Refused, match="takes no value"):
        room.do("mark", "onset", value="claudication")
    room.wait(60).do("mark", "stop", value="claudication")
    assert room.session.marks("stop")[0].fields["value"] == "claudication"


def test_a_phase_lasts_its_least_unless_somebody_says_why_not():
    room = Room().wait(100)
    with pytest.raises(Refused, match="rest has 30 s to go"):
        room.do("mark", "inflate")
    room.do("mark", "inflate", early="participant cannot lie any longer")
    assert room.session.stages[-1].early == "participant cannot lie any longer"


def test_next_goes_on_where_no_mark_does():
    room = Room("flowmotion")
    room.wait(900).do("advance")
    assert room.session.phase == "rest"
    with pytest.raises(Refused, match="rest is the last phase"):
        room.do("advance")
    with pytest.raises(Refused, match="occlusion begins with the mark inflate"):
        Room().wait(300).do("advance")


def test_an_incomplete_examination_ends_with_a_reason():
    room = Room().wait(300)
    room.do("mark", "inflate")
    with pytest.raises(Refused, match="lacks the marks release and the phases recovery and 60 s of occlusion"):
        room.do("stop")
    room.do("stop", reason="pain under the cuff")
    assert (room.session.outcome, room.session.reason) == ("aborted", "pain under the cuff")
    assert room.events[-1].details["lacking"] == ["release"]


def test_after_the_end_nothing_is_marked_but_entries_and_corrections_are_taken():
    room = porh()
    for what in ("advance", "stop"):
        with pytest.raises(Refused, match="no session goes on"):
            room.do(what)
    with pytest.raises(Refused, match="no session goes on"):
        room.do("mark", "moved")
    room.do("observe", {"what": "vas", "mark": 30}, session="s1")
    room.do("note", "the cuff was a wide one", session="s1")
    assert [item.kind for item in room.session.items] == ["mark", "mark", "observation", "note"]
    with pytest.raises(Refused, match=r"no session s9.*known: s1"):
        room.do("note", "x", session="s9")


def test_a_correction_keeps_the_first_value_and_needs_a_reason():
    room = porh()
    first = room.session.marks("release")[0].at
    with pytest.raises(Refused, match="needs a reason"):
        room.do("correct", 2, "at", first - 3 * SECOND, "", session="s1")
    room.do("correct", 2, "at", first - 3 * SECOND, "button pressed late", session="s1", by="mk")
    room.do("correct", 2, "at", first - 2 * SECOND, "seen on the cuff trace", session="s1", by="mk")
    mark = room.session.marks("release")[0]
    assert (mark.at, mark.first("at")) == (first - 2 * SECOND, first)
    assert [(c.old, c.new) for c in mark.corrections] == [
        (first, first - 3 * SECOND), (first - 3 * SECOND, first - 2 * SECOND),
    ]  # fmt: skip
    assert room.session.window("recovery")[0] == first - 2 * SECOND, "the phase begins with its mark"
    assert room.again() == room.session_log


def test_phases_stay_in_order_whatever_is_corrected():
    room = porh()
    with pytest.raises(Refused, match="out of order"):
        room.do("correct", 2, "at", T0 + 200 * SECOND, "a slip", session="s1")
    with pytest.raises(Refused, match="opened a phase that another has followed"):
        room.do("correct", 1, "struck", True, "a slip", session="s1")


def test_a_mark_taken_back_takes_its_phase_back_too():
    room = Room().wait(300)
    room.do("mark", "inflate")
    room.do("correct", 1, "struck", True, "the cuff was not plugged in")
    assert room.session.phase == "rest"
    assert room.session.marks() == ()
    assert room.session.item(1).fields["at"] == T0 + 300 * SECOND, "it is kept"
    assert room.session.item(1).corrections[0].reason == "the cuff was not plugged in"
    room.wait(30).do("mark", "inflate")
    assert room.session.marks("inflate")[0].number == 2
    with pytest.raises(Refused, match="entry 1 is struck"):
        room.do("correct", 1, "at", T0, "why not")


def test_what_cannot_be_corrected_is_refused():
    room = porh()
    room.do("observe", {"what": "vas", "mark": 30}, session="s1")
    for number, field, new, message in (
        (1, "name", "release", "cannot be corrected"),
        (9, "at", T0, "has no entry 9"),
        (None, "protocol", "x", "cannot be corrected"),
        (3, "mark", 130, "off a line"),
        (3, "colour", "red", "no field 'colour'; the fields are: mark, line"),
        (3, "mark", 30, "already"),
    ):
        with pytest.raises(Refused, match=message):
            room.do("correct", number, field, new, "a reason", session="s1")
    room.do("correct", 3, "mark", 33, "misread", session="s1")
    assert room.session.observations("vas")[0].fields["mark"] == 33
    assert room.session.observations("vas")[0].first("mark") == 30


def test_the_session_itself_can_be_corrected_with_its_first_value_kept():
    room = porh()
    room.do("correct", None, "limb", "right", "left was ticked by mistake", session="s1")
    assert room.session.about["limb"] == "right"
    assert (room.session.corrections[0].old, room.session.corrections[0].new) == ("left", "right")
    with pytest.raises(Refused, match="reads as a name"):
        room.do("correct", None, "subject", "Petrova", "wrong code", session="s1")


def test_a_protocol_that_changes_on_disk_does_not_change_a_running_session():
    room = Room()
    kept = decisions.protocol_of(room.session)
    assert kept == room.protocol
    room.protocol = None
    room.wait(300).do("mark", "inflate")
    assert room.session.phase == "occlusion"


def test_notes_hold_no_date_of_birth():
    with pytest.raises(Refused, match="date of birth"):
        Room().do("note", "born 12.03.1965")
    with pytest.raises(Refused, match="empty"):
        Room().do("note", "  ")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["inflate", "release", "moved", "note", "vas", "strike", "move", "advance", "stop"]),
        st.integers(0, 400),
        st.integers(-20, 400),
        st.integers(1, 8),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=80, deadline=None)
def test_whatever_is_tried_the_replayed_book_is_the_same_and_its_order_holds(steps):
    room = Room()
    for what, wait, back, number in steps:
        room.wait(wait)
        when = room.now - back * SECOND
        tries = {
            "note": lambda: room.do("note", "a remark", session="s1"),
            "vas": lambda n=number: room.do("observe", {"what": "vas", "mark": n}, session="s1"),
            "strike": lambda n=number: room.do("correct", n, "struck", True, "a reason", session="s1"),
            "move": lambda n=number, w=when: room.do("correct", n, "at", w, "a reason", session="s1"),
            "advance": lambda: room.do("advance"),
            "stop": lambda: room.do("stop", reason="enough"),
        }
        try:
            tries.get(what, lambda w=what, at=when: room.do("mark", w, at=at))()
        except Refused:
            continue
    assert room.again() == room.session_log
    starts = [stage.start for stage in room.session.stages]
    assert starts == sorted(starts)
    assert [item.number for item in room.session.items] == list(range(1, len(room.session.items) + 1))
    assert len([e for e in room.events if e.kind != "correction"]) >= len(room.session.items)


def test_a_refusal_says_the_way_to_what_was_meant():
    room = porh(stop=False)
    with pytest.raises(Refused, match=r"release is already marked.*perfusion session correct 2 --at"):
        room.do("mark", "release")
    room.do("stop")
    with pytest.raises(Refused, match=r"the latest, porh 03-117 baseline, is --session s1"):
        room.do("note", "warm hands")
    electrodes = Room("tcpo2-rest")
    electrodes.do("mark", "applied")
    electrodes.wait(1000)
    with pytest.raises(Refused, match=r"belongs to the phase reading, which begins with: perfusion session next"):
        electrodes.do("mark", "removed")
    for at, words in ((T0 - 1, "perfusion session show"), (electrodes.now + SECOND, "UTC unless they say otherwise")):
        with pytest.raises(Refused, match=words):
            electrodes.do("mark", "moved", at=at)
    with pytest.raises(Refused, match=r"out of order.*next: perfusion session show"):
        room.do("correct", 1, "at", room.now - SECOND, "digits swapped", session="s1")
