"""The baseline: what a lab would write today. A thread for each port, `readline()`, one row for each value in SQLite.

`python -m benchmarks.naive FOLDER PORTS SECONDS DATABASE` records for so many seconds, then reports as JSON. WAL,
synchronous NORMAL, one commit a second, one lock around the connection.
"""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
import threading
import time
from pathlib import Path

import serial


def main() -> None:
    """Record and report."""
    folder, ports, seconds, database = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connection = sqlite3.connect(database, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE reading (time REAL, port INTEGER, channel INTEGER, value REAL)")
    lock = threading.Lock()
    over = time.monotonic() + seconds

    def read(port: int) -> None:
        with serial.Serial(str(folder / str(port)), 115200, timeout=0.5) as link:
            while time.monotonic() < over:
                line = link.readline()
                if not line.endswith(b"\n"):
                    continue
                now = time.time()
                try:
                    values = [float(text) for text in line.split(b",")]
                except ValueError:
                    continue  # a full port cut a line
                with lock:
                    for channel, value in enumerate(values):
                        connection.execute("INSERT INTO reading VALUES (?,?,?,?)", (now, port, channel, value))

    threads = [threading.Thread(target=read, args=(port,)) for port in range(ports)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    while any(thread.is_alive() for thread in threads):
        time.sleep(1)
        with lock:
            connection.commit()
    (rows,) = connection.execute("SELECT count(*) FROM reading").fetchone()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"values": rows, "cpu": used.ru_utime + used.ru_stime}), flush=True)


if __name__ == "__main__":
    main()
