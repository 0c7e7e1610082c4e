"""Indices of what a person enters: pain, pressures, ulcers, stages and grades."""

from __future__ import annotations

from typing import Any

from acquisition.signals.catalogue.index import LIMB, PAIN, PRESSURE, STAGES, ULCER, Detectable, Index

MMHG = "mm[Hg]"


def _of(name: str, unit: str, long_name: str, comparable: tuple[str, ...] = (), **more: Any) -> Index:
    return Index(name, unit, long_name, ("entry",), comparable, **more)


PAINS = (
    _of(
        "pain_vas", "mm", "pain on a visual analogue scale of 100 mm", PAIN,
        synonyms=("vas", "pain"), endpoint="pain",
    ),
)  # fmt: skip
PRESSURES = (
    _of(
        "abi", "1", "ankle-brachial index", PRESSURE, endpoint="abi",
        detectable=Detectable(0.15, False, "a difference of 0.15 counts as one (Aboyans 2012)"),
    ),
    _of("tbi", "1", "toe-brachial index", PRESSURE),
    _of("toe_pressure", MMHG, "systolic pressure of the toe", PRESSURE),
    _of("abi_fall", "%", "fall of the ankle-brachial index after walking", PRESSURE),
    _of("ankle_pressure_fall", MMHG, "fall of the ankle pressure after walking", PRESSURE),
)  # fmt: skip
ULCERS = (
    _of("ulcer_area", "cm2", "ulcer area", ULCER, synonyms=("ulcer", "wound"), endpoint="ulcer"),
    _of("ulcer_perimeter", "cm", "ulcer perimeter", ULCER),
    _of("ulcer_healed", "1", "whether the ulcer is closed (1) or open (0)", ULCER),
    _of("ulcer_area_reduction", "%", "percentage area reduction since baseline"),
    _of("ulcer_healing_advance", "cm/wk", "linear advance of the ulcer's edge a week (Gilman)"),
)
GRADES = (
    _of("wifi_ischaemia", "1", "WIfI ischaemia grade", STAGES, ordinal=True),
    _of("wifi_wound", "1", "WIfI wound grade", LIMB, ordinal=True),
    _of("wifi_infection", "1", "WIfI foot infection grade", LIMB, ordinal=True),
    _of("wifi_stage", "1", "WIfI clinical stage", STAGES, ordinal=True),
    _of("rutherford", "1", "Rutherford category", LIMB, ordinal=True),
    _of("fontaine", "1", "Fontaine stage", LIMB, ordinal=True),
)
