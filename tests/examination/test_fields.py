"""One validator for each field: entered or corrected, nothing untyped reaches the chain, and refusals are in words."""

import json
import math
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acquisition.cli import perfusion
from acquisition.daemon import gateway
from acquisition.errors import PerfusionError, Refused
from acquisition.examination import fields
from acquisition.examination.description import describe, summarise
from acquisition.examination.observation import KINDS
from acquisition.examination.requests import ASKS, REQUESTS
from acquisition.examination.rules import Rules
from acquisition.examination.session import replay
from acquisition.model import Event
from acquisition.store.chain import canonical
from acquisition.store.wall import Wall
from acquisition.text import is_clean
from tests.examination.rooms import SECOND, T0, porh
from tests.examination.test_session_service import START, Office
from tests.store.records import Recording

TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=30),
    st.sampled_from(
        ["caf\udce9", "\x1b[31mred", "3-10\u200b1", "left\u202e", "03-117\n", "03-118", "month-3", "right"]
    ),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)
NAMES = sorted({name for ask in ASKS for name in ask.__struct_fields__} - {"by"})
FIELDS = sorted({name for kind in KINDS.values() for name in kind.__struct_fields__})
VERBS = [word for word in REQUESTS if word not in ("session.show", "session.list")]
CONVERTER = re.compile(r"Expected `|Invalid (enum )?value|Object (contains|missing)|- at `")
"""How a converter of types speaks."""


def office(**more):
    """An examination that goes on, with a mark, a note and an entry."""
    made = Office(**more)
    made.session_service.answer(START)
    made("mark", 300, name="inflate")
    made("note", text="warm hands")
    made("observe", fields={"what": "vas", "mark": 20})
    made("observe", fields={"what": "ulcer", "side": "left", "site": "heel", "length": 30, "width": 20})
    return made


def typed(made):
    """Assert that what the chain would hold is what may be entered, and can be read back and shown."""
    for event in made.events:
        kept = json.loads(canonical({"text": event.text, "details": event.details}))
        assert kept == {"text": event.text, "details": json.loads(json.dumps(event.details, allow_nan=False))}
        assert all(is_clean(text) for text in texts(kept))
    session_log = replay(made.events)
    for session in session_log.sessions.values():
        json.dumps(describe(session, made.now, Wall()), allow_nan=False).encode()
        about = session.about
        assert all(type(about[name]) is str for name in ("subject", "visit", "limb"))
        assert fields.about("subject", about["subject"], Rules()) == about["subject"]
        assert about["limb"] in ("", "left", "right", "both")
        for item in session.items:
            assert type(item.at) is int
            assert session.start <= item.at <= made.now
            if item.kind == "note":
                assert type(item.fields["text"]) is str
            if item.kind == "mark" and "value" in item.fields:
                assert type(item.fields["value"]) is str
            if item.kind == "observation":
                from acquisition.examination.observation import parse

                parse(item.fields)


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield key
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def ask(made, request):
    """Ask as the control socket does: any refusal is one in words."""
    said = ""
    try:
        made.session_service.answer(request)
    except PerfusionError as error:
        said = str(error)
    assert not CONVERTER.search(said)
    assert is_clean(said, 10_000)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(VERBS), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_whatever_is_asked_nothing_untyped_is_written(verb, said):
    made = office()
    ask(made, {"do": verb, **said})
    typed(made)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([None, 1, 2, 3, 4, 9]),
    st.one_of(st.sampled_from([*fields.ABOUT, "at", "struck", "text", "value", *FIELDS]), TEXT),
    JSON,
)
def test_whatever_a_field_is_corrected_to_nothing_untyped_is_written(entry, field, value):
    made = office()
    ask(made, {"do": "session.correct", "entry": entry, "field": field, "value": value, "reason": "a slip"})
    typed(made)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from([*KINDS, "pulse"]), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_whatever_is_entered_nothing_untyped_is_written(what, said):
    made = office()
    ask(made, {"do": "session.observe", "fields": {**said, "what": what}})
    ask(made, {**START, **said})
    typed(made)


