"""Control of a treadmill: the start, the walk, and every way in which a belt must come to a stand."""

import numpy as np
import pytest

from acquisition.config import load
from acquisition.driver import Order, Setup
from acquisition.errors import ConfigurationError, Refused
from acquisition.model import Notice, Readings
from acquisition.walking import Walk, load_walk
from drivers.trackmaster import Options, Trackmaster
from simulators.conversation import converse
from simulators.instrument import Plan
from simulators.trackmaster import Options as Faults
from simulators.trackmaster import Trackmaster as Treadmill
from tests.treadmill import Belt, Directed

LIMITS = {"unit_check": 3.2, "max_speed": 5.0, "max_grade": 20.0, "max_step": 1.0}
START = [(2.0, Order("prepare", by="technician")), (6.0, Order("confirm", by="technician"))]
WALK = [*START, (6.5, Order("speed", 3.2)), (6.5, Order("grade", 5.0))]
MPH = 1.609344


def controlled(**options):
    return Trackmaster(Setup("trackmaster", Options(**{"unit": "mph", **LIMITS, **options}), control=True))


def run(seconds, script=(), faults=None, treadmill=None, tamper=None, **more):
    treadmill = treadmill or Treadmill(Plan("trackmaster", Belt(), faults or Faults()))
    host = Directed(controlled(), script, **more)
    said = converse(host, treadmill, seconds, tamper=tamper)
    return said, treadmill, host


def words(said, kind):
    return [notice.text for notice in said.notices if notice.kind == kind]


def phases(said):
    return [notice.details["control"] for notice in said.notices if "control" in notice.details]


def commands(said):
    return [message.hex(" ").upper() for message in said.written if message[0] < 0xC0]


def speeds(said):
    """(second, km/h) of every sample."""
    return np.array([(at, item.values[0, 0]) for at, item in said if isinstance(item, Readings)])


class Recorded(Treadmill):
    """Keeps the instant and bytes of everything that the host sends, and may be deaf to some of it."""

    def __init__(self, options=None, deaf=(), deaf_from=0.0):
        super().__init__(Plan("trackmaster", Belt(), options or Faults()))
        self.log, self.deaf, self.deaf_from = [], deaf, deaf_from

    def receive(self, data, at):
        self.log.append((at, data))
        if not (at >= self.deaf_from and (self.deaf == "all" or data[0] in self.deaf)):
            super().receive(data, at)


def test_the_start_goes_step_by_step_and_waits_for_a_person():
    said, treadmill, _ = run(5.9, START[:1])
    assert commands(said)[:3] == ["A2", "A3 30 30 30 32", "A4 30 30 30 30"]
    assert phases(said) == ["preparing", "ready"]
    assert treadmill.status == b"1"
    said, treadmill, host = run(20.0, WALK, treadmill=Recorded())
    assert host.refusals == []
    assert commands(said)[:4] == ["A2", "A3 30 30 30 32", "A4 30 30 30 30", "A0"]
    assert phases(said) == ["preparing", "ready", "starting", "walking"]
    assert "A1" not in commands(said)
    steps = [int(message[3:].replace(" ", "")[1::2]) for message in commands(said) if message.startswith("A3")]
    assert steps == [2, 8, 14, 20]
    given = [at for at, data in treadmill.log if data[0] == 0xA3][1:]
    assert np.diff(given).min() > 0.9  # the belt comes to each step, at 0.5 mph/s, before the next
    assert speeds(said)[-1, 1] == pytest.approx(2 * MPH)
    assert said.values("belt")[-1].tolist() == pytest.approx([2 * MPH, 5.0, 2 * MPH, 5.0, 1.0])


def test_a_walking_belt_hears_from_the_host_at_least_every_200_ms():
    treadmill = Recorded()
    run(60.0, WALK, treadmill=treadmill)
    instants = np.array([at for at, _ in treadmill.log if 7.0 < at < 59.9])
    assert np.diff(instants).max() <= 0.2


