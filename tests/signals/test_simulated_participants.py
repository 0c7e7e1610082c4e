"""Indices of simulated participants against what they were made of: classes told apart, marks taken from the cuff."""

import numpy as np
import pytest

from acquisition.signals.flowmotion import flowmotion
from acquisition.signals.heating import Stages, heating
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.occlusion import from_pressure
from acquisition.signals.porh import porh
from acquisition.signals.result import Status, Trace
from simulators.patient.physiology import Participant

SEEDS = range(6)


def read(one, signal, seconds, rate=20.0):
    t = np.arange(0, seconds, 1 / rate)
    return Trace.of(t, one.values(signal, t))


def hyperaemias(kind, **options):
    found = []
    for seed in SEEDS:
        one = Participant(kind, "porh", seed, **options)
        (cuff,) = from_pressure(read(one, "cuff_pressure", 1100, 10), systolic=130.0)
        assert cuff.held
        assert cuff.off == pytest.approx(one.truth()["porh"]["t_off"], abs=0.05)
        settings = Settings.ischaemic() if kind in ("claudicant", "cli") else Settings()
        found.append(porh(read(one, "flux", 1100), cuff, settings))
    return found, one.truth()["porh"]


def mean(found, name):
    values = [r[name].value for r in found if r[name].value is not None]
    assert len(values) == len(found), name
    return np.mean(values)


@pytest.mark.parametrize(
    ("kind", "peak", "times"), [("healthy", 0.15, 4), ("diabetic", 0.25, 8), ("claudicant", 0.45, 25)]
)
def test_a_class_with_hyperaemia_shows_it_near_its_truth(kind, peak, times):
    found, truth = hyperaemias(kind)
    assert [r["hyperaemia"].value for r in found] == [1.0] * len(found)
    assert mean(found, "rest_flow") == pytest.approx(truth["RF"], rel=0.05)
    assert mean(found, "biological_zero") == pytest.approx(truth["BZ"], abs=0.1)
    assert mean(found, "peak_flow") == pytest.approx(truth["PF"], rel=peak)
    assert mean(found, "time_to_peak") == pytest.approx(truth["TP"], abs=times)
    assert mean(found, "latency") == pytest.approx(truth["TL"], rel=0.25)
    assert mean(found, "occlusion_area") == pytest.approx(truth["AO"], rel=0.05)


def test_critical_ischaemia_has_none_and_no_time_is_invented():
    found, truth = hyperaemias("cli")
    for results in found:
        assert results["hyperaemia"].value == 0.0
        assert results["time_to_peak"].value is None
        assert results["recovery_time"].value is None
        assert results["peak_flow"].value == pytest.approx(truth["PF"], rel=0.4)


def test_movement_costs_quality_before_it_costs_truth():
    found, truth = hyperaemias("healthy", artefacts=True)
    assert mean(found, "biological_zero") == pytest.approx(truth["BZ"], abs=0.2)
    assert mean(found, "rest_flow") == pytest.approx(truth["RF"], rel=0.25)


def test_heating_finds_plateau_and_maximum():
    for kind in ("healthy", "diabetic"):
        one = Participant(kind, "heating", 1)
        truth = one.truth()["heating"]
        found = heating(read(one, "flux", 3320, 10), Stages(truth["t_42"], truth["t_44"], truth["t_off"]))
        for name, key in (("heating_baseline", "baseline"), ("plateau", "plateau"), ("maximum", "max")):
            assert found[name].value == pytest.approx(truth[key], rel=0.06), (kind, name)
        assert found["initial_peak"].value > found["nadir"].value
        assert found["initial_peak"].value == pytest.approx(truth["peak"], rel=0.35)


def test_diabetic_skin_has_less_slow_power_than_healthy_skin():
    energies = {}
    for kind in ("healthy", "diabetic"):
        trace = read(Participant(kind, "rest", 3, time_constant=0.03), "flux", 1500, 10)
        found = flowmotion(trace, biological_zero=4.5)
        assert found["neurogenic_energy"].status is Status.OK
        energies[kind] = np.array([found[f"{b}_energy"].value for b in ("cardiac", "neurogenic", "endothelial_no")])
    # Factors 0.8, 0.5 and 0.6 of amplitude, with the same seed and so the same waves.
    assert energies["diabetic"] / energies["healthy"] == pytest.approx([0.64, 0.25, 0.36], rel=0.2)


def test_a_time_constant_takes_as_much_of_the_pulse_as_the_reason_says():
    fast, slow = (
        flowmotion(read(Participant("healthy", "rest", 2, time_constant=tau), "flux", 1300, 10), biological_zero=4.5)
        for tau in (0.03, 0.2)
    )
    left = slow["cardiac_energy"].value / fast["cardiac_energy"].value
    assert left == pytest.approx(0.35, abs=0.06)
