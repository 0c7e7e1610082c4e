"""Control of every treadmill that can be moved: the start, the walk, and every way in which a belt comes to a stand."""

import numpy as np
import pytest

from acquisition.config import load
from acquisition.driverkit.driver import Order
from acquisition.errors import ConfigurationError, Refused
from acquisition.model import Notice
from acquisition.treadmill.protocol import WalkProgress, load_walk
from simulators.simkit.conversation import converse
from tests.drivers.belts import DIALECTS, LIMITS, MPH, PREPARE, START, WALK, began, phases, rows, words

pytestmark = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda each: each.name)


def test_the_start_goes_step_by_step_and_waits_for_a_person(dialect):
    said, treadmill, _ = dialect.run(5.9, [PREPARE])
    assert tuple(dialect.commands(said)[: len(dialect.started) - 1]) == dialect.started[:-1]
    assert phases(said) == ["preparing", "ready"]
    assert treadmill.speed == 0.0
    said, treadmill, host = dialect.run(20.0, WALK)
    assert host.refusals == []
    assert tuple(dialect.commands(said)[: len(dialect.started)]) == dialect.started
    assert phases(said) == ["preparing", "ready", "starting", "walking"]
    assert words(said, "alarm") == []
    assert rows(said)[-1, 1:3] == pytest.approx([2 * MPH, 5.0])


def test_the_speed_rises_by_steps_and_each_waits_for_the_belt(dialect):
    said, treadmill, _ = dialect.run(20.0, WALK)
    codes = [(at, data) for at, data in treadmill.log if dialect.code(data) == dialect.speed]
    assert len(codes) == 4
    assert np.diff([at for at, _ in codes[1:]]).min() > 0.9  # 0.6 mph at 0.5 mph/s
    rising = rows(said)
    set_at = [0.2, 0.8, 1.4, 2.0]
    for (at, _), mph in zip(codes[1:], set_at, strict=False):
        assert rising[np.searchsorted(rising[:, 0], at), 1] == pytest.approx(mph * MPH, abs=0.26)


def test_a_walking_belt_hears_from_the_host_at_least_every_200_ms(dialect):
    _, treadmill, _ = dialect.run(60.0, WALK)
    instants = np.array([at for at, _ in treadmill.log if 7.0 < at < 59.9])
    assert np.diff(instants).max() <= 0.2 + 1e-6


def test_nothing_is_sent_on_a_new_link_until_a_watched_belt_would_have_stopped(dialect):
    _, treadmill, _ = dialect.run(5.0)
    assert treadmill.log[0][0] == pytest.approx(dialect.silence, abs=0.01)


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_protocol_is_walked_to_its_end(dialect, name):
    protocol = load_walk(name)
    said, treadmill, host = dialect.run(1290.0, START, walk=WalkProgress(protocol))
    assert host.refusals == []
    assert words(said, "alarm") == []
    samples = rows(said)
    for stage in protocol.stage:
        # A minute later the belt has come to the stage.
        row = samples[np.searchsorted(samples[:, 0], began(said) + stage.after + 60.0)]
        assert row[1] == pytest.approx(3.2, abs=0.03)
        assert row[2] == pytest.approx(stage.grade)
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert any("the end of the protocol after 1200 s" in text for text in words(said, "state"))
    assert (treadmill.speed, treadmill.state if dialect.force else 1) == (0.0, 1)


@pytest.mark.parametrize("name", ["walk-gs", "walk-constant"])
def test_a_patient_ends_a_protocol(dialect, name):
    stop = (300.0, Order("stop", by="patient: maximal pain"))
    said, treadmill, host = dialect.run(330.0, [*START, stop], walk=WalkProgress(load_walk(name)))
    assert host.refusals == []
    assert phases(said)[-2:] == ["stopping", "idle"]
    assert treadmill.speed == 0.0
    moving = rows(said)[rows(said)[:, 1] > 0]
    assert moving[-1, 0] == pytest.approx(304.0, abs=0.5)  # 2 mph at 0.5 mph/s: four seconds
    assert [order for at, order in host.orders if at > 300.0] == []


def test_a_host_that_leaves_in_order_stops_the_belt(dialect):
    said, treadmill, _ = dialect.run(30.0, WALK)
    assert dialect.code(said.written[-1]) == dialect.stop
    treadmill.advance(36.0)
    assert treadmill.speed == 0.0


def test_an_emergency_stop_bypasses_everything_latches_and_is_released_by_a_person(dialect):
    order = Order("emergency", by="patient: chest pain")
    again = [(45.0, Order("prepare")), (46.0, Order("release", by="technician")), (47.0, Order("prepare"))]
    treadmill = dialect.treadmill(delay=0.09)  # so slow that some request is always open
    said, _, host = dialect.run(54.0, [*WALK, (30.0, order), *again], treadmill=treadmill)
    at, first = next((at, data) for at, data in treadmill.log if at >= 30.0)
    assert dialect.code(first) == dialect.stop
    assert at - 30.0 <= (0.06 if dialect.force else 0.0021)  # CSAFE keeps 50 ms between two frames
    assert words(said, "alarm") == ["emergency stop: patient: chest pain"]
    ((at, refusal),) = host.refusals
    assert at == 45.0
    assert "latched after: patient: chest pain" in refusal
    assert phases(said)[4:] == ["stopping", "latched", "idle", "preparing", "ready"]


