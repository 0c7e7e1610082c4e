"""Where a TcPO2 is that of air and not of skin: a detached electrode, or a leak under its ring."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from acquisition.model import Quality
from acquisition.signals.plausible import TCPO2, check_settings
from acquisition.signals.result import Mask, Result, Trace

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
    """Return which samples (n,) cannot be skin: above the ceiling, at or below 0, or both ends of a jump.

    A jump is judged between neighbouring data, over 1 s at least: the last digit of a fast record is no jump.
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
        torn = steps > allowed
        mask[known[:-1][torn]] = True
        mask[known[1:][torn]] = True
    return mask


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
