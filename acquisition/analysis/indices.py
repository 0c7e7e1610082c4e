"""From a session's record to its indices: one function for each kind of examination."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from acquisition.analysis import posture
from acquisition.analysis.cuff import DISAGREES, parted
from acquisition.analysis.drift import drifts
from acquisition.analysis.entries import Outcome
from acquisition.analysis.perfusion_pressure import Reading, conductance
from acquisition.analysis.provenance import objection
from acquisition.analysis.session_data import CARBON_DIOXIDE, NEAR, TEMPERATURE, SessionData
from acquisition.examination import frozen
from acquisition.examination.binding import UNITS, Address
from acquisition.examination.protocol import Measures
from acquisition.signals import drop as drops
from acquisition.signals import hyperaemia, tcpo2
from acquisition.signals.attachment import attached
from acquisition.signals.decay import UNITS as DECAY
from acquisition.signals.decay import fit_decay
from acquisition.signals.heating import Stages, heating
from acquisition.signals.kit.bands import SETS, STEFANOVSKA
from acquisition.signals.occlusion import MarkSource, Occlusion, from_pressure, inferred, nearest
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Status, Trace
from acquisition.signals.thermal_dose import ThermalDose
from acquisition.signals.walking import StopReason, Walk, distances, recovery_time
from acquisition.signals.walking_cost import UPTAKE, estimated_costs
from acquisition.signals.walking_protocols import adherence

ISCHAEMIC_ABI = 0.9
BESIDES = ("cuff", "heater", "grade", "odometer")
"""Roles that enter into the results of flux and belt."""


@dataclass(frozen=True, slots=True)
class VisitContext:
    """What other entries of the visit say: ABI of the limb, mean pressures and their times, the latest systolic."""

    abi: float | None = None
    means: tuple[Reading, ...] = ()
    systolic: float | None = None


def analyse(data: SessionData, known: VisitContext) -> list[Outcome]:
    """Every index of the session's protocol. What could not be measured is there, missing, with its reason."""
    return ANALYSES[data.protocol.measures](data, known)


def _porh(data: SessionData, known: VisitContext) -> list[Outcome]:
    ischaemic = bool(data.settings.get("ischaemic")) or (known.abi is not None and known.abi < ISCHAEMIC_ABI)
    settings = hyperaemia.Settings.ischaemic() if ischaemic else hyperaemia.Settings()
    settings = replace(settings, smoothing=float(data.settings.get("smoothing", settings.smoothing)))
    occlusion, objection = _occlusion(data, known)
    found = porh(data.flux, occlusion, settings, abi=known.abi)
    results = [r.flagged(objection) if objection and r.value is not None else r for r in found.values()]
    results += [conductance(data, found[name], known.means, known.abi) for name in ("rest_flow", "peak_flow")]
    results = posture.judged(data, [*results, *_decay(data.flux, found, occlusion, settings)])
    return _all(data, "flux", [*results, *posture.of_flux(data, data.flux)])


def _decay(
    flux: Trace, found: Mapping[str, Result], occlusion: Occlusion, settings: hyperaemia.Settings
) -> list[Result]:
    """How the flux falls from its peak, as a stretched exponential; only a hyperaemia has a fall."""
    to_peak = found["time_to_peak"]
    if occlusion.off is None or to_peak.value is None:
        return [Result.missing(name, unit, to_peak.reason) for name, unit in DECAY.items()]
    start = occlusion.off + to_peak.value
    fit = fit_decay(flux, start, min(flux.span[1], occlusion.off + settings.follow_up))
    results = [replace(each, settings={**settings.as_dict(), **each.settings}) for each in fit.values()]
    return [r.flagged(to_peak.reason) if to_peak.reason and r.value is not None else r for r in results]


def _occlusion(data: SessionData, known: VisitContext) -> tuple[Occlusion, str]:
    """The occlusion by the cuff's pressure where that was recorded, else by the marks; and what speaks against it.

    A release that nobody marked is taken from the flux.
    """
    on, off = data.mark("inflate"), data.mark("release")
    marked = Occlusion(on, off, MarkSource.MANUAL)
    cuff = data.of_role("cuff")
    if cuff is None or not cuff.valid.any():
        return (inferred(data.flux, on), "no_release_mark") if on is not None and off is None else (marked, "")
    seen = nearest(from_pressure(cuff, known.systolic), on)
    if seen is None:
        return marked, "cuff_pressure_shows_no_occlusion"
    if on is None:
        return seen, "inflation_not_marked"
    doubts = [DISAGREES] if parted(data, known.systolic) else []
    doubts += ["marks_part_from_the_cuff"] if abs((seen.on or 0.0) - on) > NEAR else []
    return seen, "; ".join(doubts)


