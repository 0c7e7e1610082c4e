"""Every index against a truth that is known, and on real recordings; writes docs/validation.md.

`python -m benchmarks.validate [PARTICIPANTS]`: simulated participants per class, 12 without a number.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.signals import drop, tcpo2, walking
from acquisition.signals.artefacts import Hampel, screened
from acquisition.signals.bands import LINKOPING, STEFANOVSKA
from acquisition.signals.flowmotion import band_powers, flowmotion
from acquisition.signals.heating import Stages, heating
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.occlusion import MarkSource, Occlusion, from_pressure, inferred
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Trace
from acquisition.signals.wavelet import TONE_ENERGY, Plan, Voices
from simulators.flowmotion import BANDS
from simulators.phenotypes import PHENOTYPES
from simulators.physiology import Participant
from tests import recordings
from tests.signals.curves import Hyperaemia
from tests.signals.waves import plain_powers, six_tones

PAGE = Path(__file__).parent.parent / "docs" / "validation.md"
KINDS = tuple(PHENOTYPES)
FINGER_INDICES = ("rest_flow", "biological_zero", "peak_flow", "hyperaemic_ratio", "half_recovery_from_peak",
                  "hyperaemia")  # fmt: skip
Row = dict[str, Any]


def main(participants: int = 12) -> None:
    """Write the page."""
    PAGE.write_text("\n".join([_HEAD, *(_section(*part) for part in _sections(participants))]), "utf-8")
    print(f"wrote {PAGE}", file=sys.stderr)


def _sections(n: int) -> Iterable[tuple[str, str, Sequence[Row]]]:
    yield "Curves with known levels, times and areas", _CURVES, curves()
    yield "The transform", _TRANSFORM, transform()
    yield "Simulated reactive hyperaemia", _PORH.format(n=n), hyperaemias(n)
    yield "Simulated heating", _HEATING.format(n=n), heatings(n)
    yield "Simulated flowmotion", _FLOWMOTION.format(n=n), rhythms(n)
    yield "Simulated TcPO2 at rest", _TCPO2.format(n=n), oxygen(n)
    yield "Simulated walks", _WALK.format(n=n), walks(n)
    try:
        yield "A real forearm at rest", _FOREARM, forearm()
        yield "Real fingers under local pressure", _FINGERS, fingers()
    except FileNotFoundError as missing:
        yield "Real recordings", f"Not available here: {missing.filename}.", []


def curves() -> list[Row]:
    """Largest relative error of the indices of two noise-free curves, at 40 Hz and without smoothing."""
    rows = []
    for name, c in (("healthy", Hyperaemia()), ("diabetic", Hyperaemia(12, 4.5, 45, 22, 9, 45, 1.2, 1))):
        found = porh(c.trace(), Occlusion(c.on, c.off), Settings(smoothing=0.0))
        truth = {
            "peak_flow": c.peak, "time_to_peak": c.to_peak, "latency": c.reaches(c.rest),
            "half_rise": c.reaches(0.5 * (c.rest + c.peak)), "half_recovery": c.falls_to(0.5),
            "occlusion_area": c.debt(), "auc_60": c.area(60), "auc_180": c.area(180),
        }  # fmt: skip
        for index, true in truth.items():
            rows.append({"curve": name, "index": index, "truth": _round(true), "found": _value(found[index])})
    return rows


def transform() -> list[Row]:
    """A tone against its formula, and the six tones with noise against the transform at full rate."""
    t = np.arange(0, 1200, 0.1)
    wide = Plan(len(t), 10.0, Voices(0.02, 0.5), cone=8.6)
    energy = np.sum(wide.powers(np.cos(2 * np.pi * 0.1 * t)).mean[0] * np.log(2) / 16)
    x = six_tones()
    x -= x.mean()
    six = Voices(STEFANOVSKA.low, STEFANOVSKA.high)
    expected = plain_powers(x, 40.0, six.frequencies)
    rows = [{"what": "energy of a tone of amplitude 1", "expected": TONE_ENERGY, "found": f"{energy:.9f}"}]
    for direct in (False, True):
        found = Plan(len(x), 40.0, six, direct=direct).powers(x).mean[0]
        worst = np.abs(found / expected - 1).max()
        word = "direct" if direct else "from the spectrum and the ends"
        rows.append({"what": f"worst of 139 voices, one hour at 40 Hz, {word}", "expected": 0, "found": f"{worst:.0e}"})
    return rows


def hyperaemias(n: int) -> list[Row]:
    """What noise, slow waves and pulse leave of each class's truth; marks from the simulated cuff."""
    rows = []
    for kind in KINDS:
        ischaemic = kind in ("claudicant", "cli")
        settings = Settings.ischaemic() if ischaemic else Settings()
        results, truths, marks = [], [], []
        for seed in range(n):
            one = Participant(kind, "porh", seed)
            truth = one.truth()["porh"]
            (cuff,) = from_pressure(_read(one, "cuff_pressure", 1200, 10.0), systolic=130.0)
            results.append(porh(_read(one, "flux", 1200), cuff, settings))
            truths.append(truth)
            marks.append((cuff.off or 0.0) - truth["t_off"])
        yes = sum(r["hyperaemia"].value or 0.0 for r in results)
        rows.append({**_row(kind, "hyperaemia", [], []), "found": f"{yes:.0f} of {n}"})
        rows.append({**_row(kind, "release mark, error (s)", [0.0], []), "found": _spread(marks)})
        for index, key in (("rest_flow", "RF"), ("biological_zero", "BZ"), ("peak_flow", "PF"), ("latency", "TL"),
                           ("time_to_peak", "TP"), ("half_recovery", "TH2"), ("occlusion_area", "AO")):  # fmt: skip
            rows.append(_row(kind, index, [t[key] for t in truths], [r[index] for r in results]))
        rows.append(_row(kind, "repayment", [], [r["repayment"] for r in results]))
    return rows


