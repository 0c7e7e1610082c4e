"""An outage of hours or days: everything arrives, in order, and live data hardly wait; memory does not grow with it."""

import contextlib
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acquisition.remotes.readback import InfluxReader
from acquisition.remotes.reader import Shipment
from acquisition.remotes.reconcile import reconcile
from acquisition.store import Store, check
from tests.remotes.landed import TAGS
from tests.remotes.outage import LIVE
from tests.remotes.proxy import FaultProxy, error

DAYS_3 = 72 * 3600 * 40
NUMBERED = re.compile(r"^m,device=(\w+),.*seq=(\d+)i.* (\d+)$", re.M)


class Watch:
    """The server's side: away until `up`, then notes the order and lateness of what comes."""

    def __init__(self):
        self.is_up = False
        self.base = None
        self.refused = 0
        self.next = {"ldf": 0, "tcpo2": 0}
        self.late = []
        self.out_of_order = 0

    def __call__(self, body):
        if not self.is_up:
            self.refused += 1
            return error(503, "down")
        now = time.monotonic_ns()
        for device, number, key in NUMBERED.findall(body):
            following = int(number) + 1
            if following > self.next[device]:  # what came before is sent again and stays one point
                self.out_of_order += following != self.next[device] + 1
                self.next[device] = following
                if device == LIVE.device and following > 1:
                    self.late.append((now - self.base[1] + self.base[0] - int(key)) / 1e9)
        return None


def survive(tmp_path, server, gate, database, samples):
    """Through an outage of so many samples; answers what the shipping process says of itself."""
    watch = Watch()
    with FaultProxy(gate.url, watch, keep=False) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.remotes.outage", str(tmp_path), proxy.url, database, str(samples)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        try:
            watch.base = json.loads(process.stdout.readline())["base"]
            assert watch.refused > 0
            watch.is_up = True
            said = json.loads(process.stdout.readline())
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    assert said["samples"] >= samples
    assert watch.out_of_order == 0
    assert max(watch.late) < 20.0, f"live data were {max(watch.late):.1f} s late"
    with Store(tmp_path) as store, contextlib.closing(InfluxReader(gate.url, database, "t")) as source:
        hours = list(reconcile(store, "influx", Shipment(lambda header: "m", TAGS), source, exact=True))
    assert sum(hour.accepted for hour in hours) == said["samples"]
    assert all(hour.agrees for hour in hours)
    return said


@pytest.mark.timeout(300)
def test_an_outage_of_two_hours(tmp_path, influx_server, influx_gate, database):
    said = survive(tmp_path, influx_server, influx_gate, database, 300_000)
    assert said["grown"] <= 64, said


@pytest.mark.proof
@pytest.mark.timeout(3600)
def test_an_outage_of_three_days(tmp_path, influx_server, influx_gate, database):
    said = survive(tmp_path, influx_server, influx_gate, database, DAYS_3)
    assert check(tmp_path).ok
    assert said["grown"] <= 64, said
    assert said["bytes"] <= 40, said
    assert said["samples"] / said["drained"] >= 20_000, said
