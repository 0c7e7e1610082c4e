"""The simulated bench as a record sees it: each device's streams, and their samples of a participant at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from acquisition.config import Config, DeviceConfig
from acquisition.daemon.assembly import header_of
from acquisition.driverkit.derived import Derivation
from acquisition.driverkit.driver import Driver
from acquisition.model import Floats, Header, Stream
from simulators.patient.physiology import UNITS, Participant
from simulators.patient.scenarios import SCENARIOS

SETTING = 44.0
"""Temperature of the heated electrodes, Cel."""
IRREGULAR = 0.25
"""Seconds between two samples of a stream without a rate: a treadmill's round."""
MPH = 1.609344
"""km/h in a mile an hour: a treadmill in miles says tenths of it."""

Curve = Callable[[Participant, Floats], Floats]
"""A channel of a stream: participant, t (n,) s of the scenario -> values (n,) in the channel's unit."""


@dataclass(frozen=True, slots=True)
class Source:
    """One recorded stream of a device: its header, the seconds between samples, and what it is computed from."""

    header: Header
    interval: float
    curves: tuple[Curve, ...]

    def samples(self, participant: Participant, t: Floats) -> Floats:
        """Values at t (n,) s of the scenario -> (n, channels)."""
        return np.column_stack([curve(participant, t) for curve in self.curves])


@dataclass(frozen=True, slots=True)
class Unit:
    """One device of the bench: its streams, what is derived of them, and how it names itself."""

    name: str
    model: str
    sources: tuple[Source, ...]
    derivations: tuple[tuple[Derivation, Header], ...]


def units(config: Config) -> Iterator[Unit]:
    """Every device of a configuration whose channels a simulated participant has; the others stay away."""
    for device in config.devices:
        driver = device.driver(device.setup())
        sources = tuple(_sources(device, driver))
        if sources:
            derived = tuple((each, header_of(device, driver, each.stream)) for each in driver.derivations())
            yield Unit(device.table.name, device.driver.about.names[device.table.driver], sources, derived)


def _sources(device: DeviceConfig, driver: Driver) -> Iterator[Source]:
    miles = getattr(device.options, "unit", "") == "mph"
    for stream in driver.streams:
        curves = tuple(_curve(stream, channel.name, miles) for channel in stream.channels)
        if any(curve is not _nothing for curve in curves):
            interval = 1.0 / stream.rate if stream.rate else IRREGULAR
            yield Source(header_of(device, driver, stream), interval, curves)


def _curve(stream: Stream, channel: str, miles: bool) -> Curve:
    if channel in UNITS:
        return _signal(channel)
    if channel in ("tcpo2", "tcpco2"):
        return _tenths(_signal(f"{channel}_{'chest' if 'chest' in stream.name else 'calf'}"))
    step = 0.1 * MPH if miles else 0.1
    return {"speed": _steps("belt_speed", step), "set_speed": _steps("belt_speed", step),
            "grade": _steps("belt_grade", 0.1), "set_grade": _steps("belt_grade", 0.5),
            "running": _running, "site_time": _site_time, "sensor_temperature": _warm,
            "heating_power": _power(stream)}.get(channel, _nothing)  # fmt: skip


def _nothing(_: Participant, t: Floats) -> Floats:
    return np.full(len(t), np.nan)


def _signal(name: str) -> Curve:
    return lambda participant, t: participant.values(name, t)


def _steps(name: str, step: float) -> Curve:
    return lambda participant, t: np.rint(participant.values(name, t) / step) * step


def _tenths(curve: Curve) -> Curve:
    return lambda participant, t: np.rint(curve(participant, t) * 10.0) / 10.0


def _running(participant: Participant, t: Floats) -> Floats:
    return (participant.values("belt_speed", t) > 0.0).astype(np.float64)


def _site_time(participant: Participant, t: Floats) -> Floats:
    return np.asarray(np.floor(np.maximum(t - SCENARIOS[participant.scenario].electrodes, 0.0) / 60.0))


def _warm(_: Participant, t: Floats) -> Floats:
    return np.full(len(t), SETTING)


def _power(stream: Stream) -> Curve:
    """The heater replaces what the blood of the skin carries away: more where perfusion is better."""
    oxygen = _signal(f"tcpo2_{'chest' if 'chest' in stream.name else 'calf'}")
    return lambda participant, t: np.rint(180.0 + 1.5 * oxygen(participant, t))


ROLES: Mapping[str, tuple[str, ...]] = {
    "porh": ("flux",),
    "heating": ("flux",),
    "flowmotion": ("flux",),
    "tcpo2": ("tcpo2",),
    "oxygen": ("tcpo2",),
    "walking": ("tcpo2", "speed"),
    "entries": (),
}
"""Channels by which a device is taken along for what a protocol measures."""


def needed(unit: Unit, measures: str) -> bool:
    """Whether a device is switched on for an examination that measures this."""
    have = {channel.name for source in unit.sources for channel in source.header.stream.channels}
    return any(name in have for name in ROLES[measures])
