"""The shape of every answer: never 0 or NaN for a value that is missing; traces and their grids."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.model import Quality
from acquisition.signals.result import Result, Status, Trace, table


def test_a_missing_value_is_none_with_a_reason():
    result = Result.missing("peak", "[arb'U]", "no_release_mark")
    assert (result.value, result.status, result.reason) == (None, Status.NOT_COMPUTABLE, "no_release_mark")
    assert not result.usable


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_becomes_missing(value):
    assert Result.of("ratio", value, "1", unless="no_rest_flow").reason == "no_rest_flow"
    with pytest.raises(ValueError, match="no value"):
        Result("ratio", value, "1")


def test_status_value_and_reason_cannot_contradict_each_other():
    with pytest.raises(ValueError, match="cannot be"):
        Result("peak", 3.0, "1", Status.NOT_COMPUTABLE, "why")
    with pytest.raises(ValueError, match="nothing was computed"):
        Result("peak", None, "1")
    with pytest.raises(ValueError, match="needs a reason"):
        Result("peak", 3.0, "1", Status.LOW_QUALITY)


def test_flags_collect_and_the_worst_status_stays():
    result = Result.of("recovery", 180.0, "s").censored("record_ended").flagged("artefacts").flagged("artefacts")
    assert (result.status, result.reason, result.value) == (Status.CENSORED, "record_ended; artefacts", 180.0)
    gone = result.flagged("no_hyperaemia", Status.NOT_COMPUTABLE)
    assert (gone.value, gone.status) == (None, Status.NOT_COMPUTABLE)


def test_a_result_is_json_whatever_numpy_it_holds():
    result = Result.of(
        "band_power", np.float64(2.5), "1", window=(np.float64(0), 10), n_valid=np.int64(4),
        settings={"edges": (0.6, 2.0), "n": np.int32(3), "tau": math.nan}, curves={"t": np.array([1.0, np.nan])},
    )  # fmt: skip
    plain = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert plain["value"] == 2.5
    assert plain["status"] == "ok"
    assert plain["curves"] == {"t": [1.0, None]}
    assert plain["settings"] == {"edges": [0.6, 2.0], "n": 3, "tau": None}


def test_a_fingerprint_knows_the_method_and_not_the_value():
    one = Result.of("peak", 1.0, "1", settings={"smoothing": 3.0, "areas": (60, 180)})
    same = Result.of("peak", 2.0, "1", settings={"areas": [60, 180], "smoothing": 3.0})
    assert one.fingerprint == same.fingerprint
    for other in (
        Result.of("peak", 1.0, "1", settings={"smoothing": 5.0, "areas": (60, 180)}),
        Result.of("peak", 1.0, "1", settings=one.settings, version="2"),
        Result.of("rest", 1.0, "1", settings=one.settings),
    ):
        assert other.fingerprint != one.fingerprint


def test_names_in_a_table_are_unique():
    with pytest.raises(ValueError, match="two results"):
        table([Result.of("a", 1, "1"), Result.of("a", 2, "1")])


def test_only_flags_that_unmake_a_value_mask_it():
    flags = [
        0,
        Quality.QUESTIONABLE,
        Quality.DEMO,
        Quality.INVALID,
        Quality.RANGE,
        Quality.CALIBRATING,
        Quality.SUSPECT,
    ]
    trace = Trace.of(np.arange(8.0), [1.0, 2, 3, 4, 5, 6, 7, math.nan], [*flags, 0])
    assert trace.valid.tolist() == [True, True, True] + [False] * 5


def test_windows_are_half_open_and_absent_samples_count_against_them():
    trace = Trace.of(np.arange(0, 60, 0.5), np.ones(120))
    assert trace.between(10, 20).time[[0, -1]].tolist() == [10.0, 19.5]
    assert trace.count(10, 20) == (20, 0.0)
    assert trace.count(50, 70) == (20, 50.0)
    assert Trace.of([5.0], [1.0]).count(0, 10) == (1, 0.0)
    assert trace.span == (0.0, 60.0)
    assert Trace.of([5.0], [1.0]).span == (5.0, 5.0)


def test_a_gap_is_bridged_up_to_its_limit_and_stays_a_hole_beyond():
    time = np.delete(np.arange(0, 20, 0.1), np.r_[50:60, 100:150])
    grid = Trace.of(time, 3 * time).uniform(max_gap=2.0)
    assert len(grid) == 200
    short = (grid.time > 4.95) & (grid.time < 5.95)
    long = (grid.time > 9.95) & (grid.time < 14.95)
    assert np.all(grid.quality[short] == Quality.QUESTIONABLE)
    assert np.allclose(grid.values[short], 3 * grid.time[short])
    assert np.all(np.isnan(grid.values[long]))
    assert np.all(grid.quality[long] == Quality.INVALID)
    assert np.allclose(grid.values[~long], 3 * grid.time[~long])
    assert np.all(grid.quality[~long & ~short] == 0)


def test_a_jittered_clock_gives_a_uniform_grid_of_the_same_line():
    steps = np.random.default_rng(3).uniform(0.06596, 0.06603, 5000)
    time = np.cumsum(steps)
    grid = Trace.of(time, np.sin(time)).uniform()
    assert np.ptp(np.diff(grid.time)) < 1e-9
    assert np.nanmax(np.abs(grid.values - np.sin(grid.time))) < 1e-3
    assert grid.valid.all()


@given(st.integers(0, 40), st.floats(1, 50), st.data())
def test_a_grid_never_invents_a_value_outside_the_data(n, rate, data):
    values = np.array(data.draw(st.lists(st.floats(-1e3, 1e3) | st.just(math.nan), min_size=n, max_size=n)), float)
    grid = Trace.of(np.arange(n) / rate, values).uniform()
    good = grid.values[np.isfinite(grid.values)]
    if len(good):
        assert good.min() >= np.nanmin(values) - 1e-9
        assert good.max() <= np.nanmax(values) + 1e-9
    assert len(grid) == n
    assert np.array_equal(grid.valid, np.isfinite(grid.values))


def test_time_that_runs_backwards_is_refused():
    with pytest.raises(ValueError, match="increase"):
        Trace.of([0.0, 2.0, 1.0], [1.0, 1, 1])
