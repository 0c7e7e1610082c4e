"""Every shipped profile, and what documented voltages mean."""

import itertools

import numpy as np
import pytest

from acquisition.config import resources, toml
from acquisition.driverkit.analog import Input, Profile
from acquisition.model import Quality

GOOD, INVALID, RANGE = Quality.GOOD, Quality.INVALID, Quality.RANGE
NONE = float("nan")
SHIPPED = sorted(path.stem for path in (resources.shipped() / "profiles").glob("*.toml"))


def load(name: str) -> Profile:
    path = resources.find("profiles", name)
    return toml.convert(toml.read(path), Profile, path)


def entry(name: str, signal: str) -> Input:
    profile = load(name)
    return Input("101", signal, name, profile.source == "documented", profile.citation, profile.signal(signal))


@pytest.mark.parametrize("name", SHIPPED)
def test_profile_is_sound(name):
    profile = load(name)
    assert profile.name == name
    assert profile.citation
    assert profile.signals
    for signal in profile.signals:
        assert signal.volts_per_unit > 0
        assert signal.valid_min < signal.valid_max
        if signal.companion:
            assert profile.signal(signal.companion).sentinels
        spans = sorted((s.volts - s.tolerance, s.volts + s.tolerance) for s in signal.sentinels)
        assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


VOLTAGES = [
    # ADInstruments Blood FlowMeter owner's guide, p. 20
    ("adinstruments-blood-flowmeter", "flux", 0.475, 475.0, GOOD),
    ("adinstruments-blood-flowmeter", "flux", -0.008, -8.0, GOOD),
    ("adinstruments-blood-flowmeter", "flux", 0.0, 0.0, GOOD),
    ("adinstruments-blood-flowmeter", "flux", -2.5, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "flux", -5.0, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "flux", 5.0, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "flux", -1.0, -1000.0, RANGE),
    ("adinstruments-blood-flowmeter", "backscatter", 2.5, 50.0, GOOD),
    ("adinstruments-blood-flowmeter", "backscatter", 0.0, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "backscatter", -2.5, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "backscatter", -5.0, NONE, INVALID),
    ("adinstruments-blood-flowmeter", "backscatter", 5.0, NONE, INVALID),
    # Transonic glossary: 20 TPU/V
    ("transonic-blf22", "flux", 5.0, 100.0, GOOD),
    ("transonic-blf22", "flux", 0.05, 1.0, GOOD),
    ("transonic-blf22", "flux", 5.1, 102.0, RANGE),
    # TCM4/40 operator's manual 994-941, p. 6-21
    ("radiometer-tcm4-tcpo2-200", "tcpo2", 0.300, 60.0, GOOD),
    ("radiometer-tcm4-tcpo2-200", "tcpo2", 1.000, 200.0, GOOD),
    ("radiometer-tcm4-tcpo2-800", "tcpo2", 0.150, 150.0, GOOD),
    ("radiometer-tcm4-tcpco2-100", "tcpco2", 0.400, 40.0, GOOD),
    ("radiometer-tcm4-tcpco2-200", "tcpco2", 0.400, 80.0, GOOD),
    ("radiometer-tcm4", "temperature", 0.880, 44.0, GOOD),
    ("radiometer-tcm4", "temperature", 0.100, 5.0, RANGE),
    ("radiometer-tcm4", "heat", 0.250, 250.0, GOOD),
    ("radiometer-tcm4", "alarm", 1.0, 1.0, GOOD),
    ("radiometer-tcm4", "spo2", 0.97, 97.0, GOOD),
    ("radiometer-tcm4", "pulse", 0.288, 72.0, GOOD),
    # unconfirmed scales, pinned so that none changes unseen
    ("perimed-pf5000", "flux", 1.0, 100.0, GOOD),
    ("moor-vms-ldf", "flux", 1.0, 200.0, GOOD),
    ("biopac-ldf100c", "flux", 0.1, 100.0, GOOD),
    ("oxyflo", "flux", -0.010, -10.0, GOOD),
    ("vasamedics-bpm2", "flux", 1.0, 100.0, GOOD),
    ("cuff-pressure-100mmhg-per-volt", "cuff_pressure", 2.2, 220.0, GOOD),
    ("heater-10mv-per-degree", "heater_temperature", 0.44, 44.0, GOOD),
    ("heater-10mv-per-degree", "heater_set", 0.33, 33.0, GOOD),
]


@pytest.mark.parametrize(("name", "signal", "volts", "value", "quality"), VOLTAGES)
def test_voltage_means_what_the_document_says(name, signal, volts, value, quality):
    values, flags = entry(name, signal).scale(np.array([volts]))
    assert values == pytest.approx([value], abs=1e-9, nan_ok=True)
    assert flags.tolist() == [quality]


def test_every_signal_of_every_profile_is_pinned():
    pinned = {(name, signal) for name, signal, *_ in VOLTAGES}
    assert pinned == {(name, signal.signal) for name in SHIPPED for signal in load(name).signals}


def test_unconfirmed_scales_say_so():
    documented = {"adinstruments-blood-flowmeter", "transonic-blf22"}
    for name in SHIPPED:
        expected = "documented" if name in documented or name.startswith("radiometer") else "unconfirmed"
        assert load(name).source == expected, name


def test_backscatter_condemns_flux():
    assert entry("adinstruments-blood-flowmeter", "flux").signal.companion == "backscatter"
