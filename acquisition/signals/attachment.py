"""Detachment of a TcPO2 electrode, and leaks under its ring: readings of air and not of skin."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acquisition.model import Floats, Quality
from acquisition.signals.kit.plausible import TCPO2, check_settings
from acquisition.signals.result import Mask, Result, Trace

STILL, STILL_FINE, COARSE = 1200.0, 600.0, 0.5
"""Seconds of one number that no electrode keeps: of whole mmHg, and of steps finer than the third."""
MMHG_PER_KPA = 7.50062


def mmhg(kilopascal: float) -> float:
    """Convert kPa into mmHg."""
    return kilopascal * MMHG_PER_KPA


@dataclass(frozen=True, slots=True)
class AttachmentSettings:
    """`ceiling` mmHg, above which skin that breathes air cannot be; `jump` mmHg/s, faster than any tissue.

    `settling` s after application during which the reading comes down from air and nothing is wrong. A leak
    is a rise of tcpO2 by `rise` with a fall of tcpCO2 by `fall` (mmHg) within `within` s. The leak's
    thresholds are this program's own and not confirmed by a source.
    """

    ceiling: float | None = 110.0
    jump: float = 5.0
    settling: float = 300.0
    rise: float = 5.0
    fall: float = 3.0
    within: float = 60.0

    def __post_init__(self) -> None:
        """Refuse NaN and infinities (ValueError)."""
        check_settings(asdict(self), "AttachmentSettings")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values."""
        return asdict(self)


DEFAULT = AttachmentSettings()
ON_OXYGEN = AttachmentSettings(ceiling=None)
"""While pure oxygen is breathed skin may read far more than air: only jumps count."""


def detached(trace: Trace, settings: AttachmentSettings = DEFAULT) -> Mask:
    """Return which samples (n,) cannot be skin: above the ceiling, at or below 0, a jump's ends, a level between two.

    A jump is judged between neighbouring data, over 1 s at least: the last digit of a fast record is no jump. What lies
    between a jump and one back, within `settling` s, goes with them.
    """
    use = trace.valid
    mask: Mask = np.zeros(len(trace), bool)
    values = trace.values
    mask[use] = (values[use] <= 0.0) | (values[use] > TCPO2.high)
    if settings.ceiling is not None:
        mask[use] |= values[use] > settings.ceiling
    known = np.flatnonzero(use)
    if len(known) > 1:
        steps = np.abs(np.diff(values[known]))
        allowed = settings.jump * np.maximum(np.diff(trace.time[known]), 1.0)
        torn = np.flatnonzero(steps > allowed)
        mask[known[torn]] = True
        mask[known[torn + 1]] = True
        for first, last in _excursions(trace.time[known], values[known], torn, settings):
            mask[known[first:last]] = True
    return mask


def _excursions(
    time: Floats, values: Floats, torn: NDArray[np.int64], settings: AttachmentSettings
) -> list[tuple[int, int]]:
    """Return (first, last) of each level that a jump began and another ended, back where the first had started.

    `torn` are the samples before a jump. A level that lasts longer than `settling` may be skin.
    """
    found: list[tuple[int, int]] = []
    k = 0
    while k < len(torn) - 1:
        away, back = int(torn[k]), int(torn[k + 1])
        opposite = (values[away + 1] - values[away]) * (values[back + 1] - values[back]) < 0.0
        near = abs(values[back + 1] - values[away]) <= settings.jump
        if opposite and near and time[back] - time[away] <= settings.settling:
            found.append((away + 1, back + 1))
            k += 1
        k += 1
    return found


