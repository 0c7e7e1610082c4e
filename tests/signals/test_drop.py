"""DROP: invariant to offsets, sensitive to what a limb loses beyond the chest, bounded where the record ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.signals.drop import (
    ChestChange,
    DropMeter,
    DropSettings,
    chest_change,
    drop,
    gardner_skinner_from_strandness,
    indices,
    sites,
)
from acquisition.signals.result import Status, Trace, table
from tests.signals.oxygen import pieces

START, STOP = 300.0, 480.0


def fall(depth, seconds=1200.0, rate=2.0, lowest=240.0, base=60.0, recovery=200.0):
    """Standing, then a straight fall from START to `lowest` s after STOP, then an exponential recovery."""
    time = np.arange(round(seconds * rate)) / rate
    end = STOP + lowest
    down = np.clip((time - START) / (end - START), 0.0, 1.0)
    values = base + depth * np.where(time <= end, down, np.exp(-np.maximum(time - end, 0.0) / recovery))
    return Trace.of(time, values)


FLAT = fall(0.0, base=65.0)


def found(limb=None, chest=FLAT, walk_stop=STOP, **more):
    return table(indices(fall(-30.0) if limb is None else limb, chest, START, walk_stop, DropSettings(**more)))


def test_a_fall_of_30_of_the_limb_alone_is_a_drop_of_30_less_what_smoothing_takes():
    result = found()
    # The trailing mean of 5 s over a triangle's tip: half a window of fall, and of recovery.
    assert result["drop_min"].value == pytest.approx(-30.0, abs=0.35)
    assert result["drop_min_time"].value == pytest.approx(STOP + 240.0 - START, abs=5.0)
    assert result["drop_positive"].value == 1.0
    assert result["drop_half_recovery"].value == pytest.approx(200.0 * np.log(2.0), abs=6.0)
    assert {r.status for r in result.values()} == {Status.OK}


def test_the_area_is_that_of_the_triangle_below_the_cut_off():
    result = found(fall(-30.0, recovery=1e-3))
    # From -15 to -30 in half of 420 s: a triangle of 210 s by 15 mmHg; the record's search ends at 1080 s.
    assert result["drop_area"].value == pytest.approx(0.5 * 210.0 * 15.0, rel=0.03)


def test_a_fall_of_both_is_no_drop():
    result = found(fall(-20.0), fall(-20.0, base=70.0))
    assert result["drop_min"].value == pytest.approx(0.0, abs=1e-9)
    assert result["drop_positive"].value == 0.0
    assert result["drop_half_recovery"].reason == "no_drop"


@pytest.mark.parametrize(("depth", "cutoff", "positive"), [(-15.5, -15, 1.0), (-15.5, -16, 0.0), (-14.0, -15, 0.0)])
def test_the_cut_off_is_a_setting_and_stands_with_the_result(depth, cutoff, positive):
    result = found(fall(depth, recovery=1e5), cutoff=float(cutoff), protocol="constant-3.2-10")["drop_positive"]
    assert result.value == positive
    assert (result.settings["cutoff"], result.settings["protocol"]) == (cutoff, "constant-3.2-10")


def test_a_record_that_ends_soon_after_the_stop_gives_a_bound():
    limb, chest = (trace.between(0.0, STOP + 120.0) for trace in (fall(-30.0), FLAT))
    result = found(limb, chest)
    assert result["drop_min"].status is Status.CENSORED
    assert result["drop_min"].reason == "recovery_not_recorded"
    assert result["drop_positive"].status is Status.OK, "a bound below the cut-off decides"
    assert result["drop_half_recovery"].status is Status.CENSORED
    shallow = found(fall(-16.0).between(0.0, STOP + 120.0), chest)
    assert shallow["drop_positive"].status is Status.CENSORED, "a bound above the cut-off does not"


def test_a_value_that_still_falls_at_the_end_is_a_bound():
    limb, chest = (trace.between(0.0, STOP + 400.0) for trace in (fall(-30.0, lowest=500.0), FLAT))
    assert found(limb, chest)["drop_min"].reason == "still_falling_at_the_end"


def test_without_a_baseline_there_is_no_drop():
    result = found(fall(-30.0).between(260.0, 1200.0))
    assert {r.status for r in result.values()} == {Status.NOT_COMPUTABLE}
    assert result["drop_min"].reason == "limb_baseline_missing"


def test_a_baseline_that_still_settles_counts_against_the_result():
    settling = fall(-30.0)
    values = settling.values + 30.0 * np.exp(-settling.time / 300.0)
    assert found(Trace.of(settling.time, values))["drop_min"].reason == "limb_baseline_unsteady"


def test_marks_out_of_order_are_refused():
    assert found(walk_stop=START - 1.0)["drop_min"].reason == "marks_out_of_order"


def test_a_hole_is_a_hole_and_not_a_value():
    limb = fall(-30.0)
    values = limb.values.copy()
    values[(limb.time >= 600.0) & (limb.time < 900.0)] = np.nan
    curve = drop(Trace.of(limb.time, values), FLAT, START)
    # Of the five seconds up to 603 s two hold data, and of those up to 903 s three: half is the least.
    assert curve.time[np.isnan(curve.values)].tolist() == list(np.arange(603.0, 903.0))
    result = found(Trace.of(limb.time, values))["drop_min"]
    assert (result.status, result.reason) == (Status.LOW_QUALITY, "data_missing")


@given(st.floats(-30, 30), st.floats(-30, 30), st.integers(-100, 100), st.floats(0.2, 2.0))
@settings(max_examples=30, deadline=None)
def test_offsets_do_not_matter_scale_does_and_the_time_origin_does_not(limb_offset, chest_offset, hours, scale):
    limb, chest = fall(-25.0), fall(-4.0, base=65.0)
    base = drop(limb, chest, START)
    shift = hours * 3600.0
    moved = drop(
        Trace.of(limb.time + shift, scale * limb.values + limb_offset),
        Trace.of(chest.time + shift, scale * chest.values + chest_offset),
        START + shift,
    )
    assert np.allclose(moved.values, scale * base.values, atol=1e-9, equal_nan=True)
    assert np.allclose(moved.time - shift, base.time)


@given(st.lists(st.integers(1, 2399), max_size=20, unique=True), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_live_and_whole_agree_bit_for_bit(cuts, seed):
    rng = np.random.default_rng(seed)
    limb, chest = fall(-25.0), fall(-4.0, base=65.0)
    limb = Trace.of(limb.time, np.where(rng.random(2400) < 0.05, np.nan, limb.values + rng.standard_normal(2400)))
    meter = DropMeter(START)
    parts = [meter.feed(a, b) for a, b in zip(pieces(limb, cuts), pieces(chest, cuts), strict=True)]
    time, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    whole = drop(limb, chest, START)
    assert np.array_equal(time, whole.time[: len(time)])
    assert np.array_equal(values, whole.values[: len(values)], equal_nan=True)
    assert len(whole.time) - len(time) <= 1, "only the last second waits for its end"
    assert meter.least[1] == np.nanmin(values)


def test_electrodes_of_different_rates_are_brought_together():
    slow = fall(-4.0, rate=0.5, base=65.0)
    fast = fall(-25.0, rate=4.0)
    curve = drop(fast, slow, START)
    assert np.nanmin(curve.values) == pytest.approx(-21.0, abs=0.5)


@pytest.mark.parametrize(
    ("depths", "word"),
    [((0, 0), ChestChange.FLAT), ((8, 8), ChestChange.RISE), ((-8, -8), ChestChange.FALL),
     ((-8, 8), ChestChange.FALL_AND_OVERSHOOT), ((20, -8), ChestChange.RISE), ((8, -20), ChestChange.FALL)],
)  # fmt: skip
def test_what_the_chest_does_has_a_name(depths, word):
    time = np.arange(0.0, 900.0, 0.5)
    values = np.where(time < START, 60.0, np.where(time < 400.0, 60.0 + depths[0], 60.0 + depths[1]))
    assert chest_change(Trace.of(time, values), START, STOP) is word


def test_a_chest_that_was_not_recorded_has_no_class():
    assert chest_change(FLAT.between(0.0, 200.0), START, STOP) is ChestChange.UNKNOWN


def test_an_electrode_without_a_single_sample_has_no_baseline():
    empty = FLAT.between(2000.0, 3000.0)
    for result in (found(limb=empty), found(chest=empty)):
        assert {r.status for r in result.values()} == {Status.NOT_COMPUTABLE}
        assert result["drop_min"].reason == "no_baseline"
    assert chest_change(empty, START, STOP) is ChestChange.UNKNOWN


def test_every_site_is_held_against_the_one_chest():
    both = sites({"calf left": fall(-30.0), "buttock left": fall(-5.0)}, FLAT, START, STOP)
    assert [table(r)["drop_positive"].value for r in both.values()] == [1.0, 0.0]


def test_gardner_skinner_has_a_conversion_of_its_own():
    assert gardner_skinner_from_strandness(-15.0) == pytest.approx(-11.563)
