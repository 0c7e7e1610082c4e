"""The fall of flux after its peak as a stretched exponential, to describe it or to take it off before a spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.catalogue import units
from acquisition.signals.catalogue.flux import DECAY
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.plausible import PERFUSION, in_range
from acquisition.signals.result import Result, Trace

LONGEST, STEEPEST, LARGEST = 600.0, 4.0, 10.0
"""Bounds: b in s, c, and a and d in multiples of the flux at the start (Hultman's code bounds them so)."""


UNITS = units(DECAY)
PARAMETERS = tuple(UNITS)[:4]
"""Those of `level`, in its order."""


def level(parameters: ArrayLike, t: ArrayLike) -> Floats:
    """Return a exp(-(t/b)^c) + d for parameters (a, b, c, d), t >= 0 in s from the start."""
    a, b, c, d = numbers(parameters, "parameters")
    seconds = np.maximum(numbers(t, "t"), 0.0)
    value: Floats = a * np.exp(-((seconds / b) ** c)) + d
    return value


def fit_decay(flux: Trace, start: float, stop: float) -> dict[str, Result]:
    """Fit the flux on [start, stop), start at the peak; return amplitude, time constant, shape, offset and r_squared.

    Bounded least squares from four starting points, the best kept. Where one parameter ends on its bound all are
    low quality, since each is what the others leave; fewer than 8 s or 8 samples of data give none.
    """
    from scipy.optimize import least_squares  # loaded for a fit alone

    part = in_range(flux, PERFUSION).between(start, stop)
    use = part.valid
    known: Mapping[str, Any] = {"window": (start, stop), "n_valid": int(use.sum())}
    t, y = part.time[use] - start, part.values[use]
    if len(y) < 8 or not t[-1] - t[0] >= 8.0:
        return {name: Result.missing(name, unit, "too_few_data", **known) for name, unit in UNITS.items()}
    scale = float(np.max(np.abs(y[: max(1, len(y) // 20)]))) or 1.0
    u = y / scale
    low = np.array([-LARGEST, 1e-2, 0.1, -LARGEST])
    high = np.array([LARGEST, LONGEST, STEEPEST, LARGEST])
    best = None
    for b in (0.05, 0.15, 0.4, 1.0):
        first = np.clip([u[0] - u[-1], b * t[-1], 1.2, u[-1]], low * 0.999, high * 0.999)
        fit = least_squares(_misfit, first, jac=_slopes, bounds=(low, high), x_scale=(1.0, 20.0, 1.0, 1.0), args=(t, u))
        if best is None or fit.cost < best.cost:
            best = fit
    assert best is not None
    about = float(np.square(u - u.mean()).sum())
    r_squared = 1.0 - 2.0 * best.cost / about if about > 0 else float("nan")
    values = (*(best.x * (scale, 1.0, 1.0, scale)), r_squared)
    found = {
        name: Result.of(name, float(value), unit, **known)
        for (name, unit), value in zip(UNITS.items(), values, strict=True)
    }
    on_bound = (np.abs(best.x - low) < 1e-6 * (high - low)) | (np.abs(best.x - high) < 1e-6 * (high - low))
    if on_bound.any():
        for name, at_bound in zip(PARAMETERS, on_bound, strict=True):
            found[name] = found[name].flagged("on_its_bound" if at_bound else "fit_on_a_bound")
    return found


def without_decay(flux: Trace, start: float, stop: float) -> tuple[Trace, dict[str, Result]]:
    """Return u = (x - fit)/d on [start, stop) and the fit: left in, the fall makes false slow oscillations.

    u is NaN throughout where the fit failed or its offset is not above zero.
    """
    fit = fit_decay(flux, start, stop)
    part = flux.between(start, stop)
    numbers = [fit[name].value for name in PARAMETERS]
    if any(number is None for number in numbers) or not (offset := float(numbers[3] or 0.0)) > 0:
        return Trace(part.time, np.full(len(part), np.nan), part.quality), fit
    fitted = level([float(number or 0.0) for number in numbers], part.time - start)
    return Trace(part.time, (part.values - fitted) / offset, part.quality), fit


def _misfit(p: Floats, t: Floats, u: Floats) -> Floats:
    return level(p, t) - u


def _slopes(p: Floats, t: Floats, u: Floats) -> Floats:
    """Return the derivatives (n, 4) of `level` by its parameters."""
    a, b, c, _ = p
    ratio = np.maximum(t, 1e-12) / b
    power = ratio**c
    e = np.exp(-power)
    return np.stack([e, a * e * power * c / b, -a * e * power * np.log(ratio), np.ones_like(u)], axis=1)
