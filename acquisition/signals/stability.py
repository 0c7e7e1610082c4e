"""Stability of a TcPO2: its slope with a confidence interval, and the class that follows from it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals.kit.bins import Binner, Bins
from acquisition.signals.kit.plausible import check_settings
from acquisition.signals.result import Trace


class Steadiness(StrEnum):
    """What a TcPO2 does; only a stable one is an endpoint, every other goes with its class."""

    NOT_YET = "not_yet"
    """Still settling, or not shown to have settled."""
    STABLE = "stable"
    UNSTABLE = "unstable"
    """Too long observed for a plateau to be claimed."""
    NOISY = "noisy"
    """It swings too much for a plateau to be claimed."""
    FALLING = "falling"
    """A steady decrease instead of a plateau, as seen on plantar skin in diabetes."""
    RISING = "rising"


@dataclass(frozen=True, slots=True)
class StabilitySettings:
    """Thresholds of the detector; times in s since the electrode was applied, slopes in mmHg/min.

    The window is the last `window` seconds; from `minimum + window` on it begins at `minimum` and
    grows to `longest`, because five minutes of a noisy plateau cannot exclude a slow fall.
    `temperature` is how far the sensor may drift within the window, Cel.
    """

    minimum: float = 900.0
    window: float = 300.0
    longest: float = 900.0
    limit: float = 0.3
    confirm: float = 60.0
    verdict: float = 1200.0
    give_up: float = 1800.0
    fall: float = 0.5
    fall_excludes: float = 0.25
    noise: float = 3.0
    temperature: float = 0.2
    confidence: float = 0.95
    bin: float = 10.0
    filled: float = 0.8

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "StabilitySettings")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


DEFAULT = StabilitySettings()
INDEPENDENT = 6.0


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through a window: slope and half-width of its interval, mmHg/min; residual SD, mmHg."""

    value: float
    half_width: float
    residual: float

    def within(self, limit: float) -> bool:
        """Whether the whole interval lies inside +-limit."""
        return abs(self.value) + self.half_width < limit


@dataclass(frozen=True, slots=True)
class Judgement:
    """The detector's word at one moment: `elapsed` s since application; `slope` None with too few data."""

    elapsed: float
    steadiness: Steadiness
    slope: Slope | None
    reason: str = ""


def slope_of(means: Floats, width: float, confidence: float = 0.95) -> Slope | None:
    """Fit a line to bin means (n,) of `width` s; NaN bins are left out, fewer than 6 give None.

    Neighbouring means are not independent: the standard error is that of
    n (1 - r) / (1 + r) independent means, r being the lag-1 autocorrelation of the residuals (Bartlett
    1935), and the interval is Student's with two degrees of freedom less. At least 6 means count as
    independent: under that, the bend of a settling curve alone would widen the interval tenfold.
    """
    use = np.isfinite(means)
    n = int(np.count_nonzero(use))
    if n < 6:
        return None
    minutes = np.flatnonzero(use) * (width / 60.0)
    x = minutes - minutes.mean()
    y = means[use] - means[use].mean()
    spread = float(x @ x)
    slope = float(x @ y) / spread
    residual = y - slope * x
    power = float(residual @ residual)
    tiny = 1e-24 * max(1.0, float(np.max(np.abs(means[use])))) ** 2 * n
    if power <= tiny:
        return Slope(slope, 0.0, 0.0)
    r = float(np.clip(residual[1:] @ residual[:-1] / power, 0.0, 0.93))
    independent = min(max(n * (1.0 - r) / (1.0 + r), INDEPENDENT), float(n))
    freedom = independent - 2.0
    error = math.sqrt(power / freedom / spread)
    from scipy.special import stdtrit  # loaded where a slope is judged

    quantile = float(stdtrit(freedom, 0.5 + confidence / 2.0))
    return Slope(slope, quantile * error, math.sqrt(power / n))


