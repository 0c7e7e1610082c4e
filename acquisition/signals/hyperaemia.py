"""The numbers behind post-occlusive hyperaemia, of many records at once; what they are worth is said in `porh`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.artefacts import fill
from acquisition.signals.biological_zero import BEFORE_RELEASE, LAST, SHORTEST
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.plausible import check_settings
from acquisition.signals.kit.smoothing import moving_mean, samples

VERSION = "1"
RECORDS_AT_ONCE = 32
"""Records of one block: keeps its arrays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How hyperaemia is measured; seconds unless said otherwise.

    Times move with `smoothing` (time to peak 20.3, 16.0, 15.9 s for 1, 3 and 5 s of one real record),
    so it is stored with every result.
    """

    smoothing: float = 3.0
    """Centred mean for peaks and times; 0 for none."""
    rest: tuple[float, float] = (-120.0, -10.0)
    """Of resting flow, from the start of inflation."""
    search: float = 60.0
    """After release, for the peak; 400 s in peripheral arterial disease (`Settings.ischaemic`)."""
    follow_up: float = 180.0
    """After release, the least record."""
    hyperaemia_mean: float = 10.0
    hyperaemia_sd: float = 3.0
    hyperaemia_share: float = 0.5
    """It is hyperaemia when the 10 s mean exceeds rest by 3 SD of 10 s rest means and by half of (rest - zero)."""
    twin: float = 0.02
    """Share of the rise: an earlier local peak that comes so near is the peak."""
    sustained: float = 5.0
    """At or below rest for so long is recovered."""
    recovery_level: float = 1.0
    """Of resting flow."""
    slope_span: float = 2.0
    areas: tuple[float, float] = (60.0, 180.0)

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "Settings")

    @classmethod
    def ischaemic(cls, **changes: Any) -> Settings:
        """Return the settings for a limb with arterial disease: the peak may come after five minutes."""
        return cls(**{"search": 400.0, "follow_up": 600.0, **changes})

    def as_dict(self) -> Mapping[str, Any]:
        """Return plain values, to be stored with a result."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Measures:
    """Arrays (r,), one value a record; NaN where there is none. Flux in PU; times in s from the release.

    `recovery` is a bound where `recovered` is 0. `hyperaemic` (1 or 0) compares `highest_10s` with `threshold`;
    where it is 0, times and slopes are computed all the same and `porh` withholds them. `half_rise_slope` is the
    mean slope (PU/s) up to the half rise. `auc_60` and `auc_180` follow `Settings.areas`.
    """

    rest_flow: Floats
    rest_sd: Floats
    rest_seconds: Floats
    biological_zero: Floats
    peak: Floats
    peak_noise: Floats
    highest_10s: Floats
    threshold: Floats
    hyperaemic: Floats
    peak_at_end: Floats
    latency: Floats
    time_to_peak: Floats
    half_rise: Floats
    recovery_75: Floats
    half_recovery: Floats
    recovery_25: Floats
    recovery: Floats
    recovered: Floats
    max_slope: Floats
    occlusion_area: Floats
    hyperaemia_area: Floats
    auc_60: Floats
    auc_180: Floats
    index: Floats
    half_rise_slope: Floats


def measure(
    values: ArrayLike, rate: float, start: float, on: ArrayLike, off: ArrayLike, settings: Settings | None = None
) -> Measures:
    """Measure records (r, n) on one uniform grid: sample k at start + k/rate, marks `on` and `off` (r,) in s.

    NaN is no data. No Python loop over samples; records go in blocks.
    """
    s = settings or Settings()
    x = np.atleast_2d(numbers(values))
    begin = np.broadcast_to(np.asarray(on, np.float64), x.shape[0])
    end = np.broadcast_to(np.asarray(off, np.float64), x.shape[0])
    blocks = [
        _block(x[k : k + RECORDS_AT_ONCE], rate, start, begin[k : k + RECORDS_AT_ONCE], end[k : k + RECORDS_AT_ONCE], s)
        for k in range(0, x.shape[0], RECORDS_AT_ONCE)
    ]
    return Measures(**{name: np.concatenate([block[name] for block in blocks]) for name in Measures.__slots__})


