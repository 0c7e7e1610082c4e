"""Bytes of Trackmaster and Full Vision treadmills (TMX, FVX): one code A0-DF, then ASCII digits; no checksum.

Source: Full Vision TMX428/TMX428CP/TMX58 service manual 317-160-406 Rev 4 (May 2021), chapter 8, pages
63-65, and FVX/TMX field service manual Rev 5 (August 2006), chapter 9.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from acquisition.driverkit.driver import Recognised, Serial
from acquisition.driverkit.framing import code_and_digits

LINE = Serial(4800)
KMH: dict[str, float] = {"mph": 1.609344, "kmh": 1.0}
"""Kilometres per hour for one of the treadmill's units of speed; the unit is not on the wire."""

START, START_UNWATCHED, STOP, SPEED_TO, GRADE_TO = range(0xA0, 0xA5)
RESET_COUNTERS, AUTO_STOP, COOL_DOWN, ECHO = 0xA8, 0xAA, 0xAB, 0xAC
BELT_STATUS, SPEED, GRADE, SET_SPEED, SET_GRADE = range(0xC0, 0xC5)
ANSWER = 0x10
"""What an answer's code has more than its request's."""
OUT_OF_RANGE, ILLEGAL, UNKNOWN_STATUS = 0xBE, 0xBF, 0xDF
FAULT = 9999
"""The actual speed 999.9: emergency stop or a fault of the speed loop."""
SELF_TEST = b"T"

STOPPED, RUNNING, RUNNING_UNWATCHED = b"1", b"2", b"3"
"""Belt status: the last is running without the stop on loss of communication."""

COMMAND_DIGITS = dict.fromkeys(range(0xA0, 0xAD), 0) | {0xA3: 4, 0xA4: 4, 0xA5: 4, 0xA6: 2, 0xA7: 2, 0xA9: 4}
STATUS_DIGITS = dict.fromkeys(range(0xC1, 0xCE), 4) | {BELT_STATUS: 1, 0xC8: 2, 0xC9: 2}
REFUSALS = {
    OUT_OF_RANGE: "data out of range",
    ILLEGAL: "illegal or unrecognised command",
    UNKNOWN_STATUS: "unrecognised status request",
}
ANSWER_DIGITS = (
    {code + ANSWER: 0 for code in COMMAND_DIGITS}
    | {code + ANSWER: digits for code, digits in STATUS_DIGITS.items()}
    | dict.fromkeys(REFUSALS, 0)
)
LONGEST = 5


@dataclass(frozen=True, slots=True)
class Frame:
    """A request or an answer: one code byte and its ASCII digits."""

    code: int
    digits: bytes = b""

    @classmethod
    def of(cls, code: int, tenths: int) -> Frame:
        """A frame with a number of tenths in four digits."""
        return cls(code, b"%04d" % tenths)

    @classmethod
    def decode(cls, frame: bytes) -> Frame:
        """Take a frame that `cut` found."""
        return cls(frame[0], frame[1:])

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return bytes((self.code,)) + self.digits

    @property
    def tenths(self) -> int:
        """The digits as a number."""
        return int(self.digits)


cut = code_and_digits(ANSWER_DIGITS)
"""Finds an answer at the start of a buffer."""


def recognise(answers: tuple[bytes, ...]) -> Recognised | None:
    """Know a treadmill by its belt status and four digits of set speed; a Woodway's bytes there are no digits."""
    if len(answers) != 2 or not re.fullmatch(b"\xd0[123]", answers[0]) or not re.fullmatch(b"\xd3[0-9]{4}", answers[1]):
        return None
    belt = "stands" if answers[0][1:] == STOPPED else "runs"
    return Recognised(
        "trackmaster", text=f"its belt {belt}; known by the form of its answers, its protocol tells no identity"
    )
