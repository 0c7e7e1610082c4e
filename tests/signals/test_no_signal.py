"""Inputs that are no signals of the body: flat, stuck, drifting, jumping, or silent about their heat."""

import numpy as np
import pytest

from acquisition.model import Quality
from acquisition.signals import drop, tcpo2
from acquisition.signals.attachment import attached, stuck
from acquisition.signals.flowmotion import flowmotion
from acquisition.signals.heating import Stages, heating
from acquisition.signals.hyperaemia import measure
from acquisition.signals.live.tcpo2 import Electrode, Lamp
from acquisition.signals.occlusion import MarkSource, Occlusion
from acquisition.signals.porh import porh
from acquisition.signals.result import Result, Status, Trace, table
from acquisition.signals.thermal_dose import Heated, ThermalDose, doses
from acquisition.signals.walking import StopReason, Walk, distances
from acquisition.signals.walking_protocols import BeltProtocol, BeltStage, adherence
from tests.signals.curves import Hyperaemia
from tests.signals.oxygen import settling

MARKED = Occlusion(300.0, 480.0, MarkSource.CUFF, True)
SECONDS = np.arange(0, 900, 0.1)


@pytest.mark.parametrize("level", [0.0, 20.0, -3.0])
def test_a_flux_that_does_not_move_has_no_index(level):
    for name, result in porh(Trace.of(SECONDS, np.full(9000, level)), MARKED).items():
        assert (result.value, result.status, result.reason) == (None, Status.NOT_COMPUTABLE, "no_signal"), name


def test_a_flux_that_stands_still_after_the_release_has_no_hyperaemia_to_judge():
    trace = Hyperaemia().trace(noise=0.05)
    found = porh(Trace.of(trace.time, np.where(trace.time >= 479.0, 40.0, trace.values)), MARKED)
    assert {found[name].reason for name in ("hyperaemia", "peak_flow", "auc_60")} == {"no_signal"}
    assert found["rest_flow"].status is Status.OK


def test_a_level_that_does_not_rise_above_rest_is_no_hyperaemia():
    flat = measure(np.zeros((1, 9000)), 10.0, 0.0, 300.0, 480.0)
    assert flat.hyperaemic[0] == 0.0
    rises = np.where(SECONDS < 480.0, 4.0, 30.0)
    assert measure(rises, 10.0, 0.0, 300.0, 480.0).hyperaemic[0] == 1.0


def test_heat_on_a_flux_that_does_not_move_has_no_index():
    time = np.arange(0, 4200, 0.5)
    stages = Stages(600.0, 3000.0, 4200.0)
    dead = heating(Trace.of(time, np.full(time.size, 30.0)), stages)
    assert all(r.status is Status.NOT_COMPUTABLE for r in dead.values())
    assert dead["plateau"].reason == "no_signal"
    noise = np.random.default_rng(0).normal(size=time.size)
    dies = heating(Trace.of(time, np.where(time < 600.0, 30.0 + noise, 30.0)), stages)
    assert dies["heating_baseline"].status is Status.OK
    assert all(r.status is Status.NOT_COMPUTABLE for name, r in dies.items() if name != "heating_baseline")


def test_a_heater_that_nobody_saw_has_shown_no_axon_reflex():
    time = np.arange(0, 4200, 0.5)
    flux = Trace.of(time, 30.0 + np.random.default_rng(0).normal(size=time.size) + np.where(time > 600, 100.0, 0.0))
    unseen = Trace.of(time, np.full(time.size, np.nan))
    found = heating(flux, Stages(600.0, None, 4200.0), temperature=unseen)
    assert "heating_not_seen" in found["initial_peak"].reason


def tones(rate=10.0, seconds=1800.0):
    time = np.arange(0, seconds, 1 / rate)
    return Trace.of(time, 20.0 * (1 + 0.2 * np.cos(2 * np.pi * 1.1 * time) + 0.1 * np.cos(2 * np.pi * 0.1 * time)))


def test_flowmotion_of_a_flux_that_stands_still_is_none():
    assert {r.reason for r in flowmotion(Trace.of(SECONDS, np.full(9000, 20.0))).values()} == {"no_signal"}
    moving = tones()
    assert flowmotion(moving)["cardiac_energy"].status is Status.OK
    for share, status in ((0.1, Status.LOW_QUALITY), (0.3, Status.NOT_COMPUTABLE)):
        frozen = np.where(moving.time < share * 1800.0, 20.0, moving.values)
        assert flowmotion(Trace.of(moving.time, frozen))["cardiac_energy"].status is status


def electrode(seconds=2400.0, level=45.0, digits=1, seed=0):
    """A settled electrode with the noise of skin, as a monitor of so many digits shows it."""
    trace = settling(seconds / 60.0, plateau=level, seed=seed, slow=0.2, white=0.1)
    return Trace.of(trace.time, np.round(trace.values, digits))


