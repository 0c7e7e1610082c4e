"""A process that records through a long outage, in virtual time, and ships beside it; says what memory that took.

`python -m tests.remotes.outage DIR URL BUCKET SAMPLES`: records so many samples of a 40 Hz flux as fast as it can while
the server is away, prints where virtual time stands, then goes on live, 20 samples a second, until all is delivered.
"""

import json
import logging
import re
import sys
import time
from pathlib import Path

from acquisition.store import Store
from tests.remotes.landed import ship
from tests.store.records import T0, Recording, Source, header

STRETCH = 20_000
"""Samples between two looks at what waits: no more are in memory."""
LIVE = header(device="tcpo2", stream="po2", channels=("chest",), rate=20.0)


def resident(name):
    """VmRSS or VmHWM, MB."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def main(directory, url, bucket, samples):
    logging.disable(logging.WARNING)
    directory = Path(directory)
    source = Source(header(channels=("flux",)))
    live = Source(LIVE)
    base = [0, 0]

    def now():
        return base[0] + time.monotonic_ns() - base[1] if base[1] else source.time

    with Recording(directory, compact=1.0, flush=0.1) as writer:
        # One of each beforehand, so that only what grows with the outage counts.
        writer.put(source.chunk(400))
        writer.put(live.chunk(1))
        writer.flush()
        shipper = ship(url, bucket, writer, directory, key_now=now, flush=0.05)
        time.sleep(0.5)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident("VmRSS")
        while source.next < samples:
            for _ in range(STRETCH // 400):
                writer.put(source.chunk(400))
            assert writer.flush(60)
        live.time = source.time
        base[:] = source.time, time.monotonic_ns()
        begun = time.monotonic()
        print(json.dumps({"base": base, "time": T0}), flush=True)
        while not caught_up(directory, writer):
            for _ in range(10):
                live.time = max(now(), live.time)
                writer.put(live.chunk(1))
                time.sleep(0.05)
        drained = time.monotonic() - begun
        shipper.stop(20)
        grown = resident("VmHWM") - before
        with Store(directory) as store:
            held = sum(info.samples for info in store.streams())
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    print(json.dumps({"grown": grown, "drained": drained, "samples": held, "bytes": size / held}), flush=True)


def caught_up(directory, writer):
    """Whether nothing waits but what was recorded just now."""
    writer.flush()
    with Store(directory) as store:
        cursor = store.cursors().get("influx")
        return cursor is not None and all(end - cursor.positions.get(s, 0) < 100 for s, end in store.ends().items())


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
