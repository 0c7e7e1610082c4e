"""Moments that the trace itself shows, as marks that a person may confirm: nothing is marked by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from acquisition.analysis.session_data import SECOND, TEMPERATURE, SessionData
from acquisition.examination.description import iso
from acquisition.examination.protocol import Measures
from acquisition.signals.live.porh import PorhAssistant
from acquisition.signals.occlusion import MARK_ERROR, MarkSource, from_pressure, inferred, nearest
from acquisition.signals.result import Trace
from acquisition.signals.stability import Steadiness, judge
from acquisition.signals.walking import belt_start, belt_stop

CHANGED = 2.0
"""Cel by which a heater that was set higher has left the level that it kept."""
RUN_DOWN = 30.0
"""Seconds within which a belt comes to rest."""
BLOCK = 1.0
"""Seconds of flux that the assistant is given at once."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A mark that the trace shows at `at` (s of the session), within `error` s (one standard deviation).

    `why` says what was seen. `marked` is where a person has the same mark (s), `entry` its number; None where nobody
    set it.
    """

    mark: str
    at: float
    error: float
    why: str
    marked: float | None = None
    entry: int | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether the person's mark lies within two standard deviations of both; None without one."""
        if self.marked is None:
            return None
        return abs(self.marked - self.at) <= 2.0 * math.hypot(self.error, MARK_ERROR[MarkSource.MANUAL])


def suggestions(data: SessionData) -> list[Suggestion]:
    """Every mark of the session's protocol that its traces show, in the order of time."""
    known = {rule.name for rule in data.protocol.mark}
    found = [each for each in SEEN[data.protocol.measures](data) if each.mark in known]
    return sorted((_beside_the_mark(data, each) for each in found), key=lambda each: each.at)


def describe(data: SessionData, found: Suggestion) -> dict[str, Any]:
    """A suggestion as plain values, with the command that confirms it; None where nothing is to be done."""
    time = iso(data.wall.of(data.session.start + round(found.at * SECOND)))
    return {
        "mark": found.mark,
        "time": time,
        "at_s": found.at,
        "error_s": found.error,
        "why": found.why,
        "marked_s": found.marked,
        "agrees": found.agrees,
        "confirm": _command(data, found, time),
    }


def _command(data: SessionData, found: Suggestion, time: str) -> str | None:
    if found.entry is not None:
        late = "" if data.session.open else f" --session {data.session.id}"
        command = f'perfusion session correct {found.entry} --at {time} --reason "seen on the trace"{late}'
        return None if found.agrees else command
    if not data.session.open:
        return None
    values = next(rule.values for rule in data.protocol.mark if rule.name == found.mark)
    value = f" --value {'|'.join(values)}" if values else ""
    return f"perfusion session mark {found.mark} --at {time}{value}"


def _beside_the_mark(data: SessionData, found: Suggestion) -> Suggestion:
    item = data.mark_item(found.mark)
    if item is None:
        return found
    return Suggestion(found.mark, found.at, found.error, found.why, data.seconds(item.at), item.number)


def _porh(data: SessionData) -> Iterator[Suggestion]:
    """The cuff by its pressure; without one by the flux, which only finds an occlusion and times nothing."""
    cuff = data.of_role("cuff")
    if cuff is not None and cuff.valid.any():
        shown = nearest(from_pressure(cuff), data.mark("inflate"))
        for mark, at in (("inflate", shown.on), ("release", shown.off)) if shown is not None else ():
            if at is not None:
                yield Suggestion(mark, at, MARK_ERROR[MarkSource.CUFF], "cuff pressure crosses 30 mmHg")
        return
    flux = data.of_role("flux")
    if flux is None or len(flux) < 2:
        return
    on = data.mark("inflate")
    if on is None:
        on = _silence(flux)
        if on is None:
            return
        yield Suggestion("inflate", on, MARK_ERROR[MarkSource.INFERRED], "flux and pulse vanish")
    release = inferred(flux, on)
    if release.off is not None:
        yield Suggestion("release", release.off, release.error, "flux leaves the level of the occlusion")


