"""Reactive hyperaemia with artefacts, saturation, gaps or a short rest: what they cost."""

import numpy as np
import pytest

from acquisition.model import Quality
from acquisition.signals.porh import porh
from acquisition.signals.result import Status, Trace
from tests.signals.curves import CLAUDICANT, CUFF, HEALTHY, Hyperaemia, value


@pytest.mark.parametrize(
    ("share", "status"), [(0.01, Status.OK), (0.1, Status.LOW_QUALITY), (0.3, Status.NOT_COMPUTABLE)]
)
def test_artefacts_cost_quality_and_then_the_value(share, status):
    trace = HEALTHY.trace(rate=20)
    quality = trace.quality.copy()
    bad = np.random.default_rng(4).random(len(trace)) < share
    quality[bad] = Quality.INVALID
    found = porh(Trace(trace.time, trace.values, quality), CUFF)
    assert found["rest_flow"].status is status
    assert found["peak_flow"].status is status
    assert found["rest_flow"].pct_artefact == pytest.approx(100 * share, abs=2)
    if share == 0.01:
        assert value(found, "peak_flow") == pytest.approx(value(porh(trace, CUFF), "peak_flow"), rel=1e-3)


def test_a_saturated_input_makes_the_peak_a_bound():
    trace = HEALTHY.trace(rate=20)
    quality = np.where(trace.values > 83, Quality.RANGE, 0).astype(np.uint8)
    found = porh(Trace(trace.time, np.minimum(trace.values, 83), quality), CUFF)
    assert found["peak_flow"].status is Status.CENSORED
    assert "over_range" in found["peak_flow"].reason
    assert found["time_to_peak"].status is Status.LOW_QUALITY


def test_a_probe_that_falls_off_at_the_release_leaves_no_peak_that_is_trusted():
    trace = HEALTHY.trace(rate=20)
    gone = (trace.time > 485) & (trace.time < 500)
    found = porh(Trace(trace.time, trace.values, np.where(gone, Quality.SUSPECT, 0).astype(np.uint8)), CUFF)
    assert found["peak_flow"].status is not Status.OK
    assert "too_many_artefacts" in found["peak_flow"].reason or "hole" in found["peak_flow"].reason
    detached = porh(Trace(trace.time, trace.values, np.full(len(trace), Quality.SUSPECT, np.uint8)), CUFF)
    assert {r.reason for r in detached.values()} == {"no_data"}


def test_a_short_gap_is_bridged_and_a_long_one_in_the_hyperaemia_is_said():
    trace = HEALTHY.trace(rate=20)
    for seconds, reason in ((1.0, ""), (5.0, "hole_in_the_hyperaemia")):
        keep = (trace.time < 510) | (trace.time >= 510 + seconds)
        found = porh(Trace(trace.time[keep], trace.values[keep], trace.quality[keep]), CUFF)
        assert reason in found["half_recovery"].reason
        assert (found["half_recovery"].status is Status.OK) == (not reason)


def test_a_rest_of_half_a_minute_is_of_low_quality():
    found = porh(HEALTHY.trace().between(250, 900), CUFF)
    assert found["rest_flow"].reason == "less_than_60_s_of_data"
    assert found["hyperaemic_ratio"].reason == "rest_flow: less_than_60_s_of_data"
    none = porh(HEALTHY.trace().between(295, 900), CUFF)
    known = {"biological_zero", "peak_flow", "auc_60", "auc_180"}
    assert {name for name, result in none.items() if result.value is not None} == known
    assert {(none[name].status, none[name].reason) for name in known} == {(Status.OK, "")}


def test_without_a_rest_nobody_says_that_there_was_no_hyperaemia():
    found = porh(HEALTHY.trace().between(295, 900), CUFF)
    assert not [name for name, result in found.items() if "no_hyperaemia" in result.reason]
    for name in ("hyperaemia", "time_to_peak", "half_rise", "mean_slope", "peak_over_time", "max_slope"):
        assert found[name].reason == "rest_flow: empty_window", name
    rising = porh(CLAUDICANT.trace(rate=10).between(295, 900), CUFF)["peak_flow"]
    assert (rising.status, rising.reason) == (Status.CENSORED, "peak_not_reached")


def test_an_occlusion_with_no_debt_repays_nothing():
    found = porh(Hyperaemia(rest=4.7, zero=4.5).trace(), CUFF)
    assert found["repayment"].reason.startswith("occlusion_area_too_small")
