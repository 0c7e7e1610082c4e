"""Participant codes: a number of the trial, never a name, a date of birth or an address."""

from __future__ import annotations

import re
from datetime import date

from acquisition.errors import Refused

DEFAULT = r"[A-Z]{0,3}[0-9]{1,4}(-[A-Z]{0,2}[0-9]{1,4}){0,2}"
"""What a code may look like unless the study says otherwise: 03-117, or AB12-7."""
FIRST_YEAR, LAST_YEAR = 1900, 2015
_ADDRESS = re.compile(r"[^@\s]@[^@\s]+\.[^@\s]")  # one character where more would do: time is linear in the text
_DATES = (
    (re.compile(r"(?<!\d)(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?!\d)"), (0, 1, 2)),
    (re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)"), (0, 1, 2)),
    (re.compile(r"(?<!\d)(\d{1,2})[-./](\d{1,2})[-./](\d{4})(?!\d)"), (2, 1, 0)),
    (re.compile(r"(?<!\d)(\d{1,2})[-./](\d{1,2})[-./](\d{4})(?!\d)"), (2, 0, 1)),
    (re.compile(r"(?<!\d)(\d{2})(\d{2})(\d{4})(?!\d)"), (2, 1, 0)),
    (re.compile(r"(?<!\d)(\d{2})[-./](\d{2})[-./](\d{2})(?!\d)"), (2, 1, 0)),
)
_WORD = re.compile(r"[^\W\d_]{4,}")


def check(code: str, pattern: str = DEFAULT) -> str:
    """Return the code; Refused where it identifies a person or is none of the study's."""
    reason = identifies(code)
    if reason is None and re.fullmatch(pattern, code) is None:
        reason = f"it does not match the study's pattern {pattern}"
    if reason is not None:
        # The refused text is not repeated: it may be the very name that must not be written anywhere.
        raise Refused(
            f"this is no participant code: {reason}",
            "participant",
            "a name, a date of birth or another study's number",
            "the code of the study, such as 03-117",
        )
    return code


def identifies(code: str) -> str | None:
    """Return why a code could name a person, None where it does not seem to."""
    if _ADDRESS.search(code):
        return "it is an e-mail address"
    if birthday(code) is not None:
        return "it reads as a date of birth"
    if _WORD.search(code) or not any(character.isdigit() for character in code):
        return "it reads as a name"
    return None


def check_text(text: str, where: str) -> str:
    """Return a free text; Refused where it holds an e-mail address or a date of birth (a name cannot be told)."""
    what = "an e-mail address" if _ADDRESS.search(text) else "a date of birth" if birthday(text) else None
    if what is not None:
        raise Refused(f"the text holds {what}", where, remedy="say it without what identifies a person")
    return text


def birthday(text: str) -> date | None:
    """Return the first date in a text on which a participant could have been born, None where there is none."""
    for pattern, order in _DATES:
        for found in pattern.finditer(text):
            year, month, day = (int(found[k + 1]) for k in order)
            year += 1900 if year < 100 else 0
            try:
                born = date(year, month, day)
            except ValueError:
                continue
            if FIRST_YEAR <= born.year <= LAST_YEAR:
                return born
    return None
