"""Wiring of a simulated digitiser: signals of the bench as voltages at its terminals, by the analog profiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np

from acquisition.config import resources, toml
from acquisition.driverkit.analog import Input, Profile
from acquisition.errors import ConfigurationError
from acquisition.model import Floats
from simulators.simkit.instrument import Bench

IDLE = {"backscatter": 50.0}
"""Where signals stand that the bench does not know; the others stand at 0."""


@runtime_checkable
class Recording(Protocol):
    """A bench that answers one row of a recording to each sweep; `channels` are the recorded ones."""

    channels: tuple[str, ...]

    def rows(self, first: int, count: int, signal: str) -> Floats:
        """Rows from `first` on (k,); k < count where the recording ends, KeyError for an unknown signal."""


class Terminal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wired to a terminal."""

    input: int
    signal: str
    profile: str


def usual(flux: int, backscatter: int = -1, cuff: int = -1) -> tuple[Terminal, ...]:
    """A laser Doppler monitor and a cuff on the given terminals; a negative one is left out."""
    flowmeter = "adinstruments-blood-flowmeter"
    wired = (
        Terminal(flux, "flux", flowmeter),
        Terminal(backscatter, "backscatter", flowmeter),
        Terminal(cuff, "cuff_pressure", "cuff-pressure-100mmhg-per-volt"),
    )
    return tuple(each for each in wired if each.input >= 0)


class Wiring:
    """The terminals of one digitiser on one bench; `faults` holds the kinds that are switched on."""

    def __init__(self, terminals: Iterable[Terminal], bench: Bench) -> None:
        self.inputs = {each.input: wire(each) for each in terminals}
        self.faults: set[str] = set()
        self._bench = bench
        self._check_recorded()

    @property
    def recorded(self) -> bool:
        """Whether the bench plays a recording, a row a sweep."""
        return isinstance(self._bench, Recording)

    def volts(self, terminal: int, at: Floats, row: int) -> Floats:
        """Voltages at a terminal at `at` (n,) s since the scenario began -> (n,) V, +-inf beyond any range.

        From a recording come rows from number `row` on instead, fewer than n where it ends.
        """
        wired = self.inputs.get(terminal)
        if wired is None:
            return np.zeros(len(at))
        signal = wired.signal
        values = self._values(terminal, signal.signal, at, row)
        if "out-of-range" in self.faults:
            values[:] = np.inf
        if "detached" in self.faults:
            values[:] = np.nan
        volts: Floats = values * signal.volts_per_unit + signal.offset_v
        if signal.sentinels:
            volts[np.isnan(values)] = signal.sentinels[0].volts
        return volts

    def _check_recorded(self) -> None:
        """Refuse a recording that no terminal carries."""
        carried = [name for terminal, wired in self.inputs.items() for name in (wired.signal.signal, str(terminal))]
        for channel in self._bench.channels if isinstance(self._bench, Recording) else ():
            if channel not in carried:
                raise ConfigurationError(
                    f"no terminal carries {channel!r}", "--replay", remedy=f"allowed: {', '.join(carried)}"
                )

    def _values(self, terminal: int, signal: str, at: Floats, row: int) -> Floats:
        bench = self._bench
        try:
            if isinstance(bench, Recording):
                # A recording may name the terminal in place of the signal.
                signal = str(terminal) if str(terminal) in bench.channels else signal
                return np.array(bench.rows(row, len(at), signal), dtype=np.float64)
            return np.array(bench.values(signal, at), dtype=np.float64)
        except KeyError:
            return np.full(len(at), IDLE.get(signal, 0.0))


def wire(terminal: Terminal) -> Input:
    """The input that a digitiser's driver would be given for a terminal."""
    path = resources.find("profiles", terminal.profile)
    if path is None:
        raise ConfigurationError(
            f"there is no profile {terminal.profile}",
            f"terminal {terminal.input}",
            remedy=f"one of {', '.join(resources.names('profiles'))}",
        )
    profile = toml.convert(toml.read(path), Profile, path)
    signal = profile.signal(terminal.signal)
    confirmed = profile.source == "documented"
    return Input(str(terminal.input), terminal.signal, profile.name, confirmed, profile.citation, signal)
