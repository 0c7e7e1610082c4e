"""Control of a CSAFE treadmill, which must be forced: states, frames, and a belt that nothing watches."""

import numpy as np
import pytest

from acquisition.config import load
from acquisition.driverkit.driver import Order
from acquisition.errors import ConfigurationError
from acquisition.model import Notice
from drivers.csafe.frames import Reply, State, decode, encode
from simulators.simkit.conversation import converse
from tests.drivers.belts import DIALECTS, LIMITS, PREPARE, START, WALK, phases, rows, words
from tests.treadmill.belt import Belt

(CSAFE,) = (each for each in DIALECTS if each.name == "csafe")
STOP = (30.0, Order("stop", by="patient"))


def configure(tmp_path, control, driver="csafe", options='unit = "mph"'):
    path = tmp_path / "bedside.toml"
    path.write_text(
        f'[[device]]\nname = "t"\ndriver = "{driver}"\nport = "/dev/null"\n'
        f"simulated = true\ncontrol = {control}\noptions = {{ {options} }}\n"
    )
    return load(path)


def test_control_without_force_is_refused_and_says_what_is_missing(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        configure(tmp_path, "true")
    for word in ("$.device[0].control", "moved by force", "stops by itself", "red button", "allowed: false", '"force"'):
        assert word in str(caught.value)


@pytest.mark.parametrize("driver", ["trackmaster", "woodway"])
def test_what_stops_by_itself_needs_no_force(tmp_path, driver):
    with pytest.raises(ConfigurationError, match=r"\$\.device\[0\]\.control.*nothing has to be forced"):
        configure(tmp_path, '"force"', driver, "")


def test_forced_control_needs_the_unit(tmp_path):
    limits = ", ".join(f"{key} = {value}" for key, value in LIMITS.items())
    with pytest.raises(ConfigurationError, match=r"\$\.device\[0\]\.options\.unit"):
        configure(tmp_path, '"force"', options=limits)
    assert configure(tmp_path, '"force"', options=limits + ', unit = "mph"').devices[0].setup().control is True


def test_a_console_that_is_only_read_needs_nothing(tmp_path):
    assert configure(tmp_path, "false").devices[0].setup().control is False


def test_the_record_says_that_the_belt_is_moved_by_force():
    said, _, _ = CSAFE.run(3.0)
    (warning,) = (notice for notice in said.notices if notice.details.get("forced"))
    assert warning.kind == "warning"
    assert "the belt runs on" in warning.text
    assert not any(notice.details.get("forced") for notice in converse(CSAFE.read(), CSAFE.treadmill(), 3.0).notices)


def test_commands_are_the_frames_of_the_definition():
    said, treadmill, _ = CSAFE.run(40.0, [*START, (6.5, Order("speed", 3.2)), (12.0, Order("grade", 12.0)), STOP])
    assert set(said.written) >= {
        bytes.fromhex("F1 25 03 14 00 11 23 F2"),
        bytes.fromhex("F1 28 03 78 00 4C 1F F2"),
        *(encode(bytes((code,))) for code in (0x82, 0x85, 0x86, 0x87)),
    }
    assert treadmill.state is State.READY


def test_a_console_in_kilometres_is_ordered_in_kilometres():
    kilometres = {"unit": "kmh", "unit_check": 2.0}
    said, treadmill, _ = CSAFE.run(20.0, WALK, treadmill=CSAFE.treadmill(speed_unit=49), options=kilometres)
    assert bytes.fromhex("F1 25 03 20 00 31 37 F2") in said.written
    assert treadmill.speed == pytest.approx(3.2)


def test_frames_keep_their_distance_and_wait_for_the_answer_before():
    _, treadmill, _ = CSAFE.run(40.0, [*WALK, STOP])
    assert np.diff([at for at, _ in treadmill.log]).min() >= 0.05 - 1e-9


def test_the_port_lets_through_no_more_than_the_limits():
    def allowed(contents):
        return any(each.fullmatch(encode(bytes.fromhex(contents))) for each in CSAFE.controlled().writable)

    # 5 km/h are 3.1 mph, the highest grade is 20 %.
    assert [allowed(f"25 03 {tenths:02X} 00 11") for tenths in (0, 1, 31, 32)] == [False, True, True, False]
    assert [allowed(f"28 03 {tenths:02X} 00 4C") for tenths in (0, 200, 201)] == [True, True, False]
    assert [code for code in range(0x80, 0x90) if allowed(f"{code:02X}")] == [0x82, 0x85, 0x86, 0x87]


@pytest.mark.parametrize(
    "habits", [{"combined": False}, {"status_block": True}, {"not_ready_every": 9}, {"unsolicited": True}]
)
def test_habits_of_consoles_cost_no_walk(habits):
    treadmill = CSAFE.treadmill(**habits)
    said, _, host = CSAFE.run(45.0, [*WALK, STOP], treadmill=treadmill)
    assert host.refusals == []
    assert phases(said) == ["preparing", "ready", "starting", "walking", "stopping", "idle"]
    assert treadmill.state is State.READY


def test_a_console_may_count_down_before_its_belt_moves():
    said, _, _ = CSAFE.run(30.0, START, treadmill=CSAFE.treadmill(countdown=3.0))
    running = next(at for at, item in said if isinstance(item, Notice) and item.details.get("control") == "walking")
    assert 9.0 < running < 9.8


def test_a_start_after_which_nothing_moves_is_taken_back():
    said, treadmill, _ = CSAFE.run(30.0, START, treadmill=CSAFE.treadmill(countdown=60.0))
    assert any("does not report that it runs" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.state is State.READY


def test_a_console_that_takes_speeds_only_before_the_start_is_stopped():
    """What the one public source of the equipment's side does."""
    said, treadmill, _ = CSAFE.run(30.0, WALK, treadmill=CSAFE.treadmill(obeys=False))
    assert words(said, "alarm") == ["emergency stop: command to set the speed: rejected in the state in use"]
    assert rows(said)[:, 1].max() < 0.5
    assert phases(said)[-1] == "latched"
    assert treadmill.state is State.READY


def test_the_belt_of_a_dead_host_runs_on():
    _, treadmill, _ = CSAFE.run(30.0, WALK, dead_at=29.9)
    treadmill.advance(300.0)
    assert treadmill.speed > 3


def test_a_belt_that_is_found_in_use_without_a_walk_is_stopped():
    treadmill = CSAFE.treadmill()
    CSAFE.run(30.0, WALK, treadmill=treadmill, dead_at=29.9)
    again = converse(CSAFE.controlled(), treadmill, 20.0, start=60.0)
    assert CSAFE.commands(again)[:2] == ["86", "87"]
    assert "no walk is under way" in words(again, "alarm")[0]
    assert phases(again)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_walk_that_somebody_began_at_the_console_is_left_alone():
    walking = Belt((0, 0, 0), (1, 0, 0), (2, 4, 2), (60, 4, 2))
    treadmill = CSAFE.treadmill(walking, local=True, offline="answer")
    said, _, host = CSAFE.run(30.0, [(20.0, Order("prepare"))], treadmill=treadmill)
    assert CSAFE.commands(said) == []
    assert words(said, "alarm") == []
    assert "somebody is at the console" in host.refusals[0][1]


@pytest.mark.parametrize("unit", [49, 82])
def test_a_console_in_another_unit_is_not_prepared(unit):
    said, _, host = CSAFE.run(10.0, [PREPARE], treadmill=CSAFE.treadmill(speed_unit=unit))
    assert ("unit 49" if unit == 49 else "no speed") in host.refusals[0][1]
    assert CSAFE.commands(said) == []


@pytest.mark.parametrize(
    ("block", "cause"), [(None, "tells no speed"), (bytes.fromhex("20 00 31"), "in unit 49"), (b"", "tells no speed")]
)
def test_a_speed_that_cannot_be_trusted_ends_the_walk(block, cause):
    def tamper(message, at):
        reply = Reply.of(decode(message))
        if not 30.0 <= at < 31.0 or 0xA5 not in reply.blocks:
            return message
        others = {code: data for code, data in reply.blocks.items() if code != 0xA5}
        return encode(Reply(reply.status, others if block is None else {**others, 0xA5: block}).contents())

    said, treadmill, _ = CSAFE.run(45.0, WALK, tamper=tamper)
    assert any(cause in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"
    assert treadmill.speed == 0.0


def test_a_stop_that_is_not_heard_is_said_again_until_the_belt_stands():
    treadmill = CSAFE.treadmill(deaf={0x86, 0x87}, deaf_between=(20.0, 40.0))
    said, _, _ = CSAFE.run(60.0, [*WALK, STOP], treadmill=treadmill)
    stops = [at for at, data in treadmill.log if at >= 31.0 and CSAFE.code(data) == 0x86]
    assert np.diff(stops).max() < 1.05
    assert treadmill.speed == 0.0
    assert max(stops) < 45.0
    assert any("the belt stands after an emergency stop" in text for text in words(said, "state"))


def test_a_host_that_leaves_after_an_unheard_stop_says_it_once_more():
    treadmill = CSAFE.treadmill(deaf={0x86, 0x87}, deaf_between=(20.0, 35.5))
    said, _, _ = CSAFE.run(35.6, [*WALK, STOP], treadmill=treadmill)
    assert CSAFE.commands(said)[-1] == "86"


def test_a_stop_that_the_console_rejects_calls_for_the_red_button():
    def tamper(message, at):
        reply = Reply.of(decode(message))
        return encode(bytes((0x15 | reply.status & 0x80,))) if at >= 30.0 and not reply.blocks else message

    said, _, _ = CSAFE.run(32.0, [*WALK, STOP], tamper=tamper)
    assert any("red button" in text for text in words(said, "alarm"))
    assert phases(said)[-1] == "latched"


@pytest.mark.parametrize(("flips", "state"), [(False, State.FINISHED), (True, State.IN_USE)])
def test_a_status_that_came_unasked_acknowledges_no_stop(flips, state):
    """Neither one whose toggle did not flip nor one by which the belt is in use as before."""
    toggle = 0

    def tamper(message, at):
        nonlocal toggle
        if at < 30.0:
            toggle = decode(message)[0] & 0x80
            return message
        toggle ^= 0x80 if flips else 0
        return encode(bytes((toggle | state,)))

    said, _, _ = CSAFE.run(32.0, [*WALK, STOP], tamper=tamper)
    assert any("acknowledges no stop" in text for text in words(said, "alarm"))
