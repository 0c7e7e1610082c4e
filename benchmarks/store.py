"""Cost of the record: bytes per value, values committed per second, time to read an hour and a day, commits while
old rows are compressed; beside it the plain table of a row per value (WAL, synchronous=NORMAL, which may lose commits),
and, where they are installed, Parquet and DuckDB.

Values are a noisy flux at 40 Hz on a grid of 0.1 that arrives 2 ms late on average. "live" commits every 0.1 s of data,
"backlog" as fast as it goes. Sizes count the file without its free pages.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from scipy.signal import lfilter

from acquisition.device.sequencer import InstrumentClocks, StreamSequencer
from acquisition.model import Channel, Chunk, Floats, Header, Instant, Readings, Stream
from acquisition.store import Store, StoreWriter
from acquisition.store.compaction import Compactor
from acquisition.timing.clock import MICROSECOND, Clock, Timeline
from benchmarks.columnar import columnar

RATE, FAST = 40, 1 + 30e-6
"""Samples a second by the header, and by how much the instrument's crystal makes it more."""
SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
HOUR, DAY = 3600, 86400


def measure() -> list[dict[str, Any]]:
    """Every table."""
    return [*_costs(), *_sizes(), *_reading(), *_commits(), *_baseline(), *_columns()]


def _header(device: str, channels: int) -> Header:
    names = tuple(Channel(f"c{i}", "[arb'U]") for i in range(channels))
    return Header(device, Stream("flux", names, float(RATE)), "measurement", "inferred", "benchmarks/store.py", True)


class _Flux:
    """Chunks of one stream as the service makes them: the book gives times to arrivals that are late by exp(2 ms)."""

    def __init__(self, header: Header, seed: int, filtered: bool = False) -> None:
        self.header = header
        self._sequencer = StreamSequencer(header, Timeline(1, 0, T0), InstrumentClocks(), patience=DAY)
        self._filtered = filtered
        self._level: Any = 0.0
        self._rng = np.random.default_rng(seed)
        self._ahead = np.empty((0, len(header.stream.channels)))
        self._made = self._next = 0

    def chunk(self, n: int) -> Chunk:
        """The next n samples, in one arrival."""
        if len(self._ahead) < n:
            self._ahead = np.concatenate([self._ahead, self._flux(max(n, 4000))])
        values, self._ahead = self._ahead[:n].copy(), self._ahead[n:]
        self._next += n
        late = self._rng.exponential(0.002)
        monotonic = int(((self._next - 1) / RATE / FAST + late) * 1e6) * MICROSECOND
        readings = Readings(self.header.stream.name, values, np.zeros(values.shape, np.uint8))
        return self._sequencer.chunk(readings, Instant(monotonic, T0 + monotonic), 1)

    def _flux(self, n: int) -> Floats:
        """The next n values of each channel: a pulse, vasomotion and a noise of 1 PU."""
        second = np.arange(self._made, self._made + n) / RATE
        self._made += n
        wave = 40.0 + 6.0 * np.sin(2 * np.pi * 1.1 * second) + 4.0 * np.sin(2 * np.pi * 0.1 * second)
        noise = self._rng.normal(0.0, 1.0, (n, len(self.header.stream.channels)))
        if self._filtered:
            noise = self._smooth(noise)
        values: Floats = np.round(wave[:, None] + noise, 1)
        return values

    def _smooth(self, noise: Floats) -> Floats:
        """What an instrument's time constant of 0.2 s leaves of the noise."""
        keep = float(np.exp(-1 / RATE / 0.2))
        smooth, state = lfilter([1 - keep], [1, -keep], noise, axis=0, zi=np.broadcast_to(self._level, noise[:1].shape))
        self._level = state
        result: Floats = smooth
        return result


def _writer(folder: Path, **more: Any) -> StoreWriter:
    writer = StoreWriter(folder, clock=Clock(), flush=0.05, compact=None, **more)
    writer.open()
    writer.begin_run(Instant(0, T0), T0, {})
    return writer


