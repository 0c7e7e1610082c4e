"""Rest value, RPI, oxygen, postures, detachment and calibration of TcPO2."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress

from acquisition.model import Quality
from acquisition.signals import oxygen_calibration as calibration
from acquisition.signals.attachment import attached, detached, detachment, leaking, mmhg
from acquisition.signals.live.tcpo2 import Electrode, Lamp, live_rpi, slope
from acquisition.signals.result import Result, Status, Trace
from acquisition.signals.tcpo2 import dependency, elevation, oxygen_challenge, rest, rpi
from tests.signals.oxygen import pieces, settling


def test_the_rest_value_is_the_mean_of_minutes_15_to_20():
    """The integral of 50 + 105 exp(-t/205) over 900-1200 s, divided by 300 s."""
    result = rest(settling(30), 0.0)
    truth = 50 + 105 * 205 / 300 * (math.exp(-900 / 205) - math.exp(-1200 / 205))
    assert result.value == pytest.approx(truth, abs=2e-3)
    assert (result.status, result.window, result.n_valid) == (Status.OK, (900.0, 1200.0), 300)


def test_a_falling_record_gives_its_value_with_its_class():
    result = rest(settling(25, fall=1.0), 0.0)
    assert result.status is Status.LOW_QUALITY
    assert result.reason.startswith("falling")
    assert result.value is not None


def test_a_record_that_stops_before_the_verdict_is_not_yet_stable():
    assert rest(settling(20), 0.0).reason == "not_yet (plateau_not_shown)"


def test_what_happens_after_the_rest_phase_does_not_count():
    trace = settling(40, seed=4, slow=0.1, fall=3.0, fall_from=1560.0)
    assert rest(trace, 0.0, 1560.0).status is Status.OK
    assert rest(trace, 0.0).reason.startswith("falling")


@pytest.mark.parametrize(("stop", "reason"), [(600.0, "window_not_recorded"), (1000.0, "too_few_data")])
def test_a_short_record_has_no_rest_value(stop, reason):
    assert rest(settling(30).between(0.0, stop), 0.0).reason == reason


def test_a_detached_sensor_has_no_rest_value():
    trace = settling(30)
    values = trace.values.copy()
    values[1000:1020] = 150.0
    result = rest(Trace.of(trace.time, values), 0.0)
    assert (result.value, result.reason) == (None, "sensor_detached")


@given(st.floats(-0.4, 0.4), st.integers(-5, 5), st.integers(1, 1799))
@settings(max_examples=15, deadline=None)
def test_the_rest_value_scales_and_does_not_depend_on_the_time_origin(gain, days, lost):
    trace = settling(30, seed=5, slow=0.1)
    base = rest(trace, 0.0).value
    origin = days * 86400.0
    values = (1 + gain) * trace.values
    values[lost] = np.nan
    moved = rest(Trace.of(trace.time + origin, values), origin)
    assert moved.value == pytest.approx((1 + gain) * base, rel=2e-4)


def value(number, **more):
    details = {"uncertainty": 1.0, "n_valid": 300, "window": (900.0, 1200.0)}
    return Result.of("tcpo2_rest", number, "mm[Hg]", **(details | more))


def test_rpi_is_limb_over_chest_with_the_error_of_both():
    result = rpi(value(30.0), value(60.0))
    assert (result.value, result.status) == (0.5, Status.OK)
    assert result.uncertainty == pytest.approx(0.5 * math.hypot(1 / 30, 1 / 60))


@pytest.mark.parametrize(
    ("limb", "chest", "reason"),
    [
        (value(30.0), value(39.0), "chest_low"),
        (value(30.0), value(60.0).flagged("not_yet"), "chest: not_yet"),
        (value(30.0), value(60.0, window=(0.0, 300.0)), "times_differ"),
        (value(30.0).flagged("falling"), value(60.0), "limb: falling"),
    ],
)
def test_rpi_against_an_unfit_chest_is_of_low_quality(limb, chest, reason):
    result = rpi(limb, chest)
    assert (result.status, result.reason) == (Status.LOW_QUALITY, reason)


def test_rpi_needs_both_and_a_positive_chest():
    gone = Result.missing("tcpo2_rest", "mm[Hg]", "sensor_detached")
    assert rpi(value(30.0), gone).reason == "chest_missing (sensor_detached)"
    assert rpi(gone, value(60.0)).reason == "limb_missing (sensor_detached)"
    assert rpi(value(30.0), value(0.0)).reason == "chest_not_positive"


def challenge(rise=120.0, tau=100.0, minutes=8.0, base=40.0):
    time = np.arange(0.0, 300.0 + minutes * 60.0)
    return Trace.of(time, base + rise * (1 - np.exp(-np.maximum(time - 300.0, 0.0) / tau)))


def test_an_oxygen_challenge_gives_delta_per_cent_and_ratio():
    delta, percent, ratio = oxygen_challenge(challenge(), 300.0, 780.0)
    truth = 120.0 * (1 - 100.0 / 60.0 * (math.exp(-4.2) - math.exp(-4.8)))
    assert delta.value == pytest.approx(truth, abs=0.02)
    assert percent.value == pytest.approx(100 * truth / 40.0, abs=0.05)
    assert ratio.value == pytest.approx(1 + truth / 40.0, abs=1e-3)
    assert {delta.status, percent.status, ratio.status} == {Status.OK}
    assert (percent.uncertainty, ratio.uncertainty) == (None, None), "the error is that of the difference, in mmHg"


def test_a_challenge_that_is_short_or_still_rising_says_so():
    short = oxygen_challenge(challenge(minutes=3.0), 300.0, 480.0)[0]
    assert "oxygen_too_short" in short.reason
    assert oxygen_challenge(challenge(minutes=12.0), 300.0, 1020.0)[0].reason == "oxygen_too_long"
    rising = oxygen_challenge(challenge(tau=600.0), 300.0, 780.0)[0]
    assert rising.reason == "plateau_never_reached"


def test_a_challenge_without_a_baseline_in_air_is_missing():
    result = oxygen_challenge(challenge().between(310.0, 780.0), 300.0, 780.0)[0]
    assert (result.value, result.reason) == (None, "air_missing (window_not_recorded)")


def test_elevation_and_dependency_are_differences_from_supine():
    time = np.arange(900.0)
    # Each value stands for the minute that counts and for no second more.
    edges = (240.0, 300.0, 420.0, 480.0, 500.0, 560.0, 800.0, 860.0)
    levels = np.array([30.0, 35.0, 28.0, 22.0, 26.0, 40.0, 45.0, 51.0, 48.0])
    trace = Trace.of(time, levels[np.searchsorted(edges, time, side="right")])
    assert elevation(trace, 300.0).value == -13.0
    assert dependency(trace, 300.0, 860.0).value == 16.0
    assert dependency(trace, 300.0, 560.0).reason == "dependency_too_short"
    assert elevation(trace, 20.0).reason == "supine_missing (too_few_data)"


@pytest.mark.parametrize(
    ("lost", "status", "reason"),
    [
        (12, Status.OK, ""),
        (13, Status.LOW_QUALITY, "supine: data_missing"),
        (30, Status.LOW_QUALITY, "supine: data_missing"),
        (31, Status.NOT_COMPUTABLE, "supine_missing (too_few_data)"),
    ],
)
def test_half_of_a_minute_must_be_data_and_four_fifths_to_be_ok(lost, status, reason):
    time = np.arange(900.0)
    values = np.full(900, 40.0)
    values[240 : 240 + lost] = np.nan
    result = elevation(Trace.of(time, values), 300.0)
    assert (result.status, result.reason) == (status, reason)


def waving(period, height=1.0):
    """40 mmHg and a square wave of that height; `period` seconds up, as many down."""
    time = np.arange(1801.0)
    return Trace.of(time, 40.0 + height * np.where(time // period % 2 == 0, 1.0, -1.0))


def test_the_error_of_the_rest_value_counts_means_that_depend_on_each_other_once():
    # 60 means of 5 s. In runs of five alike 48 neighbours agree and 11 differ: r = 37/60, and 60 (1-r)/(1+r) count.
    assert rest(waving(25.0), 0.0).uncertainty == pytest.approx(math.sqrt(60 / 59 / (60 * 23 / 97)))
    # Means that alternate are taken as independent, not as better than that.
    assert rest(waving(5.0), 0.0).uncertainty == pytest.approx(1.0 / math.sqrt(59))


def test_a_difference_has_the_error_of_both_its_means_or_none():
    calm, wide = waving(5.0), waving(5.0, 2.0)
    values = np.where(calm.time < 300.0, calm.values, wide.values)
    assert elevation(Trace.of(calm.time, values), 300.0).uncertainty == pytest.approx(math.hypot(1, 2) / math.sqrt(11))
    values[280:285] = np.nan  # three means are too few for an error
    assert elevation(Trace.of(calm.time, values), 300.0, averaged=20.0).uncertainty is None


def test_air_zero_and_jumps_are_not_skin():
    time = np.arange(0.0, 40.0, 0.5)
    values = np.full(80, 45.0)
    values[20] = 0.0
    values[40:50] = 152.0
    values[60] = 46.0
    mask = detached(Trace.of(time, values))
    # Either edge of a jump is condemned with it.
    assert np.flatnonzero(mask).tolist() == [19, 20, 21, *range(39, 51)]
    clean = attached(Trace.of(time, values))
    assert np.all(clean.quality[mask] == Quality.SUSPECT)
    assert np.array_equal(clean.values, values)


def test_an_electrode_that_reads_nothing_is_not_skin_however_slowly_it_came_there():
    fading = Trace.of(np.arange(6.0), [3.0, 2.0, 1.0, 0.0, 0.0, 1.0])
    assert detached(fading).tolist() == [False, False, False, True, True, False]
    rising = Trace.of(np.arange(0.0, 40.0), np.arange(90.0, 130.0))
    assert np.flatnonzero(detached(rising)).tolist() == list(range(21, 40)), "above 110 mmHg"


def test_a_jump_is_five_mmhg_a_second_and_over_one_second_at_least():
    fast = Trace.of([0.0, 0.25, 0.5], [40.0, 44.9, 40.0])
    assert not detached(fast).any()
    over_a_hole = Trace.of([0.0, 1.0, 5.0, 10.0], [40.0, 40.0, 59.0, 85.0])
    assert detached(over_a_hole).tolist() == [False, False, True, True]


def test_a_detachment_is_told_with_its_first_second_after_settling():
    trace = settling(30)
    values = trace.values.copy()
    values[[200, 1000, 1400]] = 150.0
    found = detachment(Trace.of(trace.time, values), 0.0, 1800.0)
    assert (found.value, found.settings["ceiling"]) == (999.0, 110.0)
    assert detachment(trace, 0.0, 1800.0).reason == "attached_throughout"


def test_without_a_carbon_dioxide_nothing_shows_a_leak():
    time = np.arange(60.0)
    oxygen, silent = Trace.of(time, 45.0 + time), Trace.of(time, np.full(60, np.nan))
    assert not leaking(oxygen, silent).any()


def test_oxygen_rising_while_carbon_dioxide_falls_is_a_leak_until_it_is_over():
    time = np.arange(600.0)
    leak = (time >= 200) & (time < 320)
    oxygen = Trace.of(time, np.where(leak, 45.0 + np.minimum(time - 200, 40.0), 45.0))
    carbon = Trace.of(time, np.where(leak, 42.0 - np.minimum((time - 200) / 2, 12.0), 42.0))
    mask = leaking(oxygen, carbon)
    assert mask[202:320].all()
    assert not mask[:200].any()
    assert not mask[321:].any()
    steady = Trace.of(time, np.full(600, 42.0))
    assert not leaking(oxygen, steady).any(), "a rise of tcpO2 alone is oxygen"
    assert not leaking(Trace.of(time, np.full(600, 45.0)), carbon).any(), "a fall of tcpCO2 alone is hyperventilation"


def test_kilopascal():
    assert mmhg(8.0) == pytest.approx(60.005, abs=1e-3)


def test_calibration_pressures_of_the_textbooks():
    assert calibration.calibration_pressure(760.0) == pytest.approx(159.2, abs=0.05)
    assert calibration.calibration_pressure(760.0, 37.0) == pytest.approx(149.4, abs=0.1)
    assert calibration.calibration_pressure(760.0, 44.0) == pytest.approx(144.9, abs=0.1)
    assert calibration.vapour_pressure(44.0) == pytest.approx(68.3, abs=0.2)
    heights = {500: 716, 1000: 674, 1500: 634, 2240: 579}
    assert [round(calibration.barometric_pressure(h)) for h in heights] == list(heights.values())


def test_drift_is_per_cent_per_hour_and_needs_both_readings():
    assert calibration.drift(159.0, 154.23, 2.0).value == pytest.approx(-1.5)
    assert calibration.drift(159.0, 154.23, 2.0).status is Status.OK
    assert calibration.drift(159.0, 154.23, 0.0).reason == "no_time_between"
    assert calibration.drift(159.0, 140.0, 2.0).reason == "drift_over_tolerance"
    assert calibration.drift(None, 154.0, 2.0).reason == "calibration_missing"
    assert calibration.drift(159.0, None, 2.0).reason == "not_rechecked_in_air"
    flat = calibration.without_drift(Trace.of([0.0, 3600.0], [100.0, 100.0]), 0.0, 10.0)
    assert flat.values.tolist() == [100.0, 90.0]


def test_the_lamp_goes_from_grey_over_amber_to_green():
    electrode = Electrode(0.0)
    trace = settling(30)
    shown = [electrode.feed(piece) for piece in pieces(trace, range(10, 1800, 10))]
    lamps = [s.lamp for s in shown]
    assert [lamps[0], lamps[95], lamps[-1]] == [Lamp.GREY, Lamp.AMBER, Lamp.GREEN]
    assert shown[10].countdown == 900.0 - 109.0
    assert shown[-1].value == pytest.approx(trace.values[-6:].mean())
    peer = linregress(trace.time[-121:] / 60.0, trace.values[-121:])
    assert shown[-1].slope == pytest.approx(peer.slope, rel=1e-9)


def test_the_countdown_runs_from_the_application_whenever_that_was():
    origin = 86400.0
    trace = settling(10)
    shown = Electrode(origin).feed(Trace.of(trace.time + origin, trace.values))
    assert (shown.lamp, shown.countdown) == (Lamp.GREY, 900.0 - 599.0)
    assert Electrode(origin).feed(Trace.of([], [])).countdown == 900.0


def test_the_live_class_is_the_class_of_the_record():
    trace = settling(30, seed=11, slow=0.2)
    electrode = Electrode(0.0)
    for piece in pieces(trace, range(7, 1800, 13)):
        shown = electrode.feed(piece)
    assert (shown.steadiness == "stable") == (rest(trace, 0.0).status is Status.OK)
    assert shown.slope == slope(trace, trace.time[-1] - 120.0, trace.time[-1])


def test_rpi_is_shown_only_when_both_lamps_are_green():
    limb, chest = Electrode(0.0), Electrode(0.0)
    early = [e.feed(settling(10, plateau=p)) for e, p in ((limb, 30), (chest, 60))]
    assert live_rpi(*early) is None
    late = [e.feed(settling(30, plateau=p).between(600, 1801)) for e, p in ((limb, 30), (chest, 60))]
    assert live_rpi(late[0], early[1]) is None
    assert live_rpi(early[0], late[1]) is None
    assert live_rpi(late[0], replace(late[1], value=0.0)) is None
    assert live_rpi(*late) == pytest.approx(0.5, abs=0.01)