def heatings(n: int) -> list[Row]:
    """Levels of the simulated local heating."""
    rows = []
    for kind in KINDS:
        truths, results = [], []
        for seed in range(n):
            one = Participant(kind, "heating", seed)
            truth = one.truth()["heating"]
            stages = Stages(truth["t_42"], truth["t_44"], truth["t_off"])
            results.append(heating(_read(one, "flux", 3320, 10.0), stages))
            truths.append(truth)
        for index, key in (("heating_baseline", "baseline"), ("initial_peak", "peak"), ("nadir", "nadir"),
                           ("plateau", "plateau"), ("maximum", "max")):  # fmt: skip
            rows.append(_row(kind, index, [t[key] for t in truths], [r[index] for r in results]))
    return rows


def rhythms(n: int) -> list[Row]:
    """Share of each band, against the amplitudes that were put in (healthy, 40 min, instrument of 0.03 s)."""
    found = []
    for seed in range(n):
        trace = _read(Participant("healthy", "rest", seed, time_constant=0.03), "flux", 2400, 10.0)
        found.append(flowmotion(trace, biological_zero=4.5))
    rows = []
    for band, (f0, _, a, sa, _) in zip(STEFANOVSKA.bands, BANDS, strict=True):
        # A slowly varying amplitude a exp(sa y - sa^2/2) has the mean square a^2 exp(sa^2).
        put_in = a**2 * np.exp(sa**2) * TONE_ENERGY
        energies = [r[f"{band.name}_energy"].value for r in found]
        relative = [r[f"{band.name}_relative_energy_all"].value for r in found]
        rows.append({"band": band.name, "tone (Hz)": f0, "energy put in": _round(put_in),
                     "energy found": _spread(energies), "relative energy": _spread(relative)})  # fmt: skip
    return rows


