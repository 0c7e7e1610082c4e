"""Catalogue of indices: every result is in it, with its unit, and what a study compares follows from it."""

import json
from pathlib import Path

from acquisition.analysis.entries import Outcome
from acquisition.config.tables import Study
from acquisition.examination.protocol import Measures
from acquisition.signals.catalogue import DECISIVE, DETECTABLE, ENDPOINTS, FAMILIES, INDICES, comparable
from acquisition.signals.result import Result
from benchmarks import catalogue as page

GOLDEN = Path(__file__).parents[1] / "earlier"
ELSEWHERE = {
    "supine_flow", "dependent_flow", "veno_arteriolar_reflex", "veno_arteriolar_reflex_ratio", "tcpo2_elevation",
    "tcpo2_dependency", "tcpo2_drift", "tbi", "toe_pressure", "abi_fall", "ankle_pressure_fall", "ulcer_perimeter",
    "ulcer_area_reduction", "ulcer_healing_advance", "wifi_wound", "wifi_infection",
    *(each.name for each in FAMILIES["Iontophoresis"]),
}  # fmt: skip
"""Indices that no kept record has: of postures and entries that other tests make, and of iontophoresis."""


def kept():
    """Name and unit of every index of the records of earlier versions."""
    found = {}
    for file in GOLDEN.glob("v*/*/outcomes.json"):
        for results in json.loads(file.read_text()).values():
            for key, (_, unit, *_) in results.items():
                found.setdefault(key.split()[-2], set()).add(unit)
    return found


def test_every_index_of_kept_records_is_in_the_catalogue_with_its_unit():
    found = kept()
    assert len(found) > 90
    assert {name: units for name, units in found.items() if name not in INDICES or units != {INDICES[name].unit}} == {}


def test_nothing_in_the_catalogue_is_out_of_reach():
    found = kept().keys()
    assert set(INDICES) - found == ELSEWHERE


def test_names_are_given_once():
    assert sum(len(family) for family in FAMILIES.values()) == len(INDICES)


def test_an_outcome_is_compared_by_what_the_catalogue_says():
    assert Outcome("left", Result.missing("abi", "1", "none")).fields == ("method", "position")
    assert Outcome("left", Result.missing("vas", "1", "none")).fields == comparable("vas") == ()


def test_endpoints_words_and_reliability_follow_from_it():
    assert {e.index: (e.outcome, e.protocol) for e in Study().endpoint} == {
        each.name: (each.endpoint, each.endpoint_protocol) for each in ENDPOINTS
    }
    assert all(each.endpoint for each in ENDPOINTS)
    assert set(DECISIVE) == set(Measures.__args__) - {"entries"}
    assert all(each.value > 0 and each.source for each in DETECTABLE.values())
    assert all(each.comparable for each in INDICES.values() if each.detectable)


def test_the_page_of_indices_holds_the_catalogue():
    text = page.PAGE.read_text("utf-8")
    assert page.written(text) == text, "python -m benchmarks.catalogue writes it"
    assert page.written(text.replace("| `abi` |", "| `aby` |")) == text
