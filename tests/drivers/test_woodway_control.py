"""Control of a Woodway: the Trackmaster's rules, a watch that the site has measured, no word of the belt's state."""

import numpy as np
import pytest

from acquisition.config import load
from acquisition.driver import Order, Setup
from acquisition.errors import ConfigurationError
from acquisition.model import Notice, Readings
from acquisition.walking import Walk, load_walk
from drivers.woodway import MPH, Options, Woodway
from simulators.conversation import converse
from simulators.instrument import Plan
from simulators.woodway import Options as Habits
from simulators.woodway import Woodway as Treadmill
from tests.treadmill import Belt, Directed

LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0, "watch": 1.0}
START = [(2.0, Order("prepare", by="technician")), (6.0, Order("confirm", by="technician"))]
WALK = [*START, (6.5, Order("speed", 3.2)), (6.5, Order("grade", 5.1))]


def controlled():
    return Woodway(Setup("woodway", Options(**LIMITS), control=True))


class Recorded(Treadmill):
    """Keeps the instant and bytes of everything that the host sends, and may be deaf to some of it."""

    def __init__(self, habits=None, deaf=(), deaf_from=0.0, belt=None):
        super().__init__(Plan("woodway", belt or Belt(), habits or Habits()))
        self.log, self.deaf, self.deaf_from = [], deaf, deaf_from

    def receive(self, data, at):
        self.log.append((at, data))
        if not (at >= self.deaf_from and data[0] in self.deaf):
            super().receive(data, at)


def run(seconds, script=(), treadmill=None, tamper=None, **more):
    treadmill = treadmill or Recorded()
    host = Directed(controlled(), script, **more)
    return converse(host, treadmill, seconds, tamper=tamper), treadmill, host


def words(said, kind):
    return [notice.text for notice in said.notices if notice.kind == kind]


def phases(said):
    return [notice.details["control"] for notice in said.notices if "control" in notice.details]


def commands(said):
    return [message.hex(" ").upper() for message in said.written if message[0] < 0xC0]


def test_the_start_goes_step_by_step_and_only_by_the_watched_command():
    said, treadmill, _ = run(30.0, WALK)
    assert phases(said)[:4] == ["preparing", "ready", "starting", "walking"]
    assert commands(said)[:4] == ["A2", "A3 30 30 30 32", "A4 30 30 30 30", "A0"]
    assert "A4 30 30 35 31" in commands(said)
    assert commands(said)[-1] == "A2"
    assert words(said, "alarm") == []
    treadmill.advance(40.0)
    assert treadmill.speed == 0.0


def test_a_walking_belt_hears_from_the_host_at_least_every_200_ms():
    _, treadmill, _ = run(60.0, WALK)
    walking = [at for at, _ in treadmill.log if at > 7.0]
    assert max(np.diff(walking)) <= 0.2 + 1e-6


def test_nothing_is_sent_on_a_new_link_until_a_watched_belt_would_have_stopped():
    _, treadmill, _ = run(10.0)
    assert treadmill.log[0][0] == pytest.approx(1.1, abs=0.01)


def test_neither_the_unwatched_start_nor_a_reversed_belt_can_be_written():
    for message in (b"\xa9", b"\xa33020", b"\xa30x0", b"\xa1"):
        assert not any(pattern.fullmatch(message) for pattern in controlled().writable)
    for message in (b"\xa0", b"\xa2", b"\xaa", b"\xa30020", b"\xa40120"):
        assert any(pattern.fullmatch(message) for pattern in controlled().writable)
        assert not any(p.fullmatch(message) for p in Woodway(Setup("woodway", Options())).writable)


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_protocol_is_walked_to_its_end(name):
    protocol = load_walk(name)
    said, treadmill, host = run(1290.0, START, walk=Walk(protocol))
    assert host.refusals == []
    assert words(said, "alarm") == []
    began = next(at for at, item in said if isinstance(item, Notice) and item.details.get("control") == "walking")
    samples = np.array([(at - began, *item.values[0]) for at, item in said if isinstance(item, Readings)])
    for stage in protocol.stage:
        row = samples[np.searchsorted(samples[:, 0], stage.after + 60.0)]
        assert row[1] == pytest.approx(3.2, abs=0.03)
        assert row[2] == pytest.approx(stage.grade)
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert treadmill.speed == 0.0


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_patient_ends_a_protocol(name):
    stop = (300.0, Order("stop", by="patient: maximal pain"))
    said, treadmill, host = run(330.0, [*START, stop], walk=Walk(load_walk(name)))
    assert host.refusals == []
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert treadmill.speed == 0.0
    moving = [at for at, item in said if isinstance(item, Readings) and item.values[0, 0] > 0]
    # 2 mph at 0.5 mph/s: four seconds.
    assert moving[-1] == pytest.approx(304.0, abs=0.5)


