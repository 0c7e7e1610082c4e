"""Simulated line instruments for measurements: many pseudo-terminals fed by one process, not paced.

`python -m benchmarks.senders FOLDER PORTS CHANNELS RATE SECONDS [--stamps]` makes the links FOLDER/0, FOLDER/1, …,
prints `ready`, waits for a line on stdin, sends SECONDS * RATE lines to each port, reports as JSON what it sent and
how many bytes a full port refused, and keeps the ports open until stdin ends. Value i of line n is
(n * CHANNELS + i) % 65536 / 64; with `--stamps` the first value is the monotonic second at which the line was sent.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import tty
from pathlib import Path

TICK = 0.0025


def line(n: int, channels: int) -> bytes:
    """The text of line n."""
    return b",".join(b"%.6f" % ((n * channels + i) % 65536 / 64) for i in range(channels)) + b"\n"


def main() -> None:
    """Send and report."""
    folder, ports, channels = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rate, seconds = float(sys.argv[4]), float(sys.argv[5])
    stamps = sys.argv[6:] == ["--stamps"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    masters = []
    for port in range(ports):
        master, slave = os.openpty()
        tty.setraw(slave)
        (folder / str(port)).symlink_to(os.ttyname(slave))
        os.set_blocking(master, False)
        masters.append((master, slave))
    count = round(rate * seconds)
    lines = [line(n, channels) for n in range(min(count, 65536))]
    print("ready", flush=True)
    sys.stdin.readline()
    refused = 0
    sent = [0] * ports
    begin = time.monotonic()
    while min(sent) < count:
        elapsed = time.monotonic() - begin
        for port, (master, _) in enumerate(masters):
            # Each port has a phase of its own, as instruments that know nothing of each other.
            due = min(int(rate * elapsed - port / ports) + 1, count)
            if due > sent[port]:
                data = b"".join(lines[n % 65536] for n in range(sent[port], due))
                if stamps:
                    data = b"%.9f," % time.monotonic() + data.partition(b",")[2]
                try:
                    written = os.write(master, data)
                except BlockingIOError:
                    written = 0
                refused += len(data) - written
                sent[port] = due
        time.sleep(TICK)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"lines": count, "refused": refused, "cpu": used.ru_utime + used.ru_stime}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