def _used(file: Path) -> int:
    connection = apsw.Connection(str(file))
    try:
        return int(
            (connection.pragma("page_count") - connection.pragma("freelist_count")) * connection.pragma("page_size")
        )
    finally:
        connection.close()


def _costs() -> Iterator[dict[str, Any]]:
    for streams, channels, seconds in ((1, 10, HOUR), (100, 10, 240)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            sources = [_Flux(_header(f"d{i}", channels), i) for i in range(streams)]
            writer = _writer(path, backlog=1 << 30)
            live = [source.chunk(RATE // 10) for _ in range(100) for source in sources]
            spent = 0.0
            for k in range(0, len(live), streams):
                began = time.perf_counter()
                for chunk in live[k : k + streams]:
                    writer.put(chunk)
                writer.flush(60)
                spent += time.perf_counter() - began
            live_rate = sum(c.values.size for c in live) / spent
            rest = [source.chunk(RATE // 10) for _ in range(seconds * 10 - 100) for source in sources]
            count = sum(c.values.size for c in rest)
            began, busy = time.perf_counter(), time.process_time()
            for k in range(0, len(rest), 50 * streams):
                for chunk in rest[k : k + 50 * streams]:
                    writer.put(chunk)
                writer.flush(60)
            backlog_rate = count / (time.perf_counter() - began)
            busy = time.process_time() - busy
            before = _used(path / "record.db")
            began = time.perf_counter()
            Compactor(path / "record.db", writer.submit).run_once()
            compressing = time.perf_counter() - began
            writer.close()
            total = count + sum(c.values.size for c in live)
            connection = apsw.Connection(str(path / "record.db"))
            size, n = next(iter(connection.execute("SELECT sum(length(body)), sum(n) FROM block")))
            drawn = next(iter(connection.execute("SELECT total(length(body)) FROM overview")))[0]
            connection.close()
            yield {
                "channels": streams * channels,
                "live values/s": round(live_rate),
                "backlog values/s": round(backlog_rate),
                "values per CPU-second": round(count / busy),
                "compressed values/s": round(n * channels / compressing),
                "bytes/value, rows": round(before / total, 1),
                "bytes/value, blocks": round(size / n / channels, 2),
                "with the overview": round((size + drawn) / n / channels, 2),
            }


def _sizes() -> Iterator[dict[str, Any]]:
    for at_once, filtered in product((4, 400), (False, True)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            source = _Flux(_header("ldf", 1), 1, filtered)
            writer = _writer(path, backlog=1 << 30)
            for arrival in range(6 * HOUR * RATE // at_once):
                writer.put(source.chunk(at_once))
                if at_once == 400 or arrival % 100 == 99:
                    writer.flush(60)
            Compactor(path / "record.db", writer.submit).run_once()
            writer.close()
            connection = apsw.Connection(str(path / "record.db"))
            blocks, n = next(iter(connection.execute("SELECT sum(length(body)), sum(n) FROM block")))
            drawn = next(iter(connection.execute("SELECT total(length(body)) FROM overview")))[0]
            connection.close()
            yield {
                "one channel, 6 h": "after the instrument's filter of 0.2 s" if filtered else "noisy",
                "arrivals": f"{at_once} samples each {at_once / RATE:g} s",
                "bytes/value, blocks": round(blocks / n, 2),
                "with the overview": round((blocks + drawn) / n, 2),
                "all-in: the file": round(_used(path / "record.db") / n, 2),
            }


def _best(call: Callable[[], object], times: int = 5) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return round(min(found) * 1000, 1)


def _reading() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        source = _Flux(_header("ldf", 10), 1)
        writer = _writer(path, backlog=1 << 30)
        for _ in range(DAY * RATE // 8000):
            writer.put(source.chunk(8000))
            writer.flush(60)
        Compactor(path / "record.db", writer.submit).run_once()
        writer.close()
        with Store(path) as store:
            for name, seconds in (("hour", HOUR), ("day", DAY)):
                start, stop = T0 - SECOND, T0 + seconds * SECOND
                for channels in (["c0"], [f"c{i}" for i in range(10)]):

                    def exact(channels: list[str] = channels, start: int = start, stop: int = stop) -> object:
                        return store.read("ldf", channels, start, stop)

                    def drawn(channels: list[str] = channels, start: int = start, stop: int = stop) -> object:
                        return store.overview("ldf", channels, start, stop, 1000)

                    yield {
                        "span": name,
                        "channels": len(channels),
                        "samples": len(store.read("ldf", channels, start, stop)),
                        "exact, ms": _best(exact, 3),
                        "1000 points, ms": _best(drawn),
                    }


def _commits() -> Iterator[dict[str, Any]]:
    for compressing in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            sources = [_Flux(_header(f"d{i}", 10), i) for i in range(100)]
            writer = _writer(path, backlog=1 << 30)
            for _ in range(60):
                for source in sources:
                    writer.put(source.chunk(200))
                writer.flush(60)
            stopped = threading.Event()
            compactor = Compactor(path / "record.db", writer.submit)
            thread = threading.Thread(target=compactor.run_once, args=(stopped,))
            if compressing:
                thread.start()
            delays, began = [], time.perf_counter()
            for k in range(150):
                batch = [source.chunk(4) for source in sources]
                time.sleep(max(began + k * 0.1 - time.perf_counter(), 0.0))
                put = time.perf_counter()
                for chunk in batch:
                    writer.put(chunk)
                writer.flush(60)
                delays.append((time.perf_counter() - put) * 1000)
            stopped.set()
            if compressing:
                thread.join()
            writer.close()
            low, middle, high = np.percentile(delays, (50, 99, 100))
            yield {
                "100 devices x 10 channels, commit": "while compressing" if compressing else "alone",
                "p50, ms": round(float(low), 1),
                "p99, ms": round(float(middle), 1),
                "max, ms": round(float(high), 1),
            }


def _baseline() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plain.db"
        connection = apsw.Connection(str(file))
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        connection.execute(
            "CREATE TABLE value (channel INTEGER, time INTEGER, value REAL, PRIMARY KEY (channel, time)) WITHOUT ROWID"
        )
        source = _Flux(_header("ldf", 10), 1)
        chunks = [source.chunk(4) for _ in range(HOUR * RATE // 4)]
        began = time.perf_counter()
        for k in range(0, len(chunks), 50):
            with connection:
                connection.executemany(
                    "INSERT INTO value VALUES (?,?,?)",
                    (
                        (channel, at, value)
                        for chunk in chunks[k : k + 50]
                        for at, row in zip(chunk.time.tolist(), chunk.values.tolist(), strict=True)
                        for channel, value in enumerate(row)
                    ),
                )
        spent = time.perf_counter() - began
        count = sum(c.values.size for c in chunks)
        one = "SELECT time, value FROM value WHERE channel = 0 ORDER BY time"
        width = HOUR * SECOND // 1000
        bins = f"SELECT time / {width}, min(value), max(value), avg(value) FROM value WHERE channel = 0 GROUP BY 1"
        yield {
            "a row per value, 1 h x 10 channels": "SQLite, WAL, NORMAL",
            "backlog values/s": round(count / spent),
            "bytes/value": round(_used(file) / count, 1),
            "exact hour of one channel, ms": _best(lambda: np.array(list(connection.execute(one))), 3),
            "1000 points of it, ms": _best(lambda: list(connection.execute(bins)), 3),
        }
        connection.close()


def _columns() -> list[dict[str, Any]]:
    source = _Flux(_header("ldf", 10), 1)
    chunks = [source.chunk(400) for _ in range(HOUR * RATE // 400)]
    times = np.concatenate([chunk.time for chunk in chunks])
    values = np.concatenate([chunk.values for chunk in chunks])
    with tempfile.TemporaryDirectory() as folder:
        return columnar(Path(folder), times, values, _best)
