"""Scenarios of a simulated bench: occlusions, walks, heating and oxygen, and their times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from acquisition.model import Floats

MPH = 1.609344
"""km/h in a mile an hour."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """A cuff that stops the flow from `on` to `off`, s; `off` is where its pressure falls through 30 mm[Hg]."""

    on: float
    off: float
    pressure: float = 220.0

    INFLATION = 1.0
    DEFLATION = 0.3
    OPEN = 30.0

    def cuff(self, u: Floats) -> Floats:
        """Pressure in the cuff at u (n,) s -> (n,) mm[Hg]."""
        valve = self.off - self.DEFLATION * np.log(self.pressure / self.OPEN)
        inflated = np.clip((u - self.on) / self.INFLATION, 0, 1)
        released = np.exp(-np.maximum(u - valve, 0) / self.DEFLATION)
        return np.asarray(self.pressure * inflated * released)


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk on a belt from `start` for at most `limit` s at `speed` km/h; the grade is `grade` % at first.

    From then on it grows by `step` % every `every` s. The belt follows its set point with a time
    constant of 1.5 s.
    """

    start: float
    limit: float
    speed: float
    grade: float
    step: float = 0.0
    every: float = 120.0

    RAMP = 1.5
    TILT = 0.5
    """Percent a second by which the grade moves."""

    def belt(self, u: Floats, stop: float) -> Floats:
        """Speed at u (n,) s of a belt that is stopped at `stop` -> (n,) km/h."""
        up = 1 - np.exp(-np.maximum(np.minimum(u, stop) - self.start, 0) / self.RAMP)
        down = np.exp(-np.maximum(u - stop, 0) / self.RAMP)
        speed = self.speed * up * down
        return np.where(speed < 0.01, 0.0, speed)

    def distance(self, t: Floats) -> Floats:
        """Metres walked from the start to t (n,) s, with the belt running -> (n,)."""
        seconds = np.maximum(t - self.start, 0.0)
        return np.asarray(self.speed / 3.6 * (seconds + self.RAMP * np.expm1(-seconds / self.RAMP)))

    def reaches(self, metres: float) -> float:
        """When so many metres are walked, s; infinite for an infinite distance."""
        t = self.start + metres / (self.speed / 3.6) + self.RAMP
        for _ in range(30 if np.isfinite(metres) else 0):
            t -= (float(self.distance(np.array([t]))[0]) - metres) / (self.speed / 3.6)
        return t

    def tilt(self, u: Floats, stop: float) -> Floats:
        """Grade at u (n,) s of a belt that is laid flat at `stop` -> (n,) %."""
        steps = np.arange(1, 1 + int(self.limit // self.every)) if self.step else np.arange(0)
        moves = [(self.start, self.grade), *((self.start + k * self.every, self.step) for k in steps)]
        grade = np.zeros(len(u))
        for at, by in moves:
            grade += np.clip((np.minimum(u, stop) - at) * self.TILT, 0, by)
        return np.maximum(grade - np.maximum(u - stop, 0) * self.TILT, 0)


@dataclass(frozen=True, slots=True)
class Heating:
    """A heater on the skin at 33 Cel, from `warm` at 42 Cel, from `hot` at 44 Cel, at 33 Cel again from `off`, s."""

    warm: float
    hot: float
    off: float

    RATE = 0.1
    """Cel a second: one degree in ten seconds elicits the axon reflex, a slower rise does not."""

    def heater(self, u: Floats) -> Floats:
        """Temperature of the heater at u (n,) s -> (n,) Cel."""
        rise = np.clip((u - self.warm) * self.RATE, 0, 9) + np.clip((u - self.hot) * self.RATE, 0, 2)
        return 33 + np.maximum(rise - np.maximum(u - self.off, 0) * self.RATE, 0)


@dataclass(frozen=True, slots=True)
class Oxygen:
    """Pure oxygen is breathed from `on` to `off`, s."""

    on: float
    off: float

    TAU = 150.0

    def share(self, u: Floats) -> Floats:
        """How much of the full rise is reached at u (n,) s -> (n,)."""
        rise = 1 - np.exp(-np.maximum(np.minimum(u, self.off) - self.on, 0) / self.TAU)
        return rise * np.exp(-np.maximum(u - self.off, 0) / self.TAU)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens, in seconds since it began; the whole repeats every `period` s where it has one.

    `electrodes`: when the TcPO2 electrodes were put on the skin.
    """

    what: str
    occlusion: Occlusion | None = None
    walk: Walk | None = None
    heating: Heating | None = None
    oxygen: Oxygen | None = None
    electrodes: float = -1800.0
    period: float | None = None


SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "rest": Scenario("lies still; the electrodes are put on at the beginning", electrodes=0.0),
        "porh": Scenario("arterial occlusion from 3 to 6 min, then reactive hyperaemia", Occlusion(180.0, 360.0)),
        "heating": Scenario(
            "local heating to 42 Cel at 10 min, to 44 Cel at 40 min, off at 55 min",
            heating=Heating(600.0, 2400.0, 3300.0),
        ),
        "walk-constant": Scenario(
            "walks from 3 min at 3.2 km/h and 10 %, for 15 min at most", walk=Walk(180.0, 900.0, 2 * MPH, 10.0)
        ),
        "walk-gs": Scenario(
            "walks from 3 min at 3.2 km/h, graded by 2 % every 2 min (Gardner-Skinner), for 20 min at most",
            walk=Walk(180.0, 1200.0, 2 * MPH, 0.0, step=2.0),
        ),
        "o2-challenge": Scenario("breathes pure oxygen from 5 to 15 min", oxygen=Oxygen(300.0, 900.0)),
        "oxygen": Scenario(
            "lies still, the electrodes are put on at the beginning; breathes pure oxygen from 35 to 45 min",
            oxygen=Oxygen(2100.0, 2700.0),
            electrodes=0.0,
        ),
        "tour": Scenario(
            "every 5 min a walk of 80 s, then an occlusion of one minute and its hyperaemia",
            Occlusion(150.0, 210.0),
            Walk(8.0, 80.0, 2 * MPH, 10.0),
            period=300.0,
        ),
    }
)
