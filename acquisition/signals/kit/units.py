"""Flux in the forms it is reported in: conductance, per cent of baseline and of the maximum.

Perfusion units are relative to the device, its probe and its calibration; none of these forms makes
two devices comparable.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers, seconds
from acquisition.signals.kit.plausible import (
    HEIGHT,
    MEAN_PRESSURE,
    PERFUSION,
    PRESSURE_INDEX,
    PU,
    impossible,
    impossible_value,
    present,
)
from acquisition.signals.result import Result, Window

FLUX = PU
"""Perfusion units in UCUM; shown as PU."""
CONDUCTANCE = "[arb'U]/mm[Hg]"
HYDROSTATIC = 0.77
"""mmHg per cm of blood column between heart and site (rho g h)."""


def mean_arterial_pressure(systolic: float, diastolic: float) -> float:
    """Return DBP + (SBP - DBP)/3, mmHg, for a monitor that does not measure the mean."""
    return diastolic + (systolic - diastolic) / 3.0


def pressure_between(time: ArrayLike, at: ArrayLike, readings: ArrayLike, hold: float = 600.0) -> Floats:
    """Return the mean arterial pressure at each `time` (s): linear between cuff readings, held `hold` s, else NaN.

    Between two readings more than `hold` seconds apart each one holds for `hold` and no further.
    """
    t = seconds(time)
    known = seconds(at)
    pressure = numbers(readings, "readings")
    use = np.isfinite(pressure)
    known, pressure = known[use], pressure[use]
    if not len(known):
        return np.full(t.shape, np.nan)
    right = np.searchsorted(known, t, side="right")
    before = t - np.where(right > 0, known[np.maximum(right - 1, 0)], -np.inf)
    width = known[np.minimum(right, len(known) - 1)] - known[np.maximum(right - 1, 0)]
    between = (right > 0) & (right < len(known)) & (width <= hold)
    held = pressure[np.maximum(right - 1, 0)]
    result = np.where(between, np.interp(t, known, pressure), np.where(before <= hold, held, np.nan))
    return np.where(right > 0, result, np.nan)


def conductance(flux: ArrayLike, pressure: ArrayLike, height: float = 0.0) -> Floats:
    """Return flux / mean arterial pressure, PU/mmHg; `height` in cm of the site below the heart (negative above).

    Pressure at or below zero gives NaN. The ratio is printed inverted in one paper: flux over pressure is right.
    """
    local = numbers(pressure, "pressure") + HYDROSTATIC * height
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Floats = np.where(local > 0, numbers(flux, "flux") / local, np.nan)
    return ratio


def vascular_conductance(
    flux: Result, pressure: float | None, *, under_cuff: bool = False, abi: float | None = None, height: float = 0.0
) -> Result:
    """Return a mean flux as conductance (CVC), with what its systemic pressure cannot say.

    Not computable under a cuff, where systemic pressure does not drive the flow; where ABI is below
    0.9 or above 1.3 it includes the resistance of the arteries upstream and says so.
    """
    name = f"{flux.name}_cvc"
    pressure, abi = present(pressure), present(abi)
    kept: dict[str, Any] = {
        "window": flux.window,
        "n_valid": flux.n_valid,
        "pct_artefact": flux.pct_artefact,
        "settings": {**flux.settings, "map_mmHg": pressure, "height_cm": height, "abi": abi},
    }
    if under_cuff:
        return Result.missing(name, CONDUCTANCE, "under_a_cuff", **kept)
    if flux.value is None:
        return Result.missing(name, CONDUCTANCE, flux.reason, **kept)
    if pressure is None:
        return Result.missing(name, CONDUCTANCE, "no_blood_pressure", **kept)
    reason = impossible(
        ("blood_pressure", pressure, MEAN_PRESSURE), ("height", height, HEIGHT), ("abi", abi, PRESSURE_INDEX)
    ) or impossible_value("flux", flux)
    if reason or math.isnan(height):
        return Result.missing(name, CONDUCTANCE, reason or "height_missing", **kept)
    local = pressure + HYDROSTATIC * height
    if not local > 0:
        return Result.missing(name, CONDUCTANCE, "no_perfusion_pressure", **kept)
    error = None if flux.uncertainty is None else flux.uncertainty / local
    result = Result.of(
        name, flux.value / local, CONDUCTANCE, status=flux.status, reason=flux.reason,
        uncertainty=error, uncertainty_of=flux.uncertainty_of, **kept,
    )  # fmt: skip
    if abi is not None and not 0.9 <= abi <= 1.3:
        result = result.flagged("includes_upstream_resistance")
    return result


def percent_change(
    value: float | None, baseline: float | None, biological_zero: float | None = None, name: str = "percent_change",
    window: Window | None = None,
) -> Result:  # fmt: skip
    """Return 100 (X - B)/B; not computable on a baseline below 2 PU or within 1 PU of the biological zero."""
    value, baseline, biological_zero = present(value), present(baseline), present(biological_zero)
    settings = {"baseline": baseline, "biological_zero": biological_zero}
    if value is None or baseline is None:
        return Result.missing(name, "%", "no_data", window=window, settings=settings)
    given = (("value", value), ("baseline", baseline), ("biological_zero", biological_zero))
    if reason := impossible(*((word, number, PERFUSION) for word, number in given)):
        return Result.missing(name, "%", reason, window=window, settings=settings)
    if baseline < 2.0 or (biological_zero is not None and baseline <= biological_zero + 1.0):
        return Result.missing(name, "%", "low_baseline", window=window, settings=settings)
    return Result.of(name, 100.0 * (value - baseline) / baseline, "%", window=window, settings=settings)


def percent_of_maximum(values: ArrayLike, maximum: float, biological_zero: float = 0.0) -> Floats:
    """Return 100 (x - BZ)/(max - BZ): %CVCmax of conductances (BZ 0), %max of flux. NaN unless max > BZ."""
    x = numbers(values)
    if not maximum > biological_zero:
        return np.full(x.shape, np.nan)
    return 100.0 * (x - biological_zero) / (maximum - biological_zero)


def min_max(values: ArrayLike, minimum: float, maximum: float) -> Floats:
    """Return (x - min)/(max - min), min the biological zero and max the 44 C plateau. NaN unless max > min.

    The two are means of plateaus and never the extreme samples of a record.
    """
    return percent_of_maximum(values, maximum, minimum) / 100.0


def fluctuation(values: ArrayLike, biological_zero: float | None = None) -> Floats:
    """Return u = x/mean(x) - 1 along the last axis, what spectra are taken of; with the biological zero, (x-m)/(m-BZ).

    With the biological zero left in, u is smaller by 1 - BZ/mean: say which was used.
    """
    x = numbers(values)
    mean = np.nanmean(x, axis=-1, keepdims=True)
    base = mean - (biological_zero or 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(base > 0, (x - mean) / base, np.nan)
