"""Control of a Trackmaster, beside what every treadmill under control does: its watch, its status, its refusals."""

import pytest

from acquisition.driverkit.driver import Order
from simulators.simkit.conversation import converse
from tests.drivers.belts import DIALECTS, MPH, START, WALK, phases, words
from tests.drivers.test_belt_control import configured

(TRACKMASTER,) = (each for each in DIALECTS if each.name == "trackmaster")


def test_the_belt_of_a_dead_host_slows_within_600_ms_and_then_stands():
    _, treadmill, _ = TRACKMASTER.run(30.0, [*START, (6.5, Order("speed", 3.2))], dead_at=29.99)
    full = treadmill.speed
    assert full == pytest.approx(2 * MPH)
    treadmill.advance(29.99 + 0.6)
    assert 0 < treadmill.speed < full
    treadmill.advance(29.99 + 0.5 + 4.1)
    assert treadmill.speed == 0.0
    assert treadmill.status == b"1"


def test_a_walk_leaves_set_values_and_status_as_they_were_ordered():
    said, treadmill, _ = TRACKMASTER.run(20.0, WALK)
    assert said.values("belt")[-1].tolist() == pytest.approx([2 * MPH, 5.0, 2 * MPH, 5.0, 1.0])
    assert treadmill.status == b"2"


def test_a_stop_that_is_acknowledged_late_counts():
    treadmill = TRACKMASTER.treadmill(deaf={0xA2}, deaf_between=(20.0, 100.0))
    said, _, _ = TRACKMASTER.run(45.0, [*WALK, (30.0, Order("stop"))], treadmill=treadmill)
    assert "AA" in TRACKMASTER.commands(said)
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert words(said, "alarm") == []


def test_a_watched_belt_without_a_walk_is_stopped():
    treadmill = TRACKMASTER.treadmill(watched=False)
    TRACKMASTER.run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    again = converse(TRACKMASTER.controlled(), treadmill, 20.0, start=30.05)
    assert TRACKMASTER.commands(again)[0] == "A2"
    assert "no walk is under way" in words(again, "alarm")[0]
    assert treadmill.speed == 0.0


def test_after_a_lost_link_nothing_but_stops_is_sent():
    treadmill = TRACKMASTER.treadmill()
    TRACKMASTER.run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    assert treadmill.status == b"2"
    again = converse(TRACKMASTER.controlled(), treadmill, 20.0, start=30.05)
    assert set(TRACKMASTER.commands(again)) <= {"A2"}  # it may still be slowing down when it is heard again
    assert treadmill.status == b"1"


def test_the_drive_itself_runs_away_and_is_stopped():
    said, _, _ = TRACKMASTER.run(60.0, WALK, treadmill=TRACKMASTER.treadmill(runaway=(30.0, 1.2)))
    (first, *_) = words(said, "alarm")
    assert "5.1 km/h, set are 3.2 km/h" in first
    assert phases(said)[-1] == "latched"


def test_the_speed_999_9_stops_the_walk():
    said, _, _ = TRACKMASTER.run(45.0, WALK, treadmill=TRACKMASTER.treadmill(speed_fault=(30.0, 2.0)))
    assert any("999.9" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


def test_the_red_button_ends_the_walk():
    said, _, _ = TRACKMASTER.run(40.0, WALK, treadmill=TRACKMASTER.treadmill(emergency_stop=(30.0, 0.3)))
    assert any("stopped by itself" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


@pytest.mark.parametrize("code", [0xBE, 0xBF])
@pytest.mark.parametrize("command", [0xB0, 0xB3])
def test_either_refusal_of_a_command_ends_the_attempt(command, code):
    def tamper(message, at):
        return bytes((code,)) if message == bytes((command,)) else message

    said, treadmill, _ = TRACKMASTER.run(40.0, WALK, tamper=tamper)
    assert any(f"({code:02X})" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_start_without_watch_is_stopped():
    def tamper(message, at):
        return b"\xd03" if message == b"\xd02" else message

    said, treadmill, _ = TRACKMASTER.run(30.0, WALK, tamper=tamper)
    assert any("without its stop" in text for text in words(said, "alarm"))
    assert treadmill.speed == 0.0


def test_a_grade_between_two_steps_is_refused():
    _, _, host = TRACKMASTER.run(20.0, [*WALK, (15.0, Order("grade", 3.3))])
    ((_, refusal),) = host.refusals
    assert "steps of 0.5 %" in refusal


def test_a_clone_may_count_in_kilometres(tmp_path):
    limits = {**TRACKMASTER.limits, "unit": "kmh", "unit_check": 2.05}
    assert configured(tmp_path, TRACKMASTER, limits).setup().control is True