def test_nothing_is_sent_on_a_new_link_until_a_watched_belt_would_have_stopped():
    treadmill = Recorded()
    run(5.0, treadmill=treadmill)
    assert treadmill.log[0][0] >= 0.6


@pytest.mark.parametrize(
    ("script", "order", "remedy"),
    [
        ([], Order("confirm"), "possible while the walk is ready"),
        ([], Order("speed", 3.0), "ready or walking"),
        (WALK, Order("prepare"), "possible while the walk is idle"),
        (WALK, Order("speed", 5.1), "0.4 to 5 km/h"),
        (WALK, Order("speed", 0.0), "0.4 to 5 km/h"),
        (WALK, Order("grade", 20.5), "0 to 20 %"),
        (WALK, Order("grade", 3.3), "steps of 0.5 %"),
        (WALK, Order("speed"), "give one"),
        (WALK, Order("faster"), "prepare, confirm, speed"),
        (WALK, Order("release"), "latched"),
    ],
)
def test_an_order_out_of_place_is_refused_and_changes_nothing(script, order, remedy):
    said, _, host = run(20.0, [*script, (15.0, order)])
    ((_, refusal),) = host.refusals
    assert remedy in refusal
    quiet, _, _ = run(20.0, script)
    assert commands(said) == commands(quiet)


def test_a_reading_driver_takes_no_orders_and_may_write_no_command():
    driver = Trackmaster(Setup("trackmaster", Options(unit="mph")))
    with pytest.raises(Refused, match="only read"):
        driver.order(Order("stop"), 0.0)
    assert not any(pattern.fullmatch(b"\xa2") for pattern in driver.writable)


def test_even_under_control_the_unwatched_start_cannot_be_written():
    writable = controlled().writable
    for message in (b"\xa1", b"\xab", b"\xac", b"\xa300x0", b"\xa20"):
        assert not any(pattern.fullmatch(message) for pattern in writable)
    for message in (b"\xa0", b"\xa2", b"\xaa", b"\xa30020", b"\xa40120"):
        assert any(pattern.fullmatch(message) for pattern in writable)


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_protocol_is_walked_to_its_end(name):
    protocol, seconds = load_walk(name), 1200.0
    said, treadmill, host = run(seconds + 90.0, START, walk=Walk(protocol))
    assert host.refusals == []
    assert words(said, "alarm") == []
    began = next(at for at, item in said if isinstance(item, Notice) and item.details.get("control") == "walking")
    samples = np.array([(at - began, *item.values[0]) for at, item in said if isinstance(item, Readings)])
    for stage in protocol.stage:
        # A minute later the belt has come to the stage.
        row = samples[np.searchsorted(samples[:, 0], stage.after + 60.0)]
        assert row[1] == pytest.approx(3.2, abs=0.03)
        assert row[2] == pytest.approx(stage.grade)
    grades = [message for message in commands(said) if message.startswith("A4")]
    assert len(grades) == 1 + len({stage.grade for stage in protocol.stage} - {0.0}) + 1
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert any("the end of the protocol after 1200 s" in text for text in words(said, "state"))
    assert (treadmill.status, treadmill.speed, treadmill.grade) == (b"1", 0.0, 0.0)


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_patient_ends_a_protocol(name):
    stop = (300.0, Order("stop", by="patient: maximal pain"))
    said, treadmill, host = run(330.0, [*START, stop], walk=Walk(load_walk(name)))
    assert host.refusals == []
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert treadmill.speed == 0.0
    moving = speeds(said)[speeds(said)[:, 1] > 0]
    # 2 mph at 0.5 mph/s: four seconds.
    assert moving[-1, 0] == pytest.approx(304.0, abs=0.5)
    assert len([1 for at, _ in host.orders if at > 300.0]) == 0


