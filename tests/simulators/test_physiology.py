import json
import math

import numpy as np
import pytest

from acquisition.errors import ConfigurationError
from simulators.patient import flowmotion
from simulators.patient.levels import Levels
from simulators.patient.phenotypes import PHENOTYPES, draw
from simulators.patient.physiology import UNITS, Participant
from simulators.patient.processes import generator, recursion, wander
from simulators.patient.scenarios import SCENARIOS


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_signal_is_the_same_however_one_asks(scenario):
    t = np.arange(0.0, 200.0, 0.05)
    for signal in UNITS:
        at_once = Participant("claudicant", scenario, 5).values(signal, t)
        other = Participant("claudicant", scenario, 5)
        late_first = other.values(signal, t[::-1])[::-1]
        one_by_one = [float(other.values(signal, t[i : i + 1])[0]) for i in range(0, len(t), 97)]
        assert np.array_equal(at_once, late_first), signal
        assert np.array_equal(at_once[::97], one_by_one), signal
        assert np.all(np.isfinite(at_once))


def test_another_seed_is_another_recording():
    t = np.arange(0.0, 60.0, 0.1)
    one, other = (Participant("healthy", "rest", seed).values("flux", t) for seed in (1, 2))
    assert np.mean(one == other) < 0.1


def test_going_far_ahead_and_back_changes_nothing_and_keeps_little():
    t = np.arange(0.0, 64.0, 0.025)
    participant = Participant("healthy", "rest", 1)
    first = participant.values("flux", t)
    far = participant.values("flux", t + 6 * 3600)
    assert np.array_equal(participant.values("flux", t), first)
    assert np.array_equal(Participant("healthy", "rest", 1).values("flux", t + 6 * 3600), far)
    participant.values("flux", np.arange(0.0, 3600.0, 0.5))
    blocks = participant._read["flux"]._blocks
    assert len(blocks._blocks) <= 8
    assert len(blocks._states) <= 7


def test_an_unknown_signal_class_or_scenario_is_named():
    with pytest.raises(KeyError):
        Participant().values("101", np.zeros(1))
    with pytest.raises(ConfigurationError, match=r"--class.*unknown class 'old'.*healthy, diabetic, claudicant, cli"):
        Participant("old")
    with pytest.raises(ConfigurationError, match="unknown scenario 'nap'"):
        Participant("healthy", "nap")


def test_the_recursion_is_the_plain_one():
    white = generator(1, "x").standard_normal((3, 1000))
    a, before = np.array([0.0, 0.5, 0.999]), np.array([1.0, 2.0, 3.0])
    y, expected = before, np.empty_like(white)
    for i in range(1000):
        y = expected[:, i] = a * y + white[:, i]
    assert np.allclose(recursion(a, white, before), expected, rtol=1e-12, atol=1e-12)


def test_what_wanders_has_unit_variance_and_its_own_memory():
    white = generator(2, "x").standard_normal((1, 200_000))
    x = wander(np.array([5.0]), 1.0, white, np.zeros(1))[0]
    assert np.std(x) == pytest.approx(1, rel=0.03)
    assert np.corrcoef(x[:-5], x[5:])[0, 1] == pytest.approx(math.exp(-1), abs=0.03)


@pytest.mark.parametrize("kind", ["healthy", "diabetic", "claudicant"])
def test_reactive_hyperaemia_follows_its_published_shape(kind):
    levels = Levels(SCENARIOS["porh"], draw(kind, 1))
    truth = levels.truth()["porh"]
    t = np.arange(0.0, 1500.0, 0.01)
    x = levels.flux(t)
    off = truth["t_off"]
    after, closed = t >= off, (t > truth["t_on"] + 60) & (t < off)
    assert x[t < truth["t_on"]] == pytest.approx(truth["RF"])
    assert x[closed] == pytest.approx(truth["BZ"], abs=1e-6)
    assert x.max() == pytest.approx(truth["PF"], rel=1e-6)
    assert t[x.argmax()] - off == pytest.approx(truth["TP"], abs=0.02)
    half = truth["RF"] + 0.5 * (truth["PF"] - truth["RF"])
    assert t[after][np.argmax(x[after] >= truth["RF"])] - off == pytest.approx(truth["TL"], abs=0.02)
    assert t[after][np.argmax(x[after] >= half)] - off == pytest.approx(truth["TH1"], abs=0.02)
    fallen = (t > off + truth["TP"]) & (x <= half)
    assert t[np.argmax(fallen)] - off == pytest.approx(truth["TH2"], abs=0.02)
    held = (t >= truth["t_on"]) & (t < off)
    assert np.sum(np.maximum(truth["RF"] - x[held], 0)) * 0.01 == pytest.approx(truth["AO"], rel=1e-3)


