"""A daemon that was stopped and goes on: all that waited is recorded, no instrument is blamed, one event tells."""

import os
import signal
import socket
import threading
import time

import numpy as np
import pytest

from acquisition.model import Quality
from acquisition.store import Store, check
from tests.service.bench import Bench, states, streaming

LONG = 5.0
"""Seconds of the pause: more than any of the instruments may be silent."""
PROFILE = """
name = "lines"
instrument = "counts up"
source = "unconfirmed"
citation = "none"
baud = 9600
interval_s = 0.1
terminator = "0D 0A"
pattern = 'N=(?P<number>[0-9]+)'
[[channels]]
name = "number"
unit = "1"
valid_min = 0
valid_max = 1000000
[[examples]]
line = "N=61"
values = { number = 61 }
"""
ENTRY = """
[[device]]
name = "lines"
driver = "ascii"
port = "socket://127.0.0.1:{port}"
options = {{ profile = "lines" }}
"""


@pytest.fixture
def lines():
    """The port of an instrument that sends a counted line ten times a second to whoever connects."""
    server = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve():
        while not over.is_set():
            try:
                link, _ = server.accept()
            except OSError:
                return
            number = 0
            try:
                while not over.wait(0.1):
                    link.sendall(b"N=%d\r\n" % number)
                    number += 1
            except OSError:
                pass
            finally:
                link.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server.getsockname()[1]
    over.set()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(10)


def stand_still(daemon, seconds):
    os.kill(daemon.process.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(daemon.process.pid, signal.SIGCONT)


def test_a_daemon_that_was_stopped_loses_no_line_and_no_link_and_says_that_it_was_paused(tmp_path, lines):
    (tmp_path / "ascii").mkdir()
    (tmp_path / "ascii" / "lines.toml").write_text(PROFILE)
    with Bench(tmp_path) as bench:
        for name in ("daq970a", "intellivue", "trackmaster", "tosca500-csv"):
            bench.simulate(name)
        bench.write(extra=ENTRY.format(port=lines))
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        time.sleep(2.0)
        stand_still(daemon, LONG)
        time.sleep(2.0)
        assert set(states(daemon.until(bench.store, streaming)).values()) == {"STREAMING"}
        assert daemon.stop() == 0
        assert check(bench.store).ok
        with Store(bench.store) as store:
            events, streams, block = store.events(), store.streams(), store.read("lines")
    assert not [e for e in events if e.kind == "state" and e.body["details"]["state"] == "LOST"]
    assert not [e for e in events if e.kind in ("clock", "noise", "alarm") and e.device], "nobody is blamed"
    long = [e for e in events if e.kind == "pause" and e.body["details"]["seconds"] > LONG - 0.1]
    assert [e.body["text"].startswith("this computer was paused for 5.") for e in long] == [True]
    causes = {info.device: {gap.cause for gap in info.gaps} for info in streams}
    assert causes["lines"] == causes["ldf"] == causes["tcpo2"] == causes["tcpco2"] == set()
    assert {cause[:28] for cause in causes["treadmill"]} == {"this computer was paused for"}, "it was not asked then"
    numbers = block.values[:, 0]
    assert (np.diff(numbers) == 1).all(), "a line is missing"
    questionable = int((block.quality[:, 0] & Quality.QUESTIONABLE > 0).sum())
    assert 45 <= questionable <= len(numbers) - 20
