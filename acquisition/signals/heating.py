"""Local thermal hyperaemia: axon reflex, nadir, plateau at 42 C (39 C for the NO protocol) and maximum at 44 C."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acquisition.signals.artefacts import NO_SIGNAL, still
from acquisition.signals.kit.levels import judged, window_mean
from acquisition.signals.kit.plausible import PERFUSION, Range, check_settings, impossible, in_range, present
from acquisition.signals.kit.smoothing import moving_mean, samples
from acquisition.signals.kit.units import FLUX, percent_of_maximum
from acquisition.signals.result import Result, Status, Trace, Window, table

VERSION = "1"
TARGET = Range(20.0, 60.0, "Cel")


@dataclass(frozen=True, slots=True)
class Stages:
    """Seconds: heating begins, 44 C (or nitroprusside) begins, heating ends; None when there was no such stage.

    `target` is the set temperature before the maximum, Cel.
    """

    on: float | None
    maximum: float | None
    end: float | None
    target: float = 42.0

    @property
    def fault(self) -> str:
        """Why nothing can be measured by these marks; empty when it can."""
        if self.on is None:
            return "no_heating_mark"
        marks = [mark for mark in (self.on, self.maximum, self.end) if mark is not None]
        if not all(math.isfinite(mark) for mark in marks):
            return "mark_is_no_time"
        if not TARGET.holds(self.target):
            return f"target_temperature_impossible ({self.target:g} is not {TARGET})"
        return "" if marks == sorted(set(marks)) else "marks_out_of_order"


@dataclass(frozen=True, slots=True)
class Settings:
    """How heating is measured, seconds; shares of the peak as such.

    The initial peak comes within 5 min; a nadir less than 5 per cent below it is none, as is common in diabetes and
    arterial disease. A probe's maximum is settled 5 min after its temperature is reached.
    """

    baseline: float = 180.0
    mean: float = 30.0
    peak_within: float = 300.0
    nadir_within: float = 480.0
    nadir_depth: float = 0.05
    plateau: float = 180.0
    plateau_slope: float = 0.05
    """Of the plateau, in 5 min."""
    maximum: float = 120.0
    settled: float = 300.0
    die_away: float = 2700.0
    """A plateau later than 45 min falls by itself."""

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "Settings")


def heating(
    flux: Trace,
    stages: Stages,
    settings: Settings | None = None,
    *,
    unit: str = FLUX,
    biological_zero: float | None = None,
    temperature: Trace | None = None,
) -> dict[str, Result]:
    """Return every index of one local heating by name, in `unit`; pass conductances with `units.CONDUCTANCE` for CVC.

    Per cent of maximum is 100 (x - BZ)/(max - BZ), BZ 0 when none is given, and the setting says which. A
    `temperature` of the heater shows a step too slow for an axon reflex (below 1 C/min), or none.
    """
    s = settings or Settings()
    biological_zero = present(biological_zero)
    stored = {**asdict(s), **asdict(stages), "biological_zero": biological_zero}
    common: dict[str, Any] = {"settings": stored, "version": VERSION}
    units = names(unit)
    fault = stages.fault or impossible(("biological_zero", biological_zero, PERFUSION))
    if fault or stages.on is None:
        return {name: Result.missing(name, u, fault, **common) for name, u in units.items()}
    flux = in_range(flux.around(stages.on, stages.end), PERFUSION)
    if reason := flux.sparse():
        return {name: Result.missing(name, u, f"hole_too_long ({reason})", **common) for name, u in units.items()}
    grid = flux.uniform(max_gap=1.5 / flux.rate) if len(flux) > 1 else flux
    if len(grid) < 3 or not grid.valid.any():
        return {name: Result.missing(name, u, "no_data", **common) for name, u in units.items()}
    found = _levels(grid, stages, s, unit, common)
    rate = math.inf if temperature is None else heating_rate(temperature, stages)
    if not rate >= 1.0:
        reason = "heating_not_seen" if math.isnan(rate) else f"heated_at_{rate:.1f}_C_per_min"
        for name in ("initial_peak", "time_to_initial_peak", "nadir"):
            found[name] = _against(found[name], reason)
    found.update(_derived(grid, stages, found, unit, biological_zero or 0.0, common))
    stop = stages.end if stages.end is not None else grid.span[1]
    dead = list(units) if still(grid) else list(units)[1:] if still(grid.between(stages.on, stop)) else []
    for name in dead:
        if found[name].value is not None:
            found[name] = found[name].flagged(NO_SIGNAL, Status.NOT_COMPUTABLE)
    return {name: found[name] for name in units}


def names(unit: str = FLUX) -> dict[str, str]:
    """Return name and unit of every index, in the order of a report."""
    levels = ("heating_baseline", "initial_peak", "nadir", "plateau", "maximum")
    return {
        **dict.fromkeys(levels, unit),
        **{f"{name}_percent_of_maximum": "%" for name in levels[:-1]},
        "time_to_initial_peak": "s",
        "slope_after_peak": f"{unit}/min",
        "plateau_increase": unit,
        "plateau_over_baseline": "1",
        "maximum_over_baseline": "1",
        "auc_0_300": f"{unit}.s",
    }


def heating_rate(temperature: Trace, stages: Stages) -> float:
    """Return how fast the heater rose to 90 per cent of its step after `on`, C/min; NaN when it cannot be seen."""
    if stages.on is None:
        return math.nan
    before = temperature.between(stages.on - 60.0, stages.on).masked
    after = temperature.between(stages.on, stages.on + 900.0)
    if not np.isfinite(before).any() or not after.valid.any():
        return math.nan
    start = float(np.nanmedian(before))
    step = 0.9 * (stages.target - start)
    reached = np.flatnonzero(after.masked >= start + step)
    if step <= 0 or not len(reached):
        return 0.0 if step > 0 else math.nan
    return step / max(float(after.time[reached[0]]) - stages.on, 1e-9) * 60.0


def _levels(grid: Trace, stages: Stages, s: Settings, unit: str, common: Mapping[str, Any]) -> dict[str, Result]:
    on = stages.on or 0.0
    stop = min(x for x in (stages.maximum, stages.end, grid.span[1]) if x is not None)
    baseline = window_mean(
        grid, (max(on - s.baseline, grid.span[0]), on), "heating_baseline", unit, least=60.0, **common
    )
    peak, at = _extreme(grid, (on, min(on + s.peak_within, stop)), s, "initial_peak", unit, common, np.nanargmax)
    nadir_window = (at if math.isfinite(at) else on, min(on + s.nadir_within, stop))
    nadir, low_at = _extreme(grid, nadir_window, s, "nadir", unit, common, np.nanargmin)
    time = Result.of("time_to_initial_peak", at - on, "s", window=peak.window, **common)
    if peak.value is not None and nadir.value is not None and nadir.value > (1 - s.nadir_depth) * peak.value:
        nadir = nadir.flagged("no_nadir", Status.NOT_COMPUTABLE)
        # Without a fall after it, the highest value of the first minutes need not be the axon reflex.
        peak, time = peak.flagged("no_nadir"), time.flagged("no_nadir")
    slope = _slope(grid, (at, low_at), "slope_after_peak", unit, common)
    if nadir.value is None and slope.value is not None:
        slope = slope.flagged("no_nadir")
    plateau = _plateau(grid, on, stop, s, unit, common)
    return table([baseline, peak, nadir, plateau, _maximum(grid, stages, s, unit, common), time, slope])


def _extreme(
    grid: Trace, window: Window, s: Settings, name: str, unit: str, common: Mapping[str, Any], pick: Any
) -> tuple[Result, float]:
    """Return the extreme of the moving mean in a window, and when it was."""
    part = grid.between(*window)
    smooth = moving_mean(grid.masked, samples(s.mean, grid.rate))
    first = int(np.searchsorted(grid.time, window[0]))
    shown = smooth[first : first + len(part)]
    if not len(shown) or not np.isfinite(shown).any():
        return Result.missing(name, unit, "no_data", window=window, **common), math.nan
    k = int(pick(shown))
    good, artefacts = grid.count(*window)
    result = judged(Result.of(name, shown[k], unit, window=window, n_valid=good, pct_artefact=artefacts, **common))
    return result, float(part.time[k])


def _plateau(grid: Trace, on: float, stop: float, s: Settings, unit: str, common: Mapping[str, Any]) -> Result:
    window = (stop - s.plateau, stop)
    if window[0] < on + s.nadir_within:
        return Result.missing("plateau", unit, "stage_too_short", window=window, **common)
    plateau = window_mean(grid, window, "plateau", unit, least=60.0, **common)
    slope = _slope(grid, window, "slope", unit, common).value
    if plateau.value is not None and slope is not None and abs(5 * slope) > s.plateau_slope * abs(plateau.value):
        plateau = plateau.flagged("no_plateau")
    if plateau.value is not None and stop - on > s.die_away:
        plateau = plateau.flagged("later_than_45_min")
    return plateau


def _maximum(grid: Trace, stages: Stages, s: Settings, unit: str, common: Mapping[str, Any]) -> Result:
    if stages.maximum is None:
        return Result.missing("maximum", unit, "no_maximum_stage", **common)
    stop = min(x for x in (stages.end, grid.span[1]) if x is not None)
    window = (max(stop - s.maximum, stages.maximum), stop)
    maximum = window_mean(grid, window, "maximum", unit, least=60.0, **common)
    if maximum.value is not None and window[0] < stages.maximum + s.settled:
        maximum = maximum.flagged("maximum_not_settled")
    return maximum


def _slope(grid: Trace, window: Window, name: str, unit: str, common: Mapping[str, Any]) -> Result:
    """Return the least-squares slope per minute in a window."""
    if not all(math.isfinite(edge) for edge in window):
        return Result.missing(name, f"{unit}/min", "no_data", **common)
    part = grid.between(*window)
    use = part.valid
    if np.count_nonzero(use) < 3:
        return Result.missing(name, f"{unit}/min", "no_data", window=window, **common)
    t = part.time[use] - part.time[use].mean()
    slope = 60.0 * float(np.dot(t, part.values[use]) / np.dot(t, t))
    return Result.of(name, slope, f"{unit}/min", window=window, n_valid=int(use.sum()), **common)


def _derived(
    grid: Trace,
    stages: Stages,
    found: Mapping[str, Result],
    unit: str,
    zero: float,
    common: Mapping[str, Any],
) -> dict[str, Result]:
    baseline, plateau, maximum = found["heating_baseline"], found["plateau"], found["maximum"]
    derived: list[Result] = []
    for name in ("heating_baseline", "initial_peak", "nadir", "plateau"):
        level = found[name]
        share = float(percent_of_maximum(_nan(level), _nan(maximum), zero))
        bad = "maximum_not_above_the_zero" if maximum.value is not None and maximum.value <= zero else ""
        derived.append(_from(f"{name}_percent_of_maximum", share, "%", (level, maximum), common, bad))
    derived.append(_from("plateau_increase", _nan(plateau) - _nan(baseline), unit, (plateau, baseline), common))
    # A ratio to nearly nothing says nothing: 2 PU is the floor for flux; a conductance has none that is published.
    low = baseline.value is not None and (baseline.value < 2.0 if unit == FLUX else baseline.value <= 0)
    for name, level in (("plateau_over_baseline", plateau), ("maximum_over_baseline", maximum)):
        ratio = math.nan if low or not baseline.value else _nan(level) / baseline.value
        derived.append(_from(name, ratio, "1", (level, baseline), common, "low_baseline" if low else ""))
    on = stages.on or 0.0
    window = (on, on + 300.0)
    good, artefacts = grid.count(*window)
    part = grid.between(*window).masked
    area = (float(np.nanmean(part)) - _nan(baseline)) * 300.0 if np.isfinite(part).any() else math.nan
    known = {**common, "window": window, "n_valid": good, "pct_artefact": artefacts}
    early = _from("auc_0_300", area, f"{unit}.s", (baseline,), known)
    derived.append(judged(early))
    return table(derived)


def _from(
    name: str, value: float, unit: str, sources: tuple[Result, ...], common: Mapping[str, Any], bad: str = ""
) -> Result:
    """Return a value with the worst that is said of what it was made of."""
    for source in sources:
        if source.value is None:
            return Result.missing(name, unit, f"{source.name}: {source.reason}", **common)
    result = Result.of(name, value, unit, unless=bad or "undefined", **common)
    for source in sources:
        if source.status is not Status.OK and result.value is not None:
            result = result.flagged(f"{source.name}: {source.reason}", source.status)
    return result


def _against(result: Result, reason: str) -> Result:
    return result if result.value is None else result.flagged(reason)


def _nan(result: Result) -> float:
    return math.nan if result.value is None else result.value
