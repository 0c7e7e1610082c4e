"""The words in which units, qualities and states are shown to people, the same on the page and the terminal."""

from __future__ import annotations

from acquisition.model import Quality

UNITS = {"[arb'U]": "PU", "mm[Hg]": "mmHg", "Cel": "°C", "1": ""}
"""UCUM to what clinicians read; `[PFU]` would be plaque-forming units, so perfusion units are `[arb'U]`."""

DECIMALS = {
    "[arb'U]": 1,
    "mm[Hg]": 0,
    "kPa": 1,
    "Cel": 1,
    "%": 1,
    "km/h": 1,
    "m": 0,
    "s": 0,
    "V": 3,
}

_GRAVEST_FIRST = (
    (Quality.INVALID, "invalid"),
    (Quality.RANGE, "out of range"),
    (Quality.CALIBRATING, "calibrating"),
    (Quality.SUSPECT, "suspect"),
    (Quality.QUESTIONABLE, "questionable"),
    (Quality.DEMO, "demo mode"),
)

DOWN = ("LOST", "FAILED")
"""States of a device in which none of its values is live, however young."""


def display_unit(unit: str) -> str:
    """The unit as people read it."""
    return UNITS.get(unit, unit)


def decimals(unit: str) -> int:
    """How many decimals a value in this unit is shown with."""
    return DECIMALS.get(unit, 2)


def quality_names(flags: int) -> list[str]:
    """The names of the flags; GOOD where there is none."""
    return [str(flag.name) for flag in Quality if flag and flag & flags] or ["GOOD"]


def state_word(device_state: str, value: float | None, flags: int, stale: bool) -> str:
    """What is to be said of a value; only `live` means that it may be read as the present one."""
    if device_state in DOWN:
        return device_state.lower()
    if stale:
        return "stale"
    for flag, word in _GRAVEST_FIRST:
        if flags & flag:
            return word
    return "live" if value is not None else "no value"
