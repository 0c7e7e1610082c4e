"""Cost of decoding: values per second of processor time that each driver makes of its instrument's bytes, from
frame to scaled and flagged samples, beside a straightforward parser of the same protocol (benchmarks/parsers.py).

A block decoder stands beside its limit: reading the numbers by np.frombuffer and one scaling of them, with no frame,
sentinel, range or quality looked at. Drivers that ask and are answered one sample at a time are measured over the
whole of a recorded conversation, their questions included; what a bench needs of them is a few values a second.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from acquisition.config import documents
from acquisition.driverkit.analog import Input
from acquisition.driverkit.driver import Driver, Setup
from acquisition.driverkit.registry import drivers
from acquisition.model import Readings
from benchmarks import parsers
from drivers.di1100 import VOLTS_PER_COUNT, Scans
from drivers.snuadc import MIDDLE, PER_VOLT, Frames
from simulators.bench.registry import simulators
from simulators.bench.wiring import usual, wire
from simulators.patient.physiology import Participant
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan

ENOUGH = 1.0
"""Seconds of processor time that a measurement takes at least."""
READ = 65_536
"""Bytes that one read of a busy line brings."""

Call = tuple[str, bytes, float]
Parser = Callable[[bytes], Iterator[float]]
Work = Callable[[], int]
"""Does something, and answers how many values came of it."""


def measure() -> list[dict[str, Any]]:
    """Rows of the block decoders, then of the conversations."""
    return [*blocks(), *conversations()]


def blocks() -> Iterator[dict[str, Any]]:
    flux, backscatter = (wire(each) for each in usual(0, 1))
    n = 1 << 18
    rng = np.random.default_rng(1)
    scans = Scans(rng.integers(-3000, 3000, (n, 4)).astype(np.int16)).encode()
    four = tuple(_input(each, k) for k, each in enumerate((flux, backscatter, flux, backscatter)))
    yield _stream("di1100", {"rate": 40_000.0}, four, scans, parsers.di1100, _counts)
    frames = Frames(rng.integers(300, 700, (n, 8)).astype(np.uint16), np.zeros((n, 2), bool)).encode()
    eight = tuple(_input(each, k) for k, each in enumerate((flux, backscatter) * 4))
    yield _stream("snuadc", {"rate": 1000}, eight, frames, parsers.snuadc, _packed)
    yield _fetched()


def _stream(
    name: str,
    options: dict[str, Any],
    inputs: tuple[Input, ...],
    data: bytes,
    parser: Parser,
    limit: Callable[..., Any],
) -> dict[str, Any]:
    """A digitiser that streams: its bytes as a busy line brings them."""
    kind = drivers()[name]
    driver = kind(Setup(name, msgspec.convert(options, kind.Options), inputs))
    driver.start(0.0)
    while questions := driver.to_send():
        list(driver.receive(b"".join(questions), 0.0))
    reads = [data[start : start + READ] for start in range(0, len(data), READ)]
    return _block(
        name,
        lambda: sum(_values(item) for read in reads for item in driver.receive(read, 0.0)),
        lambda: sum(1 for _ in parser(data[: len(data) // 16 // 96 * 96])),
        lambda: sum(limit(read) for read in reads),
    )


def _fetched() -> dict[str, Any]:
    """A digitiser that is emptied, 10 000 binary readings at once."""
    name, options, patience = "34465a", {"interval": 0.001, "batch": 10_000, "binary": True}, 50.0
    calls = _recorded(name, options, 1000.0, patience)
    blocks = list(parsers.scpi_block(b"".join(call[1] for call in calls)))
    return _block(
        f"{name}, binary",
        lambda: _play(_driver(name, options, patience), calls),
        lambda: sum(1 for block in blocks for _ in parsers.reals(block)),
        lambda: sum(len(np.frombuffer(block, ">f8").astype(np.float64) / 1e-3) for block in blocks),
    )


def _block(name: str, decode: Work, parse: Work, bare: Work) -> dict[str, Any]:
    fast, slow, most = _rate(decode), _rate(parse), _rate(bare)
    return {
        "block_decoder": name,
        "million_values_per_s": round(fast / 1e6, 1),
        "per_frame_parser": round(slow / 1e6, 2),
        "times_faster": round(fast / slow),
        "limit": round(most / 1e6),
    }


def _counts(read: bytes) -> int:
    return len(np.frombuffer(read, "<i2").astype(np.float64) * VOLTS_PER_COUNT)


def _packed(read: bytes) -> int:
    """Two thirds of the bytes are a count's own."""
    counts = np.frombuffer(read, np.uint8)[: len(read) * 2 // 3]
    return len((counts.astype(np.float64) - MIDDLE) / PER_VOLT)


def _input(each: Input, terminal: int) -> Input:
    return Input(str(terminal), f"in{terminal}", each.profile, each.confirmed, each.citation, each.signal)


CONVERSATIONS: tuple[tuple[str, dict[str, Any], float, float, Parser], ...] = (
    ("34465a", {"interval": 0.001, "batch": 10_000}, 600.0, 50.0, parsers.samples),
    ("daq970a", {"interval": 0.02, "batch": 10_000}, 3600.0, 200.0, parsers.scan),
    ("intellivue", {}, 1800.0, 1.0, parsers.intellivue),
    ("trackmaster", {}, 600.0, 1.0, parsers.trackmaster),
    ("woodway", {}, 600.0, 1.0, parsers.woodway),
    ("csafe", {}, 600.0, 1.0, parsers.csafe),
    ("tosca500", {}, 1800.0, 1.0, parsers.tosca500),
    ("tosca500-csv", {}, 1800.0, 1.0, parsers.tosca500_csv),
    ("ascii", {}, 1800.0, 1.0, parsers.ascii_lines),
)
"""Driver, options beside its example's, simulated seconds, how many times as fast they go, the parser beside it."""


def conversations() -> Iterator[dict[str, Any]]:
    for name, options, seconds, patience, parser in CONVERSATIONS:
        calls = _recorded(name, options, seconds, patience)
        data = b"".join(call[1] for call in calls)
        fast = _rate(lambda: _play(_driver(name, options, patience), calls))  # noqa: B023
        slow = _rate(lambda: sum(1 for _ in parser(data)))  # noqa: B023
        yield {
            "conversation": name,
            "values_per_s": round(fast),
            "per_frame_parser": round(slow),
            "times_faster": round(fast / slow, 2),
        }


def _recorded(name: str, options: dict[str, Any], seconds: float, patience: float) -> list[Call]:
    """All that a driver is called with in so many seconds with its simulator."""
    recorded = _Recorded(_driver(name, options, patience))
    simulator = simulators()[name]
    chosen = msgspec.convert(simulator.example(name).simulator, simulator.Options)
    converse(recorded, simulator(Plan(name, Participant("claudicant", "tour", 3), chosen)), seconds)  # type: ignore[arg-type]
    return recorded.calls


def _driver(name: str, options: dict[str, Any], patience: float) -> Driver:
    kind, example = drivers()[name], simulators()[name].example(name)
    chosen = msgspec.convert({**example.driver, **options}, kind.Options)
    return kind(
        Setup(name, chosen, example.inputs, patience, documents=documents(kind, chosen, Path("benchmark.toml")))
    )


class _Recorded:
    """A driver that keeps what it is called with."""

    def __init__(self, driver: Driver) -> None:
        self.calls: list[Call] = []
        self._driver = driver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)

    def start(self, at: float) -> None:
        self.calls.append(("start", b"", at))
        self._driver.start(at)

    def poll(self, at: float) -> None:
        self.calls.append(("poll", b"", at))
        self._driver.poll(at)

    def receive(self, data: bytes, at: float) -> Iterator[Any]:
        self.calls.append(("receive", data, at))
        return self._driver.receive(data, at)


def _play(driver: Driver, calls: Iterable[Call]) -> int:
    found = 0
    for name, data, at in calls:
        if name == "receive":
            for item in driver.receive(data, at):
                found += _values(item)
        elif name == "poll":
            driver.poll(at)
        else:
            driver.start(at)
        driver.to_send()
        driver.to_say()
    return found


def _values(item: object) -> int:
    return item.values.size if isinstance(item, Readings) else 0


def _rate(work: Work) -> float:
    """What `work` counts, per second of processor time; the best of as many runs as fit."""
    best, spent = 0.0, 0.0
    while spent < ENOUGH:
        begun = time.process_time()
        count = work()
        took = time.process_time() - begun
        best, spent = max(best, count / took), spent + took
    return best


if __name__ == "__main__":
    for row in measure():
        print(json.dumps(row))
