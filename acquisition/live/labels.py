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
    "min": 0,
    "mW": 0,
    "1": 0,
    "V": 3,
}

LABELS = {"tcpo2": "tcPO₂", "tcpco2": "tcPCO₂"}

SMALL = frozenset({"site_time", "sensor_temperature", "heating_power", "set_speed", "set_grade", "running", "elapsed"})
"""Quantities that tell how an instrument is doing rather than the participant: shown small, without a trace."""

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


def label(stream: str, channel: str, alone: bool) -> str:
    """What to call a channel: with its stream before it unless that is the device's only one, or named the same."""
    name = _plain(channel)
    return name if alone or stream == channel else f"{_plain(stream)} {name}"


def digits(value: float | None, unit: str) -> str:
    """The value as it is shown; nothing is shown as minus zero."""
    if value is None:
        return "—"
    text = f"{value:.{decimals(unit)}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


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


def _plain(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))
