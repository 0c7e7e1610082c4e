"""Control of a Woodway, beside what every treadmill under control does: a watch that the site has measured."""

import pytest

from acquisition.driverkit.driver import Order
from acquisition.errors import ConfigurationError
from tests.drivers.belts import DIALECTS, MPH, WALK, phases, words
from tests.drivers.test_belt_control import configured
from tests.treadmill.belt import Belt

(WOODWAY,) = (each for each in DIALECTS if each.name == "woodway")


def test_the_belt_of_a_dead_host_slows_after_its_watch_and_then_stands():
    _, treadmill, _ = WOODWAY.run(30.0, WALK, dead_at=29.99)
    full = treadmill.speed
    assert full == pytest.approx(2 * MPH)
    treadmill.advance(29.99 + 0.8)  # the last request came up to 0.2 s before
    assert treadmill.speed == full
    treadmill.advance(29.99 + 1.1)
    assert 0 < treadmill.speed < full
    treadmill.advance(29.99 + 1.0 + 4.1)
    assert treadmill.speed == 0.0


def test_a_host_that_missed_its_time_stops_and_latches():
    """The timer of this treadmill is shorter than the site measured."""
    said, treadmill, _ = WOODWAY.run(30.0, WALK, treadmill=WOODWAY.treadmill(timer=0.15))
    assert any("missed its host" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


@pytest.mark.parametrize("code", [0xBE, 0xBF])
@pytest.mark.parametrize("command", [0xB0, 0xB3])
def test_either_refusal_of_a_command_ends_the_attempt(command, code):
    def tamper(message, at):
        return bytes((code,)) if message == bytes((command,)) else message

    said, treadmill, _ = WOODWAY.run(40.0, WALK, tamper=tamper)
    assert any(f"({code:02X})" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_belt_that_somebody_moves_at_the_console_is_left_alone():
    walking = Belt((0, 0, 0), (5, 0, 0), (8, 4, 2), (60, 4, 2))
    said, treadmill, _ = WOODWAY.run(30.0, treadmill=WOODWAY.treadmill(walking))
    assert WOODWAY.commands(said) == []
    assert words(said, "alarm") == []
    assert treadmill.speed > 3


def test_grades_are_set_in_tenths():
    said, _, _ = WOODWAY.run(30.0, [*WALK[:3], (6.5, Order("grade", 5.1))])
    assert "A4 30 30 35 31" in WOODWAY.commands(said)


def test_control_needs_the_measured_watch(tmp_path):
    with pytest.raises(ConfigurationError, match=r"device\[0\]\.options\.watch"):
        configured(tmp_path, WOODWAY, {k: v for k, v in WOODWAY.limits.items() if k != "watch"})
