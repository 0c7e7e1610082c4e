"""A wall clock that is stepped while the service runs is an event of the record, and the record's time goes on."""

import asyncio
import time

import pytest

from acquisition.clock import Clock
from acquisition.config import load
from acquisition.service import Service
from acquisition.store import Store, check

BENCH = """
[page]
port = 0
[[device]]
name = "treadmill"
driver = "trackmaster"
port = "/dev/serial/by-id/absent"
options = { unit = "mph" }
"""
DAY = 86_400_000_000_000


@pytest.mark.parametrize("step", [3_600_000_000_000, -400 * DAY])
def test_a_step_of_the_wall_clock_is_an_event_with_its_size(tmp_path, step):
    (tmp_path / "bedside.toml").write_text(BENCH)
    config = load(tmp_path / "bedside.toml")
    begun = time.monotonic_ns()

    def utc():
        return time.time_ns() + (step if time.monotonic_ns() - begun > 700_000_000 else 0)

    asyncio.run(Service(config, Clock(utc=utc)).run(2.5))
    assert check(config.store).ok
    with Store(config.store) as store:
        (told,) = store.events("clock")
        events = store.events()
    assert told.body["details"]["step"] == pytest.approx(step / 1e9, abs=0.1)
    keys = [event.time for event in events]
    assert max(keys) - min(keys) < 10e9, "the record's axis did not follow the step"