@pytest.mark.parametrize(
    ("entry", "field", "value", "said"),
    [
        (None, "subject", ["x"], "subject cannot be a list; next: it is text of at least 1 and at most 64 characters"),
        (None, "subject", 12, "subject cannot be 12"),
        (None, "subject", "03-1\u200b18", "subject holds characters that cannot be seen or written"),
        (None, "visit", {"a": 1}, "visit cannot be a table"),
        (None, "visit", "caf\udce9", "visit holds characters that cannot be seen or written"),
        (None, "visit", "basline", "the study has no visit 'basline'.*one of: baseline, month-3"),
        (None, "limb", None, "limb cannot be nothing; next: it is nothing or 'both' or 'left' or 'right'"),
        (None, "limb", "leg", "limb cannot be 'leg'"),
        (None, "site", 3.5, "site cannot be 3.5; next: it is text"),
        (None, "operator", "x", "operator of a session cannot be corrected; next: one of: subject, visit, limb, site"),
        (1, "at", "abc", "'abc' is no time; next: an ISO 8601 time"),
        (1, "at", True, "at cannot be true"),
        (1, "at", 1.5e18, "at cannot be 1.5e.18"),
        (1, "at", math.inf, "a number of the request is infinite"),
        (1, "at", 10**30, "a number of the request is too large"),
        (1, "struck", False, "only struck for good"),
        (1, "struck", "yes", "only struck for good"),
        (1, "value", ["x"], "the mark inflate takes no value"),
        (2, "text", {"a": 1}, "text cannot be a table"),
        (2, "text", "\x1b[2J", "the note is empty"),
        (2, "mark", 3, "a note has only its text"),
        (3, "mark", "30", "mark cannot be '30'; it is a number at least 0"),
        (3, "mark", math.nan, "infinite, or none"),
        (3, "colour", "red", "there is no field 'colour'; the fields are: mark, line, question"),
        (4, "debrided", "yes", "debrided cannot be 'yes'; it is true or false or nothing"),
    ],
)
def test_a_correction_is_refused_in_words(entry, field, value, said):
    made = office(rules=Rules(visits=("baseline", "month-3")))
    before = len(made.events)
    with pytest.raises(Refused, match=said) as caught:
        made("correct", entry=entry, field=field, value=value, reason="a slip")
    assert not CONVERTER.search(str(caught.value))
    assert len(made.events) == before


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"do": "session.correct", "field": "limb", "reason": 7}, "reason cannot be 7; next: it is text"),
        ({"do": "session.correct", "reason": "a slip"}, "the field 'field' is missing"),
        (
            {"do": "session.mark", "name": "moved", "ago": "soon"},
            "ago cannot be 'soon'; next: it is a number at least 0",
        ),
        (
            {"do": "session.mark", "name": "moved", "how": 1},
            "no field 'how'; next: the fields are: name, ago, at, value",
        ),
        ({"do": "session.note", "text": "x" * 3000}, "text cannot be 'xx.*at most 2000 characters"),
        ({"do": "session.erase"}, "no request about sessions; next: one of: session.start"),
        ({"do": ["session.mark"]}, "no request about sessions"),
        ({**START, "subject": "Petr\x1bova"}, "subject holds characters that cannot be seen"),
        (
            {**START, "conditions": {"model": [1]}},
            "a value of conditions cannot be what it is; next: it is text or a number",
        ),
        (
            {**START, "conditions": {"colour": "1"}},
            "a name in conditions cannot be what it is; next: it is 'calibration'",
        ),
        ({**START, "conditions": "\ud800"}, "holds characters that cannot be written.*no UTF-8"),
        ({**START, "limb": "caf\udce9"}, "holds characters that cannot be written"),
        ({"do": "session.mark", "name": "moved", "ago": "\ud800"}, "holds characters that cannot be written"),
        ({"do": "session.correct", "field": "limb", "value": "\ud800", "reason": "a slip"}, "limb holds characters"),
        ({**START, "checks": {"contraindications": 3}}, "a value of checks cannot be"),
        ({"do": "session.observe", "fields": [1]}, "fields cannot be a list"),
        ({"do": "session.observe", "fields": {"mark": 3}}, "an entry without its kind"),
    ],
)
def test_a_request_is_refused_in_words(request_, said):
    with pytest.raises(Refused, match=said) as caught:
        office().session_service.answer(request_)
    assert not CONVERTER.search(str(caught.value))


