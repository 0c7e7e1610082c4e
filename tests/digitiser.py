"""A digitiser with a flowmeter and a cuff wired to it, for tests."""

import asyncio
import contextlib

import numpy as np

from acquisition.config import resources, toml
from acquisition.driverkit.analog import Input, Profile
from acquisition.driverkit.driver import Setup
from drivers.keysight_daq import KeysightDaq, Options
from simulators import keysight_daq as simulated
from simulators.bench.runner import Runner, ScenarioClock
from simulators.simkit.faults import Faults
from simulators.simkit.instrument import Plan

FLOWMETER = "adinstruments-blood-flowmeter"
CUFF = "cuff-pressure-100mmhg-per-volt"


class Room:
    """Flux that swings, steady backscatter, a cuff at rest."""

    def values(self, signal, t):
        return {"flux": 100 + 20 * np.sin(t), "backscatter": 60 + 0 * t, "cuff_pressure": 5 + 0 * t}[signal]


def entry(terminal, signal, profile=FLOWMETER, name=None):
    path = resources.find("profiles", profile)
    read = toml.convert(toml.read(path), Profile, path)
    return Input(
        str(terminal), name or signal, profile, read.source == "documented", read.citation, read.signal(signal)
    )


def inputs(name="daq970a"):
    if name == "34465a":
        return (entry(1, "flux"),)
    first = 1001 if name == "34980a" else 101
    return (
        entry(first, "flux"),
        entry(first + 1, "backscatter"),
        entry(first + 2, "cuff_pressure", CUFF),
    )


def driver(name="daq970a", wired=None, **options):
    return KeysightDaq(Setup(name, Options(**options), inputs(name) if wired is None else wired))


def simulator(name="daq970a", bench=None, ledger=None, **options):
    more = {} if ledger is None else {"ledger": ledger}
    return simulated.KeysightDaqSimulator(Plan(name, bench or Room(), simulated.Options(**options), **more))


@contextlib.asynccontextmanager
async def plugged(instrument, cable, clock=None):
    """The instrument on a running cable, both on this loop; yields the `listen` document."""
    stop, listen = asyncio.Event(), asyncio.get_running_loop().create_future()
    runner = Runner(instrument, cable, clock or ScenarioClock(), Faults())
    task = asyncio.create_task(runner.run(listen.set_result, stop))
    try:
        yield await listen
    finally:
        stop.set()
        await task
