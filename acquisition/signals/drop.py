"""Exercise TcPO2: how much more a limb's oxygen falls than the chest's while walking (DROP, Abraham 2003)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals.attachment import stuck
from acquisition.signals.kit.bins import Binner
from acquisition.signals.kit.plausible import check_settings
from acquisition.signals.result import Result, Status, Trace, Window

UNIT = "mm[Hg]"
SECOND = 1.0
DRIFTED, STRAIGHT, LAST_MINUTE = 5.0, 0.9, 60.0
"""mmHg off the baseline at the end of a recovery, share of variance of a straight line, and s of that end."""
LEAST = 1.0
"""A smaller fall has no recovery to be timed (mmHg)."""


@dataclass(frozen=True, slots=True)
class DropSettings:
    """Times in s, pressures in mmHg.

    `baseline`: standing on the belt before it starts. `smoothing`: trailing mean. `recovery`: how long after
    the stop the least value is searched; a record that ends before `least_recovery` may have missed it (the
    fall goes on for about 4 min, Holdich 1986). `cutoff`: -15, or -16 of the 2003 series; -12 was
    proposed for Gardner-Skinner (2025) and is not validated against imaging. `steady`: greatest slope of a
    baseline, mmHg/min. `chest_change`: what counts as a change of the chest.
    """

    baseline: float = 120.0
    smoothing: float = 5.0
    recovery: float = 600.0
    least_recovery: float = 240.0
    cutoff: float = -15.0
    steady: float = 1.5
    chest_change: float = 5.0
    protocol: str = ""

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "DropSettings")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


DEFAULT = DropSettings()


class ChestChange(StrEnum):
    """What the reference did from rest on; a fall can feign or hide a DROP."""

    FLAT = "flat"
    RISE = "rise"
    FALL = "fall"
    FALL_AND_OVERSHOOT = "fall_and_overshoot"
    """The transient fall at the onset with an overshoot after it, seen in 12-18 % (Ouedraogo 2011)."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Drop:
    """DROP of one site: time (n,) s on the record's axis, values (n,) mmHg with NaN where either is missing."""

    time: Floats
    values: Floats
    baseline: Window
    noise: float
    reasons: tuple[str, ...] = ()


