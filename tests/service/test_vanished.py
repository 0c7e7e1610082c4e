"""The whole service when its record vanishes: told at once everywhere, the examination goes on, and the end says so."""

import json
import os
import shutil
import time
import urllib.request

import pytest

from acquisition.control_socket.client import ask
from acquisition.daemon import gateway
from acquisition.errors import Refused
from acquisition.store import Store, check
from acquisition.store.place import FOUND
from tests.service.bench import Bench, perfusion, streaming
from tests.service.test_disk import not_recording, page_of, watching
from tests.store.test_modes import open_to_others

PROMISED = 5.0
"""Seconds within which it is told that nothing is recorded."""
START = {
    "do": "session.start", "protocol": "tcpo2-rest", "subject": "03-117", "visit": "baseline", "limb": "left",
    "checks": {"skin": "yes"},
}  # fmt: skip


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as bench:
        bench.simulate("intellivue")
        bench.write()
        yield bench


def alarms(snapshot):
    return {alarm["kind"]: alarm["blocks"] for alarm in snapshot["alarms"]}


def older_than_what_is_kept(daemon, store):
    """Wait until what was recorded first is no longer kept in memory."""
    began = time.monotonic()
    daemon.until(store, lambda _: time.monotonic() - began > 17.0)


def test_a_record_moved_away_in_an_examination_goes_on_in_a_new_one(bench, tmp_path):
    daemon = bench.run()
    daemon.until(bench.store, streaming)
    ask(bench.store, START)
    ask(bench.store, {"do": "session.mark", "name": "applied"})
    older_than_what_is_kept(daemon, bench.store)
    with watching(daemon) as viewer:
        struck = time.monotonic()
        bench.store.rename(tmp_path / "elsewhere")
        said = viewer.until(not_recording)
        assert time.monotonic() - struck < PROMISED
        assert alarms(said)["record"] is True
        viewer.until(lambda said: said["type"] == "state" and said["record"]["recording"])
    seen = daemon.until(bench.store, lambda seen: seen["record"]["samples"] > 0 and streaming(seen))
    assert alarms(seen) == {"record_renewed": False}
    second = perfusion("run", "-c", bench.config, "--for", 1)
    assert second.returncode == 8
    assert str(daemon.process.pid) in second.stderr
    shown = ask(bench.store, {"do": "session.show"})
    assert [item["name"] for item in shown["items"]][:1] == ["applied"]
    ask(bench.store, {"do": "session.next", "early": "a test of the service"})
    ask(bench.store, {"do": "session.stop", "reason": "a test of the service"})
    assert daemon.stop() == 1, "what is in the record before is lost here"
    for folder in (bench.store, tmp_path / "elsewhere"):
        report = check(folder)
        assert report.ok, report.problems
        assert all(stream.samples for stream in report.streams)
    assert {stream.gaps for stream in check(bench.store).streams} == {1}
    session = gateway.session_log(bench.store).sessions["s1"]
    assert [stage.phase for stage in session.stages] == ["calibration", "settling", "reading"]
    with Store(bench.store) as store:
        (told,) = store.events("record")
        before = told.body["details"]["before"]
        raised = [event.body["details"] for event in store.events("alarm")]
    assert before["session"] == "s1"
    assert check(tmp_path / "elsewhere", (before["event"], before["hash"])).ok
    assert [(each["alarm"], each["standing"]) for each in raised] == [
        ("record", True), ("record_renewed", True), ("record", False),
    ]  # fmt: skip


@pytest.mark.proof
def test_nothing_is_started_or_overwritten_while_another_file_stands_at_the_path(bench, tmp_path):
    daemon = bench.run()
    daemon.until(bench.store, lambda seen: streaming(seen) and seen["record"]["samples"] > 20)
    for number in range(FOUND):  # no more are moved aside
        (bench.store / f"record.db.found-{number + 1}").write_text("one of a program that does not stop")
    other = tmp_path / "other.db"
    other.write_text("precious")
    struck = time.monotonic()
    other.replace(bench.store / "record.db")
    daemon.until(bench.store, lambda seen: "another file stands" in str(seen["alarms"]))
    assert time.monotonic() - struck < PROMISED
    witnessed = daemon.witnessed()
    with pytest.raises(Refused, match=r"session start: NOT RECORDING.*next: look at the disk") as caught:
        ask(bench.store, START)
    assert caught.value.exit_code == 8
    watched = perfusion("watch", "--data", bench.store, "--once")
    assert "NOT RECORDING" in watched.stdout
    with urllib.request.urlopen(page_of(daemon) + "metrics") as answer:
        lines = answer.read().decode().splitlines()
    assert {"perfusion_recording 0", 'perfusion_alarm{kind="record"} 1'} <= set(lines)
    assert daemon.witnessed() == witnessed, "nothing counts as accepted meanwhile"
    assert (bench.store / "record.db").read_text() == "precious"
    (bench.store / "record.db").unlink()
    daemon.until(bench.store, lambda seen: seen["record"]["recording"])
    assert ask(bench.store, START)["committed"]
    daemon.stop()
    report = check(bench.store)
    assert report.ok, report.problems
    assert {stream.gaps for stream in report.streams} <= {0, 1}


@pytest.mark.proof
def test_a_removed_folder_is_made_again_for_this_account_alone(bench):
    before = os.umask(0o022)
    try:
        daemon = bench.run()
    finally:
        os.umask(before)
    daemon.until(bench.store, lambda seen: streaming(seen) and seen["record"]["samples"] > 20)
    assert open_to_others(bench.store) == {}
    shutil.rmtree(bench.store)
    daemon.until(bench.store, lambda seen: seen["record"]["recording"] and (bench.store / "record.db").exists())
    shown = json.loads(perfusion("watch", "--data", bench.store, "--once", "--json").stdout)
    assert alarms(shown) == {"record_renewed": False}
    daemon.until(bench.store, lambda _: (bench.store / "control.sock").exists())
    assert open_to_others(bench.store) == {}
    daemon.stop()
    assert check(bench.store).ok
