"""Options of a digitiser's entry, and the integration time that fits an interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from acquisition.driverkit.analog import Input
from acquisition.errors import ConfigurationError
from drivers.keysight_daq.models import MAINS, RANGES, SPEEDS, Model

SPARE = 1e-4
"""Seconds beyond its integration that a reading of a 34465A may take (INF): an interval of exactly the integration
would be refused or prolonged."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the inputs are measured.

    `interval` between sweeps in s, whole ms; `range` in V; `nplc` integration in periods of the mains, by
    default the longest that leaves every sweep within the interval; `autozero` doubles the time of each
    reading; `batch`: readings fetched at once; `binary`: a 34465A's readings come as eight bytes each, for
    kilohertz. A link without a checksum (GPIB, ASRL) had better stay with ASCII, in which most damage shows.
    `baud` of a serial line (ASRL), as the instrument is set.
    """

    interval: Annotated[float, Meta(ge=0.001, le=3600)] = 0.05
    range: float = 10.0
    nplc: float | None = None
    autozero: bool = False
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 400
    binary: bool = False
    baud: Annotated[int, Meta(ge=1200, le=115_200)] = 57_600


def sweep_time(inputs: int, nplc: float, autozero: bool, switching: str | None) -> float:
    """Seconds that one sweep takes at most; `switching` what switches the channels, None for a single one.

    The speeds of cards are unconfirmed: what a sweep really takes is measured.
    """
    step = 1 / SPEEDS[switching] if switching is not None else 0.0
    return inputs * (step + nplc / MAINS * (2 if autozero else 1))


def longest_nplc(model: Model, inputs: int, options: Options, switching: str | None) -> float:
    """The model's longest integration (periods of the mains) that leaves a sweep within the interval; else the least.

    Beside the integration a meter without switches is left `SPARE` s for each reading.
    """
    spare = inputs * SPARE if switching is None else 0.0
    fitting = [n for n in model.nplcs if sweep_time(inputs, n, options.autozero, switching) + spare <= options.interval]
    return max(fitting, default=model.nplcs[0])


def check(model: Model, options: Options, inputs: Sequence[Input]) -> None:
    """ConfigurationError where the instrument cannot do what the entry says."""
    if not inputs:
        raise ConfigurationError("no input is configured", "channel", remedy="at least one [[device.channel]]")
    for index, each in enumerate(inputs):
        if not model.terminals.fullmatch(each.terminal):
            raise ConfigurationError(
                f"the {model.idn[0]} has no input {each.terminal}",
                f"channel[{index}].input",
                remedy="slot and channel, such as 101" if model.scans else "1",
            )
    nplcs = sorted(model.nplcs + model.special)
    if options.nplc is not None and options.nplc not in nplcs:
        raise ConfigurationError(
            f"the {model.idn[0]} has no integration time of {options.nplc:g} PLC", "options.nplc", remedy=_listed(nplcs)
        )
    if options.range not in RANGES:
        raise ConfigurationError("no range of the instrument", "options.range", remedy=_listed(RANGES) + " (V)")
    if model.scans and abs(options.interval * 1000 - round(options.interval * 1000)) > 1e-6:
        raise ConfigurationError("sweeps are timed in steps of 1 ms", "options.interval", remedy="whole milliseconds")
    if options.binary and model.scans:
        raise ConfigurationError(
            f"the {model.idn[0]} sends its time stamps as text only",
            "options.binary",
            remedy="false; a 34465A has binary readings",
        )
    least = model.nplcs[0] if options.nplc is None else options.nplc
    shortest = len(inputs) * least / 60 * (2 if options.autozero else 1)
    if shortest > options.interval:
        raise ConfigurationError(
            f"{len(inputs)} inputs at {least:g} PLC take at least {shortest:.3g} s",
            "options.interval",
            remedy=f"an interval of at least {shortest:.3g} s"
            + (", or a smaller nplc" if least > nplcs[0] else ", or fewer inputs"),
        )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
