"""Samples that are not perfusion: spikes, stuck codes, a lifted probe, a saturated input.

Nothing here alters a record: each function marks samples, and the caller decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from acquisition.model import Floats, Quality
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.levels import POOR, USELESS
from acquisition.signals.kit.smoothing import samples
from acquisition.signals.result import Mask, Status, Trace

NO_SIGNAL = "no_signal"
"""The reason of what would be measured on a signal that does not move."""
STUCK = 10.0
"""Seconds of one and the same code that no flux keeps: it has a pulse, and noise."""
NORMAL_MAD = 1.4826
"""Standard deviations per median absolute deviation of a normal distribution."""

BEFORE_RELEASE, AFTER_RELEASE = 20.0, 120.0
"""Seconds around a release in which a steep rise is physiology: the Hampel rule would flag up to 38 % of it."""

# Codes of ADInstruments' blood flow meter on its analog output, in BPU (LabChart's table of error levels).
SENTINELS = {-2500.0: "no_probe", -5000.0: "unrecognised_probe", 0.0: "low_backscatter", 5000.0: "over_range"}


@dataclass(frozen=True, slots=True)
class Hampel:
    """How outliers are found: against the running median, in scaled median absolute deviations.

    `form` two_pass takes the deviation about the running median itself, windowed about each window's
    own median (MATLAB's movmedian); they flag different samples, so the form is stored. `widen` samples
    on each side go as well. `resolution` is the least step of the signal (None: found in it), the
    smallest deviation that can mean anything.
    """

    window: float = 20.0
    threshold: float = 5.0
    widen: int = 4
    form: str = "two_pass"
    resolution: float | None = None


def hampel(values: ArrayLike, rate: float, rule: Hampel | None = None) -> Mask:
    """Return which samples are spikes, along the last axis of uniform samples at `rate` Hz; NaN is no spike."""
    rule = rule or Hampel()
    x = numbers(values)
    if x.ndim > 1:
        flat = x.reshape(-1, x.shape[-1])
        return np.stack([hampel(row, rate, rule) for row in flat]).reshape(x.shape)
    good = np.isfinite(x)
    if np.count_nonzero(good) < 3:
        return np.zeros(x.shape, np.bool_)
    width = min(samples(rule.window, rate), 2 * ((len(x) - 1) // 2) + 1)
    filled = fill(x, ~good)
    if rule.form == "two_pass":
        centre = _running_median(filled, width)
        spread = _running_median(np.abs(filled - centre), width)
    elif rule.form == "windowed":
        centre, spread = _windowed(filled, width)
    else:
        raise ValueError(f"form {rule.form!r}: two_pass or windowed")
    step = quantum(x[good]) if rule.resolution is None else rule.resolution
    limit = rule.threshold * np.maximum(NORMAL_MAD * spread, step)
    # A few ulp of slack: rounding must not make a sample that equals its median an outlier.
    slack = 8 * np.finfo(np.float64).eps * np.abs(centre)
    return widened(good & (np.abs(filled - centre) > limit + slack), rule.widen) & good


def _running_median(x: Floats, width: int) -> Floats:
    # A third of a second to load: no session without flux should wait for it.
    from scipy.ndimage import median_filter

    median: Floats = median_filter(x, width, mode="reflect")
    return median


def widened(bad: Mask, each_side: int) -> Mask:
    """Return the mask with `each_side` more samples on both sides of every marked one, along the last axis."""
    if each_side < 1 or bad.size == 0:
        return bad
    from scipy.ndimage import maximum_filter1d

    wide: Mask = maximum_filter1d(bad.astype(np.uint8), 2 * each_side + 1, axis=-1, mode="constant") > 0
    return wide


def fill(values: ArrayLike, bad: Mask, longest: int | None = None) -> Floats:
    """Return values (n,) with marked samples replaced on a line between their neighbours, held at the ends.

    Runs of more than `longest` samples stay NaN.
    """
    x = numbers(values).copy()
    good = ~bad & np.isfinite(x)
    if not good.any():
        return np.full(x.shape, np.nan)
    where = np.flatnonzero(~good)
    x[where] = np.interp(where, np.flatnonzero(good), x[good])
    if longest is not None:
        for start, stop in runs(~good):
            if stop - start > longest:
                x[start:stop] = np.nan
    return x


def runs(marked: Mask) -> list[tuple[int, int]]:
    """Return (start, stop) of each run of marked samples."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], marked, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def long_runs(marked: Mask, longer_than: int) -> Mask:
    """Return only the runs of more than `longer_than` marked samples."""
    kept = np.zeros(marked.shape, np.bool_)
    for start, stop in runs(marked):
        if stop - start > longer_than:
            kept[start:stop] = True
    return kept


def quantum(values: Floats) -> float:
    """Return the least step between distinct values: the quantisation of a coarse signal, nothing for a fine one."""
    steps = np.diff(np.unique(values))
    # Steps of rounding errors are no quantisation.
    steps = steps[steps > 1e-9 * max(float(np.abs(values).max()), 1e-300)] if len(steps) else steps
    if not len(steps):
        return 0.0
    least = float(steps.min())
    coarse = np.abs(values / least - np.round(values / least)) < 1e-3
    return least if coarse.all() else 0.0


def flat(values: ArrayLike, rate: float, seconds: float = 2.0) -> Mask:
    """Return samples (n,) inside runs of identical codes that last longer than `seconds`: a stuck input."""
    x = numbers(values)
    if len(x) < 2:
        return np.zeros(x.shape, np.bool_)
    same = np.concatenate(([False], x[1:] == x[:-1]))
    kept = long_runs(same, int(seconds * rate))
    # The first sample of a run differs from the one before it, yet it belongs to the run.
    first = np.concatenate((kept[1:] & ~kept[:-1], [False]))
    whole: Mask = kept | first
    return whole


def still(trace: Trace) -> bool:
    """Return whether the data of a trace, three and more, are all the same number: an input and no signal."""
    values = trace.values[trace.valid]
    return len(values) >= 3 and float(np.ptp(values)) == 0.0


def too_steep(values: ArrayLike, rate: float, per_second: float = 25.0, window: float = 20.0) -> Mask:
    """Return samples (n,) that change by more than `per_second` times the running median in a second.

    Relative, because an absolute limit of 300 PU/s rejects the pulse of a fingertip. The default is
    an assumption: above any pulse, below a cable that is pulled.
    """
    x = numbers(values)
    good = np.isfinite(x)
    if np.count_nonzero(good) < 3:
        return np.zeros(x.shape, np.bool_)
    filled = fill(x, ~good)
    width = min(samples(window, rate), 2 * ((len(x) - 1) // 2) + 1)
    level = np.abs(_running_median(filled, width))
    jump = np.abs(np.diff(filled, prepend=filled[0])) * rate > per_second * level
    steep: Mask = (jump | np.concatenate((jump[1:], [False]))) & good
    return steep


def lifted(
    backscatter: ArrayLike,
    rate: float,
    step: float = 0.10,
    limits: tuple[float, float] | None = None,
    reference: float | None = None,
) -> Mask:
    """Return samples (n,) where total backscatter left its level: by more than the share `step`, or left `limits`.

    The level is `reference`, that of the probe when it was sited, else the running median of 60 s,
    which sees a lift of up to 30 s and the edges of a longer one. The flux of a probe that left the
    skin is no flux, however likely it looks.
    """
    light = numbers(backscatter, "backscatter")
    good = np.isfinite(light)
    if not good.any():
        return np.ones(light.shape, np.bool_)
    if reference is None:
        width = min(samples(60.0, rate), 2 * ((len(light) - 1) // 2) + 1)
        level = _running_median(fill(light, ~good), width)
    else:
        level = np.full(light.shape, reference)
    away: Mask = (np.abs(light - level) > step * np.abs(level)) | ~good
    if limits is not None:
        away |= (light < limits[0]) | (light > limits[1])
    return away


def sentinel(values: ArrayLike, codes: Iterable[float] = SENTINELS, tolerance: float = 0.5) -> Mask:
    """Return samples that are one of an instrument's error levels and no measurement."""
    x = numbers(values)
    found = np.zeros(x.shape, np.bool_)
    for code in codes:
        found |= np.abs(x - code) <= (tolerance if code else 0.0)
    return found


def temperature_jump(temperature: ArrayLike, rate: float, degrees: float = 0.5, within: float = 5.0) -> Mask:
    """Return samples (n,) where skin temperature moved by more than `degrees` within `within` seconds."""
    t = numbers(temperature, "temperature")
    lag = max(1, round(within * rate))
    if len(t) <= lag:
        return np.zeros(t.shape, np.bool_)
    moved = np.zeros(t.shape, np.bool_)
    moved[lag:] = np.abs(t[lag:] - t[:-lag]) > degrees
    return moved


def judge(bad: Mask, rate: float, lowest: float | None = None) -> tuple[Status, str]:
    """Return what a window with these bad samples is worth, for oscillations down to `lowest` Hz.

    More than 5 per cent bad, or one hole longer than a quarter of the longest period: low quality;
    more than 20 per cent: not computable.
    """
    share = 100.0 * float(np.mean(bad)) if bad.size else 100.0
    if share > USELESS:
        return Status.NOT_COMPUTABLE, "too_many_artefacts"
    if share > POOR:
        return Status.LOW_QUALITY, "artefacts"
    longest = max((stop - start for start, stop in runs(bad)), default=0)
    if lowest is not None and longest / rate > 1.0 / (4.0 * lowest):
        return Status.LOW_QUALITY, "hole_longer_than_a_quarter_period"
    return Status.OK, ""


@dataclass(frozen=True, slots=True)
class Screened:
    """A trace on a uniform grid, made whole for a spectrum, and what was not data in it.

    `values` has no NaN unless a hole was longer than may be bridged for ever: then the whole is filled
    on a line and `bad` says where. `rate` Hz; `why` counts samples by reason.
    """

    time: Floats
    values: Floats
    bad: Mask
    rate: float
    why: dict[str, int] = field(default_factory=dict)

    @property
    def pct_bad(self) -> float:
        """Per cent of the grid that is not data."""
        return 100.0 * float(np.mean(self.bad)) if self.bad.size else 100.0


def screened(
    trace: Trace,
    *,
    rate: float | None = None,
    rule: Hampel | None = None,
    releases: Sequence[float] = (),
    bridge: float = 2.0,
) -> Screened:
    """Return the trace ready for a spectrum: gaps bridged, uniform, spikes marked and replaced on a line.

    Spikes are not looked for around `releases` (s). Samples in holes longer than `bridge` seconds count as bad too, and
    codes that stand still for more than 10 s (10 samples, where these take longer).
    """
    grid = trace.uniform(rate, max_gap=bridge)
    if len(grid) < 2:
        return Screened(grid.time, grid.values, np.ones(len(grid), np.bool_), float("nan"), {"no_data": len(grid)})
    hole = ~grid.valid
    bridged = (grid.quality & int(Quality.QUESTIONABLE)) != 0
    spikes = hampel(grid.values, grid.rate, rule)
    for release in releases:
        spikes &= (grid.time < release - BEFORE_RELEASE) | (grid.time >= release + AFTER_RELEASE)
    stuck = flat(grid.masked, grid.rate, max(STUCK, STUCK / grid.rate))
    bad = hole | bridged | spikes | stuck
    marked = {"hole": hole, "bridged": bridged, "spike": spikes, "stuck": stuck}
    why = {word: int(mask.sum()) for word, mask in marked.items()}
    return Screened(grid.time, fill(grid.values, bad), bad, grid.rate, why)


def _windowed(x: Floats, width: int) -> tuple[Floats, Floats]:
    """Return median and median absolute deviation of each centred window, both about that window's median."""
    half = width // 2
    padded = np.pad(x, half, mode="reflect" if len(x) > half else "edge")
    windows = sliding_window_view(padded, width)
    centre, spread = np.empty(len(x)), np.empty(len(x))
    block = max(1, 4_000_000 // width)
    for start in range(0, len(x), block):
        part = windows[start : start + block]
        middle = np.median(part, axis=1)
        centre[start : start + block] = middle
        spread[start : start + block] = np.median(np.abs(part - middle[:, None]), axis=1)
    return centre, spread
