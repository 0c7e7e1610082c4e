"""From serial lines in another process to a value that InfluxDB has acknowledged: what it costs and how long it takes;
beside it a thread with `readline()` per port, with `influxdb_client` batching Points and with one Point per write.

The server, nginx before it and the senders share both cores; only the acquiring process's CPU counts.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.config import load
from acquisition.config.tables import Influx, Record
from acquisition.daemon.service import Service
from acquisition.model import Chunk, Event
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.write_result import WriteVerdict
from acquisition.timing.clock import Clock
from benchmarks.line import entry_point
from benchmarks.throughput import begin, bench_toml, cpu_of, report, run_while_sending, senders
from tests.remotes.servers import InfluxGate, InfluxServer

LOADS = ((100, 10, 40.0), (20, 8, 1000.0))
SECONDS = 20.0
DEFAULT = (Record().flush, Influx("http://127.0.0.1", "o", "ward").flush)
"""Seconds between two commits, and between two looks for something to send."""
PERFUSION = [sys.executable, "-P", "-m", "perfusion"]
Row = dict[str, Any]


def measure(seconds: float = SECONDS) -> list[Row]:
    """Rows of cost, then rows of delay; none where the server is not installed."""
    if not (shutil.which("influxd") and shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")):
        return []
    rows: list[Row] = []
    for number, (ports, channels, rate) in enumerate(LOADS):
        ours = _ours(ports, channels, rate, seconds)
        naive = [
            _naive(how, ports, channels, rate, seconds) for how in (("batch", "single") if not number else ("batch",))
        ]
        for row in (ours, *naive):
            row["times less than ours"] = round(ours["values per CPU-second"] / row["values per CPU-second"], 1)
            rows.append(row)
    for flush, shipped in (DEFAULT, (0.02, 0.1)):
        rows += _delays(flush, shipped, seconds)
    return rows


@contextmanager
def bench(ports: int, channels: int, rate: float, seconds: float, *more: str) -> Iterator[tuple[Any, ...]]:
    """Folder, links, senders, server and gate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = folder / "links"
        links.mkdir()
        with (
            InfluxServer(folder / "influx") as server,
            InfluxGate(folder / "gate", server) as gate,
            senders(links, ports, channels, rate, seconds, *more) as instruments,
        ):
            server.create("ward")
            yield folder, links, instruments, server, gate


def configured(path: Path, url: str, flush: float, shipped: float) -> Path:
    (path.parent / "token").write_text("token")
    text = path.read_text().replace('path = "record"', f'path = "record"\nflush = {flush}')
    influx = f'[influx]\nurl = "{url}"\norg = "o"\nbucket = "ward"\ntoken_file = "token"\nflush = {shipped}\n'
    path.write_text(text.replace("[page]", influx + "[page]"))
    return path


def held_by(server: InfluxServer, measurement: str, channels: int, patience: float = 60.0) -> int:
    counted = ", ".join(f"count(c{i})" for i in range(channels))
    rows = server.ask(f'SELECT {counted} FROM "{measurement}"', "ward", patience)
    return sum(column[0] for name, column in rows[0][2].items() if name != "time") if rows else 0


def _ours(ports: int, channels: int, rate: float, seconds: float) -> Row:
    with bench(ports, channels, rate, seconds) as (folder, links, instruments, server, gate):
        config = configured(bench_toml(folder, links, ports, channels, rate), gate.url, *DEFAULT)
        daemon = subprocess.Popen(
            [*PERFUSION, "run", "-c", str(config)], env=entry_point(folder / "meta"), stderr=subprocess.PIPE
        )
        try:
            assert daemon.stderr is not None
            while b"live page" not in daemon.stderr.readline():
                pass
            time.sleep(2.0)
            before, started = cpu_of(daemon.pid), time.monotonic()
            begin(instruments)
            sent = report(instruments)
            values = ports * channels * sent["lines"]
            in_time = held_by(server, "measurement", channels)
            while (
                held := held_by(server, "measurement", channels)
            ) < values and time.monotonic() < started + 3 * seconds:
                time.sleep(0.2)
            used, elapsed = cpu_of(daemon.pid) - before, time.monotonic() - started
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate(timeout=20)
        finally:
            daemon.kill()
    return _cost("perfusion run", (ports, channels, rate), values, (in_time, held), used, elapsed)