def _heating(data: SessionData, known: VisitContext) -> list[Outcome]:
    settings = data.settings
    stages = Stages(
        data.mark("heat"), data.mark("maximum"), data.mark("off"),
        float(settings.get("plateau_temperature", 42.0)),
    )  # fmt: skip
    heater = data.of_role("heater")
    found = heating(data.flux, stages, temperature=heater)
    results = [
        *found.values(),
        *(
            conductance(data, found[name], known.means, known.abi)
            for name in ("heating_baseline", "plateau", "maximum")
        ),
    ]
    outcomes = _all(data, "flux", posture.judged(data, results))
    return [*outcomes, _dose(data, "heater", heater)]


def _flowmotion(data: SessionData, known: VisitContext) -> list[Outcome]:
    del known
    from acquisition.signals.flowmotion import flowmotion  # its transforms take a second to load

    window, flux = data.phase("rest"), data.flux
    if window is not None:
        window = (window[0], min(window[1], posture.lying_until(data)))
    bands = SETS.get(str(data.settings.get("bands")), STEFANOVSKA)
    tau = data.conditions().get("time_constant")
    found = flowmotion(flux, window, bands, tau=None if tau is None else float(tau))
    return _all(data, "flux", [*found.values(), *posture.of_flux(data, flux)])


def _tcpo2(data: SessionData, known: VisitContext) -> list[Outcome]:
    del known
    return _resting(data, data.mark("removed"))


def _oxygen(data: SessionData, known: VisitContext) -> list[Outcome]:
    del known
    on, off = data.mark("oxygen_on"), data.mark("oxygen_off")
    outcomes = _resting(data, on)
    if on is None or off is None:
        return outcomes
    for address in (*data.addresses("chest"), *data.addresses("limb")):
        outcomes += [_outcome(data, address, r) for r in tcpo2.oxygen_challenge(data.trace(address), on, off)]
    return outcomes


def _resting(data: SessionData, until: float | None) -> list[Outcome]:
    applied = data.mark("applied")
    end = min(data.end if until is None else until, posture.lying_until(data))
    chests, limbs = data.addresses("chest"), data.addresses("limb")
    rests: dict[Address, Result] = {}
    drifted = drifts(data)
    outcomes: list[Outcome] = []
    for address in (*chests, *limbs):
        if applied is None:
            rests[address] = Result.missing("tcpo2_rest", tcpo2.UNIT, "electrodes_not_marked_as_applied")
        else:
            skin = _skin(data, address)
            resting = tcpo2.rest(skin, applied, end, temperature=data.beside(address, TEMPERATURE))
            doubt = drifted[address].reason if address in drifted and drifted[address].value is not None else ""
            rests[address] = resting.flagged(doubt) if doubt and resting.value is not None else resting
        outcomes.append(_outcome(data, address, rests[address]))
    outcomes += [_outcome(data, address, result) for address, result in drifted.items()]
    if chests:
        ratios = {address: tcpo2.rpi(rests[address], rests[chests[0]]) for address in limbs}
        outcomes += [_outcome(data, address, ratio) for address, ratio in ratios.items()]
    for address in (*chests, *limbs):
        posed = posture.of_oxygen(data, data.trace(address))
        outcomes += [_outcome(data, address, result) for result in posed]
        outcomes.append(_dose(data, str(address), data.beside(address, TEMPERATURE)))
    return outcomes


def _skin(data: SessionData, address: Address) -> Trace:
    """An electrode's samples without those of a leak, where its tcpCO2 shows one."""
    trace = data.trace(address)
    carbon_dioxide = data.beside(address, CARBON_DIOXIDE)
    # A detachment stays visible: the resting value must see it.
    return trace if carbon_dioxide is None else _without_leaks(trace, carbon_dioxide)


def _without_leaks(trace: Trace, carbon_dioxide: Trace) -> Trace:
    clean = attached(trace, carbon_dioxide=carbon_dioxide)
    only_leaks = attached(trace)
    leak = clean.quality != only_leaks.quality
    quality = trace.quality.copy()
    quality[leak] = clean.quality[leak]
    return Trace(trace.time, trace.values, quality)


def _walking(data: SessionData, known: VisitContext) -> list[Outcome]:
    del known
    belts = data.addresses("belt")
    belt = data.trace(belts[0]) if belts else Trace.of([], [])
    stop = data.mark_item("stop")
    reason = None if stop is None else StopReason(str(stop.fields["value"]))
    start = data.belt_start(belt)
    if start is None:
        missing = [Result.missing(f"{n}_{q}", u, "start_not_marked") for n in ("icd", "acd", "fcd")
                   for q, u in (("distance", "m"), ("time", "s"))]  # fmt: skip
        return _all(data, "belt", _by_load(data, missing))
    walk = Walk(
        start, data.mark("stop"), reason, data.mark("onset"), data.mark("functional"),
        data.mark("pain_gone"), bool(data.session.marks("handrail")), str(data.session.about["protocol"]),
    )  # fmt: skip
    odometer = data.of_role("odometer")
    results = [*distances(belt, walk, odometer=odometer), recovery_time(walk)]
    if walk.stop is not None:
        grade = data.of_role("grade")
        results.append(_followed(data, belt, grade, walk.start, walk.stop))
        results += _costs(belt, grade, walk)
    outcomes = _all(data, "belt", _by_load(data, results), {"handrail": walk.handrail})
    return outcomes + (_drops(data, walk.start, walk.stop) if walk.stop is not None else [])


