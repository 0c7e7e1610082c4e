"""500 000 values a second for ten minutes from serial lines to InfluxDB, with senders and server on the same cores.

`python -m benchmarks.sustained SECONDS` for another time. The age is that of the newest sample which the server has,
asked ten times a second: what an acknowledgement took, and the wait until the next one.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np

from benchmarks.end_to_end import DEFAULT, PERFUSION, bench, configured, held_by
from benchmarks.line import entry_point
from benchmarks.throughput import begin, bench_toml, cpu_of, report
from tests.remotes.servers import InfluxServer

LOAD = (25, 20, 1000.0)
SECONDS = 600.0
NEWEST = """SELECT last(c0) FROM "measurement" WHERE device = 'p0'"""


def measure(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """One row; none where the server is not installed."""
    if not (shutil.which("influxd") and shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")):
        return []
    ports, channels, rate = LOAD
    with bench(ports, channels, rate, seconds) as (folder, links, instruments, server, gate):
        config = configured(bench_toml(folder, links, ports, channels, rate), gate.url, *DEFAULT)
        with subprocess.Popen(
            [*PERFUSION, "run", "-c", str(config)], env=entry_point(folder / "meta"), stderr=(folder / "log").open("wb")
        ) as daemon:
            try:
                while b"live page" not in (folder / "log").read_bytes():
                    time.sleep(0.1)
                time.sleep(2.0)
                before, started = cpu_of(daemon.pid), time.monotonic()
                begin(instruments)
                ages = Ages(server)
                sent = report(instruments)
                ages.end()
                used, elapsed = cpu_of(daemon.pid) - before, time.monotonic() - started
                # A line holds every channel: one tells how far the server is, and counting all takes minutes.
                in_time = held_by(server, "measurement", 1) * channels
                values = ports * channels * sent["lines"]
                while held_by(server, "measurement", 1) * channels < values:
                    if time.monotonic() > started + 2 * seconds + 60:
                        break
                    time.sleep(1.0)
                in_the_end = held_by(server, "measurement", channels, patience=600.0)
                memory = _largest(daemon.pid)
                daemon.send_signal(signal.SIGTERM)
                daemon.wait(60)
            finally:
                daemon.kill()
    p50, p99 = np.percentile(ages.seconds, [50, 99])
    return [
        {
            "seconds": round(elapsed),
            "sent": values,
            "refused bytes": sent["refused"],
            "acknowledged at the end of sending": in_time,
            "in the end": in_the_end,
            "CPU share": round(used / elapsed, 3),
            "largest memory, MB": memory,
            "age p50, s": round(float(p50), 2),
            "age p99, s": round(float(p99), 2),
            "age max, s": round(max(ages.seconds), 2),
        }
    ]


class Ages:
    """How old the newest sample on the server is, s, asked again and again until `end`."""

    def __init__(self, server: InfluxServer) -> None:
        self.seconds: list[float] = []
        self._server, self._ended = server, Event()
        self._thread = Thread(target=self._ask)
        self._thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(0.1):
            rows = self._server.ask(NEWEST, "ward")
            if rows:
                self.seconds.append(time.time() - int(rows[0][2]["time"][0]) / 1e9)


def _largest(pid: int) -> int:
    """The most memory that a process has had, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) / 1000)
    raise ValueError("the kernel names no VmHWM")


if __name__ == "__main__":
    for row in measure(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS):
        print(json.dumps(row), flush=True)