def _naive(how: str, ports: int, channels: int, rate: float, seconds: float) -> Row:
    with bench(ports, channels, rate, seconds) as (_, links, instruments, server, gate):
        command = [sys.executable, "-m", "benchmarks.naive_influx", how, links, ports, seconds + 1, gate.url]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout as said:
            assert said.readline() == b"ready\n"
            started = time.monotonic()
            begin(instruments)
            sent = report(instruments)
            in_time = held_by(server, "naive", channels)
            used = json.loads(said.readline())["cpu"]
        process.wait(60)
        elapsed, held = time.monotonic() - started, held_by(server, "naive", channels)
    who = {"batch": "readline() and batching Points", "single": "readline() and one Point per write"}[how]
    return _cost(who, (ports, channels, rate), ports * channels * sent["lines"], (in_time, held), used, elapsed)


def _cost(
    who: str, load_: tuple[int, int, float], sent: int, held: tuple[int, int], used: float, elapsed: float
) -> Row:
    return {
        "load": "{} ports x {} channels x {:g} Hz".format(*load_),
        "who": who,
        "sent": sent,
        "acknowledged at the end of sending": held[0],
        "in the end": held[1],
        "CPU share": round(used / elapsed, 3),
        "values per CPU-second": round(held[1] / used),
    }


def _delays(flush: float, shipped: float, seconds: float) -> list[Row]:
    """How long after its last byte was sent a sample is on disk, and acknowledged."""
    ports, channels, rate = LOADS[0]
    with bench(ports, channels, rate, seconds, "--stamps") as (folder, links, instruments, _, gate):
        environment = entry_point(folder / "meta")
        sys.path[:0] = [str(folder / "meta")]
        os.environ["PYTHONPATH"] = environment["PYTHONPATH"]
        config = configured(bench_toml(folder, links, ports, channels, rate), gate.url, flush, shipped)
        try:
            committed, acknowledged = asyncio.run(_run(config, instruments))
        finally:
            sys.path.remove(str(folder / "meta"))
    where = f"record flushed each {flush:g} s, InfluxDB each {shipped:g} s"
    return [_delay(where, "on disk", committed), _delay(where, "acknowledged by InfluxDB", acknowledged)]


async def _run(path: Path, instruments: Any) -> tuple[list[float], list[float]]:
    clock = Clock()
    started = clock.now().seconds
    sent: dict[str, list[float]] = {}
    committed: list[float] = []
    taken: list[tuple[float, str]] = []

    def heard(item: Chunk | Event) -> None:
        if type(item) is Chunk:
            sent.setdefault(item.header.device, []).extend(item.values[:, 0].tolist())

    def witnessed(text: str) -> None:
        now = clock.now().seconds
        for device, _, first, n in map(json.loads, text.splitlines()):
            committed.extend(now - stamp for stamp in sent[device][first : first + n] if stamp > started)

    send = InfluxWriter.send

    def spied(self: InfluxWriter, text: str) -> Any:
        answer = send(self, text)
        if answer.verdict is WriteVerdict.ACCEPTED:
            taken.append((clock.now().seconds, text))
        return answer

    InfluxWriter.send = spied  # type: ignore[method-assign]
    try:
        service = Service(load(path), clock, witness=witnessed)
        service.subscribe(heard)
        await run_while_sending(service, instruments)
    finally:
        InfluxWriter.send = send  # type: ignore[method-assign]
    stamp = re.compile(r" c0=([0-9.]+),")
    acknowledged = [(at, float(found)) for at, text in taken for found in stamp.findall(text)]
    # Of lines that a late sender wrote together, only the first has a stamp.
    return committed, [at - begun for at, begun in acknowledged if begun > started]


def _delay(flushed: str, where: str, seconds: list[float]) -> Row:
    ms = np.array(seconds) * 1e3
    p50, p99 = np.percentile(ms, [50, 99])
    return {
        "100 ports x 10 channels x 40 Hz": flushed,
        "where": where,
        "samples": len(ms),
        "p50, ms": round(float(p50), 1),
        "p99, ms": round(float(p99), 1),
        "max, ms": round(float(ms.max()), 1),
    }


if __name__ == "__main__":
    for row in measure(float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS):
        print(json.dumps(row), flush=True)
