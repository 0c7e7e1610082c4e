"""The noise-free curves of a participant in a scenario, and what is true of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from acquisition.model import Floats
from simulators.patient.phenotypes import Site, Subject
from simulators.patient.scenarios import Heating, Occlusion, Scenario, Walk

AIR = 155.0
"""What a TcPO2 electrode reads in air before it is put on, mm[Hg]."""
EQUILIBRATION = 205.0
"""Time constant, s, that makes the change of a 50 mm[Hg] plateau 0.8 % a minute at 15 min (Chiang 2018)."""
UNDERSHOOT = 4.0
CYCLES = 5
"""Cycles of a repeating scenario whose after-effects still show."""


class Levels:
    """Curves of t (n,) s since the scenario began -> (n,), before sensors and noise."""

    def __init__(self, scenario: Scenario, subject: Subject) -> None:
        self.scenario = scenario
        self.subject = subject
        self._stop = math.inf if scenario.walk is None else subject.stops(scenario.walk)

    def flux(self, t: Floats) -> Floats:
        """Skin blood flow, PU."""
        flow = self.subject.phenotype.flow
        level = np.full(len(t), float(flow.rf))
        if self.scenario.heating is not None:
            level += (flow.hot - flow.rf) * self._heated(self._within(t), self.scenario.heating)
        occlusion = self.scenario.occlusion
        if occlusion is not None:
            own = self._excess(self._within(t), occlusion)
            earlier = self._sum(t, lambda u: self._excess(u, occlusion)) - own
            supply = self._supply(self._within(t), occlusion)
            level = flow.bz + supply * (level + earlier - flow.bz) + own
        return level

    def cuff(self, t: Floats) -> Floats:
        """Cuff pressure, mm[Hg]."""
        occlusion = self.scenario.occlusion
        return np.zeros(len(t)) if occlusion is None else occlusion.cuff(self._within(t))

    def heater(self, t: Floats) -> Floats:
        """Temperature of the laser Doppler probe's heater, Cel."""
        heating = self.scenario.heating
        return np.full(len(t), 33.0) if heating is None else heating.heater(self._within(t))

    def po2(self, site: Site, walk: float, t: Floats) -> Floats:
        """TcPO2 of a site that a walk changes by `walk`, mm[Hg]."""
        on = np.maximum(t - self.scenario.electrodes, 0)
        level = site.po2 + (AIR - site.po2) * np.exp(-on / EQUILIBRATION)
        level -= UNDERSHOOT * (on / 180) * np.exp(1 - on / 180)
        if self.scenario.oxygen is not None:
            level += site.oxygen * self._sum(t, self.scenario.oxygen.share)
        if self.scenario.walk is not None:
            level += walk * self._sum(t, self._effort)
        return np.maximum(level, 1.0)

    def pco2(self, site: Site, t: Floats) -> Floats:
        """TcPCO2 of a site, mm[Hg]."""
        on = np.maximum(t - self.scenario.electrodes, 0)
        return site.pco2 * (1 - 0.9 * np.exp(-on / 150))

    def speed(self, t: Floats) -> Floats:
        """Speed of the belt, km/h."""
        walk = self.scenario.walk
        return np.zeros(len(t)) if walk is None else walk.belt(self._within(t), self._stop)

    def grade(self, t: Floats) -> Floats:
        """Grade of the belt, %."""
        walk = self.scenario.walk
        return np.zeros(len(t)) if walk is None else walk.tilt(self._within(t), self._stop)

    def pain(self, t: Floats) -> Floats:
        """Claudication pain, 1 none, 2 onset, 3 mild, 4 moderate, 5 maximal."""
        walk, subject = self.scenario.walk, self.subject
        if walk is None or not math.isfinite(subject.acd):
            return np.ones(len(t))
        u, stop = self._within(t), self._stop
        walked = walk.distance(np.minimum(u, stop))
        share = (walked - subject.icd) / (subject.acd - subject.icd)
        felt = np.where(share >= 0, 2 + np.floor(np.minimum(3 * share + 1e-6, 3)), 1.0)
        felt = np.where(u < walk.start, 1.0, felt)
        return np.asarray(1 + np.rint((felt - 1) * np.exp(-np.maximum(u - stop, 0) / 60)))

    def truth(self) -> dict[str, Any]:
        """What is true of the noise-free curves, for one cycle where the scenario repeats; JSON values only."""
        chest, calf = self.subject.phenotype.chest, self.subject.phenotype.calf
        known: dict[str, Any] = {
            "flux": {"RF": self.subject.phenotype.flow.rf, "BZ": self.subject.phenotype.flow.bz, "unit": "[arb'U]"},
            "tcpo2": {"chest": chest.po2, "calf": calf.po2, "RPI": calf.po2 / chest.po2, "unit": "mm[Hg]"},
        }
        if self.scenario.occlusion is not None:
            known["porh"] = self._porh(self.scenario.occlusion)
        if self.scenario.heating is not None:
            known["heating"] = self._lth(self.scenario.heating)
        if self.scenario.oxygen is not None:
            share = self.scenario.oxygen.share(np.array([self.scenario.oxygen.off]))[0]
            known["oxygen"] = {
                "t_on": self.scenario.oxygen.on, "t_off": self.scenario.oxygen.off,
                "chest": chest.oxygen * share, "calf": calf.oxygen * share, "unit": "mm[Hg]",
            }  # fmt: skip
        if self.scenario.walk is not None:
            known["walk"] = self._walk(self.scenario.walk)
        return known

    def _within(self, t: Floats) -> Floats:
        return t if self.scenario.period is None else np.where(t < 0, t, np.mod(t, self.scenario.period))

    def _sum(self, t: Floats, effect: Callable[[Floats], Floats]) -> Floats:
        """The effect of this cycle and what is left of the earlier ones."""
        period, u = self.scenario.period, self._within(t)
        total = effect(u)
        if period is not None:
            for cycle in range(1, CYCLES):
                total = total + np.where(t >= cycle * period, effect(u + cycle * period), 0.0)
        return total

    def _supply(self, u: Floats, occlusion: Occlusion) -> Floats:
        """The share of the resting flow that the cuff lets through."""
        closed = np.exp(-np.maximum(u - occlusion.on, 0) / 3)
        return np.where(u < occlusion.off, closed, self._rise(u - occlusion.off))

    def _rise(self, v: Floats) -> Floats:
        flow = self.subject.phenotype.flow
        late = np.clip(v - flow.latency, 0, flow.tp - flow.latency)
        return np.asarray(np.expm1(-late / flow.rise) / math.expm1(-(flow.tp - flow.latency) / flow.rise))

    def _excess(self, u: Floats, occlusion: Occlusion) -> Floats:
        """The flow over rest that follows the release, PU."""
        flow = self.subject.phenotype.flow
        v = u - occlusion.off
        decay = np.exp(-((np.maximum(v - flow.tp, 0) / flow.b) ** flow.c))
        return np.asarray((flow.pf - flow.rf) * self._rise(v) * decay)

    def _heated(self, u: Floats, heating: Heating) -> Floats:
        """The share of the full thermal hyperaemia: axon reflex, slow NO-dependent rise, last step to 44 Cel."""
        flow = self.subject.phenotype.flow
        warm = np.clip(u, heating.warm, heating.off) - heating.warm
        hot = np.clip(u, heating.hot, heating.off) - heating.hot
        reflex = flow.axon * (warm / 150) ** 3 * np.exp(3 * (1 - warm / 150))
        slow = 0.85 / (1 + np.exp(-(warm - 495) / 180)) * -np.expm1(-warm / 15)
        share = reflex + slow - 0.15 * np.expm1(-hot / 180)
        return np.asarray(share * np.exp(-np.maximum(u - heating.off, 0) / 300))

    def _effort(self, u: Floats) -> Floats:
        """How much of the full change of a walk's TcPO2 is reached."""
        walk = self.scenario.walk
        assert walk is not None
        turn = self._stop + self.subject.lag
        grown = -np.expm1(-np.maximum(np.minimum(u, turn) - walk.start - 30, 0) / 60)
        return np.asarray(grown * np.exp(-np.maximum(u - turn, 0) / 200))

    def _porh(self, occlusion: Occlusion) -> dict[str, Any]:
        flow = self.subject.phenotype.flow
        full = -math.expm1(-(flow.tp - flow.latency) / flow.rise)

        def reached(level: float) -> float:
            return flow.latency - flow.rise * math.log(1 - (level - flow.bz) / (flow.pf - flow.bz) * full)

        held = occlusion.off - occlusion.on
        half = flow.rf + 0.5 * (flow.pf - flow.rf)
        return {
            "t_on": occlusion.on,
            "t_off": occlusion.off,
            "RF": flow.rf,
            "BZ": flow.bz,
            "PF": flow.pf,
            "TP": flow.tp,
            "TL": reached(flow.rf),
            "TH1": reached(half),
            "TH2": flow.tp + flow.b * math.log(2) ** (1 / flow.c),
            "AO": (flow.rf - flow.bz) * (held + 3 * math.expm1(-held / 3)),
        }

    def _lth(self, heating: Heating) -> dict[str, Any]:
        def mean(start: float, stop: float) -> float:
            return float(np.mean(self.flux(np.arange(start, stop, 0.5))))

        first = self.flux(np.arange(heating.warm, heating.warm + 300, 0.5))
        later = self.flux(np.arange(heating.warm + 0.5 * int(np.argmax(first)), heating.warm + 780, 0.5))
        return {
            "t_42": heating.warm,
            "t_44": heating.hot,
            "t_off": heating.off,
            "baseline": mean(heating.warm - 180, heating.warm),
            "peak": float(np.max(first)),
            "nadir": float(np.min(later)),
            "plateau": mean(heating.hot - 180, heating.hot),
            "max": mean(heating.off - 180, heating.off),
        }

    def _walk(self, walk: Walk) -> dict[str, Any]:
        subject, stop = self.subject, self._stop
        t = np.arange(walk.start - 120, stop + 600, 0.5)
        change = [
            self.po2(site, fall, t) - self.po2(site, 0.0, t)
            for site, fall in (
                (subject.phenotype.calf, subject.calf_fall),
                (subject.phenotype.chest, subject.chest_fall),
            )
        ]
        walked = float(walk.distance(np.array([stop]))[0])
        onset = subject.icd <= walked
        return {
            "start": walk.start,
            "stop": stop,
            "stopped_by": "claudication" if subject.acd <= walked + 1e-6 else "limit",
            "speed": walk.speed,
            "grade": float(self.grade(np.array([stop - 1e-3]))[0]),
            "distance": walked,
            "ICD": subject.icd if onset else None,
            "t_ICD": walk.reaches(subject.icd) if onset else None,
            "ACD": subject.acd if subject.acd <= walked + 1e-6 else None,
            "fall_calf": subject.calf_fall,
            "fall_chest": subject.chest_fall,
            "DROP": float(np.min(change[0] - change[1])),
        }
