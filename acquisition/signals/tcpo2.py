"""TcPO2 at rest, against the chest, on oxygen and in other postures; every value in mmHg."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals import attachment, stability
from acquisition.signals.attachment import ON_OXYGEN, attached
from acquisition.signals.kit.bins import bin_means
from acquisition.signals.kit.plausible import TCPO2, impossible_value
from acquisition.signals.result import Result, Trace, Window
from acquisition.signals.stability import StabilitySettings, Steadiness, judge

UNIT = "mm[Hg]"
CHEST_LOW = 40.0
"""Below this the chest itself is hypoxic, and a ratio to it says little about the limb (mmHg)."""
NORMAL_ON_OXYGEN = 100.0
"""A normal extremity exceeds this on pure oxygen (Fife 2009), mmHg."""
POOR_RISE = 10.0
"""A smaller rise on oxygen predicts that an amputation will not heal (Fife 2009), mmHg."""


def rest(
    trace: Trace,
    applied: float,
    until: float | None = None,
    *,
    temperature: Trace | None = None,
    settings: StabilitySettings = stability.DEFAULT,
) -> Result:
    """Return the resting value: the mean of minutes 15-20 after `applied` (s), the same window at every visit.

    Only a plateau is an endpoint: unless the detector calls the electrode stable by `until` (default: the
    record's end), the value is low_quality with its class as the reason. `temperature` is the sensor's, Cel.
    """
    name = "tcpo2_rest"
    window = (applied + settings.minimum, applied + settings.minimum + settings.window)
    held = {**settings.as_dict(), "applied": applied}
    end = trace.span[1] if until is None else until
    off = attachment.detachment(trace, applied, min(end, window[1]))
    if off.value is not None:
        return Result.missing(name, UNIT, "sensor_detached", window=window, settings=held)
    skin = attached(trace).between(applied, end)
    result = _mean(name, skin, window, held)
    if result.value is None:
        return result
    if reason := attachment.stuck(trace, applied, end):
        result = result.flagged(reason)
    judgements = judge(_closed(skin, end), applied, settings, temperature)
    verdict = judgements[-1] if judgements else None
    if verdict is None or verdict.steadiness is not Steadiness.STABLE:
        word = Steadiness.NOT_YET if verdict is None else verdict.steadiness
        why = "" if verdict is None or not verdict.reason else f" ({verdict.reason})"
        return result.flagged(f"{word}{why}")
    return result


def rpi(limb: Result, chest: Result) -> Result:
    """Return the regional perfusion index, limb / chest, of two resting values of the same time.

    Katsamouris 1984: 0.79 +- 0.10 healed, 0.32 +- 0.19 failed.
    """
    name, settings = "tcpo2_rpi", {"chest_low": CHEST_LOW}
    if limb.value is None:
        return Result.missing(name, "1", f"limb_missing ({limb.reason})", settings=settings)
    if chest.value is None:
        return Result.missing(name, "1", f"chest_missing ({chest.reason})", settings=settings)
    units = {limb.unit, chest.unit}
    if units != {UNIT}:
        return Result.missing(name, "1", f"unit_is_not_mmHg ({', '.join(sorted(units))})", settings=settings)
    if reason := impossible_value("limb", limb, TCPO2) or impossible_value("chest", chest, TCPO2):
        return Result.missing(name, "1", reason, settings=settings)
    if chest.value <= 0.0:
        return Result.missing(name, "1", "chest_not_positive", settings=settings)
    ratio = limb.value / chest.value
    relative = [each.uncertainty / each.value for each in (limb, chest) if each.uncertainty is not None and each.value]
    result = Result.of(
        name,
        ratio,
        "1",
        window=limb.window,
        n_valid=min(limb.n_valid, chest.n_valid),
        pct_artefact=max(limb.pct_artefact, chest.pct_artefact),
        uncertainty=abs(ratio) * math.hypot(*relative) if len(relative) == 2 else None,
        uncertainty_of=("noise",) if len(relative) == 2 else (),
        settings=settings,
    )
    for word, each in (("limb", limb), ("chest", chest)):
        if each.reason:
            result = result.flagged(f"{word}: {each.reason}")
    if limb.window != chest.window:
        result = result.flagged("times_differ")
    if chest.value < CHEST_LOW:
        result = result.flagged("chest_low")
    return result


def oxygen_challenge(trace: Trace, start: float, stop: float, *, averaged: float = 60.0) -> list[Result]:
    """Return delta, per cent and ratio of breathing pure oxygen on [start, stop) s against air before it.

    Both are means of their last `averaged` s. Oxygen is to be breathed for 5 to 10 minutes; a challenge
    that was shorter, or still rising by more than 5 mmHg/min at its end, is low_quality. An electrode that
    came off is found by its jump alone: on oxygen skin may read more than air does.
    """
    settings = {"averaged": averaged, "normal_above": NORMAL_ON_OXYGEN, "poor_rise": POOR_RISE}
    air = _mean("air", attached(trace), (start - averaged, start), settings)
    oxygen = _mean("oxygen", attached(trace, ON_OXYGEN), (stop - averaged, stop), settings)
    names = (("tcpo2_oxygen_delta", UNIT), ("tcpo2_oxygen_percent", "%"), ("tcpo2_oxygen_ratio", "1"))
    if air.value is None or oxygen.value is None:
        lacking = air if air.value is None else oxygen
        reason = f"{lacking.name}_missing ({lacking.reason})"
        return [Result.missing(name, unit, reason, settings=settings) for name, unit in names]
    delta = oxygen.value - air.value
    values = (delta, 100.0 * delta / air.value, oxygen.value / air.value)
    found = [
        Result.of(
            name,
            value,
            unit,
            window=oxygen.window,
            n_valid=min(air.n_valid, oxygen.n_valid),
            pct_artefact=max(air.pct_artefact, oxygen.pct_artefact),
            uncertainty=_hypot(air.uncertainty, oxygen.uncertainty) if unit == UNIT else None,
            uncertainty_of=("noise",) if unit == UNIT else (),
            settings=settings,
        )
        for (name, unit), value in zip(names, values, strict=True)
    ]
    reasons = [f"{each.name}: {each.reason}" for each in (air, oxygen) if each.reason]
    reasons += filter(None, [attachment.stuck(trace, trace.span[0], stop)])
    if not 300.0 <= stop - start <= 660.0:
        reasons.append("oxygen_too_short" if stop - start < 300.0 else "oxygen_too_long")
    earlier = _mean("earlier", attached(trace, ON_OXYGEN), (stop - 2 * averaged, stop - averaged), settings)
    if earlier.value is not None and abs(oxygen.value - earlier.value) * 60.0 / averaged > 5.0:
        reasons.append("plateau_never_reached")
    return [_with(each, reasons) for each in found]


def elevation(trace: Trace, raised: float, *, averaged: float = 60.0) -> Result:
    """Return the change in mmHg after 3 min with the leg at 30 degrees, against supine before `raised` (s)."""
    return _posture("tcpo2_elevation", trace, raised, raised + 180.0, averaged)


def dependency(trace: Trace, lowered: float, stop: float, *, averaged: float = 60.0) -> Result:
    """Return the change in mmHg with the leg down until `stop` (s), against supine before `lowered`.

    The leg is to hang for 5 to 10 minutes; a shorter time is low_quality.
    """
    result = _posture("tcpo2_dependency", trace, lowered, stop, averaged)
    return result.flagged("dependency_too_short") if stop - lowered < 300.0 and result.value is not None else result


def _posture(name: str, trace: Trace, moved: float, stop: float, averaged: float) -> Result:
    settings = {"averaged": averaged}
    skin = attached(trace)
    supine = _mean("supine", skin, (moved - averaged, moved), settings)
    posed = _mean("posed", skin, (stop - averaged, stop), settings)
    if supine.value is None or posed.value is None:
        lacking = supine if supine.value is None else posed
        return Result.missing(name, UNIT, f"{lacking.name}_missing ({lacking.reason})", settings=settings)
    result = Result.of(
        name,
        posed.value - supine.value,
        UNIT,
        window=posed.window,
        n_valid=min(supine.n_valid, posed.n_valid),
        pct_artefact=max(supine.pct_artefact, posed.pct_artefact),
        uncertainty=_hypot(supine.uncertainty, posed.uncertainty),
        uncertainty_of=("noise",),
        settings=settings,
    )
    reasons = [f"{each.name}: {each.reason}" for each in (supine, posed) if each.reason]
    return _with(result, [*reasons, *filter(None, [attachment.stuck(trace, trace.span[0], stop)])])


def _mean(name: str, trace: Trace, window: Window, settings: Mapping[str, Any]) -> Result:
    """Return a window's mean; half of it must be data, four fifths to be ok."""
    valid, artefact = trace.count(*window)
    details: dict[str, Any] = {"window": window, "n_valid": valid, "pct_artefact": artefact, "settings": settings}
    if not valid:
        return Result.missing(name, UNIT, "window_not_recorded", **details)
    if artefact > 50.0:
        return Result.missing(name, UNIT, "too_few_data", **details)
    part = trace.between(*window)
    values = part.values[part.valid]
    result = Result.of(
        name,
        float(values.mean()),
        UNIT,
        uncertainty=_standard_error(part, window),
        uncertainty_of=("noise",),
        **details,
    )
    return result.flagged("data_missing") if artefact > 20.0 else result


def _standard_error(part: Trace, window: Window) -> float | None:
    """Return the standard error of a window's mean, its 5 s means being taken as an AR(1) process."""
    width = 5.0
    means = bin_means(_closed(part, window[1]), window[0], width).means
    means = means[np.isfinite(means)]
    if len(means) < 4:
        return None
    return _autocorrelated_error(means)


def _autocorrelated_error(means: Floats) -> float:
    n = len(means)
    deviation = means - means.mean()
    power = float(deviation @ deviation)
    if power == 0.0:
        return 0.0
    r = float(np.clip(deviation[1:] @ deviation[:-1] / power, 0.0, 0.93))
    independent = max(n * (1.0 - r) / (1.0 + r), 2.0)
    return math.sqrt(power / (n - 1) / independent)


def _closed(trace: Trace, end: float) -> Trace:
    """Return the trace with an empty sample at `end`, so that the last full bin counts as complete."""
    if trace.time[-1] >= end:
        return trace
    return Trace.of(np.append(trace.time, end), np.append(trace.values, np.nan), np.append(trace.quality, 1))


def _hypot(*parts: float | None) -> float | None:
    known = [part for part in parts if part is not None]
    return math.hypot(*known) if len(known) == len(parts) else None


def _with(result: Result, reasons: list[str]) -> Result:
    for reason in reasons:
        result = result.flagged(reason)
    return result
