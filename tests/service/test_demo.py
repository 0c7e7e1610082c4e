"""`perfusion demo`, as a newcomer runs it: three instruments, and a record that is left behind or removed."""

import json
import signal
import time
from pathlib import Path

from tests.service.bench import children, demo, perfusion


def test_it_ends_by_itself_and_leaves_a_whole_record(tmp_path):
    ended = perfusion("demo", "--no-browser", "--port", "0", "--for", "8", "--data", tmp_path, "--seed", "3")
    assert ended.returncode == 0, ended.stderr
    assert "live page: http://127.0.0.1:" in ended.stdout
    assert perfusion("verify", tmp_path).returncode == 0
    held = {(s["device"], s["stream"]): s for s in json.loads(perfusion("query", tmp_path, "--json").stdout)}
    assert set(held) == {
        ("ldf", "flux"), ("ldf", "backscatter"), ("ldf", "cuff_pressure"), ("tcpo2", "chest"), ("tcpo2", "calf"),
        ("treadmill", "belt"), ("treadmill", "distance"),
    }  # fmt: skip
    assert all(stream["simulated"] for stream in held.values())
    assert held["ldf", "flux"]["samples"] > 80
    assert not any(stream["gaps"] for stream in held.values())


def test_a_killed_demo_leaves_no_orphan(tmp_path):
    with demo("--data", tmp_path) as (process, _):
        started = children(process.pid)
        assert set(started) == {"daq970a", "intellivue", "trackmaster"}
        process.kill()
        process.wait()
        end = time.monotonic() + 5
        while any(Path(f"/proc/{pid}").exists() for pid in started.values()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not [name for name, pid in started.items() if Path(f"/proc/{pid}").exists()]


def test_the_record_is_removed_where_no_folder_was_named():
    with demo() as (process, _):
        record = next(Path("/tmp").glob("perfusion-demo-*/demo.toml"), None)
        assert record is not None
        process.send_signal(signal.SIGINT)
        assert process.wait(15) in (0, 130)
    assert not record.exists()
