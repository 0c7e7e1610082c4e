"""Parameters of the digitisers' commands; Complaint where one is none of what it may be."""

from __future__ import annotations

from drivers.keysight_daq.answers import OVERLOAD, ScanList
from simulators.transports.scpi import Complaint, number


def scan_list(text: str) -> tuple[int, ...]:
    """Terminals of a channel list."""
    try:
        return ScanList.decode(text.encode()).terminals
    except ValueError:
        raise Complaint(-102) from None


def among(text: str, allowed: tuple[float, ...], default: float) -> float:
    """The smallest allowed value that is not less than the one asked for."""
    value = number(text, 0.0, allowed[-1], default)
    return next(each for each in allowed if each >= value)


def word(text: str, words: tuple[str, ...]) -> str:
    """Which of the words the text begins with."""
    for word in words:
        if text.upper().startswith(word):
            return word
    raise Complaint(-224)


def count(text: str) -> float:
    """How many triggers, INFinity too."""
    return number(text, 1, OVERLOAD, 1)