def _block(x: Floats, rate: float, start: float, on: Floats, off: Floats, s: Settings) -> dict[str, Floats]:
    grid = _Grid(x, rate, start, s)
    last = grid.time(np.full(len(x), x.shape[1] - 1))

    rest_from, rest_to = on + s.rest[0], on + s.rest[1]
    rest_flow, rest_seconds = grid.mean(rest_from, rest_to)
    rest_sd = grid.spread(rest_from, rest_to, s.hyperaemia_mean)
    zero = grid.median(off - BEFORE_RELEASE - LAST, LAST)
    zero[~(off - on >= SHORTEST)] = np.nan

    limit = np.minimum(off + s.search, last)
    at, peak = _summit(grid, off, limit, rest_flow, s)
    rise, summit = peak - rest_flow, grid.time(at)
    _, highest = grid.highest(grid.slow, off, limit)
    # Without a biological zero the whole of resting flow stands for (rest - zero): the careful side.
    room = np.where(np.isfinite(zero), rest_flow - zero, rest_flow)
    threshold = rest_flow + np.fmax(s.hyperaemia_sd * rest_sd, s.hyperaemia_share * room)

    half = rest_flow + 0.5 * rise
    reached = grid.first(grid.smooth, off, last, rest_flow, rising=True)
    half_up = grid.first(grid.smooth, off, summit, half, rising=True)
    recovery = grid.first_sustained(summit, s.recovery_level * rest_flow, s.sustained)
    recovered = np.isfinite(recovery)
    bound = np.fmax(last - s.sustained, summit)
    recovery = np.where(recovered, recovery, bound)
    recovery[~np.isfinite(peak)] = np.nan
    down = {
        share: grid.first(grid.smooth, summit, last, rest_flow + share * rise, rising=False)
        for share in (0.75, 0.5, 0.25)
    }

    debt = grid.integral(on, off, np.maximum(rest_flow[:, None] - grid.filled, 0.0))
    paid = grid.integral(reached, np.where(recovered, recovery, last))
    paid -= rest_flow * (np.where(recovered, recovery, last) - reached)
    areas = [_within(grid.integral(off, off + w) - zero * w, off + w, last) for w in s.areas]
    before = _within(grid.integral(on - 60.0, on), start, on - 60.0)
    after = _within(grid.integral(off, off + 60.0), off + 60.0, last)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(before > 0, after / before, np.nan)
    return {
        "rest_flow": rest_flow,
        "rest_sd": rest_sd,
        "rest_seconds": rest_seconds,
        "biological_zero": zero,
        "peak": peak,
        "peak_noise": grid.noise(at),
        "highest_10s": highest,
        "threshold": threshold,
        # Where rest neither swings nor falls under the cuff the threshold is rest itself, which is no rise.
        "hyperaemic": ((highest >= threshold) & (highest > rest_flow)).astype(np.float64),
        # A maximum within half a smoothing window of the end is the end of a rise, not a summit.
        "peak_at_end": (summit >= limit - max(0.5 * s.smoothing, 1.0 / rate) - 1e-9).astype(np.float64),
        "latency": np.maximum(reached - off, 0.0),
        "time_to_peak": summit - off,
        "half_rise": half_up - off,
        "recovery_75": down[0.75] - off,
        "half_recovery": down[0.5] - off,
        "recovery_25": down[0.25] - off,
        "recovery": recovery - off,
        "recovered": recovered.astype(np.float64),
        "max_slope": grid.steepest(off, summit, s.slope_span),
        "occlusion_area": debt,
        "hyperaemia_area": paid,
        "auc_60": areas[0],
        "auc_180": areas[1],
        "index": index,
        "half_rise_slope": 0.5 * rise / np.where(half_up > off, half_up - off, np.nan),
    }


