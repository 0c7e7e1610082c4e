"""`perfusion demo`, as a newcomer runs it: three instruments, a live page, and a record that is left behind."""

import contextlib
import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.service.bench import PERFUSION, perfusion

STALE_WITHIN = 3.0


def children(pid):
    """The processes that a process started, by the simulator's name."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                words = (status.parent / "cmdline").read_bytes().split(b"\0")
                if b"simulators" in words:
                    found[words[words.index(b"simulators") + 1].decode()] = int(status.parent.name)
    return found


@contextlib.contextmanager
def demo(*arguments):
    process = subprocess.Popen(
        [*PERFUSION, "demo", "--no-browser", "--port", "0", *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    try:
        url = next(match[0] for line in process.stdout if (match := re.search(r"http://\S+", line)))
        yield process, url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(15)
        finally:
            process.stdout.close()


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


@pytest.mark.timeout(120)
def test_a_person_sees_three_kinds_of_value_change_and_a_stopped_instrument_go_stale(chromium):
    with demo("--scenario", "tour") as (process, url), chromium.watch(url) as page:
        wanted = {("ldf", "flux"), ("tcpo2", "calf"), ("treadmill", "belt")}
        page.until(lambda digits: wanted <= {key[:2] for key in digits})
        before = page.digits()
        changed = set()
        end = time.monotonic() + 75
        while changed != wanted and time.monotonic() < end:
            time.sleep(0.25)
            now = page.digits()
            changed |= {key[:2] for key in now if key[:2] in wanted and now[key] != before.get(key)}
        assert changed == wanted, f"unchanged: {wanted - changed}"
        fastest = children(process.pid)["daq970a"]
        import os

        os.kill(fastest, signal.SIGKILL)
        stopped = time.monotonic()
        page.until_stale("ldf", "flux", timeout=STALE_WITHIN + 1)
        assert time.monotonic() - stopped < STALE_WITHIN
        assert page.problems() == []
        assert page.foreign_requests() == []
