"""One second of every streaming index for eight channels, as the live view asks for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from acquisition.signals.drop import DropMeter
from acquisition.signals.kit.streaming import ExponentialMean, TrailingMean
from acquisition.signals.live.artefacts import SpikeMeter
from acquisition.signals.live.bands import BandMeter
from acquisition.signals.live.porh import PorhAssistant
from acquisition.signals.live.pulse import PulseMeter
from acquisition.signals.live.tcpo2 import Electrode, live_rpi
from acquisition.signals.live.walking import WalkMeter
from acquisition.signals.result import Trace
from tests.signals.curves import Hyperaemia
from tests.signals.waves import six_tones

RATE, CHANNELS, SECONDS = 40.0, 8, 60
BEFORE = 1500.0
"""Seconds that every meter has seen when the first second is timed."""


def rows() -> list[dict[str, Any]]:
    """The processor time of each second, by index and for all of them together."""
    steps = {**_flux(), **_hyperaemia(), **_electrodes(), **_walk()}
    times: dict[str, list[float]] = {name: [] for name in (*steps, "all of it")}
    for at in _seconds():
        whole = 0.0
        for name, step in steps.items():
            start = time.process_time()
            step(at)
            times[name].append(1000 * (time.process_time() - start))
            whole += times[name][-1]
        times["all of it"].append(whole)
    return [
        {"live_update_of_8_channels_a_second_of_40_Hz": name, "ms_median": round(float(np.median(each)), 2),
         "ms_95_per_cent": round(float(np.quantile(each, 0.95)), 2), "note": "aim 10 ms" if name == "all of it" else ""}
        for name, each in times.items()
    ]  # fmt: skip


def _seconds() -> list[float]:
    return [BEFORE + second for second in range(SECONDS)]


Steps = dict[str, Callable[[float], object]]


def _flux() -> Steps:
    rng = np.random.default_rng(0)
    x = six_tones(RATE, 60_000)[:, None] + rng.normal(size=(60_000, CHANNELS))
    block = x[-40:]
    mean, smooth = TrailingMean(CHANNELS, 200), ExponentialMean(CHANNELS, RATE, 3.0)
    spikes, pulse, bands = SpikeMeter(CHANNELS, 10.0), PulseMeter(CHANNELS, RATE), BandMeter(CHANNELS, RATE)
    for meter in (mean, smooth, pulse, bands):
        meter.feed(x)
    spikes.feed(x[::4])
    bands.now()
    return {
        "moving and exponential mean": lambda at: (mean.feed(block), smooth.feed(block)),
        "spikes at 10 Hz": lambda at: spikes.feed(block[::4]),
        "pulse": lambda at: (pulse.feed(block), pulse.now()),
        "band powers of the last 20 min": lambda at: (bands.feed(block), bands.now()),
    }


def _hyperaemia() -> Steps:
    """Eight assistants after the release, when each second may hold the peak."""
    curve = Hyperaemia(on=BEFORE - 190.0, off=BEFORE - 10.0)
    assistants = [PorhAssistant(RATE) for _ in range(CHANNELS)]
    rng = np.random.default_rng(1)

    def flux(start: float, stop: float) -> Trace:
        t = np.arange(start, stop, 1 / RATE)
        return Trace.of(t, curve.level(t) + 0.3 * rng.normal(size=t.size))

    for assistant in assistants:
        assistant.feed(flux(0.0, curve.on))
        assistant.mark_occlusion(curve.on)
        assistant.feed(flux(curve.on, curve.off))
        assistant.mark_release(curve.off)
        assistant.feed(flux(curve.off, BEFORE))
    news = {at: flux(at, at + 1.0) for at in _seconds()}
    return {"hyperaemia assistant": lambda at: [each.feed(news[at]) for each in assistants]}


def _electrodes() -> Steps:
    electrodes = [Electrode(0.0) for _ in range(CHANNELS)]
    meters = [DropMeter(BEFORE - 100.0) for _ in range(CHANNELS - 1)]
    t = np.arange(0.0, BEFORE)
    for electrode in electrodes:
        electrode.feed(Trace.of(t, _oxygen(t)))
    for meter in meters:
        meter.feed(Trace.of(t, _oxygen(t)), Trace.of(t, _oxygen(t)))

    news = {at: Trace.of([at], _oxygen(np.array([at]))) for at in _seconds()}

    def lamps(at: float) -> object:
        shown = [electrode.feed(news[at]) for electrode in electrodes]
        return [live_rpi(limb, shown[0]) for limb in shown[1:]]

    def falls(at: float) -> object:
        return [meter.feed(news[at], news[at]) for meter in meters]

    return {"TcPO2: slope, lamp, RPI": lamps, "DROP of seven sites": falls}


def _oxygen(t: np.ndarray) -> np.ndarray:
    return 50.0 + 105.0 * np.exp(-t / 205.0) + 0.2 * np.sin(t)


def _walk() -> Steps:
    meter = WalkMeter(BEFORE - 100.0)
    meter.feed(_belt(BEFORE - 120.0, BEFORE))
    news = {at: _belt(at, at + 1.0) for at in _seconds()}

    def step(at: float) -> object:
        meter.feed(news[at])
        return meter.now(at + 0.75)

    return {"distance, METs": step}


def _belt(start: float, stop: float) -> Trace:
    t = np.arange(start, stop, 0.25)
    return Trace.of(t, np.full(t.size, 3.2))
