"""Indices of real recordings, with their windows and plots; the recordings themselves are not part of the project."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from acquisition.signals.artefacts import Hampel, screened
from acquisition.signals.flowmotion import band_powers, flowmotion
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.kit.bands import LINKOPING, STEFANOVSKA
from acquisition.signals.occlusion import MarkSource, Occlusion, inferred
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Trace
from benchmarks.drawing import Band, plot
from benchmarks.rows import Row, value
from tests import recordings

LOADS = ((358.0, 555.0), (558.0, 900.0))
"""Of each finger, s: when the load comes on, and where its part of the record ends."""
INDICES = ("rest_flow", "biological_zero", "peak_flow", "hyperaemic_ratio", "hyperaemic_reserve", "recovery_75",
           "half_recovery_from_peak", "auc_60", "hyperaemia")  # fmt: skip


def fingers(pictures: Path) -> list[Row]:
    """Hyperaemia after the last two loads of each finger; the release is inferred from the flux."""
    rows = []
    for name in recordings.FINGERS:
        time, flux, _ = _recording(f"finger_pressure_{name}")
        trace = Trace.of(time, flux)
        bands, points = [], []
        for number, (on, stop) in enumerate(LOADS, 1):
            part = trace.between(-1000.0, stop)
            # Between two loads lies the tail of a hyperaemia, so rest is what was before the first.
            settings = Settings(rest=(float(time[0]) - on, LOADS[0][0] - on))
            release = inferred(part, on).off
            found = porh(part, Occlusion(on, release, MarkSource.INFERRED), settings)
            row: Row = {
                "record": name,
                "load": f"{on:g} s",
                "release (inferred)": "none" if release is None else f"{release:g} s",
            }
            rows.append({
                **row, "rest": _window(found["rest_flow"]), "zero": _window(found["biological_zero"]),
                "peak searched": _window(found["peak_flow"]),
                **{index: value(found[index]) for index in INDICES},
                "against the peak": found["peak_flow"].reason,
            })  # fmt: skip
            if release is not None:
                bands.append(Band(on, release, f"load {number}"))
                top = part.between(release, release + 60.0)
                points.append((float(top.time[np.nanargmax(top.masked)]), found["peak_flow"].value or 0.0))
        tinted = [Band(float(time[0]), LOADS[0][0], "rest"), *bands]
        picture = plot(trace, f"finger {name}: flux under local pressure", "PU", tinted, points)
        (pictures / f"finger_{name}.svg").write_text(picture, "utf-8")
    return rows


def forearm(pictures: Path) -> list[Row]:
    """Bands of the real forearm by two sets of bands, with spikes replaced and with them left in."""
    time, values = _recording("forearm_baseline")
    trace = Trace.of(time, values)
    clean = screened(trace)
    spoiled = trace.uniform().values
    (pictures / "forearm.svg").write_text(plot(trace, "forearm at rest, as recorded", "unit not stated"), "utf-8")
    tidy = Trace.of(clean.time, clean.values)
    (pictures / "forearm_clean.svg").write_text(plot(tidy, "forearm, spikes replaced", "unit not stated"), "utf-8")
    rows = []
    for one in (STEFANOVSKA, LINKOPING):
        found = flowmotion(trace, bands=one)
        raw = band_powers(spoiled - np.nanmean(spoiled), clean.rate, one).energy[0]
        kept = band_powers(clean.values - clean.values.mean(), clean.rate, one).energy[0]
        for band, before, after in zip(one.bands, raw, kept, strict=True):
            power, relative = found[f"{band.name}_power"], found.get(f"{band.name}_relative_energy")
            rows.append({
                "set": one.name, "band": band.name, "Hz": f"{band.low:g}-{band.high:g}", "power": value(power),
                "relative energy (first five)": value(relative) if relative else "",
                "peak (Hz)": value(found[f"{band.name}_peak_frequency"]), "window": _window(power),
                "energy with the spikes left in": f"{before / after:.2f} times", "against it": power.reason,
            })  # fmt: skip
    return rows


def spikes() -> list[Row]:
    """What the artefact step marks on the forearm."""
    trace = Trace.of(*_recording("forearm_baseline"))
    return [
        {"form": form, "marked": f"{screened(trace, rule=Hampel(form=form)).pct_bad:.2f} %"}
        for form in ("two_pass", "windowed")
    ]


def pictures_of(names: list[str]) -> str:
    """Pictures as lines of a page."""
    return "\n".join(f"![{name}](validation/{name}.svg)" for name in names)


def _window(result: Result) -> str:
    return "" if result.window is None else f"{result.window[0]:.0f} to {result.window[1]:.0f} s"


def _recording(name: str) -> np.ndarray:
    return np.loadtxt(recordings.folder() / f"{name}.csv", delimiter=",", skiprows=1).T
