"""Records for the store's tests: streams whose values, flags and times are known, written without a device."""

import apsw
import numpy as np

from acquisition.model import Channel, Chunk, Event, Gap, Header, Instant, Stream
from acquisition.store import StoreWriter, compaction
from acquisition.timing.clock import Clock

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
STEP = 25_000_000
SMALL = 64
"""Samples of a small block, where a test does not say otherwise."""


def header(device="ldf", stream="flux", channels=("flux", "backscatter"), rate=40.0, simulated=True, unit="[arb'U]"):
    return Header(
        device, Stream(stream, tuple(Channel(c, unit) for c in channels), rate), "a driver", "documented", "a test",
        simulated,
    )  # fmt: skip


class Source:
    """Makes consecutive chunks of one stream: values on a grid of 0.1, with NaN and flags here and there."""

    def __init__(self, head=None, run=1, seed=1, first=0, start=T0, connection=1):
        self.header = head or header()
        self.run, self.connection = run, connection
        self.next, self.time = first, start
        self._rng = np.random.default_rng(seed)
        self._level = 30.0

    def chunk(self, n=4, lost=None, cause="unplugged", device_time=False):
        """The next n samples; with `lost` after a hole of so many (0: none missing, -1: nobody knows)."""
        gap = None
        if lost is not None:
            first = self.next + (1 if lost < 0 else lost)
            missing = None if lost < 0 else lost
            gap = Gap(self.time - STEP, self.time + max(lost, 1) * STEP, self.next - 1, first, cause, missing)
            self.next, self.time = first, gap.stop
            self.connection += 1
        time = self.time + np.arange(n, dtype=np.int64) * STEP
        width = len(self.header.stream.channels)
        values = np.round(self._level + np.cumsum(self._rng.normal(0, 0.3, (n, width)), axis=0), 1)
        self._level = float(values[-1, 0])
        quality = np.zeros((n, width), np.uint8)
        bad = self._rng.random((n, width)) < 0.02
        values[bad], quality[bad] = np.nan, 1
        times = None
        if device_time:
            times = np.arange(self.next, self.next + n) * (STEP / SECOND)
        arrived = Instant(int(time[-1]) - T0 + 3_000_000, int(time[-1]) + 3_000_000)
        first, self.next, self.time = self.next, self.next + n, int(time[-1]) + STEP
        return Chunk(
            self.header, self.run, self.connection, first, arrived, time, values, quality, times, gap
        )  # fmt: skip


def event(time=T0, kind="state", device="ldf", text="STREAMING", **details):
    return Event(kind, time, device, text, details)


class Recording:
    """A writer on a folder, its run begun; `with Recording(path) as writer`."""

    def __init__(self, directory, begin=True, writer_class=StoreWriter, **more):
        self.writer = writer_class(directory, clock=Clock(), **{"flush": 0.01, "retry": 0.01, **more})
        self._begin = begin

    def __enter__(self):
        self.writer.open()
        self.run = self.writer.begin_run(Instant(0, T0), T0, {"host": "test"}) if self._begin else None
        return self.writer

    def __exit__(self, *_):
        self.writer.close()


def record(directory, items, **more):
    """Write items into a record and close it."""
    with Recording(directory, **more) as writer:
        for item in items:
            writer.put(item)
            if more.get("each"):
                assert writer.flush()
    return directory


def compress(writer, samples=SMALL, large=compaction.LARGE):
    """Compress and merge what is due; answers how many blocks were made."""
    return compaction.Compactor(writer._file, writer.submit, samples=samples, large=large, vfs=writer._vfs).run_once()


def asked(directory, query):
    """Rows of a query, past everything."""
    connection = apsw.Connection(str(directory / "record.db"))
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def spans(directory):
    """First sample and number of samples of each block."""
    return asked(directory, "SELECT first, n FROM block ORDER BY first")


def tiers(directory):
    """How many rows and how many blocks there are."""
    return [asked(directory, f"SELECT count(*) FROM {each}")[0][0] for each in ("chunk", "block")]
