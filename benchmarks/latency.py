"""Latency of a reading: from the last byte sent to the live queue, and to the commit."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.config import load
from acquisition.config.tables import Record
from acquisition.daemon.service import Service
from acquisition.model import Chunk, Event
from acquisition.timing.clock import Clock
from benchmarks.line import entry_point
from benchmarks.throughput import bench_toml, run_while_sending, senders

PORTS, CHANNELS, RATE = 100, 10, 40.0


def measure(seconds: float = 10.0) -> list[dict[str, Any]]:
    """Rows: where a sample has come to, and p50, p99 and the maximum in ms since its last byte was sent."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        links = folder / "links"
        links.mkdir()
        environment = entry_point(folder / "meta")
        sys.path[:0] = [str(folder / "meta")]
        os.environ["PYTHONPATH"] = environment["PYTHONPATH"]
        with senders(links, PORTS, CHANNELS, RATE, seconds, "--stamps") as instruments:
            live, committed = asyncio.run(_run(bench_toml(folder, links, PORTS, CHANNELS, RATE), instruments))
    load_text = f"{PORTS} ports x {CHANNELS} channels x {RATE:g} Hz"
    return [
        _row(load_text, "live queue", live),
        _row(load_text, f"committed (flush {Record().flush * 1e3:g} ms)", committed),
    ]


async def _run(path: Path, instruments: Any) -> tuple[list[float], list[float]]:
    clock = Clock()
    started = clock.now().seconds
    live: list[float] = []
    committed: list[float] = []
    sent: dict[str, list[float]] = {}

    def heard(item: Chunk | Event) -> None:
        if type(item) is Chunk:
            stamps = item.values[:, 0].tolist()
            sent.setdefault(item.header.device, []).extend(stamps)
            # Of lines that a late sender wrote together, only the first has a stamp.
            live.extend(clock.now().seconds - stamp for stamp in stamps[-1:] if stamp > started)

    def witnessed(text: str) -> None:
        now = clock.now().seconds
        for device, _, first, n in map(json.loads, text.splitlines()):
            committed.extend(now - stamp for stamp in sent[device][first : first + n] if stamp > started)

    service = Service(load(path), clock, witness=witnessed)
    service.subscribe(heard)
    await run_while_sending(service, instruments)
    return live, committed


def _row(load_text: str, where: str, seconds: list[float]) -> dict[str, Any]:
    ms = np.array(seconds) * 1e3
    p50, p99 = np.percentile(ms, [50, 99])
    return {
        "load": load_text,
        "where": where,
        "samples": len(ms),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(float(ms.max()), 2),
    }


if __name__ == "__main__":
    for row in measure():
        print(json.dumps(row))
