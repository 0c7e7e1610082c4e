"""One huge value or one endless hole in a record: what it may touch, and what it must not."""

import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.signals import drop, hyperaemia, stability, tcpo2, wound
from acquisition.signals.flowmotion import flowmotion
from acquisition.signals.heating import Stages, heating
from acquisition.signals.kit.bins import bin_means
from acquisition.signals.kit.smoothing import moving_mean
from acquisition.signals.occlusion import MarkSource, Occlusion, inferred
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Status, Trace
from tests.signals.curves import Hyperaemia

CURVE = Hyperaemia().trace(noise=0.05)
MARKED = Occlusion(300.0, 480.0, MarkSource.CUFF, True)
SIZES = [1e3, 1e9, 1e17, 1e30, 9.8e37, -9.8e37]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("width", [3, 9, 31])
def test_a_spike_touches_the_means_of_its_own_windows_only(size, centred, width):
    x = np.ones((2, 400))
    x[0, 200] = size
    mean = moving_mean(x, width, centred=centred)
    before = width // 2 if centred else 0
    own = slice(200 - before, 200 - before + width)
    assert np.all(mean[0, own] != 1.0)
    assert np.all(np.delete(mean[0], np.r_[own]) == 1.0)
    assert np.all(mean[1] == 1.0)


@given(st.lists(st.sampled_from([1.0, np.nan, 9.8e37, -3e20]), min_size=1, max_size=80), st.integers(0, 20))
def test_a_mean_is_the_same_with_and_without_what_lies_outside_its_window(values, half):
    x = np.array(values)
    whole = moving_mean(x, 2 * half + 1)
    for k in range(len(x)):
        low, high = max(0, k - half), k + half + 1
        part = moving_mean(x[low:high], 2 * half + 1)[k - low]
        assert np.isclose(whole[k], part, rtol=1e-12, atol=0.0, equal_nan=True)


@pytest.mark.parametrize("size", [1e6, 1e15, 9.8e37])
def test_a_spike_leaves_the_integrals_of_other_windows_alone(size):
    x = CURVE
    spoiled = x.values.copy()
    spoiled[100] = size
    args = (x.rate, float(x.time[0]), 300.0, 480.0)
    clean, dirty = hyperaemia.measure(x.values, *args), hyperaemia.measure(spoiled, *args)
    for name in ("rest_flow", "biological_zero", "occlusion_area", "hyperaemia_area", "auc_60", "auc_180", "index"):
        assert getattr(dirty, name)[0] == pytest.approx(getattr(clean, name)[0], rel=1e-12), name


@pytest.mark.parametrize("size", [1e5, 1e21, 9.8e37, 9.9e37, -1e21])
@pytest.mark.parametrize("at", [10.0, 250.0, 492.0])
def test_an_impossible_level_never_makes_a_peak(size, at):
    x = CURVE
    spoiled = x.values.copy()
    spoiled[np.searchsorted(x.time, at)] = size
    clean, dirty = porh(x, MARKED), porh(Trace.of(x.time, spoiled), MARKED)
    for name in ("peak_flow", "rest_flow", "biological_zero", "occlusion_area", "time_to_peak"):
        assert dirty[name].value == pytest.approx(clean[name].value, rel=0.02), name
        assert dirty[name].status is clean[name].status


def test_a_record_of_impossible_levels_has_no_index():
    trace = Trace.of(np.arange(0, 900, 0.1), np.full(9000, 1e21))
    found = porh(trace, MARKED)
    assert all(r.status is not Status.OK for r in found.values())
    assert all(r.status is not Status.OK for r in heating(trace, Stages(200.0, None, 800.0)).values())


HOLED = np.append(np.arange(0, 900, 0.1), 1e8)


def test_a_grid_over_an_endless_hole_is_refused_and_names_it():
    with pytest.raises(ValueError, match=r"hole of 1e\+08 s after 899.9 s.*Trace.between"):
        Trace.of(HOLED, np.ones(HOLED.size)).uniform()
    with pytest.raises(ValueError, match=r"hole of 1e\+08 s after 899.9 s"):
        bin_means(Trace.of(HOLED, np.ones(HOLED.size)), 0.0, 1.0)
    hole_of_a_minute = np.delete(np.arange(0, 900, 0.1), np.r_[3000:3600])
    assert len(Trace.of(hole_of_a_minute, hole_of_a_minute).uniform()) == 9000


def test_work_follows_the_samples_and_not_the_span():
    values = 20.0 + np.sin(HOLED[:-1])
    near, far = Trace.of(HOLED[:-1], values), Trace.of(HOLED, np.append(values, 20.0))
    assert porh(far, MARKED) == porh(near, MARKED)
    assert heating(far, Stages(200.0, None, 800.0)) == heating(near, Stages(200.0, None, 800.0))
    assert inferred(far, 300.0) == inferred(near, 300.0)
    assert drop.indices(far, far, 200.0, 500.0) == drop.indices(near, near, 200.0, 500.0)
    assert stability.judge(far, 0.0) == stability.judge(near, 0.0)
    assert tcpo2.rest(far, 0.0).status is Status.NOT_COMPUTABLE
    assert {r.reason for r in flowmotion(far).values()} == {
        "hole_too_long (hole of 1e+08 s after 899.9 s: a grid of 1e+09 samples for 9001)"
    }


def test_an_outline_of_many_points_takes_little_memory():
    angle = np.linspace(0, 2 * np.pi, 6000, endpoint=False)
    circle = np.c_[np.cos(angle), np.sin(angle)] * 100.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    area, _ = wound.area_by_outline(circle, 0.1)
    assert area.value == pytest.approx(np.pi, rel=1e-5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
    assert not wound.crosses_itself(circle)
    assert wound.crosses_itself(circle[::-1][np.r_[0:3000, 5000, 3000:5000, 5001:6000]])


@pytest.mark.parametrize(
    "outline",
    [[[0, 0], [5, 0], [10, 0]], [[0, 0], [5, 5], [10, 10]], [[0, 0], [5, 1e-9], [10, 0]], [[0, 0], [1e5, 0], [1e5, 1]]],
)
def test_an_outline_on_a_line_has_no_area(outline):
    found = wound.area_by_outline(np.array(outline, float), 1.0)
    assert [r.reason for r in found] == ["outline_without_an_area"] * 2
    assert isinstance(found[0], Result)
