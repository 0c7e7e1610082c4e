"""Traces and results: the input of every index, and its output with unit, status, reason and uncertainty."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from acquisition.model import Flags, Floats, Nanoseconds, Quality
from acquisition.signals.kit import arrays
from acquisition.signals.kit.arrays import check_order

Mask = NDArray[np.bool_]
Window = tuple[float, float]
"""Seconds, half-open: start <= t < stop."""

UNUSABLE = Quality.INVALID | Quality.RANGE | Quality.CALIBRATING | Quality.SUSPECT
"""A value with one of these is no data; a questionable or demonstration value counts."""


class Status(StrEnum):
    """How far a result may be trusted, from best to worst."""

    OK = "ok"
    LOW_QUALITY = "low_quality"
    """A value that a reader must not use without its reason."""
    CENSORED = "censored"
    """The true value lies beyond this one: the record or the test ended before."""
    NOT_COMPUTABLE = "not_computable"


_ORDER = list(Status)
GRID = 4_000_000
"""Samples that a uniform grid may always hold: 27 h at 40 Hz. Larger ones hold at most 8 times the record's."""
FAR = 3600.0
"""Seconds without a sample beyond which what follows belongs to another measurement."""
_SLACK = 1e-3
"""Of an interval: what rounding of times may do, far from the origin of time."""


@dataclass(frozen=True, slots=True)
class Result:
    """One index of one record. A missing value is None with a reason, never 0 and never NaN.

    `unit` in UCUM ("1" for a ratio); `window` seconds of the trace's time; `n_valid` samples that were
    used and `pct_artefact` per cent of the window that was not usable. `uncertainty` is one standard
    deviation in `unit`, and `uncertainty_of` names what it contains (mark, noise, biological zero,
    scale). `curves` holds results that are arrays (a time course, a spectrum). `version` is that of
    the method: equal version, settings and samples give an equal value.
    """

    name: str
    value: float | None
    unit: str
    status: Status = Status.OK
    reason: str = ""
    window: Window | None = None
    n_valid: int = 0
    pct_artefact: float = 0.0
    uncertainty: float | None = None
    uncertainty_of: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = "1"
    curves: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.name}: {self.value} is no value; use Result.of or Result.missing")
        if self.value is None and not self.curves and self.status is not Status.NOT_COMPUTABLE:
            raise ValueError(f"{self.name}: nothing was computed, yet the status is {self.status}")
        if self.value is not None and self.status is Status.NOT_COMPUTABLE:
            raise ValueError(f"{self.name}: a value of {self.value} cannot be {self.status}")
        if self.status is not Status.OK and not self.reason:
            raise ValueError(f"{self.name}: {self.status} needs a reason")

    @classmethod
    def of(cls, name: str, value: float, unit: str, *, unless: str = "undefined", **details: Any) -> Result:
        """Return a result; NaN and infinities become a missing one with the reason `unless`."""
        if math.isfinite(value):
            return cls(name, float(value), unit, **details)
        details.update(status=Status.NOT_COMPUTABLE, reason=details.get("reason") or unless)
        return cls(name, None, unit, **details)

    @classmethod
    def missing(cls, name: str, unit: str, reason: str, **details: Any) -> Result:
        """Return a result without a value."""
        return cls(name, None, unit, Status.NOT_COMPUTABLE, reason, **details)

    def flagged(self, reason: str, status: Status = Status.LOW_QUALITY) -> Result:
        """Return this result with one more reason against it; the worst status stays."""
        worst = max(self.status, status, key=_ORDER.index)
        reasons = [r for r in (*self.reason.split("; "), reason) if r]
        value = None if worst is Status.NOT_COMPUTABLE else self.value
        error = None if value is None else self.uncertainty
        return replace(self, value=value, status=worst, reason="; ".join(dict.fromkeys(reasons)), uncertainty=error)

    def censored(self, reason: str) -> Result:
        """Return this result as a bound: the true value lies beyond it."""
        return self.flagged(reason, Status.CENSORED)

    @property
    def usable(self) -> bool:
        """Whether a comparison may use it: a value with status ok."""
        return self.status is Status.OK

    @property
    def fingerprint(self) -> str:
        """SHA-256 of name, method version and settings: equal ones were computed in the same way."""
        text = json.dumps([self.name, self.version, _plain(dict(self.settings))], sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; NaN inside curves becomes None."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "status": str(self.status),
            "reason": self.reason,
            "window": None if self.window is None else [_plain(edge) for edge in self.window],
            "n_valid": int(self.n_valid),
            "pct_artefact": _plain(self.pct_artefact),
            "uncertainty": _plain(self.uncertainty),
            "uncertainty_of": list(self.uncertainty_of),
            "settings": _plain(dict(self.settings)),
            "version": self.version,
            "curves": {name: _plain(curve) for name, curve in self.curves.items()},
        }