def test_an_unacknowledged_stop_is_repeated_and_then_the_red_button_is_called_for(dialect):
    treadmill = dialect.treadmill(deaf=set(dialect.retries), deaf_between=(20.0, np.inf))
    said, _, host = dialect.run(40.0, [*WALK, (30.0, Order("stop")), (31.0, Order("release"))], treadmill=treadmill)
    assert "not seen standing" in host.refusals[0][1]
    stops = [(at, dialect.code(data)) for at, data in treadmill.log if at >= 30.0 and dialect.is_command(data)][:4]
    assert tuple(code for _, code in stops) == dialect.retries
    assert np.diff([at for at, _ in stops]) == pytest.approx(0.1, abs=0.01)
    assert any("red button" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    if dialect.watch is not None:
        quiet = next(at for at, _ in treadmill.log if at > stops[-1][0]) - stops[-1][0]
        assert quiet >= dialect.watch + 0.1
        assert treadmill.speed == 0.0


def test_a_runaway_belt_is_stopped_after_two_seconds(dialect):
    standing = dialect.treadmill()

    def tamper(message, at):
        return dialect.tell(message, 6.4) if at >= 30.0 and standing.speed > 0 else message

    said, _, _ = dialect.run(60.0, WALK, treadmill=standing, tamper=tamper)
    at, alarm = next((at, item.text) for at, item in said if isinstance(item, Notice) and item.kind == "alarm")
    assert at == pytest.approx(32.1, abs=0.3)
    assert "6.4 km/h, set are 3.2 km/h" in alarm
    assert phases(said)[-1] == "latched"


def test_a_belt_measured_at_another_speed_is_stopped(dialect):
    measured = [(20.0, Order("measured", 3.3)), (25.0, Order("measured", 2.0))]
    said, treadmill, _ = dialect.run(40.0, [*WALK, *measured])
    (alarm,) = words(said, "alarm")
    assert "measured at 2 km/h" in alarm
    assert treadmill.speed == 0.0
    assert phases(said)[-1] == "latched"


def test_a_belt_that_stands_of_itself_ends_the_walk(dialect):
    said, _, _ = dialect.run(40.0, WALK, tamper=lambda m, at: dialect.tell(m, 0.0) if at >= 30.0 else m)
    assert any("stopped by itself" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


@pytest.mark.parametrize("which", ["start", "speed"])
def test_a_refused_command_ends_the_attempt(dialect, which):
    said, treadmill, _ = dialect.run(40.0, WALK, tamper=dialect.refuse(getattr(dialect, which)))
    wanted = "command to start" if which == "start" else "command to set the speed"
    assert any(wanted in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_silent_treadmill_is_an_emergency_after_a_second(dialect):
    patient = {"timer": 5.0} if dialect.name == "woodway" else {}
    treadmill = dialect.treadmill(deaf="all", deaf_between=(30.0, np.inf), **patient)
    said, _, _ = dialect.run(40.0, WALK, treadmill=treadmill)
    alarms = [(at, item.text) for at, item in said if isinstance(item, Notice) and item.kind == "alarm"]
    assert any("silent for more than a second" in text and 30.8 < at < 31.3 for at, text in alarms)
    assert any("red button" in text for _, text in alarms)
    assert dialect.stop in [dialect.code(data) for at, data in treadmill.log if at > 30.8][:3]
    assert phases(said)[-1] == "latched"


@pytest.mark.parametrize("seconds", [2.4, 6.0])
def test_a_belt_that_ran_while_the_computer_stood_still_is_stopped_and_told_why(dialect, seconds):
    said, treadmill, _ = dialect.run(60.0, WALK, paused=(30.0, 30.0 + seconds))
    alarms = [(at, item.text) for at, item in said if isinstance(item, Notice) and item.kind == "alarm"]
    told = [text for at, text in alarms if 30.0 + seconds <= at < 30.2 + seconds and "emergency stop" in text]
    assert f"this computer was paused for {seconds:.1f} s" in told[0]
    assert not any("silent" in text or "switch or a cable" in text for _, text in alarms)
    after = [dialect.code(data) for at, data in treadmill.log if at > 30.0]
    assert after[0] == dialect.stop, "nothing else is written first: it would feed the belt's watch"
    assert treadmill.speed == 0.0
    assert phases(said)[-1] == "latched"


def test_a_pause_before_the_start_stops_no_walk(dialect):
    said, _, host = dialect.run(30.0, [PREPARE, (12.0, Order("confirm", by="technician"))], paused=(6.0, 9.0))
    assert host.refusals == []
    assert words(said, "alarm") == []
    assert phases(said)[-1] == "walking"


def test_a_lost_link_stops_the_belt_and_nothing_restarts_it(dialect):
    treadmill = dialect.treadmill()
    dialect.run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    assert treadmill.speed > 0
    again = converse(dialect.controlled(), treadmill, 20.0, start=30.05)
    assert not any(dialect.code(message) in (dialect.start, dialect.speed) for message in again.written)
    assert treadmill.speed == 0.0


def test_a_belt_that_stands_is_not_moved_on_a_new_link(dialect):
    said, treadmill, _ = dialect.run(10.0)
    assert dialect.commands(said) == []
    assert treadmill.speed == 0.0


@pytest.mark.parametrize(
    ("script", "order", "remedy"),
    [
        ([], Order("confirm"), "possible while the walk is ready; perfusion belt walk PROTOCOL prepares one"),
        ([], Order("speed", 3.0), "ready or walking; perfusion belt walk"),
        (WALK, Order("prepare"), "possible while the walk is idle; perfusion belt stop ends the walk"),
        (WALK, Order("speed", 5.1), "0.4 to 5 km/h"),
        (WALK, Order("speed", 0.0), "0.4 to 5 km/h"),
        (WALK, Order("grade", 20.5), "0 to 20 %"),
        (WALK, Order("speed"), "give one"),
        (WALK, Order("faster"), "prepare, confirm, speed"),
        (WALK, Order("release"), "latched"),
    ],
)
def test_an_order_out_of_place_is_refused_and_changes_nothing(dialect, script, order, remedy):
    said, _, host = dialect.run(20.0, [*script, (15.0, order)])
    ((_, refusal),) = host.refusals
    assert remedy in refusal
    quiet, _, _ = dialect.run(20.0, script)
    assert dialect.commands(said) == dialect.commands(quiet)


def test_a_start_that_is_not_confirmed_lapses(dialect):
    said, _, host = dialect.run(200.0, [PREPARE, (150.0, Order("confirm"))])
    assert phases(said) == ["preparing", "ready", "idle"]
    assert len(host.refusals) == 1


def test_a_reading_driver_takes_no_orders_and_may_write_no_command(dialect):
    driver = dialect.read()
    with pytest.raises(Refused, match="only read"):
        driver.order(Order("stop"), 0.0)
    said, _, _ = dialect.run(20.0, WALK)
    sent = [message for message in said.written if dialect.is_command(message)]
    assert len(sent) > 6
    assert not any(pattern.fullmatch(message) for pattern in driver.writable for message in sent)


def test_even_under_control_nothing_else_can_be_written(dialect):
    writable = dialect.controlled().writable
    for message in dialect.never:
        assert not any(pattern.fullmatch(bytes.fromhex(message)) for pattern in writable)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"unit_check": None}, ("options.unit_check", "without unit_check")),
        ({"max_speed": None}, ("options.max_speed", "without max_speed")),
        ({"max_grade": None}, ("options.max_grade", "without max_grade")),
        ({"max_step": None}, ("options.max_step", "without max_step")),
        ({"unit_check": 2.0}, ("options.unit_check", "is not mph", "the other unit")),
        ({"max_step": 2.0}, ("options.max_step", "at most 1.5")),
        ({"min_speed": 6.0}, ("options.min_speed", "above the limit")),
    ],
)
def test_control_needs_limits_and_a_checked_unit(dialect, tmp_path, change, expected):
    options = {key: value for key, value in {**dialect.limits, **change}.items() if value is not None}
    with pytest.raises(ConfigurationError) as caught:
        configured(tmp_path, dialect, options)
    for word in ("$.device[0]." + expected[0], *expected[1:]):
        assert word in str(caught.value)
    assert configured(tmp_path, dialect, {**dialect.limits, **LIMITS}).setup().control


def test_a_real_belt_is_not_controlled_and_the_words_say_why(dialect, tmp_path):
    with pytest.raises(ConfigurationError, match=r"\$\.device\[0\]\.control: a real belt is not controlled") as caught:
        configured(tmp_path, dialect, {**dialect.limits, **LIMITS}, simulated=False)
    for word in ("until its proofs hold", "simulated belts only", "false, which reads it", "docs/treadmills.md"):
        assert word in str(caught.value)
    reads = {"unit": "mph"} if "unit" in dialect.limits else {}
    assert not configured(tmp_path, dialect, reads, simulated=False, control="false").setup().control


def configured(folder, dialect, options, simulated=True, control=None):
    """The device of a configuration that says control."""
    control = control or ('"force"' if dialect.force else "true")
    said = ", ".join(f"{key} = {value!r}".replace("'", '"') for key, value in options.items())
    path = folder / "bedside.toml"
    path.write_text(
        f'[[device]]\nname = "t"\ndriver = "{dialect.name}"\nport = "/dev/null"\n'
        f"simulated = {str(simulated).lower()}\ncontrol = {control}\noptions = {{ {said} }}\n"
    )
    return load(path).devices[0]