def oxygen(n: int) -> list[Row]:
    """Mean of minutes 15-20 of an electrode that was put on at the beginning."""
    rows = []
    for kind in KINDS:
        pairs: list[tuple[float, Result, Result]] = []
        for seed in range(n):
            one = Participant(kind, "rest", seed)
            chest, calf = (tcpo2.rest(_read(one, f"tcpo2_{site}", 1290, 2.0), 0.0) for site in ("chest", "calf"))
            pairs.append((one.truth()["tcpo2"]["calf"], calf, tcpo2.rpi(calf, chest)))
        rows.append(_row(kind, "tcpo2_rest of the calf (mmHg)", [p[0] for p in pairs], [p[1] for p in pairs]))
        rows.append(_row(kind, "tcpo2_rpi", [], [p[2] for p in pairs]))
    return rows


def walks(n: int) -> list[Row]:
    """Distances and the exercise fall on a belt of 3.2 km/h and 10 per cent."""
    rows = []
    for kind in KINDS:
        truths, distances, falls = [], [], []
        for seed in range(n):
            one = Participant(kind, "walk-constant", seed)
            truth = one.truth()["walk"]
            seconds = truth["stop"] + 660.0
            belt = _read(one, "belt_speed", seconds, 4.0)
            pain = truth["stopped_by"] == "claudication"
            reason = walking.StopReason.CLAUDICATION if pain else walking.StopReason.PROTOCOL_END
            walk = walking.Walk(truth["start"], truth["stop"], reason, onset=truth.get("t_ICD"))
            distances.append({r.name: r for r in walking.distances(belt, walk)})
            limb, chest = (_read(one, f"tcpo2_{site}", seconds, 2.0) for site in ("calf", "chest"))
            falls.append({r.name: r for r in drop.indices(limb, chest, truth["start"], truth["stop"])}["drop_min"])
            truths.append(truth)
        acd = [t.get("ACD") or t["distance"] for t in truths]
        rows.append(_row(kind, "acd_distance (m)", acd, [d["acd_distance"] for d in distances]))
        rows.append(_row(kind, "drop_min (mmHg)", [t["DROP"] for t in truths], falls))
    return rows


def forearm() -> list[Row]:
    """Bands of the real forearm by two sets of bands."""
    time, values = _recording("forearm_baseline")
    trace = Trace.of(time, values)
    rows = []
    for one in (STEFANOVSKA, LINKOPING):
        found = flowmotion(trace, bands=one)
        for band in one.bands:
            power, relative = found[f"{band.name}_power"], found.get(f"{band.name}_relative_energy")
            rows.append({
                "set": one.name,
                "band": band.name,
                "power": _value(power),
                "relative energy (first five)": _value(relative) if relative else "",
                "peak (Hz)": _value(found[f"{band.name}_peak_frequency"]),
                "against it": power.reason,
            })  # fmt: skip
    for form in ("two_pass", "windowed"):
        done = screened(trace, rule=Hampel(form=form))
        rows.append({"set": f"spikes, {form}", "band": "", "power": "", "relative energy (first five)": "",
                     "peak (Hz)": "", "against it": f"{done.pct_bad:.2f} per cent marked"})  # fmt: skip
    clean = screened(trace)
    spoiled = trace.uniform().values
    raw = band_powers(spoiled - np.nanmean(spoiled), clean.rate).energy[0]
    kept = band_powers(clean.values - clean.values.mean(), clean.rate).energy[0]
    rows.append({"set": "energy with spikes left in", "band": "respiratory", "power": f"{raw[1] / kept[1]:.2f} times",
                 "relative energy (first five)": "", "peak (Hz)": "", "against it": ""})  # fmt: skip
    return rows


def fingers() -> list[Row]:
    """Hyperaemia after the last two loads of each finger; the release is inferred from the flux."""
    rows = []
    for name in recordings.FINGERS:
        time, flux, _ = _recording(f"finger_pressure_{name}")
        trace = Trace.of(time, flux)
        for on, stop in ((358.0, 555.0), (558.0, 900.0)):
            part = trace.between(-1000.0, stop)
            # Between two loads lies the tail of a hyperaemia, so rest is what was before the first.
            settings = Settings(rest=(float(time[0]) - on, -on))
            release = inferred(part, on).off
            found = porh(part, Occlusion(on, release, MarkSource.INFERRED), settings)
            row: Row = {"record": name, "load from (s)": on, "release (s)": release or ""}
            rows.append({**row, **{index: _value(found[index]) for index in FINGER_INDICES}})
    return rows


