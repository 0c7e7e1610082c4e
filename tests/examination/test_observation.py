"""Entries by hand carry what makes them usable, and refuse what cannot be."""

import math

import pytest

from acquisition.errors import Refused
from acquisition.examination.observation import KINDS, parse, stored


def test_there_is_an_entry_for_each_thing_that_people_measure():
    assert set(KINDS) == {"vas", "ulcer", "abi", "pressure", "map", "recheck", "wifi", "stage", "not-done", "event"}


GOOD = {
    "vas": {"mark": 62},
    "ulcer": {"side": "left", "site": "hallux", "length": 32, "width": 18},
    "abi": {"side": "left", "dorsalis_pedis": 80, "brachial_left": 125},
    "pressure": {"systolic": 130, "diastolic": 80},
    "map": {"mean": 93},
    "recheck": {"electrode": "calf", "reading": 148},
    "wifi": {"side": "left", "wound": 2, "infection": 0},
    "stage": {"side": "left", "symptoms": "rest_pain", "fontaine": "III"},
    "not-done": {"measurement": "tcpo2", "reason": "electrode broken"},
    "event": {"kind": "adverse", "text": "dizzy on the belt"},
}


@pytest.mark.parametrize("what", GOOD)
def test_an_entry_is_taken_with_its_defaults(what):
    assert isinstance(parse({"what": what, **GOOD[what]}), KINDS[what])


@pytest.mark.parametrize(
    ("what", "change", "message"),
    [
        ("vas", {"mark": -1}, "mark cannot be -1; it is a number at least 0"),
        ("vas", {"mark": 101}, "off a line"),
        ("vas", {"question": "often"}, "question cannot be 'often'; it is 'dressing' or"),
        ("ulcer", {"width": 40}, "cannot exceed"),
        ("ulcer", {"width": None}, "either length and width"),
        ("ulcer", {"side": "both"}, "side cannot be 'both'; it is 'left' or 'right'"),
        ("ulcer", {"outline": [[0, 0], [1, 0], [0, 1]]}, "either length and width"),
        ("ulcer", {"length": None, "outline": [[0, 0], [1, 0], [0, 1]]}, "needs its scale"),
        ("abi", {"dorsalis_pedis": None}, "no pressure of the leg"),
        ("abi", {"brachial_left": None}, "no pressure of an arm"),
        ("abi", {"dorsalis_pedis": 400}, "cannot be 400; it is a number at least 0 at most 350"),
        ("pressure", {"diastolic": 140}, "not below"),
        ("pressure", {"mean": 70}, "between"),
        ("pressure", {"systolic": 17.3, "diastolic": 10.6}, "systolic of 17.3 mmHg is below 40: .* it is 130 mmHg"),
        ("abi", {"dorsalis_pedis": 10.6, "brachial_left": 16}, "brachial_left of 16 mmHg .* it is 120 mmHg"),
        ("abi", {"dorsalis_pedis": 10.6, "brachial_right": 16.2}, "brachial_right of 16.2 mmHg"),
        ("map", {"mean": 12.4}, "mean of 12.4 mmHg is below 25: .* it is 93 mmHg"),
        ("map", {"mean": 0}, "mean cannot be 0; it is a number more than 0"),
        ("wifi", {"wound": 4}, "wound cannot be 4; it is a whole number at least 0 at most 3"),
        ("wifi", {"wound": None, "infection": None}, "no grade"),
        ("stage", {"symptoms": None, "fontaine": None}, "neither"),
        ("stage", {"fontaine": "IV"}, "rest_pain is not Fontaine IV"),
        ("stage", {"symptoms": "mild_claudication"}, "is not Fontaine III"),
        ("not-done", {"reason": "x"}, "reason cannot be 'x'; it is text of at least 3 characters"),
        ("event", {"kind": "gossip"}, "kind cannot be 'gossip'; it is 'adverse' or"),
        ("event", {"kind": "adverse", "text": ""}, "say what happened"),
        ("event", {"kind": "amputation"}, "needs its limb"),
        ("event", {"kind": "death", "on": "1.3.2026"}, "it is a date such as 2026-02-27"),
        ("ulcer", {"photograph_sha256": "abc"}, "cannot be 'abc'; it is text that matches"),
        ("vas", {"colour": "red"}, "there is no field 'colour'; the fields are: mark, line"),
    ],
)
def test_what_cannot_be_is_refused(what, change, message):
    with pytest.raises(ValueError, match=message):
        parse({"what": what, **GOOD[what], **change})


def test_a_leg_may_have_so_low_a_pressure():
    assert parse({"what": "abi", **GOOD["abi"], "dorsalis_pedis": 0, "toe": 12}).toe == 12


def test_a_record_from_before_keeps_what_was_entered():
    assert stored({"what": "pressure", "systolic": 17.3, "diastolic": 10.6}).systolic == 17.3


def test_an_entry_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="no such thing as an entry 'pulse'; there are: vas, ulcer"):
        parse({"what": "pulse"})


@pytest.mark.parametrize(
    "fields", [{"what": "event", "kind": "\ud800", "text": "fell"}, {"what": "vas", "mark": "\ud800"}]
)
def test_a_word_that_cannot_be_written_is_refused_in_words(fields):
    with pytest.raises(ValueError, match="characters that cannot be written"):
        parse(fields)


def test_no_text_identifies_a_person():
    with pytest.raises(Refused, match="e-mail"):
        parse({"what": "event", "kind": "adverse", "text": "told a@b.example"})


def test_an_ulcer_gives_its_area_by_ruler_or_outline():
    ruler = parse({"what": "ulcer", **GOOD["ulcer"]})
    assert ruler.area().value == pytest.approx(math.pi / 4 * 5.76)
    assert ruler.perimeters() == []
    traced = {"side": "left", "site": "heel", "outline": [[0, 0], [100, 0], [100, 50], [0, 50]], "mm_per_pixel": [0.1]}
    outline = parse({"what": "ulcer", **traced})
    assert (outline.area().value, outline.perimeters()[0].value) == (pytest.approx(0.5), pytest.approx(3.0))


def test_a_toe_pressure_is_taken_without_an_arm():
    assert parse({"what": "abi", "side": "left", "toe": 35}).toe == 35.0