@dataclass(frozen=True, slots=True)
class Trace:
    """One channel: time (n,) float64 s, strictly increasing; values (n,) float64; quality (n,) uint8."""

    time: Floats
    values: Floats
    quality: Flags

    def __post_init__(self) -> None:
        if not self.time.shape == self.values.shape == self.quality.shape or self.time.ndim != 1:
            raise ValueError(f"shapes differ: {self.time.shape}, {self.values.shape}, {self.quality.shape}")
        check_order(self.time)

    @classmethod
    def of(cls, time: ArrayLike, values: ArrayLike, quality: ArrayLike | None = None) -> Trace:
        """Return a trace of anything array-like; without `quality`, every finite value is good.

        Dates (datetime64) become seconds since 1970, masked values NaN. TypeError or ValueError says, with the row,
        what is no time, no number or no flag.
        """
        x = arrays.numbers(values)
        flags = np.zeros(x.shape, np.uint8) if quality is None else arrays.flags(quality, x)
        return cls(arrays.seconds(time), x, flags)

    @classmethod
    def of_record(cls, time: Nanoseconds, values: Floats, quality: Flags, origin: int) -> Trace:
        """Return a trace of recorded samples, in seconds from the time key `origin` (ns)."""
        return cls((time - origin) / 1e9, values, quality)

    def __len__(self) -> int:
        return len(self.time)

    @property
    def rate(self) -> float:
        """Samples per second: by the mean interval where there is no gap, else by the median; NaN below two."""
        if len(self) < 2:
            return math.nan
        steps = np.diff(self.time)
        usual = float(np.median(steps))
        whole = float(steps.max()) < 1.5 * usual
        return (len(self) - 1) / float(self.time[-1] - self.time[0]) if whole else 1.0 / usual

    @property
    def valid(self) -> Mask:
        """Which samples are data: finite, no overload code, and nothing of `UNUSABLE` against them."""
        unusable: Mask = (self.quality & int(UNUSABLE)) != 0
        return (np.abs(self.values) < arrays.OVERLOAD) & ~unusable

    @property
    def masked(self) -> Floats:
        """Values with NaN wherever a sample is not data."""
        return np.where(self.valid, self.values, np.nan)

    @property
    def span(self) -> Window:
        """First and last second, the last sample's interval included."""
        if not len(self):
            return (math.nan, math.nan)
        interval = 1.0 / self.rate if len(self) > 1 else 0.0
        return float(self.time[0]), float(self.time[-1]) + interval

    def between(self, start: float, stop: float) -> Trace:
        """Return the part with start <= t < stop."""
        low, high = np.searchsorted(self.time, (start, stop), side="left")
        return _sure(self.time[low:high], self.values[low:high], self.quality[low:high])

    def count(self, start: float, stop: float) -> tuple[int, float]:
        """Return how many samples in [start, stop) are data, and the per cent of the window that is not.

        Samples that are absent (a gap, a record that ends early) count as not usable.
        """
        part = self.between(start, stop)
        good = int(np.count_nonzero(part.valid))
        expected = (stop - start) * self.rate if len(self) > 1 else float(len(part))
        expected = max(expected, float(len(part)), 1.0)
        # Jitter moves one sample in or out of a window; that is no artefact.
        missing = max(0.0, expected - good)
        return good, 0.0 if missing <= 1.0 and good == len(part) else 100.0 * missing / expected

    def sparse(self, rate: float | None = None) -> str:
        """Return why a uniform grid of `rate` Hz would hold far more than the samples, "" where it would not."""
        if len(self) < 2:
            return ""
        wanted = (self.time[-1] - self.time[0]) * (self.rate if rate is None else rate)
        if not wanted > max(GRID, 8 * len(self)):
            return ""
        row = int(np.argmax(np.diff(self.time)))
        hole = f"hole of {self.time[row + 1] - self.time[row]:.4g} s after {self.time[row]:.9g} s"
        return f"{hole}: a grid of {wanted:.3g} samples for {len(self)}"

    def around(self, start: float, stop: float | None = None) -> Trace:
        """Return the samples that belong to [start, stop]: none beyond a hole of more than an hour on either side."""
        if len(self) < 2 or float(self.time[-1] - self.time[0]) <= FAR:
            return self
        ends = np.flatnonzero(np.diff(self.time) > FAR)
        if not len(ends):
            return self
        first = ends[self.time[ends + 1] <= start]
        last = ends[self.time[ends] >= (start if stop is None else stop)]
        low, high = (int(first[-1]) + 1 if len(first) else 0), (int(last[0]) + 1 if len(last) else len(self))
        return _sure(self.time[low:high], self.values[low:high], self.quality[low:high])

    def uniform(self, rate: float | None = None, max_gap: float = 2.0) -> Trace:
        """Return the trace on a uniform grid of `rate` Hz (default: its own), linear between data.

        Between two data samples further apart than `max_gap` seconds the grid is NaN and INVALID;
        bridged holes (more than 1.5 own intervals) are filled and QUESTIONABLE. A hole that would make the grid far
        larger than the record is refused (ValueError names it): cut the window out of the trace first.
        """
        if not len(self):
            return self
        if reason := self.sparse(rate):
            raise ValueError(f"{reason}; cut the window out first, with Trace.between")
        rate = self.rate if rate is None else rate
        count = math.floor((self.time[-1] - self.time[0]) * rate + _SLACK) + 1 if len(self) > 1 else 1
        grid = self.time[0] + np.arange(count) / (rate if len(self) > 1 else 1.0)
        use = self.valid
        quality = np.zeros(count, np.uint8)
        if count == len(self) and use.all() and np.abs(self.time - grid).max() <= _SLACK / rate:
            # Uniform already: what follows would find no hole.
            return _sure(grid, np.interp(grid, self.time, self.values), quality)
        known, numbers = self.time[use], self.values[use]
        if not len(known):
            quality[:] = Quality.INVALID
            return Trace(grid, np.full(count, np.nan), quality)
        tolerance = _SLACK / rate if len(self) > 1 else 0.0
        right = np.searchsorted(known, grid - tolerance, side="left")
        exact = (right < len(known)) & (np.abs(known[np.minimum(right, len(known) - 1)] - grid) <= tolerance)
        inside = (right > 0) & (right < len(known))
        width = known[np.minimum(right, len(known) - 1)] - known[np.maximum(right - 1, 0)]
        filled = np.interp(grid, known, numbers)
        bad = ~exact & (~inside | (width > max_gap))
        filled[bad] = np.nan
        quality[~exact & ~bad & (width > 1.5 / self.rate)] = Quality.QUESTIONABLE
        quality[bad] = Quality.INVALID
        return Trace(grid, filled, quality)


def table(results: Iterable[Result]) -> dict[str, Result]:
    """Return results by name; a name that occurs twice is an error."""
    found: dict[str, Result] = {}
    for result in results:
        if result.name in found:
            raise ValueError(f"two results are named {result.name}")
        found[result.name] = result
    return found


def _sure(time: Floats, values: Floats, quality: Flags) -> Trace:
    """Return a trace of what is known to be in order; the live forms make thousands of them a minute."""
    trace = object.__new__(Trace)
    for name, array in (("time", time), ("values", values), ("quality", quality)):
        object.__setattr__(trace, name, array)
    return trace


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: no NaN, no numpy type."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