def test_the_belt_of_a_dead_host_slows_within_600_ms_and_then_stands():
    script = [*START, (6.5, Order("speed", 3.2))]
    _, treadmill, _ = run(30.0, script, dead_at=29.99)
    full = treadmill.speed
    assert full == pytest.approx(2 * MPH)
    treadmill.advance(29.99 + 0.6)
    assert 0 < treadmill.speed < full
    treadmill.advance(29.99 + 0.5 + 4.1)
    assert treadmill.speed == 0.0
    assert treadmill.status == b"1"


def test_a_host_that_leaves_in_order_stops_the_belt():
    said, treadmill, _ = run(30.0, WALK)
    assert said.written[-1] == b"\xa2"
    treadmill.advance(36.0)
    assert treadmill.speed == 0.0


def test_an_emergency_stop_bypasses_everything_latches_and_is_released_by_a_person():
    order = Order("emergency", by="patient: chest pain")
    again = [(45.0, Order("prepare")), (46.0, Order("release", by="technician")), (47.0, Order("prepare"))]
    treadmill = Recorded(Faults(delay=0.05))  # so slow that some request is always open
    said, _, host = run(52.0, [*WALK, (30.0, order), *again], treadmill=treadmill)
    after = [(at, data) for at, data in treadmill.log if at >= 30.0]
    assert after[0][1] == b"\xa2"
    assert after[0][0] - 30.0 <= 0.0021
    assert words(said, "alarm") == ["emergency stop: patient: chest pain"]
    ((at, refusal),) = host.refusals
    assert at == 45.0
    assert "latched after: patient: chest pain" in refusal
    assert phases(said)[4:] == ["stopping", "latched", "idle", "preparing", "ready"]


