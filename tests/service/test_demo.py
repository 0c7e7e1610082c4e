"""`perfusion demo`, as a newcomer runs it: three instruments, and a record that is left behind or removed."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from acquisition.cli.bench import CLASSES, SCENARIOS
from simulators.patient import scenarios
from simulators.patient.phenotypes import PHENOTYPES
from tests.service.bench import PATIENCE, PERFUSION, children, demo, perfusion


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
    assert held["ldf", "flux"]["samples"] > 40
    assert not any(stream["gaps"] for stream in held.values())


def test_a_killed_demo_leaves_no_orphan(tmp_path):
    with demo("--data", tmp_path) as (process, _):
        started = children(process.pid)
        assert set(started) == {"daq970a", "intellivue", "trackmaster"}
        process.kill()
        process.wait()
        end = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{pid}").exists() for pid in started.values()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not [name for name, pid in started.items() if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def hangup():
    """Let the processes started here hear that their terminal closed, though these tests may run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_record_is_removed_where_no_folder_was_named(tmp_path, monkeypatch, hangup, ending):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with demo() as (process, _):
        assert [*tmp_path.glob("perfusion-demo-*/demo.toml")]
        process.send_signal(ending)
        assert process.wait(PATIENCE) == 0
    assert not [*tmp_path.iterdir()]


def test_a_demo_that_is_ended_at_its_start_leaves_nothing(tmp_path):
    process = subprocess.Popen([*PERFUSION, "demo"], env={**os.environ, "TMPDIR": str(tmp_path)})
    try:
        while not [*tmp_path.iterdir()]:
            assert process.poll() is None
            time.sleep(0.01)
        process.terminate()
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
    assert not [*tmp_path.iterdir()]


def test_what_can_be_shown_is_what_can_be_simulated():
    assert set(SCENARIOS) == set(scenarios.SCENARIOS)
    assert set(CLASSES) == set(PHENOTYPES)


def test_a_folder_that_cannot_be_made_is_told_in_words():
    ended = perfusion("demo", "--no-browser", "--for", "1", "--data", "/proc/nowhere")
    assert ended.returncode == 1
    assert "/proc/nowhere: cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