def test_the_cuff_falls_through_thirty_at_the_release():
    levels = Levels(SCENARIOS["porh"], draw("healthy", 1))
    assert levels.cuff(np.array([179.9, 185.0, 355.0, 359.99, 360.01, 365.0])) == pytest.approx(
        [0, 220, 220, 30, 30, 0], abs=1.1
    )
    read = Participant("healthy", "porh", 1).values("cuff_pressure", np.array([100.0, 300.0]))
    assert read == pytest.approx([0, 220], abs=1)


def test_heating_reaches_the_tabulated_shares_of_the_maximum():
    levels = Levels(SCENARIOS["heating"], draw("healthy", 1))
    share = levels.flux(600 + np.array([150.0, 300, 450, 600, 900, 1200, 1800, 2400])) / 170 * 100
    assert share == pytest.approx([74, 49, 45, 58, 79, 85, 86.5, 99.5], abs=4)
    heater = Participant("healthy", "heating", 1).values("heater_temperature", np.array([500.0, 1500.0, 3000.0]))
    assert heater == pytest.approx([33, 42, 44], abs=0.15)


def test_flux_is_quantised_positive_and_rests_at_its_level():
    x = Participant("healthy", "rest", 4).values("flux", np.arange(0.0, 3600.0, 0.025))
    assert np.allclose(x * 10, np.rint(x * 10))
    assert x.min() > 0
    assert np.mean(x) == pytest.approx(12, rel=0.1)


def test_the_heart_beats_once_a_second_and_hardly_at_all_in_critical_ischaemia():
    def beats(kind):
        x = Participant(kind, "rest", 4).values("flux", np.arange(0.0, 600.0, 0.025))
        power = np.abs(np.fft.rfft(x - x.mean())) ** 2
        f = np.fft.rfftfreq(len(x), 0.025)
        heart = (f > 0.8) & (f < 1.5)
        return f[heart][power[heart].argmax()], power[heart].sum() / len(x)

    rate, power = beats("healthy")
    assert rate == pytest.approx(1.1, abs=0.15)
    assert beats("cli")[1] < power / 50


def test_nothing_jumps_where_two_blocks_meet():
    factors = np.ones((6, 1)) * 0.1
    state = flowmotion._State(np.zeros(16), np.zeros(6), np.zeros(3), None)
    steps, meetings, last = [], [], None
    for block in range(40):
        motion, *rest = flowmotion._motion(state, factors, generator(1, "x", block))
        state = flowmotion._State(*rest, None)
        steps.append(np.abs(np.diff(motion)))
        if last is not None:
            meetings.append(abs(motion[0] - last))
        last = motion[-1]
    assert np.mean(meetings) < 1.5 * np.mean(steps)


def test_the_backscatter_wanders_as_slowly_as_it_should():
    x = Participant("healthy", "rest", 4).values("backscatter", np.arange(0.0, 7200.0, 1.0))
    assert np.std(x) == pytest.approx(0.8, rel=0.2)
    assert np.corrcoef(x[:-60], x[60:])[0, 1] == pytest.approx(math.exp(-1), abs=0.15)


def test_an_electrode_falls_from_air_to_its_plateau_in_a_quarter_of_an_hour():
    rest = Participant("healthy", "rest", 1)
    p = rest.values("tcpo2_calf", np.array([0.0, 840.0, 900.0, 1500.0]))
    assert p[0] == pytest.approx(155, abs=3)
    assert p[3] == pytest.approx(58, abs=3)
    level = Levels(SCENARIOS["rest"], draw("healthy", 1)).po2(PHENOTYPES["healthy"].calf, 0.0, np.array([840.0, 900.0]))
    assert (level[0] - level[1]) / level[1] == pytest.approx(0.008, abs=0.003)
    cli = Participant("cli", "porh", 1)
    assert np.mean(cli.values("tcpo2_calf", np.arange(0.0, 300.0))) < 30