def _silence(flux: Trace) -> float | None:
    """When flux fell to what is left without perfusion and the pulse went with it, s."""
    flux = flux.around(float(flux.time[-1]))
    if len(flux) < 2:
        return None
    assistant = PorhAssistant(flux.rate)
    edges = np.searchsorted(flux.time, np.arange(flux.time[0], flux.time[-1] + BLOCK, BLOCK))
    for low, high in pairwise(edges):
        part = Trace(flux.time[low:high], flux.values[low:high], flux.quality[low:high])
        shown = assistant.feed(part) if len(part) else assistant.now()
        if shown.occlusion is not None:
            return shown.occlusion.on
    return None


def _heating(data: SessionData) -> Iterator[Suggestion]:
    """Where the heater leaves the level that it kept: upward to each stage, downward at the end."""
    heater = data.of_role("heater")
    if heater is None or not heater.valid.any():
        return
    settings = data.settings
    warm = float(settings.get("plateau_temperature", 42.0))
    hot = float(settings.get("maximum_temperature", 44.0))
    base = float(settings.get("baseline_temperature", 33.0))
    time, value = heater.time[heater.valid], heater.values[heater.valid]
    error = 1.0 / heater.rate if len(heater) > 1 else 1.0
    after = -math.inf
    for mark, reached, left in (("heat", warm, base), ("maximum", hot, warm)):
        there = np.flatnonzero((value >= reached - 0.5) & (time > after))
        if not len(there):
            return
        # From the level before, the last sample that still kept it.
        kept = np.flatnonzero((value <= left + 0.2) & (time < time[there[0]]))
        if len(kept):
            yield Suggestion(mark, float(time[kept[-1]]), error, f"the heater leaves {left:g} Cel upward")
        after = float(time[there[0]])
    fallen = np.flatnonzero((value < hot - CHANGED) & (time > after))
    if len(fallen):
        held = np.flatnonzero((value >= hot - 0.2) & (time < time[fallen[0]]))
        yield Suggestion("off", float(time[held[-1]]), error, f"the heater leaves {hot:g} Cel downward")


def _tcpo2(data: SessionData) -> Iterator[Suggestion]:
    """The plateau: when the last of the electrodes became stable, with all of them stable since."""
    applied = data.mark("applied")
    addresses = (*data.addresses("chest"), *data.addresses("limb"))
    if applied is None or not addresses:
        return
    until = data.mark("removed") or data.mark("oxygen_on") or data.end
    since = []
    for address in addresses:
        judged = judge(
            data.trace(address).between(applied, until), applied, temperature=data.beside(address, TEMPERATURE)
        )
        unsettled = [each.elapsed for each in judged if each.steadiness is not Steadiness.STABLE]
        if not judged or judged[-1].steadiness is not Steadiness.STABLE:
            return
        since.append(unsettled[-1] if unsettled else judged[0].elapsed)
    yield Suggestion("plateau", applied + max(since), 10.0, "every electrode is stable from here on")


def _walking(data: SessionData) -> Iterator[Suggestion]:
    """The belt's own start and stop."""
    belt = data.of_role("belt")
    if belt is None or len(belt) < 2:
        return
    start = belt_start(belt)
    if start is None:
        return
    error = 1.0 / belt.rate
    yield Suggestion("start", start, error, "the belt starts")
    rest = belt_stop(belt, start)
    if rest is not None:
        yield Suggestion("stop", _slowing(belt, rest), error, "the belt begins to slow down")


def _slowing(belt: Trace, rest: float) -> float:
    """When a belt that stands at `rest` (s) last kept its speed; running down takes it seconds."""
    part = belt.between(rest - RUN_DOWN, rest)
    time, speed = part.time[part.valid], part.values[part.valid]
    kept = np.flatnonzero(speed >= 0.9 * speed.max(initial=0.0))
    return float(time[kept[-1]]) if len(kept) else rest


def _nothing(data: SessionData) -> Iterator[Suggestion]:
    del data
    return iter(())


SEEN: Mapping[Measures, Callable[[SessionData], Iterator[Suggestion]]] = {
    "porh": _porh,
    "heating": _heating,
    "flowmotion": _nothing,
    "tcpo2": _tcpo2,
    "oxygen": _tcpo2,
    "walking": _walking,
    "entries": _nothing,
}
