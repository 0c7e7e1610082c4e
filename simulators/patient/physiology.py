"""The simulated participant: what skin, electrodes, cuff and belt are worth at each second of a scenario."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from acquisition.errors import ConfigurationError
from acquisition.model import Floats
from simulators.patient import flowmotion
from simulators.patient.levels import Levels
from simulators.patient.phenotypes import PHENOTYPES, draw
from simulators.patient.processes import Blocks, Grid, generator, recursion, wander
from simulators.patient.scenarios import SCENARIOS

N = 256

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "flux": "[arb'U]",
        "backscatter": "%",
        "skin_temperature": "Cel",
        "heater_temperature": "Cel",
        "cuff_pressure": "mm[Hg]",
        "tcpo2_chest": "mm[Hg]",
        "tcpo2_calf": "mm[Hg]",
        "tcpco2_chest": "mm[Hg]",
        "tcpco2_calf": "mm[Hg]",
        "belt_speed": "km/h",
        "belt_grade": "%",
        "pain": "{score}",
    }
)
"""Every signal of a participant, with its unit in UCUM; pain is the claudication scale of 1 (none) to 5 (maximal)."""

Curve = Callable[[Floats], Floats]
_State = tuple[float, float | None]
"""Of a sensor: its drift and its last value before noise."""


class Participant:
    """One participant in one scenario: a `Bench`, the same in every program for the same class, scenario and seed.

    `time_constant` (s) is that of the laser Doppler monitor's output filter; `artefacts` adds movements.
    """

    def __init__(
        self,
        kind: str = "healthy",
        scenario: str = "rest",
        seed: int = 0,
        *,
        time_constant: float = 0.2,
        artefacts: bool = False,
    ) -> None:
        _one_of("class", kind, PHENOTYPES)
        _one_of("scenario", scenario, SCENARIOS)
        self.kind = kind
        self.scenario = scenario
        self.seed = seed
        self._time_constant = time_constant
        self._artefacts = artefacts
        self._subject = draw(kind, seed)
        self._levels = Levels(SCENARIOS[scenario], self._subject)
        self._read: dict[str, Curve] = {}

    def values(self, signal: str, t: Floats) -> Floats:
        """The signal at t (n,) s since the scenario began -> (n,) in its unit; KeyError for an unknown one."""
        read = self._read.get(signal)
        if read is None:
            read = self._read[signal] = self._make(signal)
        return read(np.asarray(t, dtype=np.float64))

    def truth(self) -> dict[str, Any]:
        """What is true of this participant before sensors and noise, as JSON values."""
        return {"class": self.kind, "scenario": self.scenario, "seed": self.seed, **self._levels.truth()}

    def _make(self, signal: str) -> Curve:
        levels, subject = self._levels, self._subject
        chest, calf = subject.phenotype.chest, subject.phenotype.calf
        make: dict[str, Callable[[], Curve]] = {
            "flux": lambda: flowmotion.flux(
                levels.flux, subject.phenotype.flow, self.seed, self._time_constant, self._artefacts
            ),
            "backscatter": lambda: self._sensed(
                signal, lambda t: np.full(len(t), 55.0), _Sensor(0.025, drift=0.8, noise=0.1)
            ),
            "skin_temperature": lambda: self._sensed(
                signal, lambda t: np.full(len(t), 31.0), _Sensor(1.0, drift=0.2, tau=300.0)
            ),
            "heater_temperature": lambda: self._sensed(
                signal, levels.heater, _Sensor(1.0, lag=5.0, noise=0.02)
            ),
            "cuff_pressure": lambda: self._sensed(signal, levels.cuff, _Sensor(0.025, noise=0.2)),
            "tcpo2_chest": lambda: self._sensed(
                signal, lambda t: levels.po2(chest, subject.chest_fall, t), _OXYGEN
            ),
            "tcpo2_calf": lambda: self._sensed(signal, lambda t: levels.po2(calf, subject.calf_fall, t), _OXYGEN),
            "tcpco2_chest": lambda: self._sensed(signal, lambda t: levels.pco2(chest, t), _CARBON_DIOXIDE),
            "tcpco2_calf": lambda: self._sensed(signal, lambda t: levels.pco2(calf, t), _CARBON_DIOXIDE),
            "belt_speed": lambda: self._belt(signal),
            "belt_grade": lambda: levels.grade,
            "pain": lambda: levels.pain,
        }  # fmt: skip
        return make[signal]()

    def _sensed(self, signal: str, level: Curve, sensor: _Sensor) -> Grid:
        """The level with a wandering drift, through a first-order sensor, with noise, in steps of its resolution."""
        seed = self.seed
        tau: Floats = np.array([sensor.tau])
        decay = math.exp(-sensor.dt / sensor.lag) if sensor.lag else 0.0

        def step(index: int, state: _State) -> tuple[Floats, _State]:
            random = generator(seed, signal, index)
            drift = wander(tau, sensor.dt, random.standard_normal((1, N)), np.array([state[0]]))[0]
            t = (index * N + np.arange(N, dtype=np.float64)) * sensor.dt
            x = level(t) + sensor.drift * drift
            before = float(x[0]) if state[1] is None else state[1]
            y = recursion(np.array([decay]), (1 - decay) * x[None], np.array([before]))[0] if sensor.lag else x
            read = y + sensor.noise * random.standard_normal(N)
            return np.rint(read * sensor.steps) / sensor.steps, (float(drift[-1]), float(y[-1]))

        start = float(generator(seed, f"{signal} at first").standard_normal())
        return Grid(sensor.dt, N, Blocks[_State]((start, None), step))

    def _belt(self, signal: str) -> Curve:
        """The belt's speed; a belt at rest does not tremble."""
        level = self._levels.speed
        noise = self._sensed(signal, lambda t: np.zeros(len(t)), _Sensor(0.1, noise=0.02, steps=1000))

        def read(t: Floats) -> Floats:
            speed = level(t)
            return np.maximum(speed + noise(t) * np.minimum(speed, 1), 0)

        return read


@dataclass(frozen=True, slots=True)
class _Sensor:
    """Read every `dt` s; `drift` wanders with `tau` s; `lag` is the first-order time constant, s.

    A unit has `steps` steps.
    """

    dt: float
    drift: float = 0.0
    tau: float = 60.0
    lag: float = 0.0
    noise: float = 0.0
    steps: int = 10


_OXYGEN = _Sensor(0.5, drift=0.6, lag=9.0, noise=0.25)
_CARBON_DIOXIDE = _Sensor(0.5, drift=0.4, lag=20.0, noise=0.1)


def _one_of(what: str, name: str, table: Mapping[str, object]) -> None:
    if name not in table:
        raise ConfigurationError(f"unknown {what} {name!r}", f"--{what}", remedy=f"allowed: {', '.join(table)}")
