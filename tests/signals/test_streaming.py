"""Live forms against the batch forms of the same samples, whatever the blocks they came in."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.signals.artefacts import runs
from acquisition.signals.flowmotion import band_powers
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.kit.smoothing import exponential_mean, moving_mean
from acquisition.signals.kit.streaming import ExponentialMean, Recent, TrailingMean
from acquisition.signals.live.artefacts import SpikeMeter, causal_hampel
from acquisition.signals.live.bands import BandMeter, decimator
from acquisition.signals.live.porh import Phase, PorhAssistant
from acquisition.signals.live.pulse import PulseMeter, held, pulse
from acquisition.signals.occlusion import MarkSource, Occlusion
from acquisition.signals.porh import porh
from acquisition.signals.result import Trace
from tests.signals.curves import Hyperaemia
from tests.signals.waves import six_tones


def chopped(x, sizes):
    """The rows of x in blocks of the given sizes, again and again."""
    start = k = 0
    while start < len(x):
        stop = min(len(x), start + sizes[k % len(sizes)])
        yield x[start:stop]
        start, k = stop, k + 1


sizes = st.lists(st.integers(1, 97), min_size=1, max_size=5)


def noisy(n=700, c=3, seed=0, holes=True):
    x = 20 + np.random.default_rng(seed).normal(size=(n, c)).cumsum(0)
    if holes:
        x[50:60, 1] = x[400, 0] = math.nan
    return x


@settings(max_examples=25, deadline=None)
@given(sizes, st.integers(1, 80))
def test_means_of_blocks_are_those_of_the_whole(blocks, width):
    x = noisy()
    trailing, smooth = TrailingMean(3, width), ExponentialMean(3, 10.0, 0.7)
    got = np.concatenate([trailing.feed(b) for b in chopped(x, blocks)])
    assert np.allclose(got, moving_mean(x.T, width, centred=False).T, rtol=1e-12, atol=1e-12, equal_nan=True)
    got = np.concatenate([smooth.feed(b) for b in chopped(x, blocks)])
    assert np.allclose(got, exponential_mean(x.T, 10.0, 0.7).T, rtol=1e-12, equal_nan=True)


@settings(max_examples=50, deadline=None)
@given(sizes, st.integers(1, 150))
def test_the_newest_samples_are_kept_in_their_order(blocks, length):
    x = noisy(c=2)
    recent = Recent(2, length)
    for k, block in enumerate(chopped(x, blocks)):
        recent.feed(block)
        seen = sum(len(b) for b in list(chopped(x, blocks))[: k + 1])
        assert np.array_equal(recent.newest(), x[max(0, seen - length) : seen], equal_nan=True)


@settings(max_examples=10, deadline=None)
@given(sizes)
def test_spikes_of_blocks_are_those_of_the_whole(blocks):
    x = noisy(seed=3)
    x[300, 2] += 60
    meter = SpikeMeter(3, 10.0)
    got = np.concatenate([meter.feed(b) for b in chopped(x, blocks)])
    assert np.array_equal(got, causal_hampel(x, 10.0))
    assert got[300, 2]


def test_a_live_spike_is_marked_at_once_and_a_step_only_until_it_is_the_level():
    x = 10 + 0.1 * np.random.default_rng(0).normal(size=(1000, 1))
    x[500] = 30
    x[700:] += 8
    found = runs(causal_hampel(x, 10.0)[:, 0])
    assert (500, 501) in found
    assert any(a == 700 and 790 <= b <= 810 for a, b in found)
    assert not causal_hampel(x, 10.0)[:50].any()


def test_a_pulse_has_its_rate_and_its_strength():
    t = np.arange(0, 30, 1 / 40)
    x = np.stack([30 + 3 * np.cos(2 * np.pi * 1.2 * t), np.full(t.size, 12.0), 8 + np.cos(2 * np.pi * 0.8 * t)], axis=1)
    x[:, 1] += np.random.default_rng(0).normal(size=t.size) * 1e-3
    meter = PulseMeter(3, 40.0)
    for block in chopped(x, [8]):
        meter.feed(block)
    now = meter.now()
    assert now.rate[0] == pytest.approx(72, abs=0.5)
    assert now.rate[2] == pytest.approx(48, abs=0.7)
    assert now.strength[0] == pytest.approx(3 / math.sqrt(2), rel=0.03)
    assert now.strength[1] < 0.01
    with pytest.raises(ValueError, match="at least 5"):
        PulseMeter(1, 2.0)


def test_a_pulse_is_not_shown_before_ten_seconds_and_does_not_start_with_a_step():
    meter = PulseMeter(1, 40.0)
    for _ in range(9):
        meter.feed(np.full((40, 1), 80.0))
    assert np.isnan(meter.now().strength[0])
    meter.feed(np.full((40, 1), 80.0))
    assert meter.now().strength[0] == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(sizes)
def test_a_pulse_of_blocks_is_that_of_the_whole(blocks):
    x = noisy(c=2, seed=5)
    whole, parts = PulseMeter(2, 40.0), PulseMeter(2, 40.0)
    whole.feed(x)
    for block in chopped(x, blocks):
        parts.feed(block)
    for name in ("strength", "rate", "clarity"):
        assert np.allclose(getattr(whole.now(), name), getattr(parts.now(), name), rtol=1e-6, equal_nan=True)
    assert pulse(np.zeros((1, 3)), 40.0).strength.shape == (1,)


def test_a_missing_sample_is_the_one_before_it():
    x = np.array([[math.nan, 1.0], [2.0, math.nan], [math.nan, math.nan]])
    assert np.array_equal(held(x, np.array([9.0, 8.0])), [[9, 1], [2, 1], [2, 1]])


def test_live_band_powers_are_those_of_their_window():
    x = np.stack([six_tones(rate=10.0, n=15_000), 3 * six_tones(rate=10.0, n=15_000)[::-1]], axis=1)
    meter = BandMeter(2, 10.0, pad=6.0)
    for block in chopped(x, [7, 11]):
        meter.feed(block)
    window = x[-12_000:]
    assert np.array_equal(meter.window(), window)
    batch = band_powers((window / window.mean(0) - 1).T, 10.0)
    live = meter.now()
    assert np.allclose(live.mean, batch.mean, rtol=1e-9)
    assert np.allclose(live.relative, batch.relative(), rtol=1e-9)
    assert np.allclose(live.lag, [2.36, 9.75, 27.2, 67.3, 148.9, 282.8], atol=0.1)
    assert live.available.all()


def test_less_padding_costs_less_than_a_millionth():
    x = six_tones(rate=10.0, n=12_000)[:, None]
    meters = [BandMeter(1, 10.0, pad=pad) for pad in (4.0, 6.0)]
    for meter in meters:
        meter.feed(x)
    four, six = (meter.now().mean for meter in meters)
    assert np.abs(four / six - 1).max() < 1e-6


def test_forty_hertz_are_reduced_without_loss_to_the_bands():
    x = six_tones(rate=40.0, n=52_000)
    meter = BandMeter(1, 40.0)
    for block in chopped(x[:, None], [16, 3]):
        meter.feed(block)
    live = meter.now()
    shift = round(meter.delay * 40)
    window = x[52_000 - 48_000 - shift : 52_000 - shift]
    batch = band_powers(window / window.mean() - 1, 40.0)
    assert np.abs(live.mean / batch.mean - 1).max() < 2e-3
    assert len(decimator(4)) == 161
    assert live.lag[0] == pytest.approx(2.36 + 2.0, abs=0.05)


def test_the_first_minute_does_not_ring_with_a_step_from_zero():
    t = np.arange(0, 60.5, 1 / 40)
    x = 200 + 10 * np.cos(2 * np.pi * 1.1 * t)
    meter = BandMeter(1, 40.0)
    for block in chopped(x[:, None], [16]):
        meter.feed(block)
    live = meter.now()
    assert live.seconds == 60.0
    # A step would put its power into every band; of a pulse alone only the cardiac one has any.
    assert live.mean[0, 0] == pytest.approx(band_powers(x[:2400] / 200 - 1, 40.0).mean[0, 0], rel=0.02)
    assert live.mean[0, 1] < 0.01 * live.mean[0, 0]


def test_slow_bands_come_later_and_a_dead_channel_never():
    x = np.repeat(six_tones(rate=10.0, n=4000)[:, None], 2, axis=1)
    x[:, 1] = math.nan
    x[0, 1] = 5.0
    meter = BandMeter(2, 10.0)
    assert meter.now() is None
    meter.feed(x[:590])
    assert meter.now() is None
    meter.feed(x[590:])
    live = meter.now()
    assert live.seconds == 360.0
    assert live.available.tolist() == [True, True, True, True, False, False]
    assert np.isfinite(live.mean[0, :4]).all()
    assert np.isnan(live.mean[0, 4:]).all()
    assert np.isnan(live.mean[1]).all()
    assert live.relative[0, :4].sum() == pytest.approx(1)
    assert live.pct_missing[1] == pytest.approx(100, abs=0.1)


# --- the assistant of a reactive hyperaemia ----------------------------------------------------------------------

HEALTHY = Hyperaemia(lag=4.0, to_peak=20.0)


def play(assistant, trace, pressure=None, at=None, block=1.0):
    """Feed a trace second by second; return phases with the time they were first shown."""
    shown = {}
    for start in np.arange(0, trace.time[-1], block):
        for when, mark in list((at or {}).items()):
            if when < start:
                mark(when)
                del at[when]
        piece = pressure.between(start, start + block) if pressure else None
        live = assistant.feed(trace.between(start, start + block), piece)
        shown.setdefault(live.phase, (start + block, live))
    return shown


def cuff(on=300.0, off=480.0, stop=900.0):
    t = np.arange(0, stop, 0.25)
    return Trace.of(t, np.interp(t, [0, on, on + 4, off - 1, off, stop], [0, 0, 220, 220, 0, 0]))


def test_the_cuff_leads_through_every_phase_and_the_end_is_the_batch_result():
    trace = HEALTHY.trace(noise=0.1, pulse=0.1)
    assistant = PorhAssistant(40.0, Settings(recovery_level=1.1), systolic=140.0)
    shown = play(assistant, trace, cuff())
    assert list(shown) == [Phase.REST, Phase.OCCLUSION, Phase.RELEASE, Phase.HYPERAEMIA, Phase.RECOVERY]
    assert 300 < shown[Phase.OCCLUSION][0] < 306
    assert 480 < shown[Phase.RELEASE][0] < 482
    assert 483 < shown[Phase.HYPERAEMIA][0] < 488
    assert shown[Phase.OCCLUSION][1].rest_flow == pytest.approx(12, abs=0.3)
    assert shown[Phase.RELEASE][1].biological_zero == pytest.approx(4.5, abs=0.2)
    end = assistant.now()
    final = assistant.results()
    whole = porh(trace.between(trace.time[0], 901), end.occlusion, Settings(recovery_level=1.1))
    for name, result in whole.items():
        assert final[name].value == pytest.approx(result.value, rel=1e-9), name
    assert end.peak == pytest.approx(final["peak_flow"].value, rel=1e-9)
    assert end.to_peak == pytest.approx(final["time_to_peak"].value, rel=1e-9)
    assert end.occlusion.source is MarkSource.CUFF
    assert end.occlusion.off == pytest.approx(479.86, abs=0.02)


def test_marks_by_hand_do_where_there_is_no_pressure():
    assistant = PorhAssistant(10.0)
    marks = {300.0: assistant.mark_occlusion, 480.0: assistant.mark_release}
    shown = play(assistant, HEALTHY.trace(rate=10), at=marks)
    assert Phase.RELEASE in shown
    assert assistant.now().occlusion == Occlusion(300.0, 480.0, MarkSource.MANUAL)
    assert assistant.results()["latency"].reason == "release_marked_by_hand"
    assert assistant.now().phase is Phase.TIMED_OUT


def test_an_occlusion_that_nobody_marked_is_noticed_and_times_nothing():
    trace = Hyperaemia(rest=25.0).trace(rate=20, noise=0.1, pulse=0.3)
    assistant = PorhAssistant(20.0)
    shown = play(assistant, trace)
    found = assistant.now().occlusion
    assert found.source is MarkSource.INFERRED
    assert found.on == pytest.approx(300, abs=15)
    assert found.off == pytest.approx(480, abs=5)
    assert Phase.HYPERAEMIA in shown
    assert assistant.results()["time_to_peak"].reason == "release_inferred_from_the_flux"


def test_quiet_skin_with_a_pulse_is_no_occlusion():
    trace = Hyperaemia(rest=5.0, zero=1.0, peak=5.0).trace(rate=20, pulse=0.3).between(0, 290)
    assistant = PorhAssistant(20.0)
    assert list(play(assistant, trace)) == [Phase.REST]


def test_no_recovery_times_out():
    trace = Hyperaemia(9, 4, 24, 73, 35, 900, 1.2, 5).trace(rate=10, stop=900)
    assistant = PorhAssistant(10.0)
    play(assistant, trace, cuff())
    assert assistant.now().phase is Phase.TIMED_OUT
    assert assistant.results()["recovery_time"].status == "censored"


def test_hours_of_waiting_cost_no_memory():
    assistant = PorhAssistant(10.0)
    for start in range(0, 7200, 10):
        t = np.arange(start, start + 10, 0.1)
        assistant.feed(Trace.of(t, 20 + np.sin(t)), Trace.of(t, np.zeros(100)))
    assert sum(len(block) for block in assistant._blocks) < 2200
    assert sum(len(block) for block in assistant._pressures) < 2200
