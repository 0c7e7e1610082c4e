"""Reading alone: 500 serial ports at 40 Hz on one loop; beside a pyserial thread for each."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import serial

from acquisition.driverkit.driver import Serial
from acquisition.errors import LinkLost
from acquisition.model import Instant
from acquisition.ports.serial import SerialPort
from acquisition.timing.clock import Clock
from benchmarks.throughput import begin, report, senders

PORTS, CHANNELS, RATE = 500, 4, 40.0
THREADS = 150
"""pyserial waits with select() and keeps five descriptors a port, so its threads end at about 200 ports."""


class Counter:
    """Counts lines."""

    def __init__(self) -> None:
        self.lines = 0

    def data(self, data: bytes, arrived: Instant) -> None:
        """Count."""
        self.lines += data.count(b"\n")

    def lost(self, error: LinkLost) -> None:
        """Fail."""
        raise error


def measure(seconds: float = 10.0) -> list[dict[str, Any]]:
    """Rows: who reads how many ports, lines sent and read, CPU share of one core, lines per CPU-second."""
    return [_row("loop", PORTS, seconds), _row("threads", THREADS, seconds)]


def _row(who: str, ports: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, senders(Path(name), ports, CHANNELS, RATE, seconds) as instruments:
        reader = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ports", who, name, str(ports), str(seconds + 2)], stdout=subprocess.PIPE
        )
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"ready\n"
        begin(instruments)
        sent = report(instruments)
        answer = json.loads(reader.stdout.readline())
        reader.wait(20)
        reader.stdout.close()
    return {
        "who": "one loop" if who == "loop" else "a pyserial thread per port",
        "ports": ports,
        "lines_sent": ports * sent["lines"],
        "lines_read": answer["lines"],
        "cpu_share": round(answer["cpu"] / seconds, 3),
        "lines_per_cpu_s": round(answer["lines"] / answer["cpu"]),
    }


async def _loop(folder: str, ports: int, seconds: float) -> int:
    counters = [Counter() for _ in range(ports)]
    opened = [SerialPort(f"{folder}/{i}", Serial(115200), Clock()) for i in range(ports)]
    for port, counter in zip(opened, counters, strict=True):
        await port.open(counter)
    _ready()
    await asyncio.sleep(seconds)
    for port in opened:
        port.close()
    return sum(counter.lines for counter in counters)


def _threads(folder: str, ports: int, seconds: float) -> int:
    counts = [0] * ports
    links = [serial.Serial(f"{folder}/{i}", 115200, timeout=0.5) for i in range(ports)]
    over = time.monotonic() + seconds

    def read(index: int) -> None:
        while time.monotonic() < over:
            counts[index] += links[index].readline().endswith(b"\n")

    threads = [threading.Thread(target=read, args=(i,)) for i in range(ports)]
    for thread in threads:
        thread.start()
    _ready()
    for thread in threads:
        thread.join()
    return sum(counts)


_USED = 0.0


def _ready() -> None:
    global _USED
    _USED = _cpu()
    print("ready", flush=True)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    who, folder, ports, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    lines = asyncio.run(_loop(folder, ports, seconds)) if who == "loop" else _threads(folder, ports, seconds)
    print(json.dumps({"lines": lines, "cpu": _cpu() - _USED}), flush=True)
