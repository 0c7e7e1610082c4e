"""Plain PyVISA sessions, as a bench script opens them, against the simulated digitisers over every LAN protocol."""

import contextlib

import numpy as np
import pytest
import pyvisa

from tests.service.bench import Simulator

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

LINKS = {"hislip": "--hislip", "vxi11": "--vxi11", "socket": "--tcp"}
each = pytest.mark.parametrize("kind", LINKS)


@contextlib.contextmanager
def session(folder, kind, name="daq970a"):
    simulator = Simulator(name, folder, "--speed", 20, link=(LINKS[kind], "127.0.0.1:0"))
    manager = pyvisa.ResourceManager("@py")
    try:
        address = simulator.listen["resource"]
        opened = manager.open_resource(address, read_termination="\n", write_termination="\n", timeout=60_000)
        try:
            yield opened
        finally:
            opened.close()
    finally:
        manager.close()
        simulator.end()


@each
def test_questions_are_answered_in_order(tmp_path, kind):
    with session(tmp_path, kind) as scope:
        assert scope.query("*IDN?") == "Keysight Technologies,DAQ970A,SIM00001,A.02.02"
        scope.write("*ESE 60;*SRE 32")
        assert scope.query("*ESE?;*SRE?") == "+60;+32"
        scope.write("NO:SUCH:HEADER")
        assert scope.query("SYST:ERR?") == '-113,"Undefined header"'
        assert scope.query("SYST:ERR?") == '+0,"No error"'
        assert [scope.query(f"*ESE {n};*ESE?") for n in range(100)] == [f"+{n}" for n in range(100)]


@each
def test_a_scan_by_the_programming_guide(tmp_path, kind):
    with session(tmp_path, kind) as scope:
        for message in (
            "*RST", "*CLS", "CONF:VOLT:DC 10,(@101:103)", "VOLT:DC:NPLC 0.02,(@101:103)", "ROUT:SCAN (@101:103)",
            "TRIG:SOUR TIM", "TRIG:TIM 0.02", "TRIG:COUN 500", "FORM:READ:TIME ON", "FORM:READ:TIME:TYPE REL",
            "FORM:READ:CHAN ON", "INIT",
        ):  # fmt: skip
            scope.write(message)
        assert scope.query("SYST:ERR?") == '+0,"No error"'
        rows = []
        while len(rows) < 1500:
            text = scope.query("R? 300")
            digits = int(text[1])
            assert int(text[2 : 2 + digits]) == len(text) - 2 - digits
            if fields := text[2 + digits :]:
                rows += np.array(fields.split(","), dtype=float).reshape(-1, 3).tolist()
        table = np.array(rows)
        assert table[:, 2].tolist() == [101, 102, 103] * 500
        assert np.diff(table[::3, 1]) == pytest.approx(np.full(499, 0.02), abs=1.1e-3)
        assert scope.query("R? 300") == "#10"
        assert scope.query("*OPC?") == "1"


@each
def test_values_come_as_numbers(tmp_path, kind):
    with session(tmp_path, kind, "34465a") as meter:
        meter.write("CONF:VOLT:DC 10")
        meter.write("VOLT:DC:NPLC 0.2;:SAMP:COUN 200;:SAMP:SOUR TIM;:SAMP:TIM 0.01")
        volts = meter.query_ascii_values("READ?", container=np.array)
        assert volts.shape == (200,)
        assert np.isfinite(volts).all()
        assert meter.query_ascii_values("FETC?", container=np.array).tolist() == volts.tolist()
        meter.write("FORM:DATA REAL,64")
        assert meter.query_binary_values("R?", datatype="d", is_big_endian=True) == pytest.approx(volts, abs=1e-9)
