"""A scan that goes on inside the instrument, one of somebody else, and lost power."""

import numpy as np
import pytest

from acquisition.model import Readings
from simulators.simkit.conversation import converse
from tests.digitiser import driver, simulator
from tests.drivers.keysight_daq.said import stream, texts, unplugged


def test_a_scan_that_runs_is_resumed_without_init_and_nothing_is_lost():
    instrument = simulator()
    before = converse(unplugged(driver()), instrument, 10.0, start=100.0)
    after = converse(driver(), instrument, 10.0, start=140.0)
    assert b"INIT\n" not in after.written
    assert b"*CLS\n" not in after.written
    assert before.readings[0].base.token == after.readings[0].base.token
    assert after.readings[0].base.origin == pytest.approx(before.readings[0].base.origin, abs=0.01)
    time = np.concatenate([stream(before, "flux")[0], stream(after, "flux")[0]])
    assert np.diff(time) == pytest.approx(0.05, abs=0.0011)
    assert time[-1] == pytest.approx(50.0, abs=0.5)
    fresh = [r.fresh for r in after.readings if r.stream == "flux"]
    assert fresh[0] is False
    assert fresh.index(True) == 30 * 60 // 399
    assert all(fresh[fresh.index(True) :])
    assert "it is resumed" in texts(after, "state")[0]


def without(instrument, *headers):
    """The instrument as one that knows no such headers."""
    for header in headers:
        instrument._scpi._handlers.pop(header)
    return instrument


@pytest.mark.parametrize("headers", [("SYST:DATE?",), ("SYST:DATE?", "SYST:TIME?")])
def test_a_scan_is_resumed_on_an_instrument_whose_clock_cannot_be_asked(headers):
    instrument = without(simulator(), *headers)
    before = converse(unplugged(driver()), instrument, 10.0, start=100.0)
    after = converse(driver(), instrument, 10.0, start=140.0)
    assert b"INIT\n" not in after.written
    assert before.readings[0].base.token == after.readings[0].base.token
    time = np.concatenate([stream(before, "flux")[0], stream(after, "flux")[0]])
    assert np.diff(time) == pytest.approx(0.05, abs=0.0011)


def test_a_scan_is_resumed_on_an_instrument_that_does_not_say_that_it_scans():
    instrument = simulator()
    instrument._scpi.on("STATus:OPERation:CONDition?", lambda _: b"+0")
    converse(unplugged(driver()), instrument, 10.0)
    after = converse(driver(), instrument, 10.0, start=40.0)
    assert b"INIT\n" not in after.written
    assert len(stream(after, "flux")[0]) > 40 * 20 - 20


def test_what_an_ended_scan_has_left_is_read_before_it_is_set_up_anew():
    instrument = simulator()
    first = converse(unplugged(driver()), instrument, 5.0)
    instrument.receive(b"ABOR\n", 9.0)
    second = converse(driver(), instrument, 5.0, start=20.0)
    tokens = list(dict.fromkeys(r.base.token for r in second.readings))
    assert tokens[0] == first.readings[0].base.token
    assert len(tokens) == 2
    left = np.concatenate([r.device_time for r in second.readings if r.stream == "flux" and r.base.token == tokens[0]])
    assert left[-1] == pytest.approx(9.0, abs=0.1)
    hole = next(r for r in second.readings if r.stream == "flux" and r.base.token == tokens[1])
    assert hole.lost == pytest.approx((20.0 - 9.0) / 0.05, abs=20)
    began = next(at for at, item in second if isinstance(item, Readings) and item.base.token == tokens[1])
    assert began - 20.0 < 1.0


def test_another_configuration_sets_the_scan_up_anew():
    instrument = simulator()
    converse(unplugged(driver()), instrument, 5.0)
    said = converse(driver(interval=0.1), instrument, 5.0, start=20.0)
    assert b"INIT\n" in said.written
    assert np.diff(stream(said, "flux")[0]) == pytest.approx(0.1)


def test_a_scan_that_was_ended_by_the_farewell_is_set_up_anew():
    instrument = simulator()
    first = converse(driver(), instrument, 5.0)
    second = converse(driver(), instrument, 5.0, start=20.0)
    assert first.readings[0].base.token != second.readings[-1].base.token
    assert len(stream(second, "flux")[0]) > 85


def test_another_scan_list_is_not_taken_for_this_driver_s():
    instrument = simulator()
    converse(unplugged(driver()), instrument, 5.0)
    instrument.receive(b"ABOR\nROUT:SCAN (@101,102)\nINIT\n", 10.0)
    said = converse(driver(), instrument, 5.0, start=20.0)
    assert b"INIT\n" in said.written
    assert len(stream(said, "cuff_pressure")[0]) > 80


def test_a_scan_begun_by_somebody_else_on_an_open_link_is_set_up_anew():
    instrument = simulator()

    def meddle(message, at, done=[]):  # noqa: B006
        if at > 10.0 and not done:
            done.append(at)
            instrument.receive(b"ABOR\nINIT\n", at)
        return message

    said = converse(driver(), instrument, 20.0, tamper=meddle)
    assert any("somebody else began another scan" in text for text in texts(said, "warning"))
    bases = list(dict.fromkeys(r.base for r in said.readings))
    assert len(bases) == 2
    for base in bases:
        times = np.concatenate([r.device_time for r in said.readings if r.base == base and r.stream == "flux"])
        assert np.diff(times) == pytest.approx(0.05, abs=0.0011)


def test_power_lost_between_connections_is_noticed():
    instrument = simulator()
    first = converse(unplugged(driver()), instrument, 5.0)
    instrument.reset(10.0)
    second = converse(driver(), instrument, 5.0, start=20.0)
    assert b"INIT\n" in second.written
    assert first.readings[0].base.token != second.readings[0].base.token


def test_power_lost_on_an_open_link_starts_another_scan_and_counts_the_hole():
    instrument = simulator()

    def strike(message, at, done=[]):  # noqa: B006
        if at > 10.0 and not done:
            done.append(at)
            instrument.reset(at)
        return message

    said = converse(driver(), instrument, 30.0, tamper=strike)
    bases = list(dict.fromkeys(r.base for r in said.readings))
    assert len(bases) == 2
    time, _, _, lost = stream(said, "flux")
    assert len(time) + lost == pytest.approx(600, abs=12)
    assert 20 < lost < 60
    assert any("set up anew" in text for text in texts(said, "warning"))
