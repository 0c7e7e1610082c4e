"""Cost of a remote copy: samples as line protocol, a backlog caught up into a real InfluxDB 1.6, and memory in an
outage; beside it `influxdb_client` with a Point for each line and its batching.

A sample here is one value. Every line also says quality, run and sequence number. The server shares both cores.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from influxdb_client import InfluxDBClient, Point, WriteOptions

from acquisition.model import Channel, Chunk, Header, Instant, Stream
from acquisition.remotes import line_protocol
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.reader import Shipment
from acquisition.remotes.shipper import Shipper
from acquisition.store import Store, StoreWriter
from acquisition.store.rows import Samples
from acquisition.timing.clock import Clock
from tests.remotes.proxy import FaultProxy, error
from tests.remotes.servers import InfluxGate, InfluxServer

T0 = 1_767_225_600 * 10**9
STEP = 25_000_000
TAGS = {"site": "ward", "station": "bed1"}
Row = dict[str, Any]


def measure() -> list[Row]:
    """Every table; of the servers only what is installed."""
    rows = list(_formatting())
    if shutil.which("influxd") and shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin"):
        rows += [*_catching_up(), *_outage()]
    return rows


def _formatting() -> Iterator[Row]:
    for channels in (1, 10):
        samples = _samples(20_000, channels)
        names = [f"c{i}" for i in range(channels)]
        tags = {**TAGS, "device": "ldf", "stream": "flux"}
        ours = _cpu(lambda names=names, samples=samples, tags=tags: line_protocol.encode("ldf", tags, names, samples))
        few = _samples(2_000, channels)
        points = _cpu(lambda few=few: "\n".join(each.to_line_protocol() for each in _points(few)))
        for who, seconds, count in (("by array", ours, samples), ("a Point a line", points, few)):
            yield {
                "fields a line": channels,
                "line protocol": who,
                "samples per CPU-second": round(count.values.size / seconds),
            }


def _cpu(call: Callable[[], object]) -> float:
    """CPU seconds of the best of five."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def _samples(n: int, channels: int, first: int = 0) -> Samples:
    rng = np.random.default_rng(first)
    values = np.round(40 + rng.normal(0, 5, (n, channels)), 1)
    time_ = T0 + (first + np.arange(n, dtype=np.int64)) * STEP
    return Samples(1, 1, first, time_, values, np.zeros(values.shape, np.uint8), None, np.array([[n, 0, 0]]))


def _points(samples: Samples) -> Iterator[Point]:
    for i in range(len(samples)):
        point = Point("ldf").tag("site", "ward").tag("station", "bed1").tag("device", "ldf").tag("stream", "flux")
        for channel, value in enumerate(samples.values[i].tolist()):
            point.field(f"c{channel}", value)
        yield point.field("quality", 0).field("run", 1).field("seq", samples.first + i).time(int(samples.time[i]))


def _catching_up() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with InfluxServer(folder / "influx") as server, InfluxGate(folder / "gate", server) as gate:
            for channels, n in ((1, 1_000_000), (10, 200_000)):
                server.create(f"ours{channels}")
                server.create(f"points{channels}")
                wall, cpu = _ship(folder / f"record{channels}", gate.url, f"ours{channels}", n, channels)
                few = n // 10
                base_wall, base_cpu = _batch(gate.url, f"points{channels}", few, channels)
                for who, count, seconds, used, bucket in (
                    ("perfusion, from its record", n, wall, cpu, "ours"),
                    ("influxdb_client, batching Points", few, base_wall, base_cpu, "points"),
                ):
                    stored = server.ask("SELECT count(c0) FROM ldf", f"{bucket}{channels}")[0][2]["count"][0]
                    yield {
                        "fields a line": channels,
                        "catch-up": who,
                        "stored": stored == count,
                        "samples/s": round(count * channels / seconds),
                        "samples per CPU-second": round(count * channels / used),
                        "times the baseline": round(count / seconds / (few / base_wall), 1),
                    }


def _ship(folder: Path, url: str, bucket: str, n: int, channels: int) -> tuple[float, float]:
    """Wall and CPU seconds in which a record of n lines reaches the server."""
    header = Header(
        "ldf", Stream("flux", tuple(Channel(f"c{i}", "1") for i in range(channels)), 40.0), "x", "inferred", "-", True
    )
    writer = StoreWriter(folder, clock=Clock(), flush=0.1, compact=None)
    writer.open()
    writer.begin_run(Instant(0, T0), T0, {})
    for first in range(0, n, 4000):
        part = _samples(4000, channels, first)
        stop = int(part.time[-1])
        writer.put(Chunk(header, 1, 1, first, Instant(stop, stop), part.time, part.values, part.quality))
        if first % 200_000 == 0:
            writer.flush(60)
    writer.flush(60)
    remote = InfluxWriter(url, "o", bucket, "t")
    shipper = Shipper(
        "influx", remote, writer, folder, Shipment(lambda _: "ldf", TAGS), lambda *_: None, lambda: T0, lag=1e9
    )
    began, used = time.perf_counter(), time.process_time()
    shipper.start()
    with Store(folder) as store:
        while (cursor := store.cursors().get("influx")) is None or cursor.positions.get(1, 0) < n:
            time.sleep(0.02)
    spent = time.perf_counter() - began, time.process_time() - used
    shipper.stop(5)
    writer.close()
    return spent


def _batch(url: str, bucket: str, n: int, channels: int) -> tuple[float, float]:
    began, used = time.perf_counter(), time.process_time()
    options = WriteOptions(batch_size=5000)
    with InfluxDBClient(url, "t", org="o") as client, client.write_api(write_options=options) as api:
        for point in _points(_samples(n, channels)):
            api.write(bucket, "o", point)
    return time.perf_counter() - began, time.process_time() - used


def _outage() -> Iterator[Row]:
    """The server away while a million samples are recorded, then back."""
    up = threading.Event()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            InfluxServer(folder / "influx") as server,
            InfluxGate(folder / "gate", server) as gate,
            FaultProxy(gate.url, lambda body: None if up.is_set() else error(503), keep=False) as proxy,
        ):
            server.create("ward")
            command = [
                sys.executable,
                "-m",
                "tests.remotes.outage",
                str(folder / "record"),
                proxy.url,
                "ward",
                "1000000",
            ]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            assert process.stdout is not None
            with process.stdout as said:
                said.readline()
                up.set()
                found = json.loads(said.readline())
            process.wait(60)
    yield {
        "outage": f"{timedelta(seconds=1_000_000 / 40)} of 40 Hz",
        "memory grown, MB": round(found["grown"], 1),
        "disk, bytes a sample": round(found["bytes"], 1),
        "drained, samples/s": round(found["samples"] / found["drained"]),
    }


if __name__ == "__main__":
    for row in measure():
        print(json.dumps(row))
