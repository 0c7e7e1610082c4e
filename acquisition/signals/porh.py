"""Post-occlusive reactive hyperaemia: every index of one record, each with what it is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from acquisition.model import Quality
from acquisition.signals import biological_zero as zero_rules
from acquisition.signals.artefacts import NO_SIGNAL, runs, still
from acquisition.signals.biological_zero import OcclusionVerdict
from acquisition.signals.catalogue import units
from acquisition.signals.catalogue.flux import PORH
from acquisition.signals.hyperaemia import VERSION, Measures, Settings, measure
from acquisition.signals.kit.levels import judged, window_mean
from acquisition.signals.kit.plausible import PERFUSION, PRESSURE_INDEX, impossible, in_range, present
from acquisition.signals.kit.units import FLUX
from acquisition.signals.occlusion import Occlusion
from acquisition.signals.porh_rules import NEEDS_REST, NEEDS_ZERO, OVER_RANGE, Facts, objections
from acquisition.signals.result import Result, Status, Trace, Window, table

LEAST_DEBT = 60.0
"""PU s: a smaller occlusion area repays nothing."""

UNITS = units(PORH)
"""Name and unit of every index, in the order of a report."""
BEFORE_RELEASE = ("rest_flow", "biological_zero", "occlusion_area")


def porh(
    flux: Trace, occlusion: Occlusion, settings: Settings | None = None, *, abi: float | None = None
) -> dict[str, Result]:
    """Return every index of one occlusion by name; `UNITS` lists them.

    The flux is put on its own uniform grid first. `abi` matters where the biological
    zero is near resting flow. Without marks, or with marks out of order, only what needs none is
    computed. `hyperaemia` is 1 or 0.
    """
    s = settings or Settings()
    abi = present(abi)
    stored = {**s.as_dict(), "mark": str(occlusion.source), "on": occlusion.on, "off": occlusion.off, "abi": abi}
    common: dict[str, Any] = {"settings": stored, "version": VERSION}
    if occlusion.on is not None:
        flux = flux.around(occlusion.on, occlusion.off)
    if reason := flux.sparse():
        return _none(f"hole_too_long ({reason})", common)
    flux = in_range(flux, PERFUSION)
    # Holes stay holes: a bridged sample must neither enter a mean nor count as data.
    grid = flux.uniform(max_gap=1.5 / flux.rate) if len(flux) > 1 else flux
    if reason := impossible(("abi", abi, PRESSURE_INDEX)):
        return _none(reason, common)
    if occlusion.fault or occlusion.on is None or occlusion.off is None:
        found = _none(occlusion.fault, common)
        if occlusion.on is not None and occlusion.off is None:
            found["rest_flow"] = _rest(grid, occlusion.on, s, common)
        return found
    if len(grid) < 3 or not grid.valid.any():
        return _none("no_data", common)
    if still(grid):
        return _none(NO_SIGNAL, common)
    return _Record(flux, grid, occlusion, s, common, abi).results()


def _none(reason: str, common: Mapping[str, Any]) -> dict[str, Result]:
    return {name: Result.missing(name, unit, reason, **common) for name, unit in UNITS.items()}


def _rest(grid: Trace, on: float, s: Settings, common: Mapping[str, Any]) -> Result:
    # A record that began after the window did has a shorter window, not one full of artefacts.
    start = max(on + s.rest[0], grid.span[0]) if len(grid) else on + s.rest[0]
    return window_mean(grid, (start, on + s.rest[1]), "rest_flow", FLUX, least=60.0, **common)


class _Record:
    """One record: its numbers, and the windows, uncertainties and reasons that make results of them."""

    def __init__(
        self,
        flux: Trace,
        grid: Trace,
        occlusion: Occlusion,
        settings: Settings,
        common: Mapping[str, Any],
        abi: float | None,
    ) -> None:
        self.flux, self.grid, self.occlusion, self.s, self.common = flux, grid, occlusion, settings, common
        self.on, self.off = occlusion.on or 0.0, occlusion.off or 0.0
        measured = measure(grid.masked, grid.rate, float(grid.time[0]), self.on, self.off, settings)
        self.m = {name: float(getattr(measured, name)[0]) for name in Measures.__slots__}
        self.end = float(grid.time[-1])
        self.search: Window = (self.off, min(self.off + settings.search, self.end))
        self.rest = _rest(grid, self.on, settings, common)
        self.zero, self.verdict = self._zero(abi)
        self.u_rest, self.u_zero = _or_nan(self.rest.uncertainty), _or_nan(self.zero.uncertainty)

    def results(self) -> dict[str, Result]:
        """Return every index."""
        times = (*self._times_up(), *self._times_down())
        found = table([self.rest, self.zero, *self._heights(), *times, *self._slopes(), *self._areas()])
        if self.off >= self.end:
            late = _none("record_ends_before_release", self.common)
            return {name: found[name] if name in BEFORE_RELEASE else late[name] for name in UNITS}
        for names, reason, status in objections(self._facts()):
            for name in names:
                # An input that was too low is why the data are missing, and how to have them next time.
                if found[name].value is not None or reason == OVER_RANGE:
                    found[name] = found[name].flagged(reason, status)
        return {name: found[name] for name in UNITS}

    def _zero(self, abi: float | None) -> tuple[Result, OcclusionVerdict]:
        zero = replace(zero_rules.biological_zero(self.grid, self.occlusion), **self.common)
        if zero.value is None or self.rest.value is None or self.rest.window is None:
            return zero, OcclusionVerdict.COMPLETE
        verdict = zero_rules.verdict(self.grid, self.rest.window, self.occlusion, self.rest.value, zero.value, abi)
        if verdict is OcclusionVerdict.INCOMPLETE:
            # What flows under a leaking cuff is no biological zero.
            return zero.flagged(str(verdict), Status.NOT_COMPUTABLE), verdict
        return (zero if verdict is OcclusionVerdict.COMPLETE else zero.flagged(str(verdict))), verdict

    def _facts(self) -> Facts:
        part = self.flux.between(*self.search)
        saturated = ((part.quality & int(Quality.RANGE)) != 0) & ~(part.values < self.m["peak"])
        holes = runs(~self.grid.between(*self.search).valid)
        longest = max((stop - start for start, stop in holes), default=0) / self.grid.rate
        return Facts(
            self.m, self.occlusion, self.s, self.rest, self.zero, self.verdict, self.end, 1.0 / self.grid.rate,
            bool(saturated.any()), longest, still(self.grid.between(*self.search)),
        )  # fmt: skip

    def _make(
        self,
        name: str,
        value: float,
        window: Window,
        uncertainty: float = math.nan,
        contains: tuple[str, ...] = (),
        unless: str = "no_data",
    ) -> Result:
        for needed, names in ((self.rest, NEEDS_REST), (self.zero, NEEDS_ZERO)):
            if needed.value is None and name in names:
                value, unless = math.nan, f"{needed.name}: {needed.reason}"
        known = dict(self.common)
        if all(math.isfinite(edge) for edge in window):
            good, artefacts = self.grid.count(*window)
            known.update(window=window, n_valid=good, pct_artefact=artefacts)
        if math.isfinite(uncertainty) and math.isfinite(value):
            known.update(uncertainty=uncertainty, uncertainty_of=contains)
        return judged(Result.of(name, value, UNITS[name], unless=unless, **known))

    def _heights(self) -> list[Result]:
        """Return the peak and its ratios to rest: the literature mixes them, so each has its own name."""
        rest, zero, peak, u_peak = self.m["rest_flow"], self.m["biological_zero"], self.m["peak"], self.m["peak_noise"]
        plain = peak / rest if rest >= 2.0 else math.nan
        u_plain = _root(u_peak, plain * self.u_rest) / rest if rest >= 2.0 else math.nan
        room = rest - zero
        corrected = (peak - zero) / room if room > 1.0 else math.nan
        # The zero enters above and below: d/dBZ = (PF - RF)/(RF - BZ)^2.
        u_corrected = (
            _root(u_peak, corrected * self.u_rest, (corrected - 1.0) * self.u_zero) / room if room > 1.0 else math.nan
        )
        hyperaemic = self.m["hyperaemic"] if math.isfinite(peak) else math.nan
        noise, both, low = ("noise",), ("noise", "biological_zero"), "low_baseline"
        return [
            self._make("hyperaemia", hyperaemic, self.search),
            self._make("peak_flow", peak, self.search, u_peak, noise),
            self._make("peak_increase", peak - rest, self.search, _root(u_peak, self.u_rest), noise),
            self._make("peak_percent_of_rest", 100 * plain, self.search, 100 * u_plain, noise, low),
            self._make("peak_percent_increase", 100 * (plain - 1), self.search, 100 * u_plain, noise, low),
            self._make("peak_percent_of_rest_corrected", 100 * corrected, self.search, 100 * u_corrected, both, low),
            self._make("hyperaemic_ratio", plain, self.search, u_plain, noise, low),
            self._make("hyperaemic_reserve", corrected, self.search, u_corrected, both, low),
        ]

    def _times_up(self) -> list[Result]:
        slope = self.m["half_rise_slope"]
        noise = self.m["peak_noise"] / slope if slope > 0 else 0.0
        crossing = (self._u_time(noise), ("mark", "sampling", "noise"))
        return [
            self._make("latency", self.m["latency"], self.search, *crossing, "flow_did_not_reach_rest"),
            self._make("time_to_peak", self.m["time_to_peak"], self.search, self._u_time(), ("mark", "sampling")),
            self._make("half_rise", self.m["half_rise"], self.search, *crossing),
        ]

    def _times_down(self) -> list[Result]:
        """Return the times of the fall; one that the record does not reach is the time that it lasted, a bound."""
        to_peak = self.m["time_to_peak"]
        lasted = self.end - self.off
        window = (self.off + to_peak, min(self.off + self.m["recovery"], self.end))
        mark = (self._u_time(), ("mark", "sampling"))

        def reached(name: str) -> float:
            return self.m[name] if math.isfinite(self.m[name]) else lasted

        return [
            self._make("recovery_75", reached("recovery_75"), window, *mark),
            self._make("half_recovery", reached("half_recovery"), window, *mark),
            self._make(
                "half_recovery_from_peak", reached("half_recovery") - to_peak, window, self._u_time(0, 0), ("sampling",)
            ),
            self._make("recovery_25", reached("recovery_25"), window, *mark),
            self._make("recovery_time", self.m["recovery"], window, *mark),
        ]

    def _slopes(self) -> list[Result]:
        peak, to_peak, u_peak = self.m["peak"], self.m["time_to_peak"], self.m["peak_noise"]
        rise = peak - self.m["biological_zero"]
        contains = ("mark", "sampling", "noise")

        def over_time(height: float, error: float) -> tuple[float, float]:
            if not to_peak > 0:
                return math.nan, math.nan
            return height / to_peak, _root(error, height / to_peak * self._u_time()) / to_peak

        mean, u_mean = over_time(rise, _root(u_peak, self.u_zero))
        whole, u_whole = over_time(peak, u_peak)
        early = "peak_at_release"
        return [
            self._make("mean_slope", mean, self.search, u_mean, (*contains, "biological_zero"), early),
            self._make("peak_over_time", whole, self.search, u_whole, contains, early),
            self._make("max_slope", self.m["max_slope"], self.search, unless="peak_too_early"),
        ]

    def _areas(self) -> list[Result]:
        debt, paid = self.m["occlusion_area"], self.m["hyperaemia_area"]
        until = min(self.off + self.m["recovery"], self.end)
        paying: Window = (self.off + self.m["latency"], until)
        u_debt, u_paid = (self.off - self.on) * self.u_rest, (paying[1] - paying[0]) * self.u_rest
        repaid = paid / debt if debt >= LEAST_DEBT else math.nan
        # Too high a rest makes the debt larger and the repayment smaller: the two errors add up.
        u_repaid = (u_paid + abs(repaid) * u_debt) / debt if debt >= LEAST_DEBT else math.nan
        rest, never = ("noise",), "flow_did_not_reach_rest"
        areas = [
            self._make("occlusion_area", debt, (self.on, self.off), u_debt, rest, "occlusion_not_recorded"),
            self._make("hyperaemia_area", paid, paying, u_paid, rest, never),
            self._make(
                "repayment", repaid, (self.on, until), u_repaid, rest,
                "occlusion_area_too_small" if debt < LEAST_DEBT else never,
            ),
        ]  # fmt: skip
        for name, width in zip(("auc_60", "auc_180"), self.s.areas, strict=True):
            u_area = _root(width * self.u_zero, self._moved_by_the_mark(width))
            window = (self.off, self.off + width)
            areas.append(
                self._make(name, self.m[name], window, u_area, ("mark", "biological_zero"), "record_ends_before")
            )
        minute = (self.off, self.off + 60.0)
        areas.append(self._make("porh_index", self.m["index"], minute, unless="less_than_60_s_on_either_side"))
        return areas

    def _u_time(self, noise: float = 0.0, mark: float | None = None) -> float:
        """Return the uncertainty of a time: mark, sampling, and the noise of the level divided by its slope."""
        return _root(self.occlusion.error if mark is None else mark, 1.0 / (self.grid.rate * math.sqrt(12.0)), noise)

    def _moved_by_the_mark(self, width: float) -> float:
        """Return what an error of the mark moves in and out of an area at its two ends."""
        ends = np.interp((self.off, self.off + width), self.grid.time, np.nan_to_num(self.grid.values))
        return self.occlusion.error * abs(float(ends[1] - ends[0]))


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _root(*parts: float) -> float:
    return math.sqrt(sum(part * part for part in parts))
