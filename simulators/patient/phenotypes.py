"""Phenotypes of the simulated participants: healthy, diabetic, claudicant, critical limb ischaemia."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from simulators.patient.processes import generator
from simulators.patient.scenarios import Walk


@dataclass(frozen=True, slots=True)
class Flow:
    """Skin blood flow of one class; PU and s.

    Reactive hyperaemia: rest `rf`, biological zero `bz`, peak `pf` at `tp` after the release, rise with
    `latency` and `rise`, decay exp(-(u/b)^c). Median times to peak of toe pulps: healthy 17-22 s,
    claudicants 73 s, critical ischaemia above 300 s (PMID 2647762). `hot` is the flow at 44 Cel and
    `axon` the share of the first, axon-reflex peak; flow motion is scaled by the factors of its bands:
    lower cardiac and endothelial shares in diabetes (arXiv 1707.02110); their size is assumed.
    """

    rf: float
    bz: float
    pf: float
    tp: float
    rise: float
    b: float
    c: float
    latency: float
    hot: float
    axon: float
    cardiac: float = 1.0
    respiratory: float = 1.0
    myogenic: float = 1.0
    neurogenic: float = 1.0
    endothelial: float = 1.0


@dataclass(frozen=True, slots=True)
class Site:
    """One electrode site: resting plateaus (mm[Hg]), rise under pure oxygen, fall while walking (negative)."""

    po2: float
    pco2: float
    oxygen: float
    walk: float = 0.0


@dataclass(frozen=True, slots=True)
class Phenotype:
    """One class: skin blood flow, the two electrode sites, and how far it walks.

    `icd`: geometric mean (m) and geometric standard deviation of the distance to the first pain, None
    without claudication. `fall`: mean and standard deviation of the calf's TcPO2 change (mm[Hg]), and
    the bounds within which it is drawn; ischaemic limbs fell by 31.8 +- 17.6, those without lesion by
    9.5 +- 6.4 (PMID 12668524).
    """

    flow: Flow
    chest: Site
    calf: Site
    icd: tuple[float, float] | None
    fall: tuple[float, float, float, float]


PHENOTYPES: Mapping[str, Phenotype] = MappingProxyType(
    {
        "healthy": Phenotype(
            Flow(12, 4.5, 85, 16, 5, 28, 1.35, 0.5, hot=170, axon=0.65),
            Site(60, 40, 260),
            Site(58, 41, 130),
            None,
            (-5, 2, -9, 0),
        ),
        "diabetic": Phenotype(
            Flow(12, 4.5, 45, 22, 9, 45, 1.2, 1, hot=135, axon=0.4, cardiac=0.8, neurogenic=0.5, endothelial=0.6),
            Site(57, 41, 240),
            Site(48, 43, 80),
            None,
            (-9.5, 6.4, -14, 0),
        ),
        "claudicant": Phenotype(
            Flow(9, 4, 24, 73, 35, 150, 1.2, 5, hot=90, axon=0.5),
            Site(58, 41, 240),
            Site(52, 43, 60),
            (70, 1.8),
            (-38, 12, -48, -22),
        ),
        "cli": Phenotype(
            Flow(7, 4, 7.3, 320, 150, 600, 1, 20, hot=18, axon=0.3, cardiac=0.2, respiratory=0.4, myogenic=0.4,
                 neurogenic=0.4, endothelial=0.4),
            Site(56, 42, 220),
            Site(20, 56, 8),
            (30, 1.5),
            (-16, 3, -18, -12),
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """One participant drawn from a class.

    `icd` and `acd`: metres to the first pain and to the end, infinite without claudication;
    `calf_fall` and `chest_fall`: mm[Hg] that walking changes the TcPO2 by in the end, `lag` s by which
    it goes on after the stop.
    """

    phenotype: Phenotype
    icd: float
    acd: float
    calf_fall: float
    chest_fall: float
    lag: float

    def stops(self, walk: Walk) -> float:
        """When the belt is stopped, s: for pain, or at the walk's limit."""
        return min(walk.reaches(self.acd), walk.start + walk.limit)


def draw(kind: str, seed: int) -> Subject:
    """Draw a participant; the same for the same class and seed."""
    phenotype = PHENOTYPES[kind]
    random = generator(seed, "subject")
    first, more, fall, chest, lag = random.standard_normal(5)
    icd = acd = float("inf")
    if phenotype.icd is not None:
        mean, spread = phenotype.icd
        icd = float(mean * spread**first)
        acd = float(icd * (1 + 0.8 * 1.6487212707**more))
    mean, deviation, low, high = phenotype.fall
    return Subject(
        phenotype,
        icd,
        acd,
        calf_fall=float(min(max(mean + deviation * fall, low), high)),
        chest_fall=float(min(max(2.5 * chest, -5.0), 5.0)),
        lag=float(min(max(40.0 * 1.3**lag, 25.0), 90.0)) if phenotype.icd is None else float(60.0 * 1.4**lag),
    )