def _followed(data: SessionData, belt: Trace, grade: Trace | None, start: float, stop: float) -> Result:
    asked = frozen.belt(data.session)
    if asked is None:
        reason = "no_belt_protocol" if data.protocol.belt is None else "belt_protocol_not_recorded"
        return Result.missing("protocol_adherence", "%", reason)
    return adherence(belt, grade, asked.table, start, stop)


def _by_load(data: SessionData, results: Iterable[Result]) -> list[Result]:
    """The results, with what the belt was to do as part of their method: another load is another test."""
    asked = frozen.belt(data.session)
    return [replace(r, settings={**r.settings, **asked.settings}) if asked is not None else r for r in results]


def _costs(belt: Trace, grade: Trace | None, walk: Walk) -> list[Result]:
    """METs and oxygen uptake of the last half minute of the walk."""
    stop = walk.stop or walk.start
    last = (max(walk.start, stop - 30.0), stop)
    speed = belt.between(*last)
    tilt = None if grade is None else grade.between(*last)
    if not speed.valid.any() or tilt is None or not tilt.valid.any():
        names = (("mets", "1"), ("oxygen_uptake", UPTAKE))
        return [Result.missing(name, unit, "speed_or_grade_missing", window=last) for name, unit in names]
    middle = (float(speed.values[speed.valid].mean()), float(tilt.values[tilt.valid].mean()))
    return [replace(each, window=last) for each in estimated_costs(*middle, walk.handrail)]


def _drops(data: SessionData, start: float, stop: float) -> list[Outcome]:
    chests, limbs = data.addresses("chest"), data.addresses("limb")
    if not chests or not limbs:
        return []
    settings = drops.DropSettings(
        cutoff=float(data.settings.get("cutoff", drops.DEFAULT.cutoff)),
        protocol=str(data.session.about["protocol"]),
    )
    chest = attached(data.trace(chests[0]))
    change = str(drops.chest_change(chest, start, stop, settings))
    outcomes = []
    for address in limbs:
        found = drops.indices(attached(data.trace(address)), chest, start, stop, settings)
        for result in _by_load(data, found):
            result = replace(result, settings={**result.settings, "chest": change})
            outcomes.append(_outcome(data, address, result))
    least = [each.result for each in outcomes if each.result.name == "drop_min"]
    (total,) = _by_load(data, [drops.sum_of(least)])
    return [*outcomes, Outcome("all sites", total, outcomes[0].conditions)]


def _entries(data: SessionData, known: VisitContext) -> list[Outcome]:
    del data, known
    return []


def _dose(data: SessionData, place: str, temperature: Trace | None) -> Outcome:
    limit = data.settings.get("thermal_limit_minutes")
    dose = ThermalDose(place, None if limit is None else float(limit))
    if temperature is not None:
        dose.feed(temperature)
    return Outcome(place, dose.result())


def _all(data: SessionData, role: str, results: list[Result], more: Mapping[str, Any] | None = None) -> list[Outcome]:
    address = next(iter(data.addresses(role)), None)
    conditions = {**data.conditions(address), **(more or {})}
    place = role if address is None else str(address)
    against = "" if address is None else objection(data, address, UNITS[role])
    used = [each for word in (role, *BESIDES) for each in data.addresses(word)]
    for doubt in filter(None, map(data.unit_fault, used)):
        results = [r.flagged(doubt) if r.status is not Status.NOT_COMPUTABLE else r for r in results]
    return [Outcome(place, result, conditions, objection=against) for result in results]


def _outcome(data: SessionData, address: Address, result: Result) -> Outcome:
    against = objection(data, address, tcpo2.UNIT)
    if (doubt := data.unit_fault(address)) and result.status is not Status.NOT_COMPUTABLE:
        result = result.flagged(doubt)
    return Outcome(str(address), result, data.conditions(address), objection=against)


ANALYSES: Mapping[Measures, Callable[[SessionData, VisitContext], list[Outcome]]] = {
    "porh": _porh,
    "heating": _heating,
    "flowmotion": _flowmotion,
    "tcpo2": _tcpo2,
    "oxygen": _oxygen,
    "walking": _walking,
    "entries": _entries,
}
