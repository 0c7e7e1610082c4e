"""Iontophoresis of acetylcholine (endothelium) and nitroprusside (smooth muscle): dose, response, ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.catalogue import units
from acquisition.signals.catalogue.flux import IONTOPHORESIS
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.levels import window_mean
from acquisition.signals.kit.plausible import PERFUSION, POSITIVE, impossible, impossible_value, in_range, present
from acquisition.signals.kit.units import FLUX, percent_change
from acquisition.signals.result import Result, Status, Trace, table

VERSION = "1"
CHARGE = "mC"


@dataclass(frozen=True, slots=True)
class Dose:
    """One pulse of current: start in s, mA, duration in s."""

    start: float
    current: float
    seconds: float

    @property
    def charge(self) -> float:
        """Charge that the pulse brought, mC."""
        return self.current * self.seconds


def iontophoresis(
    flux: Trace,
    doses: Sequence[Dose],
    stop: float,
    *,
    drug: str = "acetylcholine",
    plateau: float = 30.0,
    baseline: float = 60.0,
    vehicle_increase: float | None = None,
    biological_zero: float | None = None,
) -> dict[str, Result]:
    """Return the indices of a series of doses that ended at `stop` (s), by name.

    The response to a dose is the mean of the last `plateau` seconds before the next one (30-60 s). `dose_response`
    holds charge (mC, cumulated) and response as curves. The logistic needs five doses and a plateau: without
    them only areas are reported. `vehicle_increase` (PU) is the increase that the current alone gave; a series
    without that control says so, for a cathode dilates by itself.
    """
    vehicle_increase, biological_zero = present(vehicle_increase), present(biological_zero)
    stored = {
        "drug": drug,
        "plateau_s": plateau,
        "baseline_s": baseline,
        "vehicle_increase": vehicle_increase,
        "doses_mA_s": [[d.start, d.current, d.seconds] for d in doses],
    }
    common: dict[str, Any] = {"settings": stored, "version": VERSION}
    starts = [dose.start for dose in doses]
    fault = _fault(doses, stop) or impossible(
        ("biological_zero", biological_zero, PERFUSION), ("vehicle_increase", vehicle_increase, PERFUSION),
        ("plateau", plateau, POSITIVE), ("baseline", baseline, POSITIVE),
    )  # fmt: skip
    if fault:
        return {name: Result.missing(name, unit, fault, **common) for name, unit in UNITS.items()}
    flux = in_range(flux, PERFUSION)
    rest = window_mean(flux, (starts[0] - baseline, starts[0]), "iontophoresis_baseline", FLUX, least=30.0, **common)
    ends = [*starts[1:], stop]
    answers = [window_mean(flux, (end - plateau, end), "response", FLUX, **common) for end in ends]
    charge = np.cumsum([dose.charge for dose in doses])
    response = np.array([math.nan if r.value is None else r.value for r in answers])
    found = [
        rest,
        *_heights(rest, answers, response, biological_zero, common),
        *_areas(flux, rest, charge, response, starts[0], stop, common),
    ]
    curve = {"charge": charge.astype(np.float64), "response": response}
    if np.isfinite(response).any():
        found.append(Result("dose_response", None, FLUX, curves=curve, **common))
    else:
        found.append(Result.missing("dose_response", FLUX, "no_data", **common))
    found += _logistic(charge, response, rest, common)
    named = table(found)
    if vehicle_increase is None:
        named = {n: r.flagged("no_vehicle_control", Status.OK) if r.value is not None else r for n, r in named.items()}
    return {name: named[name] for name in UNITS}


def _fault(doses: Sequence[Dose], stop: float) -> str:
    if not doses:
        return "no_doses"
    starts = [dose.start for dose in doses]
    if not all(math.isfinite(mark) for mark in (*starts, stop)):
        return "mark_is_no_time"
    for dose in doses:
        if not (math.isfinite(dose.current) and 0.0 < dose.seconds < math.inf):
            return f"dose_impossible ({dose.current:g} mA for {dose.seconds:g} s)"
    return "" if [*starts, stop] == sorted({*starts, stop}) else "marks_out_of_order"


UNITS = units(IONTOPHORESIS)
"""Name and unit of every index, in the order of a report."""


def logistic(charge: ArrayLike, e0: float, e_max: float, half: float, slope: float) -> Floats:
    """Return E0 + (Emax - E0) / (1 + (ED50/Q)^h), E0 at no charge."""
    q = numbers(charge, "charge")
    with np.errstate(divide="ignore", over="ignore"):
        effect: Floats = e0 + (e_max - e0) / (1.0 + (half / q) ** slope)
    return effect


def drug_ratio(acetylcholine: Result, nitroprusside: Result) -> Result:
    """Return the increase by acetylcholine over that by nitroprusside: endothelium against smooth muscle."""
    return _quotient("acetylcholine_over_nitroprusside", acetylcholine, nitroprusside)


def axon_fraction(outside: Result, inside: Result) -> Result:
    """Return the increase beside the chamber over that inside it: the nerve axon reflex, lost in neuropathy.

    About a third in controls (31-36 per cent; Hamdy 2001).
    """
    return _quotient("axon_fraction", outside, inside)


def _quotient(name: str, above: Result, below: Result) -> Result:
    for source in (above, below):
        if source.value is None:
            return Result.missing(name, "1", f"{source.name}: {source.reason}", version=VERSION)
    if above.unit != below.unit:
        return Result.missing(name, "1", f"not_comparable(unit: {above.unit}, {below.unit})", version=VERSION)
    for source in (above, below):
        if reason := impossible_value(source.name, source):
            return Result.missing(name, "1", reason, version=VERSION)
    if above.value is None or below.value is None or not below.value > 0:
        return Result.missing(name, "1", "no_response_to_compare_with", version=VERSION)
    result = Result.of(name, above.value / below.value, "1", version=VERSION)
    for source in (above, below):
        if source.status is not Status.OK:
            result = result.flagged(source.reason, source.status)
    return result


def _heights(
    rest: Result, answers: Sequence[Result], response: Floats, zero: float | None, common: dict[str, Any]
) -> list[Result]:
    names = ("peak_response", "peak_response_increase", "peak_response_percent")
    answered = [answer for answer in answers if answer.value is not None]
    if not answered:
        return [Result.missing(name, UNITS[name], "no_data", **common) for name in names]
    best = answered[int(np.argmax(response[np.isfinite(response)]))]
    known = {**common, "window": best.window, "n_valid": best.n_valid, "pct_artefact": best.pct_artefact}
    peak = replace(best, name=names[0])
    if rest.value is None or best.value is None:
        reason = f"{rest.name}: {rest.reason}"
        return [peak, *(Result.missing(name, UNITS[name], reason, **common) for name in names[1:])]
    increase = Result.of(names[1], best.value - rest.value, FLUX, status=best.status, reason=best.reason, **known)
    percent = percent_change(best.value, rest.value, zero, names[2], best.window)
    return [peak, increase, percent]


def _areas(
    flux: Trace, rest: Result, charge: Floats, response: Floats, start: float, stop: float, common: dict[str, Any]
) -> list[Result]:
    by_charge, by_time = "response_area_by_charge", "response_area_by_time"
    if rest.value is None:
        reason = f"{rest.name}: {rest.reason}"
        return [Result.missing(name, UNITS[name], reason, **common) for name in (by_charge, by_time)]
    q = np.concatenate(([0.0], charge))
    e = np.concatenate(([0.0], response - rest.value))
    area = float(np.sum(0.5 * (e[1:] + e[:-1]) * np.diff(q)))
    whole = window_mean(flux, (start, stop), by_time, UNITS[by_time], **common)
    if whole.value is not None:
        whole = replace(whole, value=(whole.value - rest.value) * (stop - start), uncertainty=None, uncertainty_of=())
    return [Result.of(by_charge, area, UNITS[by_charge], unless="a_dose_is_missing", **common), whole]


def _logistic(charge: Floats, response: Floats, rest: Result, common: dict[str, Any]) -> list[Result]:
    names = ("greatest_effect", "half_effective_charge", "hill_slope")

    def none(reason: str) -> list[Result]:
        return [Result.missing(name, UNITS[name], reason, **common) for name in names]

    use = np.isfinite(response)
    if rest.value is None or np.count_nonzero(use) < 5:
        return none("fewer_than_five_doses" if rest.value is not None else f"{rest.name}: {rest.reason}")
    q, e = charge[use], response[use]
    span = float(e.max() - rest.value)
    if span <= 0:
        return none("no_response")
    if abs(e[-1] - e[-2]) > 0.1 * span:
        return none("plateau_not_reached")
    scale = np.array([rest.value, e.max(), q[len(q) // 2], 2.0])
    low = np.array([0.0, 0.0, 1e-3 * q[-1], 0.3])
    high = np.array([max(3 * rest.value, 1.0), 3 * e.max(), 3 * q[-1], 20.0])
    first = np.clip(scale, low * 1.001 + 1e-9, high * 0.999)
    from scipy.optimize import least_squares  # loaded for a fit alone

    fit = least_squares(_misfit, first, bounds=(low, high), x_scale=np.maximum(scale, 1e-3), args=(q, e))
    found = [Result.of(name, float(x), UNITS[name], **common) for name, x in zip(names, fit.x[1:], strict=True)]
    if not 0 < fit.x[2] <= q[-1]:
        found = [r.flagged("half_effect_beyond_the_doses") for r in found]
    return found


def _misfit(p: Floats, q: Floats, e: Floats) -> Floats:
    return logistic(q, *(float(x) for x in p)) - e
