"""A wall clock that is stepped is an event of the record, whose time goes on; a suspended host is a pause."""

import asyncio
import time

import pytest

from acquisition.config import load
from acquisition.daemon.service import Service
from acquisition.model import Event
from acquisition.store import Store, check
from acquisition.timing.clock import Clock, monotonic_ns

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


def serve(config, clock, happen, kind):
    """Run the service, let something happen to its clock, and wait until an event of that kind tells of it."""

    async def body():
        service = Service(config, clock)
        heard = {"state": asyncio.Event(), kind: asyncio.Event()}

        def hear(item):
            if isinstance(item, Event) and item.kind in heard:
                heard[item.kind].set()

        service.subscribe(hear)
        running = asyncio.create_task(service.run(60))
        await heard["state"].wait()  # the devices are tried, and the clock is watched
        happen()
        await heard[kind].wait()
        await asyncio.sleep(1.2)  # another look, which sees nothing more
        service.stop()
        await running

    asyncio.run(body())


@pytest.mark.parametrize("step", [3_600_000_000_000, -400 * DAY])
def test_a_step_of_the_wall_clock_is_an_event_with_its_size(tmp_path, step):
    (tmp_path / "bedside.toml").write_text(BENCH)
    config = load(tmp_path / "bedside.toml")
    begun, stepped = time.monotonic_ns(), []
    serve(config, Clock(utc=lambda: time.time_ns() + sum(stepped)), lambda: stepped.append(step), "clock")
    took = time.monotonic_ns() - begun
    assert check(config.store).ok
    with Store(config.store) as store:
        (told,) = store.events("clock")
        events = store.events()
    assert told.body["details"]["step"] == pytest.approx(step / 1e9, abs=0.1)
    keys = [event.time for event in events]
    assert max(keys) - min(keys) <= took, "the record's axis did not follow the step"


def test_a_suspended_computer_is_a_pause_and_no_step_of_the_clock(tmp_path):
    (tmp_path / "bedside.toml").write_text(BENCH)
    config = load(tmp_path / "bedside.toml")
    slept = []
    clock = Clock(monotonic=lambda: monotonic_ns() + sum(slept), utc=lambda: time.time_ns() + sum(slept))
    serve(config, clock, lambda: slept.append(600_000_000_000), "pause")
    with Store(config.store) as store:
        assert store.events("clock") == []
        told = [event for event in store.events("pause") if event.body["details"]["seconds"] > 599]
        keys = [event.time for event in store.events()]
    assert [event.body["details"]["seconds"] for event in told] == [pytest.approx(600, abs=1.5)]
    assert max(keys) - min(keys) > 600e9, "the record's axis goes on while the computer sleeps"


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system does not count the time of a suspend")
def test_the_monotonic_clock_counts_the_time_of_a_suspend():
    assert abs(monotonic_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < 1e9
