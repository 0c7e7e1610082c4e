"""A wall clock that is stepped while the service runs is an event of the record, and the record's time goes on."""

import asyncio
import time

import pytest

from acquisition.clock import Clock
from acquisition.config import load
from acquisition.model import Event
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
    begun, stepped = time.monotonic_ns(), []

    async def body():
        service = Service(config, Clock(utc=lambda: time.time_ns() + sum(stepped)))
        heard = {"state": asyncio.Event(), "clock": asyncio.Event()}

        def hear(item):
            if isinstance(item, Event) and item.kind in heard:
                heard[item.kind].set()

        service.subscribe(hear)
        running = asyncio.create_task(service.run(60))
        await heard["state"].wait()  # the devices are tried, and the clock is watched
        stepped.append(step)
        await heard["clock"].wait()
        await asyncio.sleep(1.2)  # another look, which sees no step
        service.stop()
        await running

    asyncio.run(body())
    took = time.monotonic_ns() - begun
    assert check(config.store).ok
    with Store(config.store) as store:
        (told,) = store.events("clock")
        events = store.events()
    assert told.body["details"]["step"] == pytest.approx(step / 1e9, abs=0.1)
    keys = [event.time for event in events]
    assert max(keys) - min(keys) <= took, "the record's axis did not follow the step"