def test_a_monitor_that_is_stuck_is_not_stable():
    dead = tcpo2.rest(Trace.of(np.arange(0, 2400.0), np.full(2400, 45.0)), 0.0)
    assert (dead.value, dead.status, dead.reason) == (45.0, Status.LOW_QUALITY, "stuck (45 for 40 min)")


@pytest.mark.parametrize("digits", [0, 1, 2])
def test_a_monitor_that_shows_whole_mmhg_is_not_stuck(digits):
    for seed in range(10):
        assert "stuck" not in tcpo2.rest(electrode(digits=digits, seed=seed), 0.0).reason
    still = electrode(digits=0)
    values = np.where(still.time >= 600.0, 45.0, still.values)
    assert "stuck" not in tcpo2.rest(Trace.of(still.time, values), 0.0, 1500.0).reason, "15 min of one whole number"


def test_a_monitor_of_fine_steps_is_stuck_sooner():
    fine = electrode(digits=1)
    frozen = Trace.of(fine.time, np.where(fine.time >= 900.0, 45.3, fine.values))
    assert tcpo2.rest(frozen, 0.0, 1560.0).reason == "stuck (45.3 for 11 min)"
    assert stuck(frozen, 0.0, 1400.0) == ""


def test_the_lamp_of_a_stuck_electrode_is_not_green():
    assert Electrode(0.0).feed(Trace.of(np.arange(0, 2400.0), np.full(2400, 45.0))).lamp is Lamp.AMBER
    assert Electrode(0.0).feed(electrode()).lamp is Lamp.GREEN
    live = Electrode(0.0)
    for start in range(0, 2400, 7):
        part = np.arange(start, min(start + 7, 2400), dtype=float)
        shown = live.feed(Trace.of(part, np.full(len(part), 45.0)))
    assert shown.lamp is Lamp.AMBER


def test_changes_of_a_stuck_electrode_are_not_ok():
    frozen = Trace.of(np.arange(0, 2400.0), np.full(2400, 45.0))
    for result in (*tcpo2.oxygen_challenge(frozen, 1800.0, 2280.0), tcpo2.elevation(frozen, 1800.0),
                   tcpo2.dependency(frozen, 1800.0, 2200.0)):  # fmt: skip
        assert result.status is not Status.OK
        assert "stuck" in result.reason
    walk = table(drop.indices(frozen, electrode(level=70.0), 300.0, 1500.0))
    assert "limb_stuck (45 for" in walk["drop_min"].reason
    assert all(r.status is not Status.OK for r in walk.values())


def walked(limb, chest=None, start=300.0, stop=1080.0):
    steady = electrode(level=70.0, seed=3) if chest is None else chest
    return table(drop.indices(Trace.of(steady.time, limb(steady.time)), steady, start, stop))


def noise(time, seed=9):
    return 0.3 * np.random.default_rng(seed).normal(size=time.size)


@pytest.mark.parametrize("per_minute", [-0.6, -1.0, 0.6])
def test_an_electrode_that_drifts_shows_no_ischaemia(per_minute):
    settled = Trace.of(np.arange(0, 1680.0), 70.0 + noise(np.arange(0, 1680.0), 4))
    found = walked(lambda t: 60.0 + per_minute * t / 60.0 + noise(t), settled, 180.0, 1080.0)
    for result in found.values():
        assert result.status is not Status.OK, result.name
    assert "drift" in found["drop_positive"].reason


@pytest.mark.parametrize("recovery", [60.0, 150.0])
def test_an_ischaemia_that_recovers_is_no_drift(recovery):
    def limb(t):
        down = np.clip((t - 300.0) / 780.0, 0.0, 1.0)
        return 60.0 - 25.0 * np.where(t <= 1080.0, down, np.exp(-np.maximum(t - 1080.0, 0.0) / recovery)) + noise(t)

    settled = Trace.of(np.arange(0, 1740.0), 70.0 + noise(np.arange(0, 1740.0), 4))
    found = walked(limb, settled)
    assert {r.status for r in found.values()} == {Status.OK}
    assert found["drop_positive"].value == 1.0


def test_a_level_between_two_jumps_is_no_skin():
    time = np.arange(0, 1680.0)
    limb = Trace.of(time, np.where((time > 300) & (time < 330), 8.0, 60.0) + noise(time))
    chest = Trace.of(time, 70.0 + noise(time, 4))
    found = table(drop.indices(attached(limb), attached(chest), 180.0, 1080.0))
    assert found["drop_min"].value == pytest.approx(0.0, abs=1.0)
    assert found["drop_positive"].value == 0.0
    late = Trace.of(time, np.where((time > 300) & (time < 900), 8.0, 60.0))
    assert attached(late).valid[400], "ten minutes are no glitch"