def _summit(grid: _Grid, off: Floats, limit: Floats, rest_flow: Floats, s: Settings) -> tuple[np.ndarray, Floats]:
    """Return where the peak is and what: of nearly equal summits the first."""
    at, peak = grid.highest(grid.smooth, off, limit)
    return grid.first_summit(off, limit, peak - s.twin * np.abs(peak - rest_flow), at), peak


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a hyperaemia has come, as `measure` has it too: PU, and s after the release; NaN for what is not yet."""

    peak: float
    time_to_peak: float
    latency: float
    recovery: float


def follow(
    values: ArrayLike, rate: float, start: float, off: float, rest_flow: float, settings: Settings | None = None
) -> Progress:
    """Follow one hyperaemia from a few seconds before its release on: flux (n,) PU from `start` s, marks in s.

    `rest_flow` is known by then, so that nothing of what was before needs to be looked at again.
    """
    s = settings or Settings()
    grid = _Grid(np.atleast_2d(numbers(values)), rate, start, s)
    rest, release = np.array([rest_flow]), np.array([off])
    last = grid.time(np.array([grid.n - 1]))
    at, peak = _summit(grid, release, np.minimum(release + s.search, last), rest, s)
    summit = grid.time(at)
    reached = grid.first(grid.smooth, release, last, rest, rising=True)
    recovery = grid.first_sustained(summit, s.recovery_level * rest, s.sustained)
    found = (peak, summit - release, np.maximum(reached - release, 0.0), recovery - release)
    return Progress(*(float(each[0]) for each in found))


def _within(value: Floats, low: Any, high: Any) -> Floats:
    """Return value where low <= high up to rounding, else NaN: a window that the record does not hold."""
    return np.where(low <= np.asarray(high) + 1e-6, value, np.nan)


class _Grid:
    """Records (r, n) on a uniform grid, and the questions that are asked of them, all vectorised over records."""

    def __init__(self, x: Floats, rate: float, start: float, s: Settings) -> None:
        self.rate, self.start, self.n = rate, start, x.shape[1]
        self.x = x
        self.good = np.isfinite(x)
        self.smooth = moving_mean(x, samples(s.smoothing, rate))
        self.width = samples(s.smoothing, rate)
        self._slow_width = samples(s.hyperaemia_mean, rate)
        self._k = np.arange(self.n)
        self._time = self.time(self._k)
        self._rows = np.arange(len(x))

    @cached_property
    def slow(self) -> Floats:
        """The mean by which a hyperaemia is told from a wave."""
        return moving_mean(self.x, self._slow_width)

    @cached_property
    def filled(self) -> Floats:
        """The records with their holes bridged."""
        rows = zip(self.x, self.good, strict=True)
        return self.x if self.good.all() else np.stack([fill(row, ~ok) for row, ok in rows])

    @cached_property
    def _known(self) -> Floats:
        return self.x if self.good.all() else np.where(self.good, self.x, 0.0)

    @cached_property
    def _count(self) -> Floats:
        return _from_zero(np.cumsum(self.good, axis=1))

    def time(self, index: Any) -> Floats:
        """Return the seconds of samples."""
        return self.start + np.asarray(index, np.float64) / self.rate

    def index(self, time: Floats) -> np.ndarray:
        """Return the first sample at or after each time, 0 to n."""
        position = np.where(np.isfinite(time), (time - self.start) * self.rate, self.n)
        return np.clip(np.ceil(position - 1e-6), 0, self.n).astype(np.int64)

    def mean(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Return the mean of the data on [low, high), and how many seconds of data there were."""
        i, j = self.index(low), self.index(high)
        j = np.maximum(i, j)
        count = self._count[self._rows, j] - self._count[self._rows, i]
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = _sums(self._known, i, j) / count
        return mean, count / self.rate

    def spread(self, low: Floats, high: Floats, block: float) -> Floats:
        """Return the standard deviation of means of `block` s, counted back from `high`; NaN with fewer than two."""
        means = []
        for k in range(int((np.max(high - low) + 1e-9) / block)):
            mean, seconds = self.mean(high - (k + 1) * block, high - k * block)
            means.append(np.where((seconds >= 0.5 * block) & (high - (k + 1) * block >= low - 1e-9), mean, np.nan))
        table = np.array(means).reshape(-1, len(self.x))
        count = np.isfinite(table).sum(0)
        enough = np.maximum(count - 1, 1)
        centre = np.where(np.isfinite(table), table, 0.0).sum(0) / np.maximum(count, 1)
        square = np.where(np.isfinite(table), np.square(table - centre), 0.0).sum(0) / enough
        return np.where(count >= 2, np.sqrt(square), np.nan)

    def median(self, low: Floats, seconds: float) -> Floats:
        """Return the median of the data on [low, low + seconds); NaN where the record does not hold the window."""
        width = max(1, round(seconds * self.rate))
        first = self.index(low)
        take = first[:, None] + np.arange(width)
        inside = (low >= self.start - 1e-6) & (first + width <= self.n)
        window = np.take_along_axis(self.x, np.clip(take, 0, self.n - 1), axis=1)
        enough = inside & (np.isfinite(window).sum(1) >= 3)
        window[~enough] = 0.0
        return np.where(enough, np.nanmedian(window, axis=1), np.nan)

    def highest(self, y: Floats, low: Floats, high: Floats) -> tuple[np.ndarray, Floats]:
        """Return index and value of the maximum on [low, high]; NaN without data."""
        inside = self._inside(low, high)
        shown = np.where(inside & np.isfinite(y), y, -np.inf)
        at = np.argmax(shown, axis=1)
        value = shown[self._rows, at]
        return at, np.where(np.isfinite(value), value, np.nan)

    def first_summit(self, low: Floats, high: Floats, level: Floats, otherwise: np.ndarray) -> np.ndarray:
        """Return the first local maximum on [low, high] that is at least `level`."""
        y = self.smooth
        local = np.zeros(y.shape, np.bool_)
        local[:, 1:-1] = (y[:, 1:-1] >= y[:, :-2]) & (y[:, 1:-1] > y[:, 2:]) & (y[:, 1:-1] >= level[:, None])
        local &= self._inside(low, high)
        return np.where(local.any(1), np.argmax(local, axis=1), otherwise)

    def first(self, y: Floats, low: Floats, high: Floats, level: Floats, *, rising: bool) -> Floats:
        """Return the first time on [low, high] at which y is at or beyond `level`, interpolated; NaN when never."""
        beyond = y >= level[:, None] if rising else y <= level[:, None]
        return self._crossing(y, beyond & self._inside(low, high), low, level)

    def first_sustained(self, low: Floats, level: Floats, seconds: float) -> Floats:
        """Return the first time after `low` from which the smooth flux stays at or below `level` for `seconds`."""
        m = max(1, round(seconds * self.rate))
        above = ~(self.smooth <= level[:, None])
        total = np.concatenate((np.zeros((len(self.x), 1)), np.cumsum(above, axis=1)), axis=1)
        stays = np.zeros(above.shape, np.bool_)
        if self.n > m:
            stays[:, : self.n - m] = total[:, m + 1 :] == total[:, : self.n - m]
        return self._crossing(self.smooth, stays & (self._time > low[:, None]), low, level)

    def integral(self, low: Floats, high: Floats, y: Floats | None = None) -> Floats:
        """Return the integral of the line through the samples (of y, else of x) on [low, high]; NaN outside."""
        y = self.filled if y is None else y

        def beyond(time: Floats) -> tuple[np.ndarray, Floats, np.ndarray]:
            """The sample before each time, the area from it to the time, and which times lie outside."""
            position = (time - self.start) * self.rate
            outside = ~((position >= -1e-6) & (position <= self.n - 1 + 1e-6))
            position = np.clip(np.where(outside, 0.0, position), 0.0, self.n - 1)
            i = np.minimum(position.astype(np.int64), max(self.n - 2, 0))
            part = position - i
            a, b = y[self._rows, i], y[self._rows, np.minimum(i + 1, self.n - 1)]
            return i, a * part + 0.5 * (b - a) * part * part, outside

        i, before, out = beyond(low)
        j, after, late = beyond(high)
        # The trapezoids between two samples: the samples themselves, those at both ends by half.
        whole = _sums(y, i, j) + 0.5 * (y[self._rows, j] - y[self._rows, i])
        return np.where(out | late, np.nan, (whole + after - before) / self.rate)

    def steepest(self, low: Floats, high: Floats, span: float) -> Floats:
        """Return the greatest rise per second of the smooth flux over `span` s inside [low, high]."""
        lag = max(1, round(span * self.rate))
        if self.n <= lag:
            return np.full(len(self.x), np.nan)
        rise = np.full(self.smooth.shape, np.nan)
        rise[:, :-lag] = (self.smooth[:, lag:] - self.smooth[:, :-lag]) * (self.rate / lag)
        return self.highest(rise, low, high - lag / self.rate)[1]

    def noise(self, at: np.ndarray) -> Floats:
        """Return the standard error of the smooth flux at a sample, from what the smoothing took away around it."""
        half = self.width // 2
        if half == 0:
            return np.full(len(self.x), np.nan)
        take = np.clip(at[:, None] + np.arange(-half, half + 1), 0, self.n - 1)
        rest = np.take_along_axis(self.x - self.smooth, take, axis=1)
        good = np.isfinite(rest)
        square = np.where(good, np.square(rest), 0.0).sum(1)
        count = good.sum(1)
        return np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1) / np.maximum(count, 1)), np.nan)

    def _inside(self, low: Floats, high: Floats) -> np.ndarray:
        time = self._time
        tolerance = 1e-6 / self.rate
        inside: np.ndarray = (time >= low[:, None] - tolerance) & (time <= high[:, None] + tolerance)
        return inside

    def _crossing(self, y: Floats, beyond: np.ndarray, low: Floats, level: Floats) -> Floats:
        """Return where the line into the first marked sample meets `level`, not before `low`."""
        k = np.argmax(beyond, axis=1)
        found = beyond[self._rows, k]
        if not found.any():
            return np.full(len(k), np.nan)
        now, before = y[self._rows, k], y[self._rows, np.maximum(k - 1, 0)]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = (level - before) / (now - before)
        part = np.where((k > 0) & (part >= 0) & (part <= 1), part, 1.0)
        time = np.fmax(self.time(k - 1 + part), low)
        return np.where(found, time, np.nan)


def _from_zero(total: Floats) -> Floats:
    """Return (r, n + 1): nothing before the first sample."""
    return np.concatenate((np.zeros((len(total), 1)), total), axis=1)


def _sums(y: Floats, low: np.ndarray, high: np.ndarray) -> Floats:
    """Return the sum of y (r, n) over [low, high) of each record, negative where high comes first.

    Each of its own samples only: a difference of running sums would carry one huge value into every other window.
    """
    spans = zip(y, low.tolist(), high.tolist(), strict=True)
    return np.array([row[i:j].sum() if i <= j else -row[j:i].sum() for row, i, j in spans], np.float64)
