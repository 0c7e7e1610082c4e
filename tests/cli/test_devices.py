"""`perfusion devices`: all that is known of a driver before it is connected, for people and as JSON."""

import json
import socket

import pytest

from acquisition.cli import instruments, perfusion
from acquisition.driverkit.registry import drivers
from simulators.bench.registry import simulators
from tests.service.bench import Simulator


@pytest.fixture
def call(capsys):
    def run(*arguments):
        perfusion.main(["devices", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def found(call):
    return {each["name"]: each for each in json.loads(call("--json"))["drivers"]}


def test_every_driver_is_described(found):
    assert list(found) == list(drivers())
    for name, each in found.items():
        about = drivers()[name].about
        assert each["kind"] == about.kind
        assert each["links"] == list(about.links)
        assert (each["confidence"], each["source"]) == (about.confidence, about.source)
        assert each["unconfirmed"] == list(about.unconfirmed)


def test_what_a_simulator_leaves_out_is_said(found):
    for name, each in found.items():
        if name in simulators():
            assert each["simulator"]["not_modelled"] == list(simulators()[name].not_modelled)
        else:
            assert each["simulator"] is None
    assert found["csafe"]["simulator"]["not_modelled"]


def test_channels_come_with_their_units(found):
    assert {"name": "speed", "unit": "km/h"} in found["trackmaster"]["channels"]
    assert {"name": "tcpo2", "unit": "mm[Hg]"} in found["intellivue"]["channels"]
    assert found["daq970a"]["channels"] == []
    assert "[[device.channel]]" in found["daq970a"]["channels_by"]
    assert "options.profile" in found["ascii"]["channels_by"]
    for name, each in found.items():
        assert each["channels"] or each["channels_by"] != "driver", name


def test_people_read_the_same(call):
    out = call("intellivue", "woodway")
    for words in (
        "intellivue: Philips IntelliVue",
        "tcpo2 (mm[Hg]), tcpco2 (mm[Hg])",
        "serial, tcp, udp",
        "4535 642 59271",
        "one implementation",
        "the meaning of the state byte",
        "waves, alarms, patient data and settings",
    ):
        assert words in out
    assert "trackmaster" not in out


def test_what_control_needs_is_said_for_each_treadmill_and_none_for_who_only_reads(found, call):
    control = {name: each["control"] for name, each in found.items() if each["kind"] == "treadmill"}
    assert control == {"csafe": "force", "trackmaster": True, "woodway": True}
    assert {each["control"] for each in found.values() if each["kind"] != "treadmill"} == {False}
    said = {name: _fact(call(name), "control") for name in ("csafe", "woodway", "tosca500")}
    assert (
        said["woodway"]
        == "with control = true and limits in its entry, where it is simulated; a real belt is only read"
    )
    assert said["csafe"].startswith(
        'with control = "force" and limits in its entry, where it is simulated; a real belt'
    )
    assert said["tosca500"] == "none: it is only read"


def _fact(shown, name):
    (line,) = [line for line in shown.splitlines() if line.startswith(f"  {name} ")]
    return line.strip().removeprefix(name).strip()


def test_names_of_one_driver_are_shown_together(call):
    out = call("34970a", "34972a")
    assert out.splitlines()[:2] == ["34970a: Keysight 34970A (RS-232 as ASRL, GPIB)", "34972a: Keysight 34972A"]
    assert out.count("one for each [[device.channel]]") == 1


def test_units_of_profiles_and_ports_by_id_are_shown_whole(call, monkeypatch):
    port = {"id": "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0", "path": "/dev/ttyUSB0"}
    port |= {"holders": [{"pid": 7, "name": "picocom"}], "permission": "ok"}
    monkeypatch.setattr(instruments, "_ports", lambda: [port])
    out = call()
    assert "flux ([arb'U]), backscatter (%)" in out
    (line,) = [line for line in out.splitlines() if port["id"] in line]
    assert "/dev/ttyUSB0" in line
    assert "7 picocom" in line


def test_a_monitor_on_the_network_is_heard_with_the_port_that_an_entry_needs(call, monkeypatch, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(drivers()["intellivue"], "announced_on", (port, "224.0.23.63"))
    announce = ("--announce", f"127.0.0.1:{port}", "--speed", "20")
    monitor = Simulator("intellivue", tmp_path, *announce, link=("--udp", "127.0.0.1:0"))
    try:
        (found,) = json.loads(call("--listen", "4", "--on", "127.0.0.1", "--json"))
        assert found == {
            "driver": "intellivue", "port": monitor.address, "model": "SIM-IntelliVue", "serial": "53494d0000000001",
        }  # fmt: skip
        assert monitor.address in call("--listen", "4", "--on", "127.0.0.1")
    finally:
        monitor.end()
    assert "nobody" in call("--listen", "0.1", "--on", "127.0.0.1")


def test_an_unknown_driver_is_an_error_that_lists_those_there_are(call):
    with pytest.raises(Exception, match=r"no driver is called perimed.*trackmaster"):
        call("perimed")
