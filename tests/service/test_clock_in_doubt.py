"""A start before the end of the record stands as an alarm, until a person or the clock itself has mended it."""

import asyncio
import time

import pytest

from acquisition.config import load
from acquisition.control_socket.client import ask
from acquisition.daemon import timekeeping
from acquisition.daemon.service import Service
from acquisition.errors import Refused
from acquisition.model import Event
from acquisition.store import Store, check
from acquisition.timing.clock import Clock
from tests.store.clocks import DAY, Bedside

BENCH = """
[page]
port = 0
[[device]]
name = "treadmill"
driver = "trackmaster"
port = "/dev/serial/by-id/absent"
options = { unit = "mph" }
"""


def serve(folder, offset, scenario):
    """Run the service on a clock that is `offset()` ns off while the scenario, given its record, runs in a thread."""
    (folder / "bedside.toml").write_text(BENCH)
    config = load(folder / "bedside.toml")

    async def body():
        service, up = Service(config, Clock(utc=lambda: time.time_ns() + offset())), asyncio.Event()
        service.subscribe(lambda item: up.set() if isinstance(item, Event) and item.kind == "state" else None)
        running = asyncio.create_task(service.run(60))
        await up.wait()
        try:
            await asyncio.to_thread(scenario, config.store)
        finally:
            service.stop()
            await running

    asyncio.run(body())
    assert check(config.store).ok
    return config.store


def alarms(store):
    return [alarm["text"] for alarm in ask(store, {"do": "snapshot"})["alarms"]]


def gone(store):
    end = time.monotonic() + 20
    while alarms(store):
        assert time.monotonic() < end
        time.sleep(0.1)


START = {"do": "session.start", "protocol": "porh", "subject": "03-117", "visit": "baseline"}


@pytest.fixture
def recorded(tmp_path):
    """A record that ended just now."""
    (tmp_path / "bedside.toml").write_text(BENCH)
    Bedside(load(tmp_path / "bedside.toml").store, time.time_ns() - 120 * 10**9).record(time.time_ns() - 120 * 10**9)
    return tmp_path


def test_a_clock_that_was_set_back_stands_as_an_alarm_until_it_is_accepted(recorded):
    def scenario(store):
        (text,) = alarms(store)
        assert "this clock is behind" in text
        with pytest.raises(Refused, match="this clock is behind"):
            ask(store, START)
        done = timekeeping.send(store, {"do": "clock.accept", "reason": "compared with the telephone", "by": "mk"})
        assert done["committed"]
        assert alarms(store) == []
        with pytest.raises(Refused) as refused:
            ask(store, START)
        assert "clock" not in refused.value.what
        snapshot = ask(store, {"do": "snapshot"})
        assert snapshot["now"][:13] == snapshot["utc"][:13], "times in words are those of the wall clock"
        assert snapshot["wall_ms"] < -399 * DAY / 1e6

    store = serve(recorded, lambda: -400 * DAY, scenario)
    with Store(store) as held:
        events = [event.kind for event in held.events() if event.kind in ("alarm", "clock-accepted")]
        assert events == ["alarm", "clock-accepted", "alarm"]
    serve(recorded, lambda: -400 * DAY + 60 * 10**9, lambda store: alarms(store) == [] or pytest.fail("asked again"))
    serve(recorded, lambda: -800 * DAY, lambda store: alarms(store) or pytest.fail("behind again, not asked"))


def test_an_alarm_of_the_clock_is_over_once_the_clock_is_right(recorded):
    offset = [-400 * DAY]

    def scenario(store):
        assert alarms(store)
        offset[0] = 0
        gone(store)
        snapshot = ask(store, {"do": "snapshot"})
        assert snapshot["now"][:10] == snapshot["utc"][:10], "the step is followed"

    serve(recorded, lambda: offset[0], scenario)


def test_an_alarm_of_the_clock_is_over_once_the_run_that_was_ahead_is_mended(recorded):
    store = load(recorded / "bedside.toml").store
    Bedside(store).record(time.time_ns() + 3000 * DAY)

    def scenario(store):
        (text,) = alarms(store)
        assert "run 2" in text
        request = {"do": "clock.mend", "run": 2, "offset": -3000 * DAY - 10**11, "reason": "the battery was changed"}
        assert timekeeping.send(store, request)["committed"]
        gone(store)

    serve(recorded, lambda: 0, scenario)


@pytest.mark.parametrize("back", [3600 * 10**9, 500 * 10**9])
def test_a_step_back_of_an_hour_is_asked_about_and_one_of_minutes_is_not(recorded, back):
    serve(recorded, lambda: -back, lambda store: bool(alarms(store)) == (back > 600 * 10**9) or pytest.fail("wrong"))


@pytest.mark.parametrize("far", [3000 * DAY, -3600 * 10**9])
def test_a_far_step_while_it_runs_stands_as_an_alarm_until_it_is_accepted(recorded, far):
    offset = [0]

    def step(store):
        assert alarms(store) == []
        offset[0] = far
        end = time.monotonic() + 20
        while not any("was stepped" in text for text in alarms(store)):
            assert time.monotonic() < end
            time.sleep(0.1)
        with pytest.raises(Refused, match=r"was stepped|this clock is behind"):
            ask(store, START)

    def accept(store):
        assert any("was stepped" in text for text in alarms(store)), "a restart is no answer"
        request = {"do": "clock.accept", "reason": "compared with the telephone", "by": "mk"}
        assert "although" in timekeeping.send(store, request)["done"]
        gone(store)

    serve(recorded, lambda: offset[0], step)
    serve(recorded, lambda: offset[0], accept)
    serve(recorded, lambda: offset[0], lambda store: alarms(store) == [] or pytest.fail("asked again"))


def test_a_step_that_is_undone_is_no_longer_asked_about(recorded):
    offset = [0]

    def scenario(store):
        for offset[0], said in ((3600 * 10**9, True), (0, False)):
            end = time.monotonic() + 20
            while bool(alarms(store)) != said:
                assert time.monotonic() < end
                time.sleep(0.1)

    serve(recorded, lambda: offset[0], scenario)


def test_a_far_step_is_accepted_without_a_daemon_too(recorded):
    offset = [0]

    def step(store):
        offset[0] = 3600 * 10**9
        end = time.monotonic() + 20
        while not alarms(store):
            assert time.monotonic() < end
            time.sleep(0.1)

    store = serve(recorded, lambda: offset[0], step)
    clock = Clock(utc=lambda: time.time_ns() + offset[0])
    request = {"do": "clock.accept", "reason": "compared with the telephone", "by": "mk"}
    assert "although it was stepped" in timekeeping.send(store, request, clock)["done"]
    with pytest.raises(Refused, match="nothing to accept"):
        timekeeping.send(store, request, clock)