class Stillness:
    """For how long an electrode's reading (mmHg) has been one and the same number, in pieces or whole.

    Skin and electrode are never still, but a monitor that shows whole mmHg may be: `stuck` is one number for more than
    20 min, or for more than 10 min where the record has finer steps than 0.5 mmHg.
    """

    def __init__(self) -> None:
        self.longest = (0.0, math.nan)
        self._last: tuple[float, float] | None = None
        self._since = math.nan
        self._fine = False

    def feed(self, trace: Trace) -> None:
        """Take the samples that follow."""
        use = trace.valid
        time, values = trace.time[use], trace.values[use]
        if not len(time):
            return
        if self._last is None:
            self._since = float(time[0])
        else:
            time, values = np.append(self._last[0], time), np.append(self._last[1], values)
        steps = np.abs(np.diff(values))
        self._fine |= bool(np.any((steps > 1e-9) & (steps < COARSE)))
        moves = np.flatnonzero(steps > 0.0)
        first, last = np.append(self._since, time[moves + 1]), np.append(time[moves], time[-1])
        k = int(np.argmax(last - first))
        self.longest = max(self.longest, (float(last[k] - first[k]), float(values[np.append(0, moves + 1)[k]])))
        self._last, self._since = (float(time[-1]), float(values[-1])), float(first[-1])

    @property
    def stuck(self) -> bool:
        """Whether it stood still for longer than any electrode does."""
        return self.longest[0] > (STILL_FINE if self._fine else STILL)


def stuck(trace: Trace, start: float, stop: float) -> str:
    """Return how an electrode's reading stood still on [start, stop) s, as `stuck (45 for 40 min)`; "" where not."""
    still = Stillness()
    still.feed(trace.between(start, stop))
    seconds, level = still.longest
    return f"stuck ({level:g} for {seconds / 60.0:.0f} min)" if still.stuck else ""


def leaking(oxygen: Trace, carbon_dioxide: Trace, settings: AttachmentSettings = DEFAULT) -> Mask:
    """Return which samples (n,) of tcpO2 were taken under a leak: tcpO2 rises while tcpCO2 falls (mmHg).

    From the last sample before the rise until tcpO2 is back within `rise` of what it was there. A rise alone is
    an oxygen challenge; a fall of tcpCO2 alone is hyperventilation.
    """
    mask: Mask = np.zeros(len(oxygen), bool)
    use = oxygen.valid & (np.searchsorted(carbon_dioxide.time, oxygen.time, side="right") > 0)
    known = carbon_dioxide.valid
    if not use.any() or not known.any():
        return mask
    time, rising = oxygen.time[use], oxygen.values[use]
    falling = np.interp(time, carbon_dioxide.time[known], carbon_dioxide.values[known])
    before = np.searchsorted(time, time - settings.within, side="left")
    hit = (rising - rising[before] >= settings.rise) & (falling[before] - falling >= settings.fall)
    inside = np.zeros(len(time), bool)
    done = 0
    for k in np.flatnonzero(hit):
        if k < done:
            continue
        level = rising[before[k]]
        start = int(before[k]) + int(np.flatnonzero(rising[before[k] : k + 1] <= level)[-1]) + 1
        back = np.flatnonzero(rising[k:] < level + settings.rise)
        done = int(k + back[0]) if len(back) else len(time)
        inside[start:done] = True
    mask[np.flatnonzero(use)[inside]] = True
    return mask


def suspect(trace: Trace, where: Mask) -> Trace:
    """Return the trace with SUSPECT on some of its samples: they are no data any more."""
    quality = trace.quality.copy()
    quality[where] |= int(Quality.SUSPECT)
    return Trace(trace.time, trace.values, quality)


def attached(trace: Trace, settings: AttachmentSettings = DEFAULT, carbon_dioxide: Trace | None = None) -> Trace:
    """Return the trace (mmHg) with SUSPECT wherever the electrode did not measure skin."""
    where = detached(trace, settings)
    if carbon_dioxide is not None:
        where |= leaking(trace, carbon_dioxide, settings)
    return suspect(trace, where)


def detachment(trace: Trace, applied: float, stop: float, settings: AttachmentSettings = DEFAULT) -> Result:
    """Return when the electrode first came off within [applied + settling, stop), s; missing where it held."""
    part = trace.between(applied + settings.settling, stop)
    where = np.flatnonzero(detached(part, settings))
    if not len(where):
        return Result.missing("tcpo2_detached_at", "s", "attached_throughout", settings=settings.as_dict())
    return Result.of("tcpo2_detached_at", float(part.time[where[0]]), "s", settings=settings.as_dict())