class StabilityDetector:
    """Judges one electrode while it measures; fed in pieces or whole, it says the same.

    The verdict changes at most once per bin. A temperature trace is optional; without one the sensor's
    temperature is taken as held.
    """

    def __init__(self, applied: float, settings: StabilitySettings = DEFAULT) -> None:
        self.settings = settings
        self.judgement = Judgement(0.0, Steadiness.NOT_YET, None, "settling")
        self._applied = applied
        self._values = Binner(applied, settings.bin)
        self._temperatures = Binner(applied, settings.bin)
        longest = round(max(settings.window, settings.longest) / settings.bin)
        self._recent: deque[float] = deque(maxlen=longest)
        self._warmth: dict[int, float] = {}
        self._held = 0
        self._stable = False

    def feed(self, trace: Trace, temperature: Trace | None = None) -> list[Judgement]:
        """Take the samples that follow (mmHg, Cel); answer one judgement for each bin completed by them."""
        if temperature is not None:
            for k, mean in _numbered(self._temperatures.feed(temperature)):
                self._warmth[k] = mean
        found = [self._judge(k, mean) for k, mean in _numbered(self._values.feed(trace))]
        if found:
            self.judgement = found[-1]
        return found

    def _judge(self, k: int, mean: float) -> Judgement:
        settings = self.settings
        self._recent.append(mean)
        elapsed = (k + 1) * settings.bin
        if elapsed < settings.minimum:
            return Judgement(elapsed, Steadiness.NOT_YET, None, "settling")
        length = min(max(settings.window, elapsed - settings.minimum), settings.longest)
        count = min(round(length / settings.bin), len(self._recent))
        window = np.array(self._recent, np.float64)[-count:]
        enough = np.count_nonzero(np.isfinite(window)) >= settings.filled * count
        slope = slope_of(window, settings.bin, settings.confidence) if enough else None
        steady = self._temperature_held(k, count)
        self._held = self._held + 1 if slope is not None and slope.within(settings.limit) and steady else 0
        if (self._held - 1) * settings.bin >= settings.confirm:
            self._stable = True
        return self._classify(elapsed, slope, steady)

    def _classify(self, elapsed: float, slope: Slope | None, steady: bool) -> Judgement:
        settings = self.settings
        if slope is None:
            self._stable = False
            return Judgement(elapsed, Steadiness.NOT_YET, None, "too_few_data")
        if not steady:
            self._stable = False
            late = elapsed >= settings.give_up
            return Judgement(elapsed, _unsettled(late), slope, "sensor_temperature_changed")
        if elapsed >= settings.verdict:
            if slope.value < -settings.fall and slope.value + slope.half_width < -settings.fall_excludes:
                self._stable = False
                return Judgement(elapsed, Steadiness.FALLING, slope, "steadily_falling")
            if slope.value > settings.fall and slope.value - slope.half_width > settings.fall_excludes:
                self._stable = False
                return Judgement(elapsed, Steadiness.RISING, slope, "steadily_rising")
            if slope.residual > settings.noise:
                self._stable = False
                return Judgement(elapsed, Steadiness.NOISY, slope, "too_noisy")
        moving = abs(slope.value) > max(slope.half_width, settings.limit)
        self._stable = self._stable and not moving
        if self._stable:
            return Judgement(elapsed, Steadiness.STABLE, slope)
        return Judgement(elapsed, _unsettled(elapsed >= settings.give_up), slope, "plateau_not_shown")

    def _temperature_held(self, k: int, count: int) -> bool:
        known = [self._warmth[j] for j in range(k - count + 1, k + 1) if math.isfinite(self._warmth.get(j, math.nan))]
        self._warmth.pop(k - (self._recent.maxlen or 0), None)
        return not known or max(known) - min(known) < self.settings.temperature


def judge(
    trace: Trace, applied: float, settings: StabilitySettings = DEFAULT, temperature: Trace | None = None
) -> list[Judgement]:
    """Return the judgement at the end of each bin of a whole record (mmHg; `applied` s on its time axis)."""
    warmth = None if temperature is None else temperature.around(applied)
    return StabilityDetector(applied, settings).feed(trace.around(applied), warmth)


def _unsettled(late: bool) -> Steadiness:
    return Steadiness.UNSTABLE if late else Steadiness.NOT_YET


def _numbered(bins: Bins) -> Iterator[tuple[int, float]]:
    return enumerate(bins.means.tolist(), bins.first)
