"""Inputs of a digitiser: companions, sentinels, overload, recordings."""

import numpy as np
import pytest

from simulators.bench.replay import load
from simulators.simkit.conversation import converse
from tests import recordings
from tests.digitiser import FLOWMETER, Room, driver, entry, simulator
from tests.drivers.keysight_daq.said import INVALID, RANGE, stream, texts, unplugged


def test_low_backscatter_condemns_the_flux_of_its_own_sweep():
    class Lifted(Room):
        def values(self, signal, t):
            if signal == "backscatter":
                return np.where(np.sin(5 * t) > 0.3, -50.0, 60.0)
            return super().values(signal, t)

    said = converse(driver(), simulator(bench=Lifted()), 60.0)
    _, flux, quality, lost = stream(said, "flux")
    light = stream(said, "backscatter")[2]
    condemned = light == INVALID
    assert (np.diff(condemned.astype(int)) != 0).sum() > 80
    assert np.array_equal(quality == INVALID, condemned)
    assert np.array_equal(np.isnan(flux), condemned)
    assert condemned.mean() == pytest.approx(0.4, abs=0.05)
    assert not stream(said, "cuff_pressure")[2].any()
    alarms = texts(said, "alarm")
    assert alarms[:2] == ["backscatter: low backscatter", "backscatter: a value again after low backscatter"]
    assert lost == 0


def test_two_flowmeters_each_have_their_own_companion():
    class Pair:
        def values(self, signal, t):
            return 100 + 0 * t

    wired = (
        entry(101, "flux", name="toe"), entry(102, "backscatter", name="toe_light"),
        entry(103, "flux", name="calf"), entry(104, "backscatter", name="calf_light"),
    )  # fmt: skip
    terminals = [
        {"input": 101, "signal": "flux", "profile": FLOWMETER},
        {"input": 102, "signal": "backscatter", "profile": FLOWMETER},
        {"input": 103, "signal": "flux", "profile": FLOWMETER},
    ]
    from msgspec import convert

    from simulators.keysight_daq import Terminal

    class Lit(Pair):
        def values(self, signal, t):
            return (60.0 if signal == "backscatter" else 100.0) + 0 * t

    said = converse(
        driver(wired=wired), simulator(bench=Lit(), terminals=convert(terminals, tuple[Terminal, ...])), 5.0
    )
    # Nothing is wired to 104: 0 V says that no probe is there.
    assert not stream(said, "toe")[2].any()
    assert (stream(said, "calf")[2] == INVALID).all()


def test_overload_and_a_missing_probe_carry_no_value():
    instrument = simulator()
    instrument.fault("out-of-range", True)
    said = converse(unplugged(driver()), instrument, 5.0)
    assert (stream(said, "flux")[2] == INVALID | RANGE).all()
    instrument.fault("out-of-range", False)
    instrument.fault("detached", True)
    said = converse(driver(), instrument, 5.0, start=10.0)
    quality, flux = stream(said, "flux")[2], stream(said, "flux")[1]
    assert (quality[-50:] == INVALID).all()
    assert np.isnan(flux[-50:]).all()
    assert "flux: no probe" in texts(said, "alarm")


def test_a_recording_is_read_row_by_row_and_each_row_once():
    class Tape:
        channels = ("flux",)

        def rows(self, first, count, signal):
            if signal != "flux":
                raise KeyError(signal)
            return np.arange(300, dtype=float)[first : first + count]

        def values(self, signal, t):
            raise AssertionError

    instrument = simulator(bench=Tape())
    first = converse(driver(), instrument, 5.0)
    second = converse(driver(), instrument, 20.0, start=30.0)
    rows = np.concatenate([stream(first, "flux")[1], stream(second, "flux")[1]])
    steps = np.diff(rows)
    # The rows between the last answer and the farewell stay in the instrument.
    assert (steps >= 1 - 1e-6).all()
    assert (steps > 1.5).sum() <= 1
    assert rows[0] == pytest.approx(0.0, abs=0.11)
    assert rows[-1] == pytest.approx(299.0, abs=0.11)


def test_a_real_recording_passes_through_unchanged(tmp_path):
    _, flux, _ = recordings.finger("008_j1_1")
    file = tmp_path / "finger.csv"
    file.write_text("flux\n" + "".join(f"{value!r}\n" for value in flux.tolist()))
    bench = load([f"{file}:flux=101"], Room())
    said = converse(driver(interval=0.02, nplc=0.02), simulator(bench=bench), len(flux) * 0.02 + 5)
    values = stream(said, "flux")[1]
    assert len(values) == len(flux)
    # At 0.02 PLC the converter's step is 1 mV, 1 PU.
    assert np.abs(values - flux).max() <= 0.5 + 1e-6