def test_an_unacknowledged_stop_is_repeated_then_silence_and_the_red_button():
    treadmill = Recorded(deaf=(0xA2, 0xAA), deaf_from=20.0)
    release = (31.5, Order("release"))
    said, _, host = run(40.0, [*WALK, (30.0, Order("stop")), release], treadmill=treadmill)
    assert "not seen standing" in host.refusals[0][1]
    after = [(at, data) for at, data in treadmill.log if 30.0 <= at < 40.0]
    assert [data for _, data in after[:4]] == [b"\xa2", b"\xa2", b"\xa2", b"\xaa"]
    assert np.diff([at for at, _ in after[:4]]) == pytest.approx(0.1, abs=0.01)
    silence = after[4][0] - after[3][0]
    assert silence >= 0.6 + 0.1
    assert any("red button" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    # The belt's own watch has stopped it.
    assert treadmill.status == b"1"
    assert treadmill.speed == 0.0


def test_a_stop_that_is_acknowledged_late_counts():
    treadmill = Recorded(deaf=(0xA2,), deaf_from=20.0)
    said, _, _ = run(45.0, [*WALK, (30.0, Order("stop"))], treadmill=treadmill)
    assert "AA" in commands(said)
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert words(said, "alarm") == []


def test_a_runaway_belt_is_stopped_after_two_seconds():
    said, _, _ = run(60.0, WALK, Faults(runaway=(30.0, 1.2)))
    (first, *_) = words(said, "alarm")
    at = next(at for at, item in said if isinstance(item, Notice) and item.kind == "alarm")
    assert at == pytest.approx(32.1, abs=0.25)
    assert "5.1 km/h, set are 3.2 km/h" in first
    assert phases(said)[-1] == "latched"


def test_a_belt_measured_at_another_speed_is_stopped():
    said, treadmill, _ = run(40.0, [*WALK, (20.0, Order("measured", 3.3)), (25.0, Order("measured", 2.0))])
    (alarm,) = words(said, "alarm")
    assert "measured at 2 km/h" in alarm
    assert treadmill.speed == 0.0
    assert phases(said)[-1] == "latched"


def test_a_lost_link_stops_the_belt_and_nothing_restarts_it():
    treadmill = Recorded()
    run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    assert treadmill.status == b"2"
    again = converse(controlled(), treadmill, 20.0, start=30.05)
    assert set(commands(again)) <= {"A2"}  # it may still be slowing down when it is heard again
    assert treadmill.speed == 0.0
    assert treadmill.status == b"1"


def test_a_watched_belt_without_a_walk_is_stopped():
    treadmill = Recorded(Faults(watched=False))
    run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    again = converse(controlled(), treadmill, 20.0, start=30.05)
    assert commands(again)[0] == "A2"
    assert "no walk is under way" in words(again, "alarm")[0]
    assert treadmill.speed == 0.0


def test_a_silent_treadmill_is_an_emergency_after_a_second():
    treadmill = Recorded(deaf="all", deaf_from=30.0)
    said, _, _ = run(40.0, WALK, treadmill=treadmill)
    alarms = [(at, item.text) for at, item in said if isinstance(item, Notice) and item.kind == "alarm"]
    assert any("silent for more than a second" in text and 30.9 < at < 31.3 for at, text in alarms)
    assert any("red button" in text for _, text in alarms)
    stops = [data for at, data in treadmill.log if at > 30.9]
    assert b"\xa2" in stops[:2]
    assert phases(said)[-1] == "latched"


def test_the_speed_999_9_stops_the_walk():
    said, _, _ = run(45.0, WALK, Faults(speed_fault=(30.0, 2.0)))
    assert any("999.9" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


def test_a_belt_that_stands_of_itself_ends_the_walk():
    said, _, _ = run(40.0, WALK, Faults(emergency_stop=(30.0, 0.3)))
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


def test_a_start_without_watch_is_stopped():
    def tamper(message, at):
        return b"\xd03" if message == b"\xd02" else message

    said, treadmill, _ = run(30.0, WALK, tamper=tamper)
    assert any("without its stop" in text for text in words(said, "alarm"))
    assert treadmill.speed == 0.0


def test_a_start_that_is_not_confirmed_lapses():
    said, _, host = run(200.0, [START[0], (150.0, Order("confirm"))])
    assert phases(said) == ["preparing", "ready", "idle"]
    assert len(host.refusals) == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unit_check": None}, ("options.unit_check", "without unit_check")),
        ({"max_speed": None}, ("options.max_speed", "without max_speed")),
        ({"max_grade": None}, ("options.max_grade", "without max_grade")),
        ({"max_step": None}, ("options.max_step", "without max_step")),
        ({"unit_check": 2.0}, ("options.unit_check", "is not mph", "the other unit")),
        ({"unit": "kmh"}, ("options.unit_check", "is not kmh")),
        ({"max_step": 2.0}, ("options.max_step", "at most 1.5")),
        ({"min_speed": 6.0}, ("options.min_speed", "above the limit")),
    ],
)
def test_control_needs_limits_and_a_checked_unit(tmp_path, change, expected):
    options = {key: value for key, value in {"unit": "mph", **LIMITS, **change}.items() if value is not None}
    text = ", ".join(f"{key} = {value!r}".replace("'", '"') for key, value in options.items())
    path = tmp_path / "bedside.toml"
    entry = (
        f'[[device]]\nname = "t"\ndriver = "trackmaster"\nport = "/dev/null"\ncontrol = true\noptions = {{ {text} }}\n'
    )
    path.write_text(entry)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    for word in ("$.device[0]." + expected[0], *expected[1:]):
        assert word in str(caught.value)
    path.write_text(entry.replace(text, 'unit = "mph"').replace("control = true\n", ""))
    assert load(path).devices[0].setup().control is False


def test_with_limits_and_a_checked_unit_control_is_on(tmp_path):
    path = tmp_path / "bedside.toml"
    path.write_text(
        '[[device]]\nname = "t"\ndriver = "trackmaster"\nport = "/dev/null"\ncontrol = true\n'
        'options = { unit = "kmh", unit_check = 2.05, max_speed = 5.0, max_grade = 15.0, max_step = 1.0 }\n'
    )
    assert load(path).devices[0].setup().control is True
