"""The arterial pressure that drove the flow of a window: between the readings of the visit, or the nearest one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from acquisition.analysis.session_data import SessionData
from acquisition.signals.kit.units import pressure_between, vascular_conductance
from acquisition.signals.result import Result

HOLD = 600.0
"""Seconds for which a reading of the cuff on the arm holds."""
Reading = tuple[int, float]
"""Time key (ns) and mean arterial pressure (mmHg)."""


def conductance(data: SessionData, flux: Result, readings: Sequence[Reading], abi: float | None) -> Result:
    """A mean flux as conductance, by the pressure of its window; low quality where that is older than 10 min."""
    pressure, reason = _during(data, flux, readings)
    result = vascular_conductance(flux, pressure, abi=abi)
    return result.flagged(reason) if reason and result.value is not None else result


def _during(data: SessionData, flux: Result, readings: Sequence[Reading]) -> tuple[float | None, str]:
    if not readings or flux.window is None:
        return (readings[-1][1] if readings else None), ""
    at = np.array([data.seconds(key) for key, _ in readings])
    mean = np.array([pressure for _, pressure in readings])
    inside = pressure_between(np.linspace(*flux.window, 61), at, mean, HOLD)
    if np.isfinite(inside).all():
        return float(inside.mean()), ""
    away = np.maximum(np.maximum(flux.window[0] - at, at - flux.window[1]), 0.0)
    nearest = int(away.argmin())
    return float(mean[nearest]), "" if away[nearest] <= HOLD else "blood_pressure_not_within_10_min"
