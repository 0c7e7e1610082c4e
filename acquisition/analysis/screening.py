"""Flux without what is none: codes that stood still, and samples of a probe that had left the skin."""

from __future__ import annotations

import numpy as np

from acquisition.model import Quality
from acquisition.signals.artefacts import flat, lifted
from acquisition.signals.result import Mask, Trace


def screened(flux: Trace, backscatter: Trace | None) -> Trace:
    """The flux with SUSPECT on identical codes of more than 2 s, and wherever backscatter left its level by a tenth."""
    if len(flux) < 2:
        return flux
    bad = flat(flux.masked, flux.rate)
    if backscatter is not None and np.count_nonzero(backscatter.valid) > 2:
        bad |= _off_the_skin(flux, backscatter)
    quality = flux.quality.copy()
    quality[bad] |= int(Quality.SUSPECT)
    return Trace(flux.time, flux.values, quality)


def _off_the_skin(flux: Trace, backscatter: Trace) -> Mask:
    """Which samples of flux are nearest to a backscatter that is not that of skin."""
    use = backscatter.valid
    time = backscatter.time[use]
    away = lifted(backscatter.values[use], backscatter.rate)
    right = np.clip(np.searchsorted(time, flux.time), 1, len(time) - 1)
    nearest = np.where(flux.time - time[right - 1] <= time[right] - flux.time, right - 1, right)
    off: Mask = away[nearest]
    return off