def test_oxygen_lifts_a_healthy_limb_and_not_an_ischaemic_one():
    rise = {}
    for kind in ("healthy", "cli"):
        p = Participant(kind, "o2-challenge", 1).values("tcpo2_calf", np.array([250.0, 890.0]))
        rise[kind] = p[1] - p[0]
    assert rise["healthy"] > 100
    assert rise["cli"] < 10


def test_a_claudicant_stops_in_pain_and_the_limb_loses_oxygen():
    participant = Participant("claudicant", "walk-constant", 3)
    truth = participant.truth()["walk"]
    assert truth["stopped_by"] == "claudication"
    assert truth["ICD"] < truth["ACD"] == pytest.approx(truth["distance"])
    t = np.arange(0.0, truth["stop"] + 600, 0.05)
    walked = np.cumsum(participant.values("belt_speed", t)) / 3.6 * 0.05
    assert np.interp(truth["stop"], t, walked) == pytest.approx(truth["ACD"], rel=0.005)
    assert np.interp(truth["t_ICD"], t, walked) == pytest.approx(truth["ICD"], rel=0.005)
    pain = participant.values("pain", t)
    assert set(pain) == {1, 2, 3, 4, 5}
    assert t[np.argmax(pain >= 2)] == pytest.approx(truth["t_ICD"], abs=0.1)
    assert pain[np.searchsorted(t, truth["stop"] + 0.5)] == 5
    assert pain[-1] == 1
    drop = participant.values("tcpo2_calf", t) - participant.values("tcpo2_chest", t)
    drop = drop - np.mean(drop[t < 170])
    assert drop.min() == pytest.approx(truth["DROP"], abs=3)
    assert truth["DROP"] <= -15
    late = participant.values("tcpo2_calf", truth["stop"] + np.arange(1500.0, 1600.0))
    assert np.mean(late) == pytest.approx(participant.truth()["tcpo2"]["calf"], abs=1)
    assert set(participant.values("belt_grade", t[(t > 220) & (t < truth["stop"])])) == {10.0}
    assert participant.values("belt_speed", np.array([10.0, truth["stop"] + 30])) == pytest.approx([0, 0], abs=0)


def test_a_healthy_walker_reaches_the_limit_on_a_belt_that_climbs():
    participant = Participant("healthy", "walk-gs", 1)
    truth = participant.truth()["walk"]
    assert (truth["ICD"], truth["ACD"], truth["stopped_by"]) == (None, None, "limit")
    assert truth["stop"] == 180 + 1200
    grade = participant.values("belt_grade", 180 + np.array([60.0, 180, 300, 420, 1190, 1300]))
    assert grade == pytest.approx([0, 2, 4, 6, 18, 0])
    assert set(participant.values("pain", np.arange(0.0, 1800.0))) == {1.0}


def test_the_tour_repeats_a_walk_and_an_occlusion():
    participant = Participant("healthy", "tour", 1)
    for cycle in (0, 300, 3000):
        flux = participant.values("flux", cycle + np.arange(170.0, 205.0, 0.1))
        assert np.mean(flux) == pytest.approx(4.5, abs=0.3)
        assert participant.values("flux", cycle + np.arange(215.0, 240.0, 0.1)).max() > 60
        assert participant.values("belt_speed", cycle + np.array([40.0]))[0] == pytest.approx(3.2, abs=0.1)
        assert participant.values("belt_speed", cycle + np.array([120.0]))[0] == 0


def test_movements_are_rare_and_only_where_they_are_asked_for():
    t = np.arange(0.0, 3600.0, 0.025)
    still = Participant("healthy", "rest", 1).values("flux", t)
    moving = Participant("healthy", "rest", 1, artefacts=True).values("flux", t)
    assert 0.001 < np.mean(still != moving) < 0.03
    assert moving.max() > 2 * still.max()


@pytest.mark.parametrize("kind", PHENOTYPES)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_truth_is_plain_json(kind, scenario):
    truth = Participant(kind, scenario, 2).truth()
    assert json.loads(json.dumps(truth, allow_nan=False)) == truth
    assert truth["class"] == kind
