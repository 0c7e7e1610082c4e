"""The instrument's memory running over."""

import pytest

from simulators.simkit.conversation import converse
from tests.digitiser import driver, simulator
from tests.drivers.keysight_daq.said import stream, texts, unplugged


def test_an_overflow_is_said_once_and_its_readings_are_counted_as_lost():
    said = converse(driver(), simulator(memory=7), 60.0)
    assert len(texts(said, "overflow")) == 1
    for name in ("flux", "backscatter", "cuff_pressure"):
        time, values, _, lost = stream(said, name)
        assert len(values) + lost == round((time[-1] - time[0]) / 0.05) + 1
        assert lost > 100


def test_an_overflow_while_the_link_was_away_is_said_and_shows_in_the_stamps():
    instrument = simulator(memory=600)
    before = converse(unplugged(driver()), instrument, 10.0)
    after = converse(driver(), instrument, 10.0, start=60.0)
    assert len(texts(after, "overflow")) == 1
    hole = stream(after, "flux")[0][0] - stream(before, "flux")[0][-1]
    assert hole == pytest.approx(40.0, abs=0.5)


def test_the_steady_sampler_sets_up_anew_after_an_overflow():
    said = converse(driver("34465a"), simulator("34465a", memory=3), 10.0)
    assert texts(said, "overflow")
    assert said.written.count(b"INIT\n") > 1
    assert stream(said, "flux")[3] > 0
