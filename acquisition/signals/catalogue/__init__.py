"""Catalogue of indices: one definition each, read by the analysis, the study's table and the documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from acquisition.signals.catalogue import entered, flux, oxygen, walking
from acquisition.signals.catalogue.index import Detectable, Index

FAMILIES: Mapping[str, tuple[Index, ...]] = MappingProxyType(
    {
        "Reactive hyperaemia": (*flux.PORH, *flux.DECAY),
        "Local heating": flux.HEATING,
        "Conductance": flux.CONDUCTANCES,
        "Flowmotion": flux.FLOWMOTION,
        "Posture": (*flux.POSTURE, *oxygen.POSTURE),
        "Iontophoresis": flux.IONTOPHORESIS,
        "TcPO2": (*oxygen.REST, *oxygen.CHALLENGE),
        "DROP": oxygen.DROP,
        "Thermal dose": oxygen.HEAT,
        "Walking": walking.WALK,
        "Pain": entered.PAINS,
        "Pressures": entered.PRESSURES,
        "Ulcers": entered.ULCERS,
        "Stages and grades": entered.GRADES,
    }
)
"""Every index by its family, in the order of a report."""
INDICES: Mapping[str, Index] = MappingProxyType({each.name: each for family in FAMILIES.values() for each in family})
"""Every index by its name."""
DECISIVE: Mapping[str, str] = MappingProxyType({kind: each.name for each in INDICES.values() for kind in each.decides})
"""By kind of examination the index by which an attempt counts as technically valid; entries count as they are."""
DETECTABLE: Mapping[str, Detectable] = MappingProxyType(
    {each.name: each.detectable for each in INDICES.values() if each.detectable is not None}
)
"""Smallest detectable changes, of other populations than yours: replace them with your own reliability."""
ORDINAL = frozenset(each.name for each in INDICES.values() if each.ordinal)
"""Stages and grades: an order without distances, whose change has no per cent."""
ENDPOINTS = tuple(
    INDICES[name] for name in ("peak_percent_increase", "tcpo2_rest", "acd_distance", "ulcer_area", "pain_vas", "abi")
)
"""What a study compares by default, in the order of its table."""


def comparable(name: str) -> tuple[str, ...]:
    """Return the conditions that must agree between two results of this name; none for what is not compared."""
    return INDICES[name].comparable if name in INDICES else ()


def units(indices: Iterable[Index]) -> Mapping[str, str]:
    """Return name -> unit, in order."""
    return MappingProxyType({each.name: each.unit for each in indices})