def test_the_belt_of_a_dead_host_slows_after_its_watch_and_then_stands():
    _, treadmill, _ = run(30.0, WALK, dead_at=29.99)
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
    said, treadmill, _ = run(30.0, WALK, treadmill=Recorded(Habits(timer=0.15)))
    assert any("missed its host" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_an_unacknowledged_stop_is_repeated_then_silence_and_the_red_button():
    treadmill = Recorded(deaf=(0xA2, 0xAA), deaf_from=20.0)
    said, _, _ = run(45.0, [*WALK, (30.0, Order("stop"))], treadmill=treadmill)
    after = [(at, data) for at, data in treadmill.log if 30.0 <= at < 45.0]
    assert [data for _, data in after[:4]] == [b"\xa2", b"\xa2", b"\xa2", b"\xaa"]
    assert after[4][0] - after[3][0] >= 1.0 + 0.1
    assert any("red button" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_runaway_belt_is_stopped_after_two_seconds():
    def tamper(message, at):
        return b"\xd10040" if at >= 30.0 and message[:1] == b"\xd1" and message != b"\xd10000" else message

    said, _, _ = run(60.0, WALK, tamper=tamper)
    alarm = next((at, item.text) for at, item in said if isinstance(item, Notice) and item.kind == "alarm")
    assert alarm[0] == pytest.approx(32.1, abs=0.3)
    assert "6.4 km/h, set are 3.2 km/h" in alarm[1]
    assert phases(said)[-1] == "latched"


def test_a_belt_measured_at_another_speed_is_stopped():
    said, treadmill, _ = run(40.0, [*WALK, (25.0, Order("measured", 2.0))])
    (alarm,) = words(said, "alarm")
    assert "measured at 2 km/h" in alarm
    assert treadmill.speed == 0.0
    assert phases(said)[-1] == "latched"


def test_a_lost_link_stops_the_belt_and_nothing_restarts_it():
    treadmill = Recorded()
    run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    assert treadmill.speed > 0
    again = converse(controlled(), treadmill, 20.0, start=30.05)
    assert commands(again) == []
    assert treadmill.speed == 0.0


def test_a_belt_that_stands_of_itself_ends_the_walk():
    def tamper(message, at):
        return b"\xd10000" if at >= 30.0 and message[:1] == b"\xd1" else message

    said, _, _ = run(40.0, WALK, tamper=tamper)
    assert any("stopped by itself" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


@pytest.mark.parametrize("code", [0xBE, 0xBF])
@pytest.mark.parametrize("command", [0xB0, 0xB3])
def test_a_refused_command_ends_the_attempt(command, code):
    def tamper(message, at):
        return bytes((code,)) if message == bytes((command,)) else message

    said, treadmill, _ = run(40.0, WALK, tamper=tamper)
    assert any(f"({code:02X})" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_belt_that_somebody_moves_at_the_console_is_left_alone():
    walking = Belt((0, 0, 0), (5, 0, 0), (8, 4, 2), (60, 4, 2))
    said, treadmill, _ = run(30.0, treadmill=Recorded(belt=walking))
    assert commands(said) == []
    assert words(said, "alarm") == []
    assert treadmill.speed > 3


@pytest.mark.parametrize(("change", "place"), [
    ({"watch": None}, "watch"), ({"max_speed": None}, "max_speed"), ({"unit_check": 2.0}, "unit_check"),
])  # fmt: skip
def test_control_needs_limits_a_checked_unit_and_the_measured_watch(tmp_path, change, place):
    options = ", ".join(f"{key} = {value!r}" for key, value in {**LIMITS, **change}.items() if value is not None)
    path = tmp_path / "bedside.toml"
    entry = (
        f'[[device]]\nname = "t"\ndriver = "woodway"\nport = "/dev/null"\ncontrol = true\noptions = {{ {options} }}\n'
    )
    path.write_text(entry)
    with pytest.raises(ConfigurationError, match=rf"device\[0\]\.options\.{place}"):
        load(path)
    path.write_text(entry.replace(options, ", ".join(f"{key} = {value!r}" for key, value in LIMITS.items())))
    assert load(path).devices[0].setup().control
