"""Every driver and the simulator that is its other end, as the registries find them."""

from pathlib import Path

import msgspec

from acquisition.config import documents
from acquisition.driverkit.driver import Setup
from acquisition.driverkit.registry import drivers
from simulators.bench.registry import simulators
from simulators.patient.physiology import Participant
from simulators.simkit.instrument import Plan, no_ledger

NAMES = sorted(drivers())
PAIRS = [name for name in NAMES if name in simulators()]
DRIVERS = {driver: name for name, driver in reversed(drivers().items())}
"""Each driver once, with one of its names."""
DISTINCT = [name for name in PAIRS if DRIVERS[drivers()[name]] == name]
"""A name for each pair that differs by more than its name."""


def example(name):
    return simulators()[name].example(name)


def driver(name):
    """A driver as its simulator's example configures it."""
    kind = drivers()[name]
    given = example(name)
    options = msgspec.convert(given.driver, kind.Options)
    return kind(Setup(name, options, given.inputs, documents=documents(kind, options, Path("bench.toml"))))


def simulator(name, ledger=no_ledger, seed=3, scenario="tour"):
    """A simulator as its own example configures it, with a claudicant on the bench."""
    kind = simulators()[name]
    options = msgspec.convert(example(name).simulator, kind.Options)
    return kind(Plan(name, Participant("claudicant", scenario, seed), options, seed, ledger=ledger))
