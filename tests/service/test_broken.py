"""A part of the service that breaks is told of at once, in the record and by the exit code."""

import asyncio
import logging
import time

import apsw
import pytest

from acquisition.config import load
from acquisition.daemon.service import Service
from acquisition.device.supervisor import Supervisor
from acquisition.store import Store
from acquisition.store.journal import Journal
from acquisition.timing.clock import Clock

BENCH = """
[page]
port = 0
[[device]]
name = "treadmill"
driver = "trackmaster"
port = "/dev/serial/by-id/absent"
options = { unit = "mph" }
"""


@pytest.fixture
def service(tmp_path):
    (tmp_path / "bedside.toml").write_text(BENCH)
    return Service(load(tmp_path / "bedside.toml"), Clock())


async def break_down(*_):
    raise RuntimeError("a bug")


@pytest.mark.parametrize(("part", "method", "name"), [(Service, "_watch", "watch"), (Supervisor, "run", "treadmill")])
def test_a_part_that_breaks_is_told_of_while_the_others_go_on(
    service, tmp_path, monkeypatch, caplog, part, method, name
):
    monkeypatch.setattr(part, method, break_down)
    began = time.monotonic()
    assert asyncio.run(service.run(0.5)) == 1
    assert time.monotonic() - began >= 0.5
    assert [r.message for r in caplog.records if r.levelno == logging.CRITICAL] == [
        f"{name}: ended with an error and is not started again"
    ]
    with Store(tmp_path / "record") as store:
        told = [event for event in store.events("service") if "a bug" in event.body["text"]]
        (stopped,) = (event for event in store.events("service") if event.body["text"] == "stopped")
    assert [event.body["text"] for event in told] == [f"{name} ended with an error: a bug"]
    assert stopped.time - told[0].time > 0.4e9, "it was told of at the end only"


def test_a_daemon_whose_record_cannot_be_written_ends_by_itself_with_an_exit_code(service, monkeypatch, caplog):
    def refuse(*_):
        raise apsw.ConstraintError("two samples of one number")

    monkeypatch.setattr(Journal, "write", refuse)
    began = time.monotonic()
    assert asyncio.run(service.run(30)) == 1
    assert time.monotonic() - began < 10
    assert "the record's writer died" in caplog.text
