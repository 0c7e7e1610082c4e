"""Indices of a walk on a treadmill: claudication distances and times, recovery, oxygen uptake, adherence."""

from __future__ import annotations

from typing import Any

from acquisition.signals.catalogue.index import WALKING, Detectable, Index

UPTAKE = "mL/kg/min"
PAPER = "Int Angiol 2012;31:150"


def _of(name: str, unit: str, long_name: str, *needs: str, **more: Any) -> Index:
    return Index(name, unit, long_name, ("belt", *needs), WALKING, **more)


WALK = (
    _of(
        "icd_distance", "m", "initial claudication distance: to the first pain",
        detectable=Detectable(42.0, True, f"CV 15 % at 3 km/h 12 % ({PAPER})"),
    ),
    _of("icd_time", "s", "initial claudication time"),
    _of("fcd_distance", "m", "functional claudication distance: to where one would stop outdoors"),
    _of("fcd_time", "s", "functional claudication time"),
    _of(
        "acd_distance", "m", "absolute claudication distance: maximal walking distance",
        detectable=Detectable(36.0, True, f"CV 13 % at 3 km/h 12 % ({PAPER})"),
        synonyms=("treadmill", "walking", "walk"), endpoint="walking", endpoint_protocol="walking-constant",
        decides=("walking",),
    ),
    _of("acd_time", "s", "absolute claudication time: maximal walking time"),
    _of("pain_recovery", "s", "time from the stop until the pain is gone"),
    _of("protocol_adherence", "%", "share of the walk at the speed and grade of its protocol", "grade"),
    _of("mets", "1", "metabolic equivalents by the ACSM equation", "grade"),
    _of("oxygen_uptake", UPTAKE, "oxygen uptake by the ACSM equation", "grade"),
)  # fmt: skip