def belt(*glitches):
    time = np.arange(0, 400, 0.25)
    speed = np.interp(time, [0, 60, 62, 360, 361, 400], [0, 0, 3.2, 3.2, 0, 0])
    for start, stop, value in glitches:
        speed[(time >= start) & (time < stop)] = value
    return Trace.of(time, speed)


WALK = Walk(60.0, 360.0, StopReason.CLAUDICATION, onset=160.0)


@pytest.mark.parametrize(
    ("glitch", "words"),
    [
        ((200, 205, 20.0), "belt_jumps (20 km/h for 5 s)"), ((200, 230, 0.0), "belt_jumps (0 km/h for 30 s)"),
        ((200, 230, -3.2), "belt_speed_impossible (-3.2 km/h is not -0.5 to 30 km/h)"),
        ((200, 201, 99.0), "belt_speed_impossible (99 km/h"), ((200, 200.5, 6.0), "belt_jumps (6 km/h"),
    ],
)  # fmt: skip
def test_a_belt_that_jumps_gives_no_distance_to_rely_on(glitch, words):
    found = table(distances(belt(glitch), WALK))
    assert found["acd_distance"].status is Status.LOW_QUALITY
    assert words in found["acd_distance"].reason
    assert found["icd_distance"].status is Status.OK, "the glitch came later"
    clean = table(distances(belt(), WALK))["acd_distance"]
    assert (clean.value, clean.status) == (pytest.approx(265.8, abs=0.1), Status.OK)


def test_an_impossible_speed_does_not_enter_a_distance():
    assert table(distances(belt((200, 201, 1e30)), WALK))["acd_distance"].value == pytest.approx(265.8, abs=0.5)


def test_a_belt_that_is_stopped_and_started_again_is_believed():
    time = np.arange(0, 400, 0.25)
    speed = np.interp(time, [0, 60, 64, 200, 201, 230, 234, 360, 361], [0, 0, 3.2, 3.2, 0, 0, 3.2, 3.2, 0])
    assert table(distances(Trace.of(time, speed), WALK))["acd_distance"].status is Status.OK


def test_a_belt_that_stood_still_was_not_walked_on():
    found = distances(Trace.of(np.arange(0, 400.0), np.zeros(400)), WALK)
    assert {(r.value, r.reason) for r in found} == {(None, "belt_stood_still")}


def test_an_impossible_speed_is_no_speed_that_was_kept():
    protocol = BeltProtocol("constant", (BeltStage(0.0, 3.2, 0.0),))
    grade = Trace.of([0.0, 400.0], [0.0, 0.0])
    assert adherence(belt((200, 230, -3.2)), grade, protocol, 60.0, 360.0).value == pytest.approx(100.0)


def temperature(values, start=0.0, flags=None):
    return Trace.of(start + 60.0 * np.arange(len(values)), values, flags)


@pytest.mark.parametrize(
    "trace",
    [
        Trace.of([], []), temperature([np.nan] * 30), temperature([44.0] * 30, flags=[int(Quality.RANGE)] * 30),
        temperature([9.9e37] * 30), temperature([1e6] * 30), temperature([-300.0] * 30),
    ],
)  # fmt: skip
def test_a_dose_of_heat_is_never_0_for_want_of_a_temperature(trace):
    dose = doses([Heated("foot", trace)], 60.0)["foot"]
    assert (dose.value, dose.status, dose.reason) == (None, Status.NOT_COMPUTABLE, "heater_temperature_not_recorded")


def test_a_dose_of_a_heater_that_was_seen_cold_is_0():
    dose = doses([Heated("foot", temperature([33.0] * 30))], 60.0)["foot"]
    assert (dose.value, dose.status) == (0.0, Status.OK)


def test_what_was_not_seen_of_the_heat_speaks_against_a_dose():
    dies = doses([Heated("foot", temperature([33.0, 44.0, 44.0, *[np.nan] * 20]))], 60.0)["foot"]
    assert dies.status is Status.LOW_QUALITY
    assert dies.reason == "heater_temperature_missing (87 %); unseen_while_hot (20.0 min)"
    two = [Heated("foot", temperature([44.0] * 30)), Heated("foot", temperature([np.nan] * 30, 1e4))]
    never = [Heated("foot", temperature([44.0] * 30)), Heated("foot", Trace.of([], []))]
    for stays in (two, two[::-1], never, never[::-1]):
        dose = doses(stays, 60.0)["foot"]
        assert dose.value == 29.0
        assert "a_stay_without_a_temperature" in dose.reason
    meter = ThermalDose("foot", 60.0)
    assert isinstance(meter.result(), Result)
    assert meter.result().value is None
