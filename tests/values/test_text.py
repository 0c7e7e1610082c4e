"""Text made clean: whatever comes, it can be encoded, shown on a terminal and read by a person."""

import json
import math
import time
import unicodedata

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.text import CUT, ITEMS, clean, clean_details, is_clean, to_json

ANY = st.text(st.characters(exclude_categories=()))
HOSTILE = st.lists(
    st.one_of(
        ANY, st.sampled_from(["\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\udce9", "\u202e", "\u200b", "e\u0301"])
    ),
    max_size=20,
).map("".join)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), HOSTILE, st.binary(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(HOSTILE, inner, max_size=5)),
    max_leaves=20,
)


@given(HOSTILE)
def test_clean_text_is_encodable_printable_and_normal(text):
    found = clean(text)
    found.encode()
    assert found == unicodedata.normalize("NFC", found)
    assert not [sign for sign in found if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")]
    assert "\u202e" not in found
    assert "\u200b" not in found


@given(HOSTILE)
def test_what_is_clean_stays(text):
    assert clean(clean(text)) == clean(text)
    assert is_clean(clean(text))


@given(HOSTILE, st.integers(2, 30))
def test_a_text_is_bounded(text, limit):
    found = clean(text, limit)
    assert len(found) <= limit
    assert clean(found, limit) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caf\udce9 fell", "caf\ufffd fell"),
        ("cafe\u0301 fell", "café fell"),
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07rest", "rest"),
        ("\x1b]8;;http://a.b\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jgone", "gone"),
        ("an ESC \x1b", "an ESC "),
        ("abc\u202edef\u2066g", "abcdefg"),
        ("3-10\u200b1", "3-101"),
        ("one\r\ntwo\tthree\u2028four", "one two three four"),
        ("a\x00b\x7fc\x85d", "abc d"),
        ("Łódź µ °C ≥ 平", "Łódź μ °C ≥ 平".replace("μ", "µ")),
    ],
)
def test_examples(text, said):
    assert clean(text) == said


@pytest.mark.parametrize(
    "piece", ["\x90", "\x1bP", "\x9b1", "\x1b[1", "a\u0301\u0323", "\u0301\u0323", "\u0344", "\udce9", "\u0958\u093c"]
)
def test_no_text_takes_time_by_its_square(piece):
    text = piece * (200_000 // len(piece))
    begun = time.process_time()
    found = clean(text, len(text))
    assert time.process_time() - begun < 3
    assert is_clean(found, len(text))


def test_lines_stay_where_they_are_wanted():
    assert clean("one\r\ntwo\x1b[2J\n\tthree", lines=True) == "one\ntwo\n three"


def test_a_cut_text_says_so():
    assert clean("x" * 30, 10) == "x" * 9 + CUT
    assert clean("x" * 10, 10) == "x" * 10
    assert len(clean("\x00" * 10_000_000 + "end")) <= 2000
    assert clean("\x00" * 10_000_000 + "end").endswith(CUT)


@given(JSON)
def test_plain_values_are_taken_by_every_encoder(value):
    found = clean_details(value)
    json.dumps(found, allow_nan=False).encode()
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_numbers_keep_their_kind():
    given_ = {
        "n": np.int64(3),
        "x": np.float32(0.5),
        "none": math.nan,
        "far": math.inf,
        "big": 2**70,
        "row": np.arange(2),
    }
    assert clean_details(given_) == {"n": 3, "x": 0.5, "none": None, "far": None, "big": str(2**70), "row": [0, 1]}
    assert type(clean_details(True)) is bool


def test_nested_and_long_values_are_bounded():
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    assert len(json.dumps(clean_details(deep))) < 100
    long = clean_details(list(range(1_000_000)))
    assert len(long) == ITEMS + 1
    assert long[-1] == CUT
    wide = clean_details({str(n): list(range(1000)) for n in range(1000)})
    assert len(json.dumps(wide)) < 10 * ITEMS


def test_the_first_of_two_keys_that_become_one_counts():
    assert clean_details({"do": 1, "d\u200bo": 2}) == {"do": 1}


@given(JSON)
def test_every_value_has_a_json(value):
    assert b"\n" not in to_json(value)
    msgspec.json.decode(to_json(value))


def test_one_bad_field_leaves_the_others_as_they_are(caplog):
    caplog.set_level("ERROR")
    for _ in range(3):
        said = msgspec.json.decode(to_json({"note": "caf\udce9 fell", "value": 3.5, "long": "x" * 5000}))
    assert said == {"note": "caf\ufffd fell", "value": 3.5, "long": "x" * 5000}
    assert caplog.text.count("JSON cannot say") <= 1
