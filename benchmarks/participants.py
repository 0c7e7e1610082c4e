"""Every index of simulated participants against what they are made of, class by class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from acquisition.signals import biological_zero, drop, tcpo2, walking
from acquisition.signals.flowmotion import flowmotion
from acquisition.signals.heating import Stages, heating
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.kit.bands import STEFANOVSKA
from acquisition.signals.occlusion import MarkSource, Occlusion, from_pressure
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Trace
from acquisition.signals.stability import Judgement, Steadiness, judge
from acquisition.signals.wavelet import TONE_ENERGY
from benchmarks.rows import Row, against_truth, alone, rounded, spread
from simulators.patient.flowmotion import BANDS
from simulators.patient.phenotypes import PHENOTYPES
from simulators.patient.physiology import Participant

KINDS = tuple(PHENOTYPES)
ISCHAEMIC = ("claudicant", "cli")
HYPERAEMIA = (
    ("rest_flow", "RF"), ("biological_zero", "BZ"), ("peak_flow", "PF"), ("latency", "TL"), ("time_to_peak", "TP"),
    ("half_rise", "TH1"), ("half_recovery", "TH2"), ("occlusion_area", "AO"),
)  # fmt: skip
STEADY = (("peak_flow", "PF"), ("time_to_peak", "TP"), ("half_recovery", "TH2"))
"""What the smoothing decides."""
FALL = 0.4
"""mmHg/min."""


def read(one: Participant, signal: str, seconds: float, rate: float = 40.0) -> Trace:
    """A signal of a participant from the beginning of the scenario."""
    t = np.arange(0.0, seconds, 1.0 / rate)
    return Trace.of(t, one.values(signal, t))


def hyperaemias(kind: str, n: int) -> list[Row]:
    """What noise, slow waves and pulse leave of the truth; marks from the simulated cuff; two smoothings."""
    plain = _settings(kind)
    steady = replace(plain, smoothing=30.0 if kind in ISCHAEMIC else 10.0)
    results: list[dict[str, Result]] = []
    steadier: list[dict[str, Result]] = []
    marks = []
    for seed in range(n):
        flux, cuff, truth = _occluded(kind, seed)
        results.append(porh(flux, cuff, plain))
        steadier.append(porh(flux, cuff, steady))
        marks.append((cuff.off or 0.0) - truth["t_off"])
    yes = sum(r["hyperaemia"].value or 0.0 for r in results)
    rows = [
        alone(kind, "hyperaemia", f"{yes:.0f} of {n}"),
        alone(kind, "release mark, error (s)", spread(marks)),
        *(against_truth(kind, name, [truth[key]] * n, [r[name] for r in results]) for name, key in HYPERAEMIA),
    ]
    repaid = [r["repayment"] for r in results]
    rows.append(alone(kind, "repayment", spread([r.value for r in repaid]), sum(r.value is None for r in repaid)))
    for name, key in STEADY:
        row = against_truth(kind, name, [truth[key]] * n, [r[name] for r in steadier])
        rows.append({**row, "index": f"{name}, smoothing {steady.smoothing:g} s"})
    return rows


def has_hyperaemia(kind: str, seed: int) -> bool:
    """Whether one participant's hyperaemia is found."""
    flux, cuff, _ = _occluded(kind, seed)
    return porh(flux, cuff, _settings(kind))["hyperaemia"].value == 1.0


def _settings(kind: str) -> Settings:
    return Settings.ischaemic() if kind in ISCHAEMIC else Settings()


def _occluded(kind: str, seed: int) -> tuple[Trace, Occlusion, dict[str, float]]:
    one = Participant(kind, "porh", seed)
    (cuff,) = from_pressure(read(one, "cuff_pressure", 1000, 10.0), systolic=130.0)
    return read(one, "flux", 1000, 20.0), cuff, one.truth()["porh"]


