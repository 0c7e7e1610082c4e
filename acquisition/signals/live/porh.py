"""The assistant of a reactive hyperaemia: which phase it is, what is known so far, when it is over."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from acquisition.signals.hyperaemia import Settings, follow
from acquisition.signals.kit.units import FLUX
from acquisition.signals.live.pulse import PulseMeter
from acquisition.signals.occlusion import OPEN, MarkSource, Occlusion, from_pressure
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Trace

BEFORE = 180.0
"""Seconds of rest that are kept while nothing happens."""
ASSUMED_ZERO = 4.0
"""PU: what skin shows without perfusion (3-6), only to notice an occlusion nobody marked; never a result."""
QUIET = 10.0
"""Seconds of low flux without a pulse that are an occlusion nobody marked."""


class Phase(StrEnum):
    """Where an examination is."""

    REST = "rest"
    OCCLUSION = "occlusion"
    RELEASE = "release"
    """Open, and flux has not reached its resting level."""
    HYPERAEMIA = "hyperaemia"
    RECOVERY = "recovery"
    """Flux was at or below rest for 5 s: every index is known."""
    TIMED_OUT = "timed_out"
    """The follow-up is over without it."""


@dataclass(frozen=True, slots=True)
class LivePorh:
    """Provisional: the phase and since when (s), the marks, and what is known so far; None for what is not.

    `peak` is the running maximum of the smoothed flux, `to_peak` its time (s); `seconds` since the phase began.
    """

    phase: Phase
    since: float
    seconds: float
    occlusion: Occlusion | None = None
    rest_flow: float | None = None
    biological_zero: float | None = None
    peak: float | None = None
    to_peak: float | None = None


class PorhAssistant:
    """Follows one occlusion in a stream of flux at `rate` Hz.

    A cuff pressure (mmHg) decides where there is one: above systolic + 30 it is closed, below 30 open. Marks by hand
    come through `mark_occlusion` and `mark_release`. With neither, flux below 1.5 times the usual biological
    zero for 10 s without a pulse is an occlusion, and a release from the flux times nothing.
    """

    def __init__(self, rate: float, settings: Settings | None = None, systolic: float | None = None) -> None:
        self.settings = settings or Settings()
        self.rate, self.systolic = rate, systolic
        self._blocks: list[Trace] = []
        self._pressures: list[Trace] = []
        self._pulse = PulseMeter(1, rate) if rate >= 5.0 else None
        self._pulse_at_rest = math.nan
        self._phase, self._since, self._now = Phase.REST, math.nan, math.nan
        self._occlusion: Occlusion | None = None
        self._low_for = 0.0
        self._rest_flow: Result | None = None
        self._zero: Result | None = None
        self._peak = self._to_peak = math.nan
        self._due = -math.inf

    def mark_occlusion(self, at: float) -> None:
        """Say that the cuff was closed at `at` (s); a pressure that says so too goes before."""
        if self._occlusion is None:
            self._close(Occlusion(at, None, MarkSource.MANUAL))

    def mark_release(self, at: float) -> None:
        """Say that the cuff was opened at `at` (s); a pressure that says so too goes before."""
        if self._occlusion is not None and self._occlusion.off is None:
            self._open(at, MarkSource.MANUAL)

    def feed(self, flux: Trace, pressure: Trace | None = None) -> LivePorh:
        """Take the samples that follow and answer what to show now."""
        if pressure is not None and len(pressure):
            self._pressures.append(pressure)
            self._watch_the_cuff(pressure)
        if len(flux):
            if math.isnan(self._since):
                self._since = float(flux.time[0])
            self._now = float(flux.time[-1])
            self._blocks.append(flux)
            if self._pulse is not None and self._phase is Phase.REST:
                self._pulse.feed(flux.masked[:, None])
            self._follow(flux)
        return self.now()

    def now(self) -> LivePorh:
        """Answer what to show."""
        return LivePorh(
            self._phase,
            self._since,
            self._now - self._since,
            self._occlusion,
            self._rest_flow.value if self._rest_flow else None,
            self._zero.value if self._zero else None,
            self._peak if math.isfinite(self._peak) else None,
            self._to_peak if math.isfinite(self._to_peak) else None,
        )

    def results(self, abi: float | None = None) -> dict[str, Result]:
        """Return the indices of what was seen so far, by the batch form; provisional until `RECOVERY`."""
        return porh(self._seen(), self._occlusion or Occlusion(None, None), self.settings, abi=abi)

    def _follow(self, flux: Trace) -> None:
        if self._phase is Phase.REST:
            self._watch_for_silence(flux)
            self._forget()
        elif self._phase is Phase.OCCLUSION:
            if self._occlusion and self._occlusion.source is MarkSource.INFERRED:
                self._watch_for_a_rise()
        elif self._phase in (Phase.RELEASE, Phase.HYPERAEMIA):
            self._watch_the_hyperaemia()

    def _watch_the_cuff(self, pressure: Trace) -> None:
        values = pressure.values[pressure.valid]
        closing = 150.0 if self.systolic is None else self.systolic + 30.0
        by_hand = self._occlusion is None or self._occlusion.source is not MarkSource.CUFF
        if self._phase in (Phase.REST, Phase.OCCLUSION) and by_hand and (values > closing).any():
            found = from_pressure(_joined(self._pressures), self.systolic)
            if found:
                self._close(replace(found[-1], off=None))
        by_cuff = self._occlusion is not None and self._occlusion.source is MarkSource.CUFF
        if self._phase is Phase.OCCLUSION and by_cuff and (values < OPEN).any():
            found = from_pressure(_joined(self._pressures), self.systolic)
            if found and found[-1].off is not None:
                self._occlusion = found[-1]
                self._open(found[-1].off, MarkSource.CUFF)

    def _watch_for_silence(self, flux: Trace) -> None:
        """Notice an occlusion that nobody marked."""
        power = math.nan
        if self._pulse is not None:
            power = float(np.square(self._pulse.now().strength[0]))
        values = flux.masked
        low = np.isfinite(values).any() and float(np.nanmean(values)) < 1.5 * ASSUMED_ZERO
        still = math.isfinite(power) and math.isfinite(self._pulse_at_rest) and power < 0.25 * self._pulse_at_rest
        self._low_for = self._low_for + len(flux) / self.rate if low else 0.0
        if not low and math.isfinite(power):
            self._pulse_at_rest = power
        # The pulse is that of the last ten seconds, so it vanishes ten seconds after the flux fell.
        if self._low_for >= QUIET and still:
            self._close(Occlusion(self._now - self._low_for, None, MarkSource.INFERRED))

    def _watch_for_a_rise(self) -> None:
        """Notice a release that nobody marked: twice the level of the occlusion for three seconds."""
        assert self._occlusion is not None
        seen = self._seen()
        held = seen.between((self._occlusion.on or 0.0) + 5.0, self._now - 3.0).masked
        last = seen.between(self._now - 3.0, math.inf).masked
        if np.isfinite(held).sum() < 10.0 * self.rate or not np.isfinite(last).any():
            return
        level = float(np.nanmedian(held))
        if float(np.nanmin(last)) > 2.0 * level:
            self._open(self._now - 3.0, MarkSource.INFERRED)

    def _watch_the_hyperaemia(self) -> None:
        """Follow what is seen since the release, once a second, as it will be measured in the end."""
        if self._now < self._due or self._occlusion is None or self._occlusion.off is None:
            return
        self._due = self._now + 1.0
        off = self._occlusion.off
        if self._now <= off:
            return
        # The mean over some seconds looks back before the release.
        lead = self.settings.smoothing + 1.0
        since = [block for block in self._blocks if block.time[-1] >= off - lead]
        since[0] = since[0].between(off - lead, math.inf)
        grid = _joined(since).uniform(self.rate, max_gap=1.5 / self.rate)
        rest = self._rest_flow.value if self._rest_flow and self._rest_flow.value is not None else math.nan
        m = follow(grid.masked, self.rate, float(grid.time[0]), off, rest, self.settings)
        self._peak, self._to_peak = m.peak, m.time_to_peak
        if self._phase is Phase.RELEASE and math.isfinite(m.latency):
            self._phase, self._since = Phase.HYPERAEMIA, off + m.latency
        if self._phase is Phase.HYPERAEMIA and math.isfinite(m.recovery):
            self._phase, self._since = Phase.RECOVERY, off + m.recovery
        elif self._now - off >= max(self.settings.follow_up, self.settings.search):
            self._phase, self._since = Phase.TIMED_OUT, self._now

    def _close(self, occlusion: Occlusion) -> None:
        self._occlusion = occlusion
        self._phase, self._since = Phase.OCCLUSION, occlusion.on or self._now
        self._rest_flow = self._so_far()["rest_flow"]

    def _open(self, at: float, source: MarkSource) -> None:
        assert self._occlusion is not None
        self._occlusion = replace(self._occlusion, off=at, source=source)
        self._phase, self._since = Phase.RELEASE, at
        self._zero = self._so_far()["biological_zero"]

    def _so_far(self) -> dict[str, Result]:
        if not self._blocks:
            return dict.fromkeys(("rest_flow", "biological_zero"), Result.missing("flux", FLUX, "no_data"))
        return self.results()

    def _seen(self) -> Trace:
        """Return all flux that is kept, as one block from now on."""
        self._blocks = [_joined(self._blocks)]
        return self._blocks[0]

    def _forget(self) -> None:
        """Drop rest that no window can ask for, so that hours of waiting cost nothing."""
        oldest = self._now - BEFORE
        for blocks in (self._blocks, self._pressures):
            while len(blocks) > 1 and blocks[0].time[-1] < oldest:
                blocks.pop(0)


def _joined(blocks: list[Trace]) -> Trace:
    if not blocks:
        return Trace.of([], [])
    return Trace(
        np.concatenate([block.time for block in blocks]),
        np.concatenate([block.values for block in blocks]),
        np.concatenate([block.quality for block in blocks]),
    )
