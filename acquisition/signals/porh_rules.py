"""Rules of doubt for the indices of a reactive hyperaemia: which of them, why, and how badly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from acquisition.signals.artefacts import NO_SIGNAL
from acquisition.signals.biological_zero import SHORTEST, OcclusionVerdict
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.occlusion import MarkSource, Occlusion
from acquisition.signals.result import Result, Status

Names = tuple[str, ...]
Objection = tuple[Names, str, Status]

HEIGHT: Names = (
    "peak_flow",
    "peak_increase",
    "peak_percent_of_rest",
    "peak_percent_increase",
    "peak_percent_of_rest_corrected",
    "hyperaemic_ratio",
    "hyperaemic_reserve",
)
RISE: Names = ("time_to_peak", "half_rise", "mean_slope", "peak_over_time", "max_slope")
FALL: Names = ("recovery_75", "half_recovery", "half_recovery_from_peak", "recovery_25", "recovery_time")
AFTER: Names = ("auc_60", "auc_180", "hyperaemia_area", "repayment", "porh_index")

ALL_AFTER_RELEASE: Names = ("hyperaemia", *HEIGHT, "latency", *RISE, *FALL, *AFTER)
NEEDS_REST: Names = (
    "hyperaemia", *HEIGHT[1:], "latency", *RISE[:3], *FALL, "occlusion_area", "hyperaemia_area", "repayment",
)  # fmt: skip
"""Indices in which resting flow enters, as a level or as a denominator."""
NEEDS_ZERO: Names = ("peak_percent_of_rest_corrected", "hyperaemic_reserve", "mean_slope", "auc_60", "auc_180")
TIMED_BY_INFERENCE: Names = ("latency", "time_to_peak", "half_rise", "mean_slope", "peak_over_time")
"""With the release inferred from the flux these would measure the inference."""

OVER_RANGE = "over_range"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at: the numbers of `hyperaemia.Measures`, what is missing, and what the cuff did.

    `end` is the last second of the record; `longest_hole` seconds between release and the end of the search. `still`:
    not one sample between them differs from another.
    """

    numbers: Mapping[str, float]
    occlusion: Occlusion
    settings: Settings
    rest: Result
    zero: Result
    verdict: OcclusionVerdict
    end: float
    interval: float
    over_range: bool
    longest_hole: float
    still: bool = False


def objections(facts: Facts) -> Iterator[Objection]:
    """Yield every objection: names of indices, the reason, and the status that they fall to at best."""
    yield from _to_the_occlusion(facts)
    yield from _to_the_peak(facts)
    yield from _to_the_record(facts)
    yield from _to_the_mark(facts.occlusion.source)


def _to_the_occlusion(facts: Facts) -> Iterator[Objection]:
    on, off = facts.occlusion.on or 0.0, facts.occlusion.off or 0.0
    if off - on < SHORTEST:
        yield ALL_AFTER_RELEASE, "occlusion_too_short", Status.LOW_QUALITY
    if facts.verdict in (OcclusionVerdict.INCOMPLETE, OcclusionVerdict.INDETERMINATE):
        yield ALL_AFTER_RELEASE, str(facts.verdict), Status.LOW_QUALITY
    if facts.zero.status is Status.LOW_QUALITY:
        yield NEEDS_ZERO, f"biological_zero: {facts.zero.reason}", Status.LOW_QUALITY
    if facts.rest.status is Status.LOW_QUALITY:
        yield NEEDS_REST, f"rest_flow: {facts.rest.reason}", Status.LOW_QUALITY


def _to_the_peak(facts: Facts) -> Iterator[Objection]:
    numbers = facts.numbers
    if facts.rest.value is None:
        # Against nothing a rise cannot be told from a wave, and "no hyperaemia" would be a finding.
        yield RISE, f"rest_flow: {facts.rest.reason}", Status.NOT_COMPUTABLE
    elif not numbers["hyperaemic"]:
        yield (*RISE, *FALL), "no_hyperaemia", Status.NOT_COMPUTABLE
        yield ("hyperaemia_area", "repayment"), "no_hyperaemia", Status.LOW_QUALITY
        # A finding and no fault: typical of critical ischaemia. The height stays a value that may be compared.
        yield ("hyperaemia", *HEIGHT), "no_hyperaemia", Status.OK
    if numbers["peak_at_end"] and (numbers["hyperaemic"] or facts.rest.value is None):
        yield (*HEIGHT, "time_to_peak"), "peak_not_reached", Status.CENSORED
        yield ("half_rise", "mean_slope", "peak_over_time", *FALL[:-1]), "peak_not_reached", Status.LOW_QUALITY
    for name in ("recovery_75", "half_recovery", "recovery_25"):
        if math.isnan(numbers[name]):
            both = (name, "half_recovery_from_peak") if name == "half_recovery" else (name,)
            yield both, "not_reached_before_the_end", Status.CENSORED
    if not numbers["recovered"]:
        yield ("recovery_time", "hyperaemia_area", "repayment"), "not_recovered_before_the_end", Status.CENSORED
    if numbers["hyperaemia_area"] < 0:
        yield ("hyperaemia_area", "repayment"), "negative_area", Status.LOW_QUALITY


def _to_the_record(facts: Facts) -> Iterator[Objection]:
    off = facts.occlusion.off or 0.0
    if facts.end < off + facts.settings.search - facts.interval:
        yield ("hyperaemia", *HEIGHT, "time_to_peak"), "record_ends_before_the_search_does", Status.LOW_QUALITY
    if facts.over_range:
        yield (*HEIGHT, *AFTER, "max_slope"), OVER_RANGE, Status.CENSORED
        yield (
            ("time_to_peak", "half_rise", "mean_slope", "peak_over_time", *FALL[:-1]),
            OVER_RANGE,
            Status.LOW_QUALITY,
        )
    if facts.still:
        yield ALL_AFTER_RELEASE, NO_SIGNAL, Status.NOT_COMPUTABLE
    if facts.longest_hole > facts.settings.smoothing:
        yield (*HEIGHT, "latency", *RISE, *FALL, *AFTER), "hole_in_the_hyperaemia", Status.LOW_QUALITY


def _to_the_mark(source: MarkSource) -> Iterator[Objection]:
    if source is MarkSource.MANUAL:
        yield ("latency",), "release_marked_by_hand", Status.NOT_COMPUTABLE
    elif source is MarkSource.INFERRED:
        yield TIMED_BY_INFERENCE, "release_inferred_from_the_flux", Status.NOT_COMPUTABLE
