"""Duration of a sweep: relays, integration, and what was asked for."""

import re

import numpy as np
import pytest

from simulators.simkit.conversation import converse
from tests.digitiser import driver, inputs, simulator
from tests.drivers.keysight_daq.said import stream, texts


def test_a_sweep_that_takes_longer_than_asked_is_said():
    said = converse(driver(interval=0.02), simulator(card="DAQM901A"), 20.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert "armature relays of the DAQM901A" in warnings[0]
    # Three channels at the 80 a second of armature relays, whatever the integration.
    assert "a sweep takes 0.0375" in warnings[1]
    assert "s and not the configured 0.02 s" in warnings[1]
    time, _, _, lost = stream(said, "flux")
    assert lost == 0
    assert len(time) > 400


@pytest.mark.parametrize(
    ("name", "channels", "interval", "card", "nplc"),
    [
        ("daq970a", 3, 0.05, "DAQM900A", "0.2"),
        ("daq970a", 2, 0.05, "DAQM900A", "1"),
        ("daq970a", 3, 0.05, "DAQM901A", "0.2"),
        ("daq970a", 3, 0.048, "DAQM901A", "0.02"),
        ("daq970a", 3, 0.048, "an unknown card", "0.02"),
        ("daq970a", 2, 0.1, "DAQM900A", "1"),
        ("34970a", 2, 0.1, "34902A", "2"),
        ("34970a", 3, 1.0, "34902A", "10"),
        ("34980a", 3, 0.012, "34925A", "0.02"),
        ("34980a", 3, 1.3, "34925A", "20"),
        ("34465a", 1, 0.002, "", "0.06"),
        ("34465a", 1, 0.05, "", "1"),
        ("34465a", 1, 0.1, "", "1"),
        ("34465a", 1, 1.0, "", "10"),
        ("34465a", 1, 5.0, "", "100"),
    ],
)
def test_readings_integrate_as_long_as_the_interval_allows(name, channels, interval, card, nplc):
    wired = inputs(name)[:channels]
    said = converse(driver(name, wired, interval=interval), simulator(name, card=card), 30.0)
    written = [message.decode() for message in said.written]
    assert [re.split("[ ,\n]", m)[1] for m in written if "NPLC " in m] == [nplc]
    assert not any("a sweep takes" in text for text in texts(said, "warning"))
    time, values, _, lost = stream(said, "flux")
    assert lost == 0
    assert len(values) == pytest.approx(30.0 / interval, abs=0.6 / interval + 1)
    if name != "34465a":
        assert np.diff(time).mean() == pytest.approx(interval, abs=1e-5)
    (measured,) = [n.details for n in said.notices if "measured" in n.details]
    assert measured == {"asked": interval, "measured": pytest.approx(interval, abs=1e-4)}


def test_a_configured_integration_is_kept():
    said = converse(driver(interval=0.05, nplc=0.02), simulator(), 5.0)
    assert b"SENS:VOLT:DC:NPLC 0.02,(@101,102,103)\n" in said.written