def test_a_deep_request_is_refused():
    deep = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(Refused, match="nested too deep"):
        office()("observe", fields={"what": "vas", "mark": deep})


def test_free_text_is_made_clean_and_kept():
    made = office()
    made("note", text="caf\udce9 \x1b[31mfell\u202e\nat once", by="m\udce9k")
    made("correct", entry=2, field="text", value="cafe\u0301", reason="sp\x07elled")
    made("observe", fields={"what": "event", "kind": "adverse", "text": "diz\x9b31mzy"})
    session = made.session_service.session_log.current
    assert [item.name for item in session.items if item.kind == "note"] == ["café", "caf\ufffd fell at once"]
    assert session.items[-2].by == "m\ufffdk"
    assert session.items[1].corrections[0].reason == "spelled"
    assert session.items[-1].fields["text"] == "dizzy"


@pytest.fixture
def old(tmp_path):
    """A record whose chain holds what older versions took by correction."""
    room = porh()
    entry = {"what": "vas", "mark": 30}
    room.do("observe", entry, session="s1")
    corrections = [
        (None, "subject", ["x"]), (None, "limb", {"a": 1}), (None, "visit", 7), (None, "site", None), (1, "at", "abc"),
        (2, "at", 1e300), (3, "mark", "nan"),
    ]  # fmt: skip
    with Recording(tmp_path) as writer:
        for event in room.events:
            writer.put(event)
        for number, field, new in corrections:
            details = {
                "session": "s1",
                "n": number,
                "field": field,
                "old": "",
                "new": new,
                "reason": "old",
                "by": "\x1b[2J",
            }
            writer.put(
                Event(
                    "correction",
                    T0 + 2000 * SECOND,
                    "",
                    "corrected",
                    {k: v for k, v in details.items() if v is not None or k == "new"},
                )
            )
    return tmp_path


def test_a_record_that_holds_untyped_values_opens_and_says_so(old, capsys):
    session = gateway.session_log(old).sessions["s1"]
    assert summarise(session, Wall())["subject"] == '(no text: ["x"])'
    assert [item.at for item in session.marks()] == [T0 + 300 * SECOND, T0 + 480 * SECOND]
    for command in (
        ["session", "list"], ["session", "show"], ["outcomes"], ["outcomes", "--study", str(old)],
        ["outcomes", "--attempts", "--csv"],
    ):  # fmt: skip
        perfusion.main([*command, "--data", str(old)], standalone_mode=False)
        shown = capsys.readouterr().out
        assert "no text" in shown, command
        assert "\x1b" not in shown
    perfusion.main(["outcomes", "--data", str(old), "--csv"], standalone_mode=False)
    assert "entry_not_readable" in capsys.readouterr().out


def test_a_code_that_looks_like_a_number_is_a_text_on_the_command_line(tmp_path, capsys):
    with Recording(tmp_path) as writer:
        for event in porh().events:
            writer.put(event)
    perfusion.main(
        ["session", "correct", "--set", "subject=12", "--reason", "a slip", "--session", "s1", "--data", str(tmp_path)],
        standalone_mode=False,
    )
    assert gateway.session_log(tmp_path).sessions["s1"].about["subject"] == "12"
    capsys.readouterr()
