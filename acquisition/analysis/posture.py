"""Changes of posture in an examination: reflexes of skin flow and oxygen, and the results that a change spoils."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from acquisition.analysis.session_data import SessionData
from acquisition.signals.reflexes import postural, veno_arteriolar
from acquisition.signals.result import Result, Trace
from acquisition.signals.tcpo2 import dependency, elevation

SUPINE = "supine"
BEFORE = 60.0
"""Seconds before a change that are compared with what follows it."""
SETTLED = 120.0
"""Seconds until flow has followed a raised leg."""


@dataclass(frozen=True, slots=True)
class Change:
    """A position from `at` to `until` (s), after lying."""

    position: str
    at: float
    until: float


def changes(data: SessionData) -> list[Change]:
    """Every marked change of position, in order; the last one holds to the end."""
    marks = data.session.marks("position")
    times = [data.seconds(mark.at) for mark in marks]
    ends = [*times[1:], data.end][: len(times)]
    return [Change(str(m.fields["value"]), at, end) for m, at, end in zip(marks, times, ends, strict=True)]


def lying_until(data: SessionData) -> float:
    """When the participant first left the position of rest, s; infinity where that never happened."""
    return min((each.at for each in changes(data) if each.position != SUPINE), default=math.inf)


def of_oxygen(data: SessionData, trace: Trace) -> Iterator[Result]:
    """The change of TcPO2 with each leg that was raised or hung."""
    for each in changes(data):
        if each.position == "elevated":
            yield elevation(trace, each.at)
        elif each.position == "dependent":
            yield dependency(trace, each.at, each.until)


def of_flux(data: SessionData, flux: Trace) -> Iterator[Result]:
    """The veno-arteriolar reflex of a leg that hung, the change of flow with one that was raised."""
    for each in changes(data):
        lying = (each.at - BEFORE, each.at)
        if each.position == "dependent":
            yield from veno_arteriolar(flux, lying, each.at).values()
        elif each.position == "elevated":
            yield from postural(flux, lying, (each.at + SETTLED, each.until)).values()


def judged(data: SessionData, results: Iterable[Result]) -> list[Result]:
    """The results, those of a window in which the position changed of low quality."""
    moments = [each.at for each in changes(data)]

    def spoiled(result: Result) -> bool:
        window = result.window
        return window is not None and any(window[0] < at < window[1] for at in moments)

    return [r.flagged("position_changed") if r.value is not None and spoiled(r) else r for r in results]
