"""ser2net and socat between driver and simulator: serial servers as hospitals have them, whole daemon at one end."""

import contextlib
import os
import subprocess

import pytest

from acquisition.store import check
from tests.remotes.servers import PATIENCE, binary, free_port, until
from tests.service.bench import ENTRIES, Bench, states, streaming
from tests.service.judge import judge


@contextlib.contextmanager
def running(command, ready, what):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: ready() or process.poll() is not None, what)
        assert process.poll() is None, process.stderr.read()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def listening(port):
    """Whether a loopback port is listened on, without connecting: a serial server serves one host at a time."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(table)[1:])


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as opened:
        yield opened


def recorded(samples):
    """Whether every device streams, and so many samples are in the record."""
    return lambda seen: streaming(seen) and seen["record"]["samples"] >= samples


def ledgers(simulator, device, streams):
    rows = simulator.rows()
    return {(device, stream): [row["values"] for row in rows if row["stream"] == stream] for stream in streams}


def test_a_treadmill_behind_ser2net_loses_nothing_but_what_its_restart_takes(bench, tmp_path):
    program = binary("ser2net")
    simulator = bench.simulate("trackmaster")
    port = free_port()
    config = tmp_path / "ser2net.yaml"
    config.write_text(
        "%YAML 1.1\n---\nconnection: &treadmill\n"
        f"  accepter: tcp,127.0.0.1,{port}\n"
        f"  connector: serialdev,{os.path.realpath(simulator.address)},4800n81,local\n"
    )
    command = [program, "-n", "-u", "-c", str(config)]
    bench.write({"trackmaster": ENTRIES["trackmaster"].replace("{address}", f"socket://127.0.0.1:{port}")})
    with running(command, lambda: listening(port), "ser2net listens"):
        daemon = bench.run()
        daemon.until(bench.store, recorded(25))
    daemon.until(bench.store, lambda seen: states(seen)["treadmill"] == "LOST")
    with running(command, lambda: listening(port), "ser2net listens again"):
        daemon.until(bench.store, lambda seen: streaming(seen) and seen["devices"][0]["gaps"] >= 1)
        assert daemon.stop() == 0
    assert check(bench.store).ok
    ((samples, gaps, sent, _),) = judge(
        bench.store, daemon.witnessed(), ledgers(simulator, "treadmill", ("belt",))
    ).values()
    assert gaps >= 1
    assert 10 <= samples <= sent


def test_a_monitor_behind_socat_is_a_serial_port_like_any_other(bench, tmp_path):
    program = binary("socat")
    simulator = bench.simulate("intellivue", link=("--tcp", "127.0.0.1:0"))
    port = tmp_path / "ttyMonitor"
    host, number = simulator.listen["host"], simulator.listen["port"]
    bench.write({"intellivue": ENTRIES["intellivue"].replace("{address}", str(port))})
    command = [program, f"PTY,link={port},raw,echo=0", f"TCP:{host}:{number},nodelay"]
    with running(command, port.exists, "socat makes its port"):
        daemon = bench.run()
        daemon.until(bench.store, recorded(8))
        assert daemon.stop() == 0
    assert check(bench.store).ok
    found = judge(bench.store, daemon.witnessed(), ledgers(simulator, "tcpo2", ("chest", "calf")))
    assert len(found) == 2
    for samples, gaps, sent, missing in found.values():
        assert (gaps, missing) == (0, 0)
        assert 3 <= samples <= sent
