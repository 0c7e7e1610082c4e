"""The baseline: what a lab would write today. A thread for each port, `readline()`, a Point for each line.

`python -m benchmarks.naive_influx batch|single FOLDER PORTS SECONDS URL` sends for so many seconds, by the batching
writer that all threads share or by one write per Point, then reports its CPU seconds as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from pathlib import Path

import serial
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS, WriteOptions


def main() -> None:
    """Send and report."""
    how, folder, ports, seconds, url = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    client = InfluxDBClient(url, "t", org="o")
    api = client.write_api(write_options=SYNCHRONOUS if how == "single" else WriteOptions(batch_size=5000))
    over = time.monotonic() + seconds

    def read(port: int) -> None:
        with serial.Serial(str(folder / str(port)), 115200, timeout=0.5) as link:
            while time.monotonic() < over:
                text = link.readline()
                if not text.endswith(b"\n"):
                    continue
                point = Point("naive").tag("port", str(port)).time(time.time_ns())
                try:
                    for channel, value in enumerate(text.split(b",")):
                        point.field(f"c{channel}", float(value))
                except ValueError:
                    continue  # a full port cut a line
                api.write("ward", "o", point)

    threads = [threading.Thread(target=read, args=(port,)) for port in range(ports)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    for thread in threads:
        thread.join()
    api.close()
    client.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"cpu": used.ru_utime + used.ru_stime}), flush=True)


if __name__ == "__main__":
    main()
