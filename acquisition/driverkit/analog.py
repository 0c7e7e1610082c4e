"""Analog outputs read through a digitiser: a profile says what a voltage means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from acquisition.model import Channel, Flags, Floats, Quality


class Sentinel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voltage that stands for a condition and not for a value."""

    volts: float
    tolerance: float
    status: str


class Signal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One output: value = (volts - offset_v) / volts_per_unit, valid within [valid_min, valid_max] (in `unit`).

    `companion` names the signal of the same profile whose sentinels condemn this one too. `accuracy` (+-, in
    `unit`) is what the maker states of the output, beyond that of the measurement.
    """

    signal: str
    unit: str
    volts_per_unit: float
    valid_min: float
    valid_max: float
    offset_v: float = 0.0
    sentinels: tuple[Sentinel, ...] = ()
    companion: str | None = None
    stale_after: float | None = None
    accuracy: float | None = None


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The analog outputs of one instrument, as a document or nobody states them."""

    name: str
    instrument: str
    source: Literal["documented", "unconfirmed"]
    citation: str
    signals: tuple[Signal, ...]

    def signal(self, name: str) -> Signal:
        """The signal of that name; KeyError where the profile has none."""
        for signal in self.signals:
            if signal.signal == name:
                return signal
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Input:
    """One analog input of a digitiser: which terminal, the channel's name, and what its voltage means."""

    terminal: str
    name: str
    profile: str
    confirmed: bool
    citation: str
    signal: Signal

    @property
    def channel(self) -> Channel:
        """The channel that this input records."""
        s = self.signal
        return Channel(self.name, s.unit, s.valid_min, s.valid_max, s.stale_after)

    def sentinel(self, volts: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
        """Index of the sentinel that each voltage stands for, -1 for none; volts (n,) V -> (n,)."""
        found = np.full(len(volts), -1, dtype=np.intp)
        for index, sentinel in enumerate(self.signal.sentinels):
            found[np.abs(volts - sentinel.volts) <= sentinel.tolerance] = index
        return found

    def scale(self, volts: Floats) -> tuple[Floats, Flags]:
        """Voltages (n,) V -> values (n,) in the signal's unit and quality (n,).

        A sentinel is INVALID and its value NaN; a value outside the valid range is kept and marked RANGE;
        a voltage that is not finite is INVALID and NaN.
        """
        values = (volts - self.signal.offset_v) / self.signal.volts_per_unit
        quality = np.zeros(len(volts), dtype=np.uint8)
        outside = (values < self.signal.valid_min) | (values > self.signal.valid_max)
        quality[outside] = Quality.RANGE
        none = (self.sentinel(volts) >= 0) | ~np.isfinite(volts)
        quality[none] = Quality.INVALID
        values[none] = np.nan
        return values, quality


def scale_together(inputs: Sequence[Input], volts: Floats) -> list[tuple[Floats, Flags]]:
    """Simultaneous voltages (n, c) V, one column an input -> for each input its values (n,) and quality (n,).

    Where the companion of an input shows a sentinel, that input's value is none either: INVALID and NaN.
    """
    scaled = [each.scale(volts[:, column]) for column, each in enumerate(inputs)]
    for each, (values, quality) in zip(inputs, scaled, strict=True):
        for column, other in enumerate(inputs):
            if other.profile == each.profile and other.signal.signal == each.signal.companion:
                condemned = other.sentinel(volts[:, column]) >= 0
                values[condemned] = np.nan
                quality[condemned] = Quality.INVALID
    return scaled