def _recording(name: str) -> np.ndarray:
    return np.loadtxt(recordings.folder() / f"{name}.csv", delimiter=",", skiprows=1).T


def _read(one: Participant, signal: str, seconds: float, rate: float = 40.0) -> Trace:
    t = np.arange(0.0, seconds, 1.0 / rate)
    return Trace.of(t, one.values(signal, t))


def _row(kind: str, index: str, truths: Sequence[float], results: Sequence[Result]) -> Row:
    values = [r.value for r in results if r.value is not None]
    return {
        "class": kind,
        "index": index,
        "truth": _spread(truths) if truths else "",
        "found": _spread(values),
        "without a value": len(results) - len(values),
    }


def _spread(values: Sequence[float | None]) -> str:
    numbers = [v for v in values if v is not None]
    if not numbers:
        return "none"
    if np.ptp(numbers) == 0:
        return _round(numbers[0])
    return f"{_round(float(np.mean(numbers)))} ± {_round(float(np.std(numbers)))}"


def _value(result: Result) -> str:
    return "none" if result.value is None else _round(result.value)


def _round(value: float) -> str:
    return f"{value:.4g}"


def _section(title: str, text: str, rows: Sequence[Row]) -> str:
    lines = [f"## {title}\n", text, ""]
    if rows:
        lines += ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
        lines += ["| " + " | ".join(str(row[key]) for key in rows[0]) + " |" for row in rows]
    return "\n".join(lines) + "\n"


_HEAD = """# Validation of the indices

Written by `make validate`. *Truth* is what a formula or a simulated participant was made of, before noise, slow waves,
pulse, the instrument's time constant and its resolution; *found* is mean ± standard deviation over participants of
what the indices make of the signals. Simulated participants show that an index measures what it says; they do
not show what it is worth in patients.
"""
_CURVES = "Noise-free, 40 samples/s, no smoothing: what is left is the sampling."
_TRANSFORM = """\
The analytic Morlet transform (w0 = 2 pi) against its formula, and six tones with pink noise against the transform of
the whole record at full rate. Other people's programs are compared in `docs/performance.md` and in the tests."""
_PORH = """\
{n} participants a class, cuff from 180 to 360 s. The maximum of a noisy curve lies above the curve and slow waves add
to it, so peaks are mostly found too high, most where the rise is small. A time at which flux first falls through a
level is found too early for the same reason, most where the fall is slow. Both are properties of these indices,
and neither is corrected. Critical ischaemia has no hyperaemia to find: its times have no value, its peak is the
height of a wave."""
_HEATING = """\
{n} participants a class; 42 Cel at 10 min, 44 Cel at 40 min, off at 55 min. Peaks are found too high and nadirs
too low, as extremes of a curve with slow waves are."""
_FLOWMOTION = """\
{n} healthy participants. Each rhythm wanders in frequency and amplitude, so part of its energy leaves its band, and
pink noise and the second harmonic of the pulse add some."""
_TCPO2 = "{n} participants a class; the electrode is put on at the beginning and settles with a time constant of 205 s."
_WALK = """\
{n} participants a class, 3.2 km/h and 10 per cent. The distance of those who did not stop for pain is the belt's, and
their absolute distance is censored there. The least DROP of a noisy curve lies below the curve."""
_FOREARM = """\
35 min, about 15.15 samples/s, unit not stated (Hultman, MIT licence). A spike of half a second is longer than a quarter
period of the two fast bands, hence what stands against them."""
_FINGERS = """\
Finger dorsum under local pressure, 2 samples/s (Lavigne et al., CC0). No release was marked: it is inferred from the
flux, so nothing that it would time has a value. The whole published series has a ratio of 3.4 ± 1.6."""

if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
