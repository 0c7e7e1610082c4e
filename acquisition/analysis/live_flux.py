"""Live flux of a session: its level and pulse, the phase of a hyperaemia, and the flowmotion bands known so far."""

from __future__ import annotations

import math
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from acquisition.analysis.session_data import SessionData
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.kit.bands import SETS, STEFANOVSKA
from acquisition.signals.kit.units import FLUX
from acquisition.signals.live.bands import WINDOW, BandMeter
from acquisition.signals.live.porh import PorhAssistant
from acquisition.signals.live.pulse import SHOWN, PulseMeter
from acquisition.signals.result import Trace

LEVEL = 5.0
"""Seconds of the mean that is shown."""
BLOCK = 5.0
"""Seconds of flux that the assistant is given at once."""


def flux(data: SessionData) -> dict[str, Any] | None:
    """The level (PU, 5 s) and the pulse (beats/min, None when unclear) of the newest flux; None without any."""
    trace = data.flux
    if len(trace) < 2:
        return None
    newest = trace.between(float(trace.time[-1]) - LEVEL, math.inf).masked
    level = float(np.nanmean(newest)) if np.isfinite(newest).any() else None
    beats = None
    if trace.rate >= 5.0:
        meter = PulseMeter(1, trace.rate)
        meter.feed(trace.between(float(trace.time[-1]) - 3 * SHOWN, math.inf).masked[:, None])
        beats = _number(meter.now().rate[0])
    return {"value": level, "unit": FLUX, "pulse": beats}


def hyperaemia(data: SessionData, systolic: float | None = None) -> dict[str, Any] | None:
    """Where the hyperaemia of a session is, by cuff and marks, and what is known of it so far."""
    trace = data.flux
    if data.protocol.measures != "porh" or len(trace) < 2:
        return None
    ischaemic = bool(data.settings.get("ischaemic"))
    trace = trace.around(data.mark("inflate") or float(trace.time[-1]))
    if len(trace) < 2:
        return None
    assistant = PorhAssistant(trace.rate, Settings.ischaemic() if ischaemic else Settings(), systolic)
    cuff = data.of_role("cuff")
    recorded = cuff is not None and bool(cuff.valid.any())
    marks = {} if recorded else {name: data.mark(name) for name in ("inflate", "release")}
    edges = [
        float(trace.time[0]),
        *np.arange(float(trace.time[0]), float(trace.time[-1]), BLOCK)[1:].tolist(),
        math.inf,
    ]
    for start, stop in pairwise(edges):
        on, off = marks.get("inflate"), marks.get("release")
        if on is not None and on < stop:
            assistant.mark_occlusion(on)
        if off is not None and off < stop:
            assistant.mark_release(off)
        assistant.feed(trace.between(start, stop), cuff.between(start, stop) if recorded and cuff is not None else None)
    shown = asdict(assistant.now())
    del shown["occlusion"]
    return {**shown, "phase": str(shown["phase"])}


def bands(data: SessionData) -> dict[str, Any] | None:
    """Power and share of each band over the newest 20 min of a resting flowmotion, None for those not yet known."""
    trace = data.flux
    if data.protocol.measures != "flowmotion" or len(trace) < 2:
        return None
    chosen = SETS.get(str(data.settings.get("bands")), STEFANOVSKA)
    meter = BandMeter(1, trace.rate, chosen)
    meter.feed(_uniform(trace.between(float(trace.time[-1]) - WINDOW - 60.0, math.inf)).masked[:, None])
    now = meter.now()
    if now is None:
        return None
    return {
        band.name: {"power": _number(now.mean[0, k]), "relative": _number(now.relative[0, k]), "lag": float(now.lag[k])}
        for k, band in enumerate(chosen.bands)
    }


def _uniform(trace: Trace) -> Trace:
    part = trace.around(float(trace.time[-1])) if len(trace) > 1 else trace
    return part.uniform(max_gap=2.0) if len(part) > 1 else part


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
