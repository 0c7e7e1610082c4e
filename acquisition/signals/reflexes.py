"""Reflexes of skin flow: the fall on dependency, with posture, and on a deep breath or cold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from acquisition.signals.kit.levels import judged, window_mean
from acquisition.signals.kit.plausible import PERFUSION, impossible, in_range, present
from acquisition.signals.kit.smoothing import moving_mean, samples
from acquisition.signals.kit.units import FLUX
from acquisition.signals.result import Result, Status, Trace, Window

VERSION = "1"
PULP = ("toe_pulp", "finger_pulp")
"""Where arteriovenous shunts are dense enough for a reflex of the breath."""


def veno_arteriolar(
    flux: Trace, supine: Window, dependent_at: float, *, biological_zero: float | None = None, height: float = 50.0
) -> dict[str, Result]:
    """Return the veno-arteriolar reflex: 100 (supine - dependent)/supine, per cent, and dependent over supine.

    Dependent is the mean of minutes 3 to 4 after the foot went down, `height` cm below the heart (BMJ 1986). With a
    biological zero, both flows are corrected by it.
    """
    settings = {"dependent_at": dependent_at, "height_cm": height, "biological_zero": biological_zero}
    flux = in_range(flux, PERFUSION)
    flux = in_range(flux, PERFUSION)
    down = (dependent_at + 180.0, dependent_at + 240.0)
    before = window_mean(flux, supine, "supine_flow", FLUX, least=30.0, settings=settings, version=VERSION)
    after = window_mean(flux, down, "dependent_flow", FLUX, least=30.0, settings=settings, version=VERSION)
    fault = "marks_out_of_order" if supine[1] > dependent_at else ""
    reflex, ratio = _change("veno_arteriolar_reflex", before, after, biological_zero, settings, fault)
    return {r.name: r for r in (before, after, reflex, ratio)}


def postural(
    flux: Trace, supine: Window, changed: Window, *, name: str = "elevation", biological_zero: float | None = None
) -> dict[str, Result]:
    """Return the change from supine to another posture: 100 (F - supine)/supine, per cent (0.77 mmHg per cm)."""
    settings = {"supine": list(supine), "changed": list(changed), "biological_zero": biological_zero}
    flux = in_range(flux, PERFUSION)
    before = window_mean(flux, supine, "supine_flow", FLUX, least=30.0, settings=settings, version=VERSION)
    after = window_mean(flux, changed, f"{name}_flow", FLUX, least=30.0, settings=settings, version=VERSION)
    fault = "marks_out_of_order" if supine[1] > changed[0] else ""
    fall, ratio = _change(f"{name}_change", before, after, biological_zero, settings, fault)
    change = fall if fall.value is None else replace(fall, value=-fall.value)
    return {r.name: r for r in (before, after, change, ratio)}


def fall_after(
    flux: Trace, at: float, *, name: str = "inspiratory_gasp", site: str = "toe_pulp", before: float = 45.0,
    within: float = 15.0, mean: float = 3.0,
) -> Result:  # fmt: skip
    """Return the fall after a gasp or cold: 100 (pre - least)/pre, per cent.

    Pre is the mean of `before` s (30-60), least the minimum of the `mean` s mean within `within` s. Meant for the
    pulp of toe or finger; elsewhere of low quality.
    """
    settings = {"at": at, "site": site, "before_s": before, "within_s": within, "mean_s": mean}
    flux = in_range(flux, PERFUSION)
    rest = window_mean(flux, (at - before, at), "pre", FLUX, least=20.0, settings=settings, version=VERSION)
    window = (at, at + within)
    good, artefacts = flux.count(*window)
    known: dict[str, Any] = {
        "window": window, "n_valid": good, "pct_artefact": artefacts, "settings": settings, "version": VERSION,
    }  # fmt: skip
    if rest.value is None:
        return Result.missing(name, "%", f"pre: {rest.reason}", **known)
    if rest.value < 2.0:
        return Result.missing(name, "%", "low_baseline", **known)
    grid = flux.between(at - mean, at + within + mean).uniform(max_gap=1.0)
    inside = (grid.time >= at) & (grid.time < at + within)
    smooth = moving_mean(grid.values, samples(mean, grid.rate)) if len(grid) > 1 else grid.values
    if not good or not np.isfinite(smooth[inside]).any():
        return Result.missing(name, "%", "no_data", **known)
    least = float(np.nanmin(smooth[inside]))
    result = judged(Result.of(name, 100.0 * (rest.value - least) / rest.value, "%", **known))
    if rest.status is not Status.OK and result.value is not None:
        result = result.flagged(f"pre: {rest.reason}", rest.status)
    return result if site in PULP or result.value is None else result.flagged("site_is_no_pulp")


def _change(
    name: str, before: Result, after: Result, zero: float | None, settings: dict[str, Any], fault: str
) -> tuple[Result, Result]:
    """Return the fall in per cent of `before`, and `after` over `before`."""
    other = f"{name}_ratio"
    known: dict[str, Any] = {"settings": settings, "version": VERSION}
    reason = fault or next((f"{r.name}: {r.reason}" for r in (before, after) if r.value is None), "")
    if reason or before.value is None or after.value is None:
        return Result.missing(name, "%", reason, **known), Result.missing(other, "1", reason, **known)
    zero = present(zero)
    if reason := impossible(("biological_zero", zero, PERFUSION)):
        return Result.missing(name, "%", reason, **known), Result.missing(other, "1", reason, **known)
    base = before.value - (zero or 0.0)
    if base < (1.0 if zero else 2.0):
        return Result.missing(name, "%", "low_baseline", **known), Result.missing(other, "1", "low_baseline", **known)
    known.update(window=after.window, n_valid=after.n_valid, pct_artefact=max(before.pct_artefact, after.pct_artefact))
    share = (after.value - (zero or 0.0)) / base
    results = (Result.of(name, 100.0 * (1.0 - share), "%", **known), Result.of(other, share, "1", **known))
    for source in (before, after):
        if source.status is not Status.OK:
            first, second = (r.flagged(f"{source.name}: {source.reason}", source.status) for r in results)
            results = (first, second)
    return results
