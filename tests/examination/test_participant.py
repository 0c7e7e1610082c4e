"""A participant code names nobody."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.errors import Refused
from acquisition.examination.participant import birthday, check, check_text


@pytest.mark.parametrize("code", ["03-117", "117", "AB12", "PT7-12", "1-2", "03-A117"])
def test_codes_of_a_study_are_taken(code):
    assert check(code) == code


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("Ivanova", "name"),
        ("smith-3", "name"),
        ("IVAN", "name"),
        ("abc", "name"),
        ("1965-03-12", "birth"),
        ("12.03.1965", "birth"),
        ("3/12/1965", "birth"),
        ("19650312", "birth"),
        ("12031965", "birth"),
        ("12-03-65", "birth"),
        ("i.ivanova@clinic.example", "e-mail"),
        ("03 117", "pattern"),
        ("03-117; drop", "name"),
        ("", "name"),
        ("12345678901", "pattern"),
        ("03-117\n", "pattern"),
    ],
)
def test_what_could_name_a_person_is_refused_and_not_repeated(code, word):
    with pytest.raises(Refused, match=word) as caught:
        check(code)
    assert not code or code not in str(caught.value)


def test_a_study_may_have_a_pattern_of_its_own():
    assert check("X9", r"X\d") == "X9"
    with pytest.raises(Refused, match="pattern"):
        check("03-117", r"X\d")
    with pytest.raises(Refused, match="birth"):
        check("19650312", r"\d{8}")


@pytest.mark.parametrize("text", ["call a@b.example", "born 12.03.1965", "DOB 1965-03-12"])
def test_texts_with_an_address_or_a_date_of_birth_are_refused(text):
    with pytest.raises(Refused):
        check_text(text, "note")


@pytest.mark.parametrize("text", ["flux 1950 12:30", "photograph of 2026-05-04", "1.2.3", "31.02.1965", "at 12.30"])
def test_other_numbers_are_no_dates_of_birth(text):
    assert check_text(text, "note") == text
    assert birthday(text) is None


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2015, 12, 31)))
def test_every_way_to_write_a_date_of_birth_is_found(day):
    for text in (f"{day:%Y-%m-%d}", f"{day:%d.%m.%Y}", f"{day:%m/%d/%Y}", f"{day:%Y%m%d}", f"{day:%d%m%Y}"):
        assert birthday(text) is not None, text


@pytest.mark.parametrize("piece", ["x", "x@", "1", "1-", "@.", "1.1.", "x@x"])
def test_a_long_text_is_looked_through_in_no_time(piece):
    """The daemon does it on the loop that also reads the instruments."""
    begun = time.process_time()
    check_text(piece * (60_000 // len(piece)), "text")
    assert time.process_time() - begun < 2


@pytest.mark.parametrize("text", ["a@b.c", "call anna.k@example.org now", "x@y@z.w", "é@ü.ö"])
def test_an_address_is_found_wherever_it_stands(text):
    with pytest.raises(Refused, match="an e-mail address"):
        check_text(text, "text")
