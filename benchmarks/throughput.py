"""From many serial lines into the record without loss, and what it costs; beside a thread and `readline()` per port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from acquisition.daemon.service import Service
from acquisition.store import Store, check
from benchmarks.line import entry_point

SECONDS = 20.0
LOADS = ((100, 10, 40.0), (20, 8, 1000.0))


def measure(seconds: float = SECONDS) -> list[dict[str, Any]]:
    """Rows: load, who, values sent and committed, CPU share of one core, values per CPU-second."""
    rows = []
    for ports, channels, rate in LOADS:
        ours = _ours(ports, channels, rate, seconds)
        naive = _naive(ports, channels, rate, seconds)
        for row in (ours, naive):
            row["times_baseline"] = round(row["values_per_cpu_s"] / naive["values_per_cpu_s"], 1)
        rows += [ours, naive]
    return rows


@contextmanager
def senders(folder: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """The simulated instruments, ready to be told to begin."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.senders", str(folder), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert _out(process).readline() == b"ready\n"
        yield process
    finally:
        _in(process).close()
        process.wait(10)
        _out(process).close()


def begin(process: subprocess.Popen[bytes]) -> None:
    """Let the senders begin."""
    _in(process).write(b"\n")
    _in(process).flush()


def report(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """What the senders say when all is sent."""
    answer: dict[str, Any] = json.loads(_out(process).readline())
    return answer


async def run_while_sending(service: Service, instruments: subprocess.Popen[bytes]) -> None:
    """Run a service in this process until the instruments have sent all."""
    loop = asyncio.get_running_loop()

    def conduct() -> None:
        begin(instruments)
        report(instruments)
        loop.call_soon_threadsafe(service.stop)

    thread = threading.Timer(3.0, conduct)
    thread.start()
    await service.run()
    thread.join()


def bench_toml(folder: Path, links: Path, ports: int, channels: int, rate: float) -> Path:
    """A configuration with one entry for each port."""
    path = folder / "bench.toml"
    entries = [
        f'[[device]]\nname = "p{i}"\ndriver = "bench-line"\nport = "{links / str(i)}"\nsimulated = true\n'
        f"options = {{ channels = {channels}, rate = {rate} }}\n"
        for i in range(ports)
    ]
    path.write_text('[store]\npath = "record"\n[page]\nport = 0\n' + "".join(entries))
    return path


def cpu_of(pid: int) -> float:
    """CPU seconds that a running process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ours(ports: int, channels: int, rate: float, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = folder / "links"
        links.mkdir()
        with senders(links, ports, channels, rate, seconds) as instruments:
            config = bench_toml(folder, links, ports, channels, rate)
            daemon = subprocess.Popen(
                [sys.executable, "-P", "-m", "perfusion", "run", "-c", str(config)],
                env=entry_point(folder / "meta"),
                stderr=subprocess.PIPE,
            )
            assert daemon.stderr is not None
            assert b"live page" in daemon.stderr.readline()
            time.sleep(2.0)
            before, started = cpu_of(daemon.pid), time.monotonic()
            begin(instruments)
            sent = report(instruments)
            time.sleep(0.5)
            used, elapsed = cpu_of(daemon.pid) - before, time.monotonic() - started
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=20)
        committed, right = _stored(folder / "record", ports, channels)
        assert check(folder / "record").ok
    values = ports * channels * sent["lines"]
    return {
        "load": f"{ports} ports x {channels} channels x {rate:g} Hz",
        "who": "perfusion run",
        "sent": values,
        "committed": committed,
        "as_sent": right,
        "refused_bytes": sent["refused"],
        "cpu_share": round(used / elapsed, 3),
        "values_per_cpu_s": round(committed / used),
    }


def _stored(record: Path, ports: int, channels: int) -> tuple[int, bool]:
    """Values in the record, and whether each is the one that was sent, in order."""
    count, right = 0, True
    with Store(record) as store:
        for port in range(ports):
            values = store.read(f"p{port}").values
            expected = np.arange(values.size) % 65536 / 64
            right = right and bool(np.array_equal(values.ravel(), expected))
            count += values.size
    return count, right and channels > 0


def _naive(ports: int, channels: int, rate: float, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with senders(folder, ports, channels, rate, seconds) as instruments:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.naive",
                    name,
                    str(ports),
                    str(seconds + 1),
                    str(folder / "naive.db"),
                ],
                stdout=subprocess.PIPE,
            )
            assert _out(process).readline() == b"ready\n"
            started = time.monotonic()
            begin(instruments)
            sent = report(instruments)
            answer = json.loads(_out(process).readline())
            process.wait(30)
            _out(process).close()
            elapsed = time.monotonic() - started
    return {
        "load": f"{ports} ports x {channels} channels x {rate:g} Hz",
        "who": "a thread with readline() per port, a row per value",
        "sent": ports * channels * sent["lines"],
        "committed": answer["values"],
        "as_sent": answer["values"] == ports * channels * sent["lines"],
        "refused_bytes": sent["refused"],
        "cpu_share": round(answer["cpu"] / elapsed, 3),
        "values_per_cpu_s": round(answer["values"] / answer["cpu"]),
    }


def _in(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdin is not None
    return process.stdin


def _out(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


if __name__ == "__main__":
    for row in measure(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS):
        print(json.dumps(row))
