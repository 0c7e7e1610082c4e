"""When a cuff closed and opened, and how well that is known: pressure, a person's mark, or the flux itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from acquisition.model import Floats
from acquisition.signals.kit.plausible import CUFF, PERFUSION, in_range
from acquisition.signals.kit.smoothing import moving_mean, samples
from acquisition.signals.result import Trace

OPEN = 30.0
"""mmHg: a cuff below this pressure is open."""
MARGIN = 30.0
"""mmHg above systolic pressure at which a cuff closes an artery that can be compressed."""


class MarkSource(StrEnum):
    """Where the instant of release comes from, from best to worst."""

    CUFF = "cuff"
    """Cuff pressure fell below 30 mmHg."""
    MANUAL = "manual"
    """A person marked it: +-2 s."""
    INFERRED = "inferred"
    """From the flux: nothing may be timed from it."""


MARK_ERROR = {MarkSource.CUFF: 0.5, MarkSource.MANUAL: 2.0, MarkSource.INFERRED: 5.0}
"""Seconds, one standard deviation, by source of the mark."""


@dataclass(frozen=True, slots=True)
class Occlusion:
    """One occlusion: seconds at which inflation began and at which the cuff was open again; None when unknown.

    `held` says whether recorded pressure stayed above systolic + 30 mmHg; None when it was not recorded.
    """

    on: float | None
    off: float | None
    source: MarkSource = MarkSource.CUFF
    held: bool | None = None

    @property
    def error(self) -> float:
        """Seconds of uncertainty (one standard deviation) of the release."""
        return MARK_ERROR[self.source]

    @property
    def fault(self) -> str:
        """Why nothing can be timed by these marks; empty when it can."""
        if self.on is None:
            return "no_occlusion_mark"
        if self.off is None:
            return "no_release_mark"
        if not (math.isfinite(self.on) and math.isfinite(self.off)):
            return "mark_is_no_time"
        return "" if self.on < self.off else "marks_out_of_order"


def from_pressure(pressure: Trace, systolic: float | None = None) -> list[Occlusion]:
    """Return the occlusions that a cuff's pressure (mmHg) shows.

    One begins where pressure last crossed 30 mmHg before it exceeded systolic + 30 mmHg (without a
    systolic pressure: 150 mmHg) and ends where it crosses 30 mmHg again, both interpolated. The one
    still closed at the end has no release. A pressure that is missing at the crossing gives none.
    """
    closing = 150.0 if systolic is None else systolic + MARGIN
    use = in_range(pressure, CUFF).valid
    t, p = pressure.time[use], pressure.values[use]
    closed = p >= OPEN
    edges: list[int] = np.flatnonzero(np.diff(closed.astype(np.int8))).tolist()
    found: list[Occlusion] = []
    starts = [i for i in edges if closed[i + 1]]
    stops = [i for i in edges if not closed[i + 1]]
    if len(p) and closed[0]:
        stops = stops[1:]
    for k, start in enumerate(starts):
        stop = stops[k] if k < len(stops) else None
        inside = p[start + 1 : None if stop is None else stop + 1]
        above = np.flatnonzero(inside > closing)
        if not len(above):
            continue
        held = bool(np.all(inside[above[0] : above[-1] + 1] > closing))
        off = None if stop is None else _crossing(t, p, stop)
        found.append(Occlusion(_crossing(t, p, start), off, MarkSource.CUFF, held))
    return found


def nearest(shown: Sequence[Occlusion], marked: float | None) -> Occlusion | None:
    """The occlusion that began nearest to a mark of inflation (s), without one the last; None where none is shown."""
    begun = [each for each in shown if each.on is not None]
    if marked is None or not begun:
        return begun[-1] if begun else None
    return min(begun, key=lambda each: abs((each.on or 0.0) - marked))


def apart(marked: float, seen: float, source: MarkSource) -> bool:
    """Whether a person's mark lies further from what a trace shows than two standard deviations of both (s)."""
    return abs(marked - seen) > 2.0 * math.hypot(MARK_ERROR[source], MARK_ERROR[MarkSource.MANUAL])


def inferred(flux: Trace, on: float, least: float = 60.0) -> Occlusion:
    """Return the occlusion that began at `on`, its release taken from the flux.

    The steepest rise of the 3 s mean over 4 s, later than `least` seconds, followed back to where flux left
    the level of the occlusion by three standard deviations. Good enough to find the hyperaemia, never to
    time it.
    """
    unknown = Occlusion(on, None, MarkSource.INFERRED)
    part = flux.around(on).between(on, float("inf"))
    if len(part) < 3 or part.sparse():
        return unknown
    grid = in_range(part, PERFUSION).uniform()
    rate = grid.rate
    smooth = moving_mean(grid.values, samples(3.0, rate))
    lag = max(1, round(2.0 * rate))
    rise = np.full(len(smooth), np.nan)
    if len(smooth) > 2 * lag:
        rise[lag:-lag] = smooth[2 * lag :] - smooth[: -2 * lag]
    rise[grid.time < on + least] = np.nan
    if not np.isfinite(rise).any():
        return unknown
    steepest = int(np.nanargmax(rise))
    before = (grid.time >= on + least / 2) & (grid.time < grid.time[steepest] - 5.0)
    level = smooth[before & np.isfinite(smooth)]
    if len(level) < 2:
        return unknown
    limit = float(np.median(level) + 3.0 * np.std(level))
    if not smooth[min(steepest + lag, len(smooth) - 1)] > limit:
        return unknown
    low = np.flatnonzero(smooth[: steepest + 1] <= limit)
    return Occlusion(on, float(grid.time[low[-1]]), MarkSource.INFERRED) if len(low) else unknown


def _crossing(t: Floats, p: Floats, i: int) -> float:
    """Return the time at which the line from sample i to the next crosses the pressure of an open cuff."""
    return float(t[i] + (OPEN - p[i]) / (p[i + 1] - p[i]) * (t[i + 1] - t[i]))
