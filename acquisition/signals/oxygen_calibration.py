"""The pressure that a TcPO2 electrode must read in air, and how far it has drifted from it."""

from __future__ import annotations

import math

from acquisition.signals.kit.plausible import AIR, HOURS, impossible, present
from acquisition.signals.result import Result, Trace

OXYGEN = 0.2095
"""Mole fraction of oxygen in dry air."""
SEA_LEVEL = 760.0
MMHG_PER_HPA = 0.750062
TOLERANCE = 10.0
"""Per cent over a run beyond which readings are of low quality."""


def vapour_pressure(temperature: float) -> float:
    """Return the saturation pressure of water in mmHg at `temperature` Cel (Magnus formula, Alduchov 1996)."""
    return 6.1094 * math.exp(17.625 * temperature / (temperature + 243.04)) * MMHG_PER_HPA


def barometric_pressure(altitude: float) -> float:
    """Return the standard atmosphere's pressure in mmHg at `altitude` m (ISO 2533)."""
    return SEA_LEVEL * math.pow(1.0 - 2.25577e-5 * altitude, 5.25588)


def calibration_pressure(barometer: float, saturated_at: float | None = None) -> float:
    """Return pO2 = 0.2095 (Pb - pH2O) in mmHg; `barometer` mmHg, `saturated_at` Cel, None for dry air.

    Which humidity a monitor assumes is its maker's choice: its readings are kept as they are and this is
    for comparison only.
    """
    water = 0.0 if saturated_at is None else vapour_pressure(saturated_at)
    return OXYGEN * (barometer - water)


def drift(calibrated: float | None, read_after: float | None, hours: float) -> Result:
    """Return the drift in per cent per hour, from a reading in air after the run (mmHg).

    100 (P_end - P_cal) / P_cal per hour; more than 10 % over the run is low_quality.
    """
    name, unit, settings = "tcpo2_drift", "%/h", {"tolerance_percent": TOLERANCE, "hours": hours}
    read_after = present(read_after)
    if calibrated is None or not calibrated > 0.0:
        return Result.missing(name, unit, "calibration_missing", settings=settings)
    if read_after is None:
        return Result.missing(name, unit, "not_rechecked_in_air", settings=settings)
    if not hours > 0.0:
        return Result.missing(name, unit, "no_time_between", settings=settings)
    if reason := impossible(("calibration", calibrated, AIR), ("recheck", read_after, AIR), ("hours", hours, HOURS)):
        return Result.missing(name, unit, reason, settings=settings)
    total = 100.0 * (read_after - calibrated) / calibrated
    result = Result.of(name, total / hours, unit, settings=settings)
    return result.flagged("drift_over_tolerance") if abs(total) > TOLERANCE else result


def without_drift(trace: Trace, calibrated_at: float, percent_per_hour: float) -> Trace:
    """Return p (1 - d t) with t since `calibrated_at` (s); to be kept beside the readings, never instead."""
    elapsed = (trace.time - calibrated_at) / 3600.0
    return Trace(trace.time, trace.values * (1.0 - percent_per_hour / 100.0 * elapsed), trace.quality)
