"""Finds simulators by name: every module of the package `simulators`, and the entry points `perfusion.simulators`."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from acquisition.driverkit.registry import catalogue
from simulators.simkit.instrument import Instrument

GROUP = "perfusion.simulators"


@cache
def simulators() -> MappingProxyType[str, type[Instrument]]:
    """Every simulated instrument by each of its names, sorted; a name that exists twice is an error."""
    return catalogue("simulator", "simulators", GROUP, Instrument, lambda each: each.names)  # type: ignore[type-abstract]
