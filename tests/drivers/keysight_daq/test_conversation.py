"""Minutes with every simulated model: all samples, in the order that the instrument needs."""

import numpy as np
import pytest

from acquisition.driverkit.driver import Setup
from drivers.keysight_daq import KeysightDaq, Options
from drivers.keysight_daq.answers import Block
from simulators.simkit.conversation import converse
from tests.digitiser import driver, inputs, simulator
from tests.drivers.keysight_daq.said import stream, texts


@pytest.mark.parametrize(("name", "seconds"), [("daq970a", 600), ("34970a", 60), ("34972a", 60), ("34980a", 60)])
def test_minutes_lose_nothing(name, seconds):
    said = converse(host := driver(name), simulator(name), seconds, start=7.0)
    for each in host.streams:
        time, values, quality, lost = stream(said, each.name)
        assert lost == 0
        assert len(time) in range(20 * seconds - 20, 20 * seconds + 1)
        assert np.abs(np.diff(time) - 0.05).max() < 0.0011
        assert not quality.any()
        assert np.isfinite(values).all()
    time, flux, *_ = stream(said, "flux")
    truth = 100 + 20 * np.sin(time + said.readings[0].base.origin)
    assert np.abs(flux - truth).max() < 1.0
    assert all(r.base == said.readings[0].base for r in said.readings)
    assert not texts(said, "noise")


def test_minutes_of_a_meter_lose_nothing_and_carry_no_time_of_their_own():
    said = converse(driver("34465a"), simulator("34465a"), 600, start=7.0)
    time, flux, quality, lost = stream(said, "flux")
    assert (len(time), lost) == (0, 0)
    assert len(flux) in range(11980, 12001)
    assert not quality.any()
    at = 7.0 + 0.05 * np.arange(len(flux))
    assert np.abs(flux - (100 + 20 * np.sin(at))).max() < 1.5
    assert all(r.base is None for r in said.readings)
    assert not texts(said, "noise")


def test_binary_and_text_bring_the_same_samples():
    text = converse(driver("34465a"), simulator("34465a"), 60.0)
    binary = converse(driver("34465a", binary=True), simulator("34465a"), 60.0)
    assert b"FORM:DATA REAL,64\n" in binary.written
    assert len(b"".join(binary.sent)) < 0.6 * len(b"".join(text.sent))
    for one, other in zip(stream(text, "flux"), stream(binary, "flux"), strict=True):
        assert np.allclose(one, other, rtol=0, atol=1e-6)
    assert not texts(binary, "noise")


def test_a_binary_reading_that_ends_like_a_line_is_whole():
    """1.3000000000000018 ends in a byte LF, as does the block, and the answer."""
    host = driver("34465a", binary=True)
    converse(host, simulator("34465a"), 1.0)
    payload = bytes.fromhex("3FF4CCCCCCCCCC0A")
    host._talk = host._stream()
    host._go(None)
    (reading,) = host.receive(Block(payload).encode() + b"\n", 1.0)
    assert reading.values[0, 0] == pytest.approx(1300.0)


def test_the_scan_is_set_up_in_the_order_that_the_instrument_needs():
    said = converse(driver(interval=0.025, nplc=0.02, range=10.0), simulator(), 1.0)
    written = [message.decode().strip() for message in said.written]
    configured = written.index("CONF:VOLT:DC 10,(@101,102,103)")
    for later in (
        "TRIG:TIM 0.025",
        "TRIG:COUN INF",
        "FORM:READ:TIME ON",
        "FORM:READ:TIME:TYPE REL",
        "FORM:READ:CHAN ON",
    ):
        assert written.index(later) > configured
    assert written.index("INIT") > written.index("SYST:ERR?") > written.index("FORM:READ:ALAR OFF")
    assert written[written.index("INIT") + 1] == "SYST:TIME:SCAN?"
    assert "*RST" not in written
    assert written[-1] == "ABOR"
    assert written.count("STAT:QUES:COND?") in (0, 1)


def test_polls_are_dithered_and_stretched_with_the_clock():
    for patience in (1.0, 100.0):
        host = KeysightDaq(Setup("daq970a", Options(), inputs(), patience))
        instrument = simulator()
        said = converse(host, instrument, 60.0 * patience, latency=1e-4)
        assert len(stream(said, "flux")[0]) > 1150 * patience
        waits = []
        host.setup.random.seed(1)
        talk = host._stream()
        host._at, host._heard = 0.0, 0.0
        step = next(talk)
        for _ in range(50):
            host._at += 0.001
            step = talk.send(b"+0\n" if b"QUES" in step else b"#10\n")
            if isinstance(step, float):
                waits.append(step)
                step = next(talk)
        assert 0.1 * patience <= min(waits) < 0.15 * patience < 0.2 * patience < max(waits) <= 0.25 * patience


def test_another_model_is_left_alone():
    said = converse(driver(), simulator(model="34972A"), 20.0)
    assert said.written == [b"*IDN?\n"]
    assert not said.readings
    assert [n.details["model"] for n in said.notices if n.kind == "identity"] == ["34972A"]
    assert "a 34972A answers" in texts(said, "warning")[0]


def test_daq973a_is_served_too():
    assert converse(driver(), simulator(model="DAQ973A"), 2.0).readings


def test_the_instrument_s_own_errors_are_passed_on():
    instrument = simulator()
    instrument._scpi._handlers.pop("TRIG:COUN")
    said = converse(driver(), instrument, 5.0)
    assert texts(said, "warning")[0] == "the instrument reports -113, Undefined header"


def test_the_ledger_holds_what_was_sent():
    rows = []
    said = converse(driver(), simulator(ledger=rows.append), 10.0)
    for name in ("flux", "backscatter", "cuff_pressure"):
        sent = [r for r in rows if r["stream"] == name]
        time, values, *_ = stream(said, name)
        assert [r["values"][0] for r in sent][: len(values)] == values.tolist()
        assert [r["device_time"] for r in sent][: len(values)] == time.tolist()


@pytest.mark.parametrize("drift", [-80.0, 80.0])
def test_stamps_are_the_instrument_s_own(drift):
    said = converse(driver(), simulator(drift=drift), 600.0)
    time = stream(said, "flux")[0]
    assert time[-1] - time[0] == pytest.approx((len(time) - 1) * 0.05 * (1 + drift * 1e-6), abs=0.0011)
