"""TcPO2 while it is measured: number, slope, stability lamp and count-down of an electrode, and the live RPI."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from acquisition.signals import stability
from acquisition.signals.attachment import Stillness, attached
from acquisition.signals.result import Trace
from acquisition.signals.stability import StabilityDetector, StabilitySettings, Steadiness

SHOWN = 5.0
"""Seconds averaged into the number that is shown."""
SLOPE = 120.0
"""Seconds of the slope that is shown: quick to see, and too short to call anything stable."""


class Lamp(StrEnum):
    """What the display says before anybody reads a number."""

    GREY = "warming_up"
    AMBER = "not_stable"
    GREEN = "stable"


@dataclass(frozen=True, slots=True)
class LiveTcpo2:
    """Provisional: value (mmHg), slope over 2 min (mmHg/min), lamp, class, and s until the earliest verdict."""

    value: float | None
    slope: float | None
    lamp: Lamp
    steadiness: Steadiness
    countdown: float


class Electrode:
    """One electrode from its application at `applied` (s) on."""

    def __init__(self, applied: float, settings: StabilitySettings = stability.DEFAULT) -> None:
        self.settings = settings
        self._applied = applied
        self._detector = StabilityDetector(applied, settings)
        self._recent = Trace.of([], [])
        self._still = Stillness()

    def feed(self, trace: Trace, temperature: Trace | None = None) -> LiveTcpo2:
        """Take the samples that follow (mmHg, Cel) and answer what to show now."""
        # A jump lies between two samples: the newest of the last piece is judged with the first of this.
        joined = _joined(self._recent, trace)
        checked = attached(joined)
        fresh = slice(len(joined) - len(trace), None)
        news = Trace(checked.time[fresh], checked.values[fresh], checked.quality[fresh])
        self._detector.feed(news, temperature)
        self._still.feed(trace)
        end = float(joined.time[-1]) if len(joined) else self._applied
        self._recent = joined.between(end - SLOPE, math.inf)
        return self._now(checked, end)

    def _now(self, trace: Trace, end: float) -> LiveTcpo2:
        shown = trace.between(end - SHOWN, math.inf)
        values = shown.values[shown.valid]
        elapsed = end - self._applied
        steadiness = self._detector.judgement.steadiness
        if elapsed < self.settings.minimum:
            lamp = Lamp.GREY
        else:
            steady = steadiness is Steadiness.STABLE and not self._still.stuck
            lamp = Lamp.GREEN if steady else Lamp.AMBER
        return LiveTcpo2(
            float(values.mean()) if len(values) else None,
            slope(trace, end - SLOPE, end),
            lamp,
            steadiness,
            max(0.0, self.settings.minimum - elapsed),
        )


def slope(trace: Trace, start: float, stop: float) -> float | None:
    """Return the least-squares slope in mmHg/min on [start, stop] s; None where under half of it is data."""
    part = trace.between(start, math.nextafter(stop, math.inf))
    use = part.valid
    if np.count_nonzero(use) < 3 or np.ptp(part.time[use]) < 0.5 * (stop - start):
        return None
    minutes = (part.time[use] - part.time[use].mean()) / 60.0
    return float(minutes @ (part.values[use] - part.values[use].mean()) / (minutes @ minutes))


def live_rpi(limb: LiveTcpo2, chest: LiveTcpo2) -> float | None:
    """Return limb / chest once both lamps are green; None before."""
    if limb.lamp is not Lamp.GREEN or chest.lamp is not Lamp.GREEN:
        return None
    if limb.value is None or chest.value is None or chest.value <= 0.0:
        return None
    return limb.value / chest.value


def _joined(left: Trace, right: Trace) -> Trace:
    return Trace(
        np.concatenate([left.time, right.time]),
        np.concatenate([left.values, right.values]),
        np.concatenate([left.quality, right.quality]),
    )