def cuffs(kind: str, n: int) -> list[Row]:
    """Flux that does not fall under a cuff: because the cuff leaks, or because there was no flow to stop."""
    marks = Occlusion(180.0, 360.0, MarkSource.MANUAL)
    said: dict[str, Counter[str]] = {}
    for seed in range(n):
        leaking = read(Participant(kind, "rest", seed), "flux", 361.0, 20.0)
        one = Participant(kind, "porh", seed)
        level = one.truth()["porh"]["BZ"]
        held = read(one, "flux", 361.0, 20.0)
        # A twentieth of the flow, its pulse as large as the class has it, on the same biological zero.
        little = Trace(held.time, level + 0.05 * (held.values - level), held.quality)
        for what, flux in (("the cuff leaks", leaking), ("hardly any flow, the cuff holds", little)):
            for pressure in (None, True):
                if pressure and what == "the cuff leaks":
                    continue
                occlusion = replace(marks, held=pressure)
                where = f"{what}, pressure {'recorded' if pressure else 'not recorded'}"
                said.setdefault(where, Counter())[_verdict(flux, occlusion)] += 1
    return [
        {"class": kind, "what happened": where, "said": ", ".join(f"{word} {count}" for word, count in most(counts))}
        for where, counts in said.items()
    ]


def most(counts: Counter[str]) -> list[tuple[str, int]]:
    """The most frequent first; names decide between equals."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _verdict(flux: Trace, occlusion: Occlusion) -> str:
    rest = (60.0, 170.0)
    part = flux.between(*rest)
    zero = biological_zero.biological_zero(flux, occlusion)
    return str(biological_zero.verdict(flux, rest, occlusion, float(part.values.mean()), zero.value or 0.0))


def heatings(kind: str, n: int) -> list[Row]:
    """Levels of the simulated local heating."""
    truths, results = [], []
    for seed in range(n):
        one = Participant(kind, "heating", seed)
        truths.append(truth := one.truth()["heating"])
        results.append(heating(read(one, "flux", 3320, 10.0), Stages(truth["t_42"], truth["t_44"], truth["t_off"])))
    return [
        against_truth(kind, index, [t[key] for t in truths], [r[index] for r in results])
        for index, key in (("heating_baseline", "baseline"), ("initial_peak", "peak"), ("nadir", "nadir"),
                           ("plateau", "plateau"), ("maximum", "max"))
    ]  # fmt: skip


def rhythms(kind: str, n: int) -> list[Row]:
    """Energy of each band against the amplitudes that were put in (40 min, an instrument of 0.03 s)."""
    found = []
    for seed in range(n):
        trace = read(Participant(kind, "rest", seed, time_constant=0.03), "flux", 2400, 10.0)
        found.append(flowmotion(trace, biological_zero=PHENOTYPES[kind].flow.bz))
    rows = []
    for band, tone, energy in zip(STEFANOVSKA.bands, BANDS, put_in(kind), strict=True):
        row = against_truth(kind, f"{band.name}_energy", [energy] * n, [r[f"{band.name}_energy"] for r in found])
        relative = spread([r[f"{band.name}_relative_energy_all"].value for r in found])
        rows.append({**row, "tone (Hz)": tone[0], "relative energy": relative})
    return rows


def put_in(kind: str) -> list[float]:
    """The energy of each rhythm of a class, as a share of the flux above its biological zero."""
    flow = PHENOTYPES[kind].flow
    factors = (flow.cardiac, flow.respiratory, flow.myogenic, flow.neurogenic, flow.endothelial, flow.endothelial)
    # A slowly varying amplitude a exp(sa y - sa^2/2) has the mean square a^2 exp(sa^2).
    return [
        (factor * a) ** 2 * math.exp(sa**2) * TONE_ENERGY
        for (_, _, a, sa, _), factor in zip(BANDS, factors, strict=True)
    ]


def oxygen(kind: str, n: int) -> list[Row]:
    """Mean of minutes 15-20 of an electrode that was put on at the beginning."""
    calves: list[Result] = []
    ratios: list[Result] = []
    for seed in range(n):
        one = Participant(kind, "rest", seed)
        chest, calf = (tcpo2.rest(read(one, f"tcpo2_{site}", 1290, 2.0), 0.0) for site in ("chest", "calf"))
        calves.append(calf)
        ratios.append(tcpo2.rpi(calf, chest))
    truth = one.truth()["tcpo2"]
    return [
        against_truth(kind, "tcpo2_rest of the calf (mmHg)", [truth["calf"]] * n, calves),
        against_truth(kind, "tcpo2_rpi", [truth["RPI"]] * n, ratios),
    ]


def falls(kind: str, n: int) -> list[Row]:
    """How an electrode that falls for ever is judged, and one that has settled, over 40 min."""
    rows = []
    for what, slope in ((f"falls by {FALL:g} mmHg/min from minute 10 on", FALL), ("settles", 0.0)):
        last: Counter[str] = Counter()
        ever = 0
        for seed in range(n):
            judged = _judged(kind, seed, slope)
            last[str(judged[-1].steadiness)] += 1
            ever += any(each.steadiness is Steadiness.STABLE for each in judged)
        rows.append({
            "class": kind, "the electrode": what, "ever called stable": f"{ever} of {n} ({100 * ever / n:.1f} %)",
            "said at 40 min": ", ".join(f"{word} {count}" for word, count in most(last)),
        })  # fmt: skip
    return rows


def ever_stable(kind: str, seed: int, slope: float) -> bool:
    """Whether an electrode that falls by `slope` mmHg/min is called stable at any time."""
    return any(each.steadiness is Steadiness.STABLE for each in _judged(kind, seed, slope))


def _judged(kind: str, seed: int, slope: float) -> list[Judgement]:
    calf = read(Participant(kind, "rest", seed), "tcpo2_calf", 2400, 2.0)
    values = calf.values - slope * np.maximum(calf.time - 600.0, 0.0) / 60.0
    return judge(Trace(calf.time, values, calf.quality), 0.0)


def walks(kind: str, n: int) -> list[Row]:
    """Distances and the exercise fall on a belt of 3.2 km/h and 10 per cent."""
    truths, distances, drops = [], [], []
    for seed in range(n):
        one = Participant(kind, "walk-constant", seed)
        truth = one.truth()["walk"]
        seconds = truth["stop"] + 660.0
        belt = read(one, "belt_speed", seconds, 4.0)
        pain = truth["stopped_by"] == "claudication"
        reason = walking.StopReason.CLAUDICATION if pain else walking.StopReason.PROTOCOL_END
        walk = walking.Walk(truth["start"], truth["stop"], reason, onset=truth.get("t_ICD"))
        distances.append({r.name: r for r in walking.distances(belt, walk)})
        limb, chest = (read(one, f"tcpo2_{site}", seconds, 2.0) for site in ("calf", "chest"))
        drops.append({r.name: r for r in drop.indices(limb, chest, truth["start"], truth["stop"])}["drop_min"])
        truths.append(truth)
    rows = [against_truth(kind, "acd_distance (m)", _either(truths, "ACD"), [d["acd_distance"] for d in distances])]
    rows.append(against_truth(kind, "icd_distance (m)", _either(truths, "ICD"), [d["icd_distance"] for d in distances]))
    rows.append(against_truth(kind, "drop_min (mmHg)", [t["DROP"] for t in truths], drops))
    censored = sum(d["acd_distance"].status == "censored" for d in distances)
    rows.append(alone(kind, "acd_distance censored", f"{rounded(censored)} of {n}"))
    return rows


def _either(truths: Sequence[dict[str, float | None]], key: str) -> list[float]:
    """The distance, or where it was not reached that of the whole walk."""
    return [float(t[key] or t["distance"] or 0.0) for t in truths]
