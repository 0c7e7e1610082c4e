"""`perfusion devices --probe`: who answers on which port, over real pseudo-terminals, and what is written there."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import tty

import click
import pytest

from acquisition.cli import instruments, perfusion
from tests.service.bench import ENTRIES, Simulator

UNKNOWN = b"\xc0" + bytes.fromhex("F1919405F2")
"""All that is written to a silent port: a treadmill's status request, and CSAFE's version and serial number."""


@pytest.fixture(autouse=True)
def _no_ports_of_this_computer(monkeypatch):
    monkeypatch.setattr(instruments, "_ports", list)


@pytest.fixture
def call(capsys):
    def run(*arguments):
        perfusion.main(["devices", "--probe", *map(str, arguments)], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def ask(call):
    def run(*arguments):
        document = json.loads(call("--json", *arguments))
        return {each["port"]: each for each in document["ports"]}, document["not_asked"]

    return run


@pytest.fixture
def start(tmp_path):
    with contextlib.ExitStack() as running:

        def run(name, *link):
            simulator = Simulator(name, tmp_path, link=link or ("--pty",))
            running.callback(simulator.end)
            return simulator.address

        yield run


@pytest.fixture
def line():
    """An instrument's end of a pseudo-terminal, and the path of the host's."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    yield master, os.ttyname(slave), slave
    os.close(master)
    with contextlib.suppress(OSError):
        os.close(slave)


def written(master):
    with contextlib.suppress(BlockingIOError):
        return os.read(master, 65536)
    return b""


def test_treadmills_on_unknown_ports_say_who_they_are(ask, start):
    ports = {name: start(name) for name in ("trackmaster", "woodway", "csafe")}
    found, not_asked = ask(*ports.values())
    for name, port in ports.items():
        assert (found[port]["state"], found[port]["driver"]) == ("answers", name)
    assert found[ports["trackmaster"]]["asked"] == ["trackmaster", "woodway"]
    assert "its belt stands" in found[ports["trackmaster"]]["text"]
    assert found[ports["csafe"]]["serial"] == "SIM000001"
    assert {"di1100", "snuadc", "tosca500", "tosca500-csv", "ascii", "intellivue", "daq970a"} <= set(not_asked)
    assert "none only asks" in not_asked["di1100"]


def test_a_monitor_is_asked_only_where_it_is_named_and_released_again(ask, start):
    port = start("intellivue")
    found, not_asked = ask(port)
    assert found[port]["state"] == "silent"
    assert "perfusion devices intellivue PORT --probe" in not_asked["intellivue"]
    for _ in range(2):
        found, not_asked = ask("intellivue", port)
        assert (found[port]["state"], found[port]["model"]) == ("answers", "SIM-IntelliVue")
        assert (found[port]["asked"], not_asked) == (["intellivue"], {})


def test_a_silent_port_hears_the_harmless_questions_and_nothing_else(ask, line):
    master, path, slave = line
    os.close(slave)
    found, _ = ask(path)
    assert (found[path]["state"], found[path]["asked"]) == ("silent", ["trackmaster", "woodway", "csafe"])
    assert written(master) == UNKNOWN


def test_a_port_that_another_process_holds_is_shown_with_its_holder_and_not_touched(call, ask, line):
    master, path, slave = line
    holder = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=slave)
    os.close(slave)
    try:
        found, _ = ask(path)
        assert (found[path]["state"], found[path]["asked"]) == ("held", [])
        assert holder.pid in [each["pid"] for each in found[path]["holders"]]
        assert f"PID {holder.pid}" in call(path)
        assert written(master) == b""
    finally:
        holder.communicate(b"\n")


def test_an_instrument_that_sends_by_itself_is_not_asked(ask, line):
    master, path, _ = line
    ended = threading.Event()

    def send():
        while not ended.wait(0.02):
            os.write(master, b"\x80\x66\x40")

    sender = threading.Thread(target=send)
    sender.start()
    try:
        found, _ = ask(path)
    finally:
        ended.set()
        sender.join()
    assert (found[path]["state"], found[path]["asked"]) == ("sends by itself", [])
    assert "80 66 40" in found[path]["text"]
    assert written(master) == b""


def test_a_line_that_echoes_is_no_instrument(ask, line):
    master, path, _ = line
    os.set_blocking(master, True)

    def echo():
        os.write(master, os.read(master, 1))

    echoing = threading.Thread(target=echo)
    echoing.start()
    found, _ = ask(path)
    echoing.join()
    assert (found[path]["state"], found[path]["asked"]) == ("echoes", ["trackmaster", "woodway"])


def test_a_port_that_is_not_there_says_so_and_spoils_no_other(ask, start, tmp_path):
    port, missing = start("csafe"), str(tmp_path / "ttyUSB9")
    found, _ = ask(missing, port)
    assert found[missing]["state"] == "cannot be opened"
    assert "there is no such port" in found[missing]["text"]
    assert found[port]["driver"] == "csafe"


def test_a_digitiser_is_asked_where_its_resource_is_named(ask, start):
    resource = start("daq970a", "--hislip", "127.0.0.1:0")
    found, _ = ask(resource)
    assert (found[resource]["state"], found[resource]["driver"], found[resource]["model"]) == (
        "answers", "daq970a", "DAQ970A",
    )  # fmt: skip


def test_a_resource_that_takes_questions_and_never_answers_is_silent(ask):
    with socket.create_server(("127.0.0.1", 0)) as server:
        resource = f"TCPIP0::127.0.0.1::{server.getsockname()[1]}::SOCKET"
        found, _ = ask("34972a", resource)
    assert (found[resource]["state"], found[resource]["asked"]) == ("silent", ["34972a"])
    assert "no answer within 2 s" in found[resource]["text"]


def test_what_the_configuration_names_is_asked_as_its_driver_does(ask, start, tmp_path):
    ports = {
        "daq970a": start("daq970a", "--hislip", "127.0.0.1:0"),
        "trackmaster": start("trackmaster"),
        "intellivue": start("intellivue"),
    }
    bench = tmp_path / "bench.toml"
    bench.write_text("".join(ENTRIES[name].format(address=port) for name, port in ports.items()))
    found, _ = ask("-c", bench)
    assert {name: found[port]["driver"] for name, port in ports.items()} == {name: name for name in ports}
    assert found[ports["trackmaster"]]["asked"] == ["trackmaster"]


def test_the_ports_of_this_computer_are_asked_where_none_is_named(call, start, monkeypatch):
    assert "no serial ports found" in call()
    port = start("csafe")
    monkeypatch.setattr(instruments, "_ports", lambda: [{"id": port}])
    out = call()
    (row,) = [row for row in out.splitlines() if port in row]
    assert "answers" in row
    assert "SIM000001" in row
    assert "34465a, 34970a, 34972a, 34980a, daq970a" in out


def test_a_port_without_probe_is_a_mistake_that_is_explained():
    with pytest.raises(click.UsageError, match="--probe asks"):
        perfusion.main(["devices", "/dev/ttyUSB0"], standalone_mode=False)
    with pytest.raises(click.UsageError, match="only serial ports and VISA"):
        perfusion.main(["devices", "--probe", "socket://10.0.0.7:4001"], standalone_mode=False)