class DropMeter:
    """Computes DROP of one site against the chest, second by second; in pieces or whole the same bits.

    The baseline closes at `walk_start` (s on the traces' axis); until then there is no DROP.
    """

    def __init__(self, walk_start: float, settings: DropSettings = DEFAULT) -> None:
        self.settings = settings
        self.walk_start = walk_start
        self.least: tuple[float, float] | None = None
        origin = walk_start - settings.baseline - settings.smoothing
        self._sides = (_Side(origin, settings), _Side(origin, settings))
        self._next = 0
        self._rests: tuple[_Rest, _Rest] | None = None
        self._first = round(settings.baseline + settings.smoothing)

    @property
    def rests(self) -> tuple[float, float] | None:
        """The baselines of limb and chest, mmHg; None before the walk, NaN with too few data."""
        return None if self._rests is None else (self._rests[0].mean, self._rests[1].mean)

    @property
    def noise(self) -> float:
        """Standard deviation of DROP at rest, mmHg."""
        return math.nan if self._rests is None else math.hypot(*(rest.noise for rest in self._rests))

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the baselines."""
        if self._rests is None:
            return ("no_baseline",)
        found = [
            f"{word}_baseline_{reason}"
            for word, rest in zip(("limb", "chest"), self._rests, strict=True)
            for reason in rest.reasons
        ]
        return tuple(found)

    def feed(self, limb: Trace, chest: Trace) -> tuple[Floats, Floats]:
        """Take the samples that follow (mmHg); answer time (k,) s and DROP (k,) of the seconds completed."""
        for side, trace in zip(self._sides, (limb, chest), strict=True):
            side.feed(trace)
        ready = min(side.ready for side in self._sides)
        if ready < self._first:
            return np.empty(0), np.empty(0)
        if self._rests is None:
            self._rests = (self._sides[0].rest(), self._sides[1].rest())
            self._next = self._first
        start, self._next = self._next, ready
        changes = [side.smooth(start, ready) - rest.mean for side, rest in zip(self._sides, self._rests, strict=True)]
        values: Floats = changes[0] - changes[1]
        origin = self._sides[0].origin
        time: Floats = origin + np.arange(start + 1, ready + 1, dtype=np.float64) * SECOND
        for side in self._sides:
            side.forget(ready)
        self._remember(time, values)
        return time, values

    def _remember(self, time: Floats, values: Floats) -> None:
        if not np.isfinite(values).any():
            return
        k = int(np.nanargmin(values))
        if self.least is None or values[k] < self.least[1]:
            self.least = (float(time[k]), float(values[k]))


def drop(limb: Trace, chest: Trace, walk_start: float, settings: DropSettings = DEFAULT) -> Drop:
    """Return DROP(t) = [limb(t) - limb0] - [chest(t) - chest0] of a whole record (mmHg)."""
    meter = DropMeter(walk_start, settings)
    time, values = meter.feed(_ended(limb.around(walk_start)), _ended(chest.around(walk_start)))
    return Drop(time, values, (walk_start - settings.baseline, walk_start), meter.noise, meter.reasons)


def indices(
    limb: Trace, chest: Trace, walk_start: float, walk_stop: float, settings: DropSettings = DEFAULT
) -> list[Result]:
    """Return drop_min, its time, area below the cut-off, half recovery, and whether the cut-off was reached.

    Searched from `walk_start` to `recovery` s after `walk_stop`. A record that ends early, or whose least
    value stands at its end, gives a bound (censored): the true value is not above it.
    """
    window = (walk_start, walk_stop + settings.recovery)
    held = {**settings.as_dict(), "walk_stop": walk_stop}
    units = {"drop_min": UNIT, "drop_min_time": "s", "drop_area": "mm[Hg].s", "drop_half_recovery": "s",
             "drop_positive": "1"}  # fmt: skip

    def nothing(reason: str) -> list[Result]:
        return [Result.missing(name, unit, reason, window=window, settings=held) for name, unit in units.items()]

    if not walk_stop > walk_start:
        return nothing("marks_out_of_order")
    if not (math.isfinite(walk_start) and math.isfinite(walk_stop)):
        return nothing("mark_is_no_time")
    limb, chest = limb.around(walk_start, walk_stop), chest.around(walk_start, walk_stop)
    curve = drop(limb, chest, walk_start, settings)
    inside = (curve.time > window[0]) & (curve.time <= window[1])
    time, values = curve.time[inside], curve.values[inside]
    known = np.isfinite(values)
    if not known.any():
        return nothing("; ".join(curve.reasons) or "no_data_after_start")
    expected = (min(window[1], max(float(limb.span[1]), float(chest.span[1]))) - window[0]) / SECOND
    artefact = 100.0 * max(0.0, 1.0 - np.count_nonzero(known) / max(expected, 1.0))
    k = int(np.nanargmin(values))
    least = float(values[k])
    last = float(time[known][-1])
    early = last < walk_stop + settings.least_recovery
    at_end = time[k] == last and last < window[1] - SECOND
    common: dict[str, Any] = {
        "window": window, "n_valid": int(np.count_nonzero(known)), "pct_artefact": float(artefact), "settings": held,
    }  # fmt: skip
    noise = curve.noise if math.isfinite(curve.noise) else None
    found = [
        Result.of("drop_min", least, UNIT, uncertainty=noise, uncertainty_of=("noise",), **common),
        Result.of("drop_min_time", float(time[k]) - walk_start, "s", **common),
        Result.of("drop_area", float(np.nansum(np.maximum(settings.cutoff - values, 0.0))) * SECOND,
                  units["drop_area"], **common),
        _half_recovery(time, values, k, common),
        Result.of("drop_positive", float(least <= settings.cutoff), "1", **common),
    ]  # fmt: skip
    reasons = [*curve.reasons, *_faults(limb, chest, curve, window, least)]
    if artefact > 20.0:
        reasons.append("data_missing")
    for reason in reasons:
        found = [each.flagged(reason) for each in found]
    if early or at_end:
        why = "recovery_not_recorded" if early else "still_falling_at_the_end"
        bound = {"drop_min", "drop_min_time", "drop_area"}
        bound |= set() if least <= settings.cutoff else {"drop_positive"}
        found = [each.censored(why) if each.name in bound and each.value is not None else each for each in found]
    return found


def _faults(limb: Trace, chest: Trace, curve: Drop, window: Window, least: float) -> list[str]:
    """Return what speaks against the electrodes: one that stood still, or one that drifted."""
    start = curve.baseline[0]
    found = [
        f"{word}_{reason}"
        for word, side in (("limb", limb), ("chest", chest)) if (reason := stuck(side, start, window[1]))
    ]  # fmt: skip
    return [*found, *filter(None, [_drift(curve, window, least)])]


def _drift(curve: Drop, window: Window, least: float) -> str:
    """Return that DROP does not come back, "" where it does or where the record ends before it could.

    A limb's oxygen returns within `recovery` s of the stop. What then still stands at half of its fall, 5 mmHg and
    more, is an electrode that drifts, and so is a straight line from the baseline on, up or down.
    """
    known = np.isfinite(curve.values) & (curve.time <= window[1])
    time, values = curve.time[known], curve.values[known]
    if not len(time) or time[-1] < window[1] - 2 * SECOND:
        return ""
    end = float(np.median(values[time > window[1] - LAST_MINUTE]))
    if abs(end) < DRIFTED:
        return ""
    straight = float(np.corrcoef(time, values)[0, 1]) ** 2 if np.ptp(values) > 0.0 else 1.0
    if end <= least / 2.0 or (straight > STRAIGHT and end * (values[-1] - values[0]) > 0.0):
        return f"drift ({end:+.1f} at the end of the recovery)"
    return ""


def chest_change(chest: Trace, walk_start: float, walk_stop: float, settings: DropSettings = DEFAULT) -> ChestChange:
    """Return what the chest did from its baseline on until 5 min after the stop (5 s means, `chest_change` mmHg)."""
    side = _Side(walk_start - settings.baseline - settings.smoothing, settings)
    side.feed(_ended(chest.around(walk_start, walk_stop)))
    first = round(settings.baseline + settings.smoothing)
    if side.ready <= first:
        return ChestChange.UNKNOWN
    change = side.smooth(first, side.ready) - side.rest().mean
    change = change[: round(walk_stop - walk_start + 300.0)]
    if not np.isfinite(change).any():
        return ChestChange.UNKNOWN
    low, high = int(np.nanargmin(change)), int(np.nanargmax(change))
    fell, rose = change[low] < -settings.chest_change, change[high] > settings.chest_change
    if fell and rose and low < high:
        return ChestChange.FALL_AND_OVERSHOOT
    if fell and (not rose or -change[low] >= change[high]):
        return ChestChange.FALL
    return ChestChange.RISE if rose else ChestChange.FLAT


def sites(
    limbs: Mapping[str, Trace], chest: Trace, walk_start: float, walk_stop: float, settings: DropSettings = DEFAULT
) -> dict[str, list[Result]]:
    """Return the indices of every site (buttock, thigh, calf; left, right) against one chest electrode."""
    return {site: indices(limb, chest, walk_start, walk_stop, settings) for site, limb in limbs.items()}


def sum_of(least: Sequence[Result]) -> Result:
    """Return the sum of DROPmin over all sites, mmHg, as good as the worst of them; exploratory."""
    name, settings = "drop_sum", {"sites": len(least)}
    for each in least:
        if each.value is None:
            return Result.missing(name, UNIT, each.reason, settings=settings)
    result = Result.of(name, math.fsum(each.value or 0.0 for each in least), UNIT, settings=settings)
    for each in least:
        result = result.flagged(each.reason, each.status) if each.status is not Status.OK else result
    return result


def gardner_skinner_from_strandness(value: float) -> float:
    """Return what Gardner-Skinner would have given (mmHg): 0.647 DROP - 1.858 (Vasc Med 2025, n = 40)."""
    return 0.647 * value - 1.858


@dataclass(frozen=True, slots=True)
class _Rest:
    mean: float
    noise: float
    reasons: tuple[str, ...]


class _Side:
    """One electrode's seconds: means and counts, kept as far back as smoothing and baseline need them."""

    def __init__(self, origin: float, settings: DropSettings) -> None:
        self.origin = origin
        self._settings = settings
        self._binner = Binner(origin, SECOND)
        # Of each second: sum, count, and whether there is any.
        self._seconds = np.empty((3, 0))
        self._first = 0

    @property
    def ready(self) -> int:
        """How many seconds since the origin are complete."""
        return self._first + self._seconds.shape[1]

    def feed(self, trace: Trace) -> None:
        """Take the samples that follow."""
        bins = self._binner.feed(trace)
        if len(bins.sums):
            self._seconds = np.concatenate([self._seconds, (bins.sums, bins.counts, bins.counts > 0)], axis=1)

    def rest(self) -> _Rest:
        """Average the baseline; half of its seconds must hold data."""
        settings = self._settings
        low, high = round(settings.smoothing) - self._first, round(settings.baseline + settings.smoothing) - self._first
        sums, counts = self._seconds[:2, low:high]
        known = counts > 0
        if np.count_nonzero(known) < 0.5 * settings.baseline:
            return _Rest(math.nan, math.nan, ("missing",))
        mean = float(sums.sum() / counts.sum())
        seconds = sums[known] / counts[known]
        minutes = np.flatnonzero(known) / 60.0
        slope = float(np.polyfit(minutes, seconds, 1)[0])
        smooth = self.smooth(low + self._first + round(settings.smoothing), high + self._first)
        noise = float(np.nanstd(smooth)) if np.isfinite(smooth).any() else math.nan
        return _Rest(mean, noise, ("unsteady",) if abs(slope) > settings.steady else ())

    def smooth(self, start: int, stop: int) -> Floats:
        """Average the trailing `smoothing` seconds up to each of the seconds [start, stop); NaN below half full."""
        width = round(self._settings.smoothing)
        window = np.zeros((3, stop - start))
        for back in range(width):
            low = start - back - self._first
            window += self._seconds[:, low : low + stop - start]
        total, count, filled = window
        enough = (filled >= 0.5 * width) & (count > 0)
        means: Floats = np.divide(total, count, out=np.full(stop - start, np.nan), where=enough)
        return means

    def forget(self, upto: int) -> None:
        """Drop the seconds that no later smoothing needs."""
        keep = max(0, upto - round(self._settings.smoothing) - self._first)
        self._seconds, self._first = self._seconds[:, keep:], self._first + keep


def _half_recovery(time: Floats, values: Floats, k: int, common: dict[str, Any]) -> Result:
    """Return the time from the least value until half of it is made up."""
    name = "drop_half_recovery"
    if values[k] > -LEAST:
        return Result.missing(name, "s", "no_drop", **common)
    back = np.flatnonzero(values[k:] >= values[k] / 2.0)
    if len(back):
        return Result.of(name, float(time[k + back[0]] - time[k]), "s", **common)
    return Result.of(name, float(time[-1] - time[k]), "s", **common).censored("not_recovered")


def _ended(trace: Trace) -> Trace:
    """Return the trace with an empty sample one interval after its last, which completes its last second."""
    if not len(trace):
        return trace
    end = trace.span[1] if len(trace) > 1 else float(trace.time[0]) + SECOND
    return Trace(np.append(trace.time, end), np.append(trace.values, np.nan), np.append(trace.quality, np.uint8(1)))
