"""The whole service on a disk that fails: told within 5 s wherever a person looks, and nothing is lost or restarted.

Once with failures planted under SQLite, once on a real file system that is full.
"""

import contextlib
import functools
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from websockets.sync.client import connect

from acquisition.cli import perfusion as command
from acquisition.control_socket.client import ask
from acquisition.store import Store
from tests.service import failing
from tests.service.bench import PATIENCE, PERFUSION, Bench, streaming
from tests.service.judge import judge
from tests.store.records import Recording, Source

PROMISED = 5.0
"""Seconds within which a failing disk is told of."""
STREAMS = {("ldf", "flux"), ("ldf", "backscatter"), ("tcpco2", "monitor")}


@contextlib.contextmanager
def watching(daemon):
    """A viewer of the daemon's live page."""
    host = page_of(daemon).split("//")[1].strip("/")
    with connect(f"ws://{host}/ws", origin=f"http://{host}") as link:
        yield Viewer(link)


class Viewer:
    """What the live page's feed says."""

    def __init__(self, link):
        self.link = link

    def until(self, condition, timeout=PATIENCE):
        """The first message that fulfils the condition."""
        began = time.monotonic()
        while (left := began + timeout - time.monotonic()) > 0:
            message = self.link.recv(timeout=left)
            if isinstance(message, str) and condition(said := json.loads(message)):
                return said
        raise AssertionError(f"the feed did not say so within {timeout} s")


def page_of(daemon):
    """The address of the page, from the daemon's log."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for word in daemon.log.read_text().split():
            if word.startswith("http://127.0.0.1:"):
                return word
        time.sleep(0.05)
    raise AssertionError("the daemon told of no page")


def not_recording(said):
    return said["type"] == "state" and said["record"]["recording"] is False


def told(said):
    return said["type"] == "event" and said["kind"] == "store" and "wait in memory" in said["text"]


def recording(said):
    return said["type"] == "state" and said["record"]["recording"] is True and said["record"]["queued"] < 20


def suffer(viewer, store, strike, heal):
    """Let the disk fail and be well again; answers how long the banner and the event took (s)."""
    struck = time.monotonic()
    strike()
    viewer.until(told)
    banner = viewer.until(not_recording)
    took = time.monotonic() - struck
    assert "wait in memory" in banner["record"]["trouble"]
    watched = CliRunner().invoke(command, ["watch", "--data", str(store), "--once"])
    assert "NOT RECORDING" in watched.stdout
    accepted = ask(store, {"do": "snapshot"})["record"]["samples"]
    later = ask(store, {"do": "snapshot"})
    assert later["record"]["samples"] == accepted, "nothing counts as accepted meanwhile"
    assert streaming(later), "the instruments go on"
    heal()
    viewer.until(recording)
    return took


def whole(bench, record, witnessed, faults):
    """Every sample of the time is in the record, and what happened too, without a restart."""
    sent = {
        ("ldf", "flux"): "daq970a",
        ("ldf", "backscatter"): "daq970a",
        ("tcpco2", "monitor"): "tosca500-csv",
    }
    rows = {name: simulator.rows() for name, simulator in bench.simulators.items()}
    ledgers = {key: [r["values"] for r in rows[name] if r["stream"] == key[1]] for key, name in sent.items()}
    verdict = judge(record, witnessed, ledgers)
    assert set(verdict) == STREAMS
    for stream, (samples, gaps, _, missing) in verdict.items():
        assert samples > 0, stream
        assert (gaps, missing) == (0, 0), stream
    with Store(record) as store:
        assert len(store.events("run")) == 1
        said = [event.body["text"] for event in store.events("store")]
    assert sum("wait in memory" in text for text in said) == sum(text == "written again" for text in said) == faults


def test_a_failing_disk_is_told_of_at_once_everywhere_and_costs_nothing(tmp_path):
    fault = tmp_path / "fault"
    fault.write_text("")
    with Bench(tmp_path) as bench:
        bench.simulate("daq970a", "--scenario", "rest")
        bench.simulate("tosca500-csv")
        bench.write()
        daemon = bench.run(command=[sys.executable, "-m", "tests.service.failing", str(fault)])
        daemon.until(bench.store, lambda seen: streaming(seen) and seen["record"]["samples"] > 20)
        with watching(daemon) as viewer:
            for name in failing.FAULTS:
                strike = functools.partial(fault.write_text, name)
                assert suffer(viewer, bench.store, strike, lambda: fault.write_text("")) < PROMISED, name
        assert daemon.stop() == 0
        whole(bench, bench.store, daemon.witnessed(), len(failing.FAULTS))


def namespace():
    """The command that gives a process a small file system of its own; skips where that is not allowed."""
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        subprocess.run([*alone, "mount", "-t", "tmpfs", "none", "/mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here ({error})")
    return alone


def test_a_file_system_that_is_really_full_is_told_of_at_once_and_costs_nothing(tmp_path):
    alone = namespace()
    with Bench(tmp_path) as bench:
        bench.simulate("daq970a", "--scenario", "rest")
        bench.simulate("tosca500-csv")
        bench.write()
        bench.store.mkdir()
        mounted = f'mount -t tmpfs -o size=4m,mode=700 none "{bench.store}" && exec "$@"'
        daemon = bench.run(command=[*alone, "sh", "-c", mounted, "sh", *PERFUSION])
        inside = Path(f"/proc/{daemon.process.pid}/root{bench.store}")
        daemon.until(inside, lambda seen: streaming(seen) and seen["record"]["samples"] > 20)

        def fill():
            with (inside / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
                filler.writelines(itertools.repeat(bytes(4096)))

        with watching(daemon) as viewer:
            assert suffer(viewer, inside, fill, (inside / "filler").unlink) < PROMISED
        accepted = daemon.witnessed()
        entered = ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", str(daemon.process.pid)]
        subprocess.run([*entered, *PERFUSION, "backup", bench.store, tmp_path / "copy"], check=True)
        assert daemon.stop() == 0
        whole(bench, tmp_path / "copy", accepted, 1)


def test_a_record_on_a_disk_that_is_only_looked_at_is_read_unless_its_log_is_there(tmp_path):
    alone = namespace()
    with Recording(tmp_path / "record") as writer:
        writer.put(Source().chunk(30))
    looked_at = 'mount -t tmpfs none /mnt && cp "$1"/* /mnt && mount -o remount,ro /mnt && shift && exec "$@"'
    shell = [*alone, "sh", "-c", looked_at, "sh", tmp_path / "record", *PERFUSION]
    verified = subprocess.run([*shell, "verify", "/mnt"], capture_output=True, text=True)
    assert "ldf/flux: 30 samples" in verified.stdout, verified.stderr
    (tmp_path / "record" / "record.db-wal").write_bytes(b"a log")
    refused = subprocess.run([*shell, "verify", "/mnt"], capture_output=True, text=True)
    assert refused.returncode != 0
    assert "copy record.db and record.db-wal into another folder" in refused.stderr
