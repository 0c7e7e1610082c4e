"""pymeasure 0.16.0's Agilent34410A, a client that others wrote, measures with the simulated 34465A."""

import contextlib
from importlib.metadata import version

import pytest
from pymeasure.instruments.agilent import Agilent34410A

from tests.service.bench import Simulator

pytestmark = pytest.mark.filterwarnings(
    "ignore:It is not known whether this device support SCPI:FutureWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::ResourceWarning",
)

LINKS = {"hislip": ("--hislip", {}), "vxi11": ("--vxi11", {}), "socket": ("--tcp", {"read_termination": "\n"})}
FLUX = (100.0, 250.0, -12.0, 1234.0)
"""PU; at 1 mV/PU the flowmeter's output."""


@contextlib.contextmanager
def multimeter(folder, kind):
    option, how = LINKS[kind]
    rows = folder / "flux.csv"
    rows.write_text("flux\n" + "".join(f"{value}\n" for value in FLUX))
    simulator = Simulator("34465a", folder, "--replay", f"{rows}:flux=flux", link=(option, "127.0.0.1:0"))
    try:
        address = simulator.listen["resource"]
        client = Agilent34410A(address, visa_library="@py", write_termination="\n", timeout=60_000, **how)
        try:
            yield client
        finally:
            client.adapter.close()
    finally:
        simulator.end()


def test_it_is_the_pinned_version():
    assert version("pymeasure") == "0.16.0"


@pytest.mark.parametrize("kind", LINKS)
def test_it_reads_the_voltages_that_are_there(tmp_path, kind):
    with multimeter(tmp_path, kind) as client:
        assert client.id.split(",")[:3] == ["Keysight Technologies", "34465A", "SIM00001"]
        # The range is 10 V: the converter's step is 30 uV at 1 PLC.
        assert [client.voltage_dc for _ in FLUX] == pytest.approx([value * 1e-3 for value in FLUX], abs=3e-5)
        assert client.next_error[0] == 0


def test_functions_that_are_not_simulated_are_errors_in_its_queue(tmp_path):
    with multimeter(tmp_path, "hislip") as client:
        client.write("MEAS:RES? DEF,DEF")
        assert client.next_error[0] == -113
