"""The flux that is left without perfusion, and whether an occlusion without a fall was one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals.kit.levels import judged, standard_error
from acquisition.signals.kit.plausible import PERFUSION, in_range
from acquisition.signals.kit.spectrum import welch
from acquisition.signals.kit.units import FLUX
from acquisition.signals.occlusion import Occlusion
from acquisition.signals.result import Result, Trace, Window

CARDIAC = (0.6, 2.0)
"""Hz: the band of the pulse."""
LAST, BEFORE_RELEASE, SHORTEST = 30.0, 5.0, 60.0
"""Seconds: the window of the biological zero, its distance from the release, the least occlusion."""
NO_FALL = 0.9
"""Share of resting flow above which a biological zero is none, or rest has no flow."""
DEEP_FALL = 0.5
"""Share of resting flow below which a cuff has closed whatever swings on: a slow wave falls by less."""
LEAST_LINE, LEFT, WIDTH = 10.0, 0.25, 0.15
"""Peak over median that makes a pulse, the share of it that a closed cuff does not leave, and its half width, Hz."""


class OcclusionVerdict(StrEnum):
    """What an occlusion did."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete_occlusion"
    """The pulse went on under the cuff."""
    NO_REST_FLOW = "no_rest_flow"
    """There was nothing to stop: critical ischaemia."""
    INDETERMINATE = "indeterminate"
    """No pulse to look for and no pressure to prove it."""


def biological_zero(flux: Trace, occlusion: Occlusion) -> Result:
    """Return the biological zero: the median of the last 30 s of occlusion, ending 5 s before release.

    At least 60 s of occlusion; low quality without a plateau: |slope| < 1 PU/min and a standard
    deviation < max(1 PU, 15 per cent of it). Never assumed when it was not measured.
    """
    name = "biological_zero"
    settings = {"last_s": LAST, "before_release_s": BEFORE_RELEASE, "shortest_s": SHORTEST}
    if occlusion.fault or occlusion.on is None or occlusion.off is None:
        return Result.missing(name, FLUX, occlusion.fault, settings=settings)
    window = (occlusion.off - BEFORE_RELEASE - LAST, occlusion.off - BEFORE_RELEASE)
    if occlusion.off - occlusion.on < SHORTEST:
        return Result.missing(name, FLUX, "occlusion_too_short", window=window, settings=settings)
    flux = in_range(flux, PERFUSION)
    part = flux.between(*window)
    good, artefacts = flux.count(*window)
    known: dict[str, Any] = {"window": window, "n_valid": good, "pct_artefact": artefacts, "settings": settings}
    use = part.valid
    if np.count_nonzero(use) < 3:
        return Result.missing(name, FLUX, "no_data", **known)
    values = part.values[use]
    level = float(np.median(values))
    error = standard_error(part, 5.0)
    result = judged(
        Result.of(name, level, FLUX, uncertainty=error, uncertainty_of=("noise",) if error else (), **known)
    )
    slope = slope_per_minute(part)
    if result.value is not None and not (abs(slope) < 1.0 and np.std(values) < max(1.0, 0.15 * abs(level))):
        result = result.flagged("no_plateau")
    return result


def slope_per_minute(part: Trace) -> float:
    """Return the least-squares slope of the data, per minute; NaN with fewer than three."""
    use = part.valid
    if np.count_nonzero(use) < 3:
        return math.nan
    t = part.time[use] - part.time[use].mean()
    return float(60.0 * np.dot(t, part.values[use]) / np.dot(t, t))


def verdict(
    flux: Trace, rest: Window, occlusion: Occlusion, rest_flow: float, zero: float, abi: float | None = None
) -> OcclusionVerdict:
    """Say whether the cuff closed.

    A fall below half of resting flow is an occlusion. Else, where rest has a cardiac line (peak over median of the
    spectrum in 0.6-2 Hz at least 10), more than 25 per cent of the line left under the cuff is an incomplete
    occlusion: slow waves let the flux fall too. Without a fall (a biological zero of at least 0.9 of resting flow)
    less is no resting flow; and without a line only a recorded pressure decides, but not where ABI > 1.3: calcified
    arteries do not close.
    """
    if zero < DEEP_FALL * rest_flow:
        return OcclusionVerdict.COMPLETE
    fell = zero < NO_FALL * rest_flow
    if occlusion.on is None or occlusion.off is None:
        return OcclusionVerdict.COMPLETE if fell else OcclusionVerdict.INDETERMINATE
    at_rest = cardiac_spectrum(flux.between(*rest))
    under_cuff = cardiac_spectrum(flux.between(occlusion.on + 10.0, occlusion.off - BEFORE_RELEASE))
    stopped = occlusion.held and (abi is None or abi <= 1.3)
    if at_rest is not None and under_cuff is not None and at_rest.is_pulse(rest_flow):
        if under_cuff.power(at_rest.peak) > LEFT * at_rest.power(at_rest.peak):
            return OcclusionVerdict.INCOMPLETE
        stopped = True
    if fell:
        return OcclusionVerdict.COMPLETE
    return OcclusionVerdict.NO_REST_FLOW if stopped else OcclusionVerdict.INDETERMINATE


@dataclass(frozen=True, slots=True)
class CardiacSpectrum:
    """Power density (PU^2/Hz) of a part of a record over the frequencies (Hz) of the pulse."""

    frequency: Floats
    density: Floats

    @property
    def line(self) -> float:
        """The peak over the median: noise alone is below 5."""
        return float(self.density.max()) / self._floor if self._floor > 0 else math.inf

    def is_pulse(self, level: float) -> bool:
        """Whether the line stands out of the noise, and is more than rounding at this level of flux (PU)."""
        return self.line >= LEAST_LINE and self.power(self.peak) > (1e-4 * level) ** 2

    @property
    def peak(self) -> float:
        """Hz."""
        return float(self.frequency[self.density.argmax()])

    def power(self, frequency: float) -> float:
        """Power (PU^2) above the median of the density, within 0.15 Hz of a frequency: a pulse without the noise."""
        near = np.abs(self.frequency - frequency) <= WIDTH
        return float(np.sum(self.density[near] - self._floor) * (self.frequency[1] - self.frequency[0]))

    @property
    def _floor(self) -> float:
        return float(np.median(self.density))


def cardiac_spectrum(part: Trace) -> CardiacSpectrum | None:
    """Return the spectrum in 0.6-2 Hz: Welch, Hann segments of 20 s.

    None below 5 samples/s or 20 s, for a hole of 2 s, and for no change at all: a pulse cannot be seen.
    """
    if part.sparse():
        return None
    grid = part.uniform(max_gap=2.0)
    if len(grid) < 2 or grid.rate < 5.0 or len(grid) < 20.0 * grid.rate or not grid.valid.all():
        return None
    frequency, density = welch(grid.values, grid.rate, round(20.0 * grid.rate))
    band = (frequency >= CARDIAC[0]) & (frequency <= CARDIAC[1])
    return CardiacSpectrum(frequency[band], density[band]) if density[band].any() else None
