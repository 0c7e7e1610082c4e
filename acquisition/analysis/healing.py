"""Healing of an ulcer between two visits: percentage area reduction and linear advance of its edge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from acquisition.analysis.entries import Outcome
from acquisition.signals.catalogue import comparable
from acquisition.signals.comparison import incomparable
from acquisition.signals.result import Result
from acquisition.signals.wound import area_reduction, healing_advance

AREA, PERIMETER = "ulcer_area", "ulcer_perimeter"


def healing(before: Iterable[Outcome], after: Iterable[Outcome], weeks: float) -> list[Outcome]:
    """Reduction of the area (%) and advance of the edge (cm/wk) of every ulcer that was measured at both visits.

    An ulcer measured in another way, or debrided at one visit only, has neither.
    """
    first = {(each.place, each.result.name): each for each in before}
    later = {(each.place, each.result.name): each for each in after}
    found = []
    for (place, name), now in later.items():
        then = first.get((place, AREA))
        if name != AREA or then is None:
            continue
        edges = [each.get((place, PERIMETER)) for each in (first, later)]
        perimeters = [None if edge is None else edge.result.value for edge in edges]
        # A closed ulcer has no edge left.
        closed = 0.0 if now.result.value == 0.0 else perimeters[1]
        results = [
            area_reduction(then.result, now.result),
            healing_advance(then.result, now.result, perimeters[0], closed, weeks),
        ]
        field = incomparable(then.conditions, now.conditions, comparable(AREA))
        if field is not None:
            results = [Result.missing(r.name, r.unit, f"not_comparable({field})", settings=r.settings) for r in results]
        found += [replace(now, result=result, conditions={}) for result in results]
    return found
