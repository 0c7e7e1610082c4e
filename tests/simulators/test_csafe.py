"""The simulated CSAFE console: states, rejections, time-outs and habits, byte by byte."""

import pytest

from drivers.csafe.frames import State, decode, encode
from simulators.csafe import Csafe, Options
from simulators.simkit.instrument import Plan
from tests.treadmill.belt import Belt


class Host:
    """Sends contents in hex and reads the replies' contents."""

    def __init__(self, *corners, **options):
        self.console = Csafe(Plan("csafe", Belt(*corners), Options(**options)))
        self.at = 0.0

    def ask(self, contents):
        return self.raw(encode(bytes.fromhex(contents)))

    def raw(self, frame, seconds=0.05):
        self.console.receive(frame, self.at)
        return self.wait(seconds)

    def wait(self, seconds):
        end = self.at + seconds
        while (due := self.console.deadline()) is not None and due <= end:
            self.console.advance(due)
        self.console.advance(end)
        self.at = end
        return " ".join(decode(frame).hex(" ").upper() for frame in self.console.to_send())


def test_the_empty_frame_asks_for_the_status_in_both_forms():
    host = Host()
    assert host.raw(bytes.fromhex("F1 00 F2")) == "81"
    assert host.raw(bytes.fromhex("F1 F2")) == "01"


def test_a_walk_is_answered_as_in_the_computed_vector():
    host = Host((0, 3.2, 12), (10000, 3.2, 12))
    host.wait(0.5)
    assert host.ask("A5") == "85 A5 03 20 00 31"
    assert host.ask("A8") == "05 A8 03 78 00 4C"


@pytest.mark.parametrize(
    ("commands", "replies", "state"),
    [
        (["82", "83", "85", "86", "87"], ["82", "03", "85", "07", "81"], State.READY),
        (["85"], ["91"], State.READY),
        (["83"], ["91"], State.READY),
        (["82", "85", "82"], ["82", "05", "95"], State.IN_USE),
        (["82", "85", "25 03 20 00 31"], ["82", "05", "95"], State.IN_USE),
        (["25 03 20 00 31", "28 03 78 00 4C"], ["81", "01"], State.READY),
        (["13 01 0A", "82", "13 01 0A"], ["81", "02", "92"], State.IDLE),
        (["82", "81"], ["82", "01"], State.READY),
    ],
)
def test_state_commands_follow_the_slaves_table(commands, replies, state):
    host = Host()
    assert [host.ask(command) for command in commands] == replies
    assert host.console.state is state


def test_a_frame_that_does_not_end_is_bad_after_150_ms():
    host = Host()
    assert host.raw(bytes.fromhex("F1 A5"), 0.1) == ""
    assert host.wait(0.1) == "21"
    assert host.ask("80") == "81"


@pytest.mark.parametrize("frame", ["F1 A5 A6 F2", "F1 F3 09 F2", "F1 25 03 20 00 31 36 F2"])
def test_a_wrong_checksum_or_stuffing_is_bad(frame):
    assert Host().raw(bytes.fromhex(frame)) == "21"


def test_an_extended_frame_is_answered_by_one():
    host = Host()
    host.console.receive(bytes.fromhex("F0 FD 00 A5 A5 F2"), 0.0)
    host.console.advance(0.05)
    assert host.console.to_send() == [bytes.fromhex("F0 00 FD 81 A5 03 00 00 31 16 F2")]
    assert host.raw(bytes.fromhex("F0 07 00 A5 A5 F2")) == ""
    assert host.ask("80") == "01"


def test_frames_in_one_burst_are_answered_one_after_the_other():
    assert Host().raw(bytes.fromhex("F1 80 80 F2 F1 A5 A5 F2")) == "81 01 A5 03 00 00 31"


def test_noise_before_a_frame_costs_nothing():
    assert Host().raw(bytes.fromhex("55 AA F1 A5 F1 80 80 F2")) == "81"


@pytest.mark.parametrize(
    ("request_", "block"),
    [
        ("70 01 00", "70 03 60 60 32"),
        ("93", "93 01 00"),
        ("9C", "9C 03 00 00 00"),
        ("A4", "A4 02 00 00"),
        ("B0", ""),
        ("FE", ""),
    ],
)
def test_small_requests_have_their_block_or_none(request_, block):
    assert Host().ask(request_) == f"81 {block}".strip()


def test_a_console_in_miles_says_so():
    assert Host(speed_unit=17).ask("93") == "81 93 01 01"


def test_a_host_may_ask_for_status_frames_at_changes():
    host = Host((0, 0, 0), (10, 0, 0), (11, 3, 0), (20, 3, 0))
    assert host.ask("01 01 11") == "81"
    assert host.wait(15.0) == "85"


def test_a_host_moves_the_belt_as_it_was_set_before_the_start():
    host = Host(ramp=0.8, grade_ramp=1.0)
    for contents in ("82", "25 03 20 00 31", "28 03 78 00 4C", "85"):
        assert host.ask(contents)[0] in "08"
    host.wait(2.0)
    assert host.console.speed == pytest.approx(1.6, abs=0.05)
    host.wait(13.0)
    assert host.ask("A5 A8").endswith("A5 03 20 00 31 A8 03 78 00 4C")
    assert (host.console.speed, host.console.grade) == (pytest.approx(3.2), pytest.approx(12.0))
    walked = 3.2 / 3.6 * (15.0 - 4.0 / 2)
    assert host.ask("A1")[-8:-6] == f"{round(walked):02X}"
    assert host.ask("86") == "87"
    host.wait(4.1)
    assert host.console.speed == 0.0


@pytest.mark.parametrize(("obeys", "status", "speed"), [(False, "15", 3.2), (True, "05", 2.0)])
def test_a_speed_while_the_belt_runs_is_rejected_unless_the_console_obeys(obeys, status, speed):
    host = Host(obeys=obeys, ramp=10.0)
    for contents in ("82", "25 03 20 00 31", "85"):
        host.ask(contents)
    host.wait(1.0)
    assert host.ask("25 03 14 00 31")[1] == status[1]
    assert host.ask("80")[1] == "5"
    host.wait(1.0)
    assert host.console.speed == pytest.approx(speed)


@pytest.mark.parametrize("contents", ["25 03 FF 0F 31", "28 03 FF 0F 4C", "25 03 20 00 24", "25 02 20 00", "25"])
def test_a_speed_or_grade_that_cannot_be_is_rejected(contents):
    assert Host().ask(contents) == "91"


def test_unsupported_requests_are_dropped_or_rejected():
    assert Host(unsupported=(0xA8,)).ask("A8") == "81"
    assert Host(unsupported=(0xA8,), reject_unsupported=True).ask("A8") == "91"


def test_the_status_does_not_flip_where_the_firmware_does_not():
    host = Host(toggles=False)
    assert [host.ask("80"), host.ask("80")] == ["01", "01"]
    assert Host(status_block=True).ask("80") == "81 80 01 81"


def test_unasked_status_frames_come_at_power_up_and_at_local_changes():
    host = Host((0, 0, 0), (10, 0, 0), (11, 3, 0), (20, 3, 0), (21, 0, 0), unsolicited=True)
    host.console.connect(0.0)
    assert host.wait(0.1) == "01"
    assert host.wait(15.0) == "05"
    assert host.wait(15.0) == "06"
    assert host.wait(220.0) == "07"


def test_offline_data_are_suppressed_or_answered():
    walk = ((0, 3.2, 10), (100, 3.2, 10))
    assert Host(*walk, local=True).ask("A5") == "89"
    assert Host(*walk, local=True, offline="answer").ask("A5") == "89 A5 03 20 00 31"


def test_the_malformed_block_is_that_of_the_capture():
    said = Host((0, 3.2, 10), wrong_count=True).ask("A5")
    assert said.endswith("D2 0F 43 54 35 48 52 54" + " 00" * 10)


def test_a_power_loss_clears_the_counters():
    host = Host((0, 3.6, 0), (100, 3.6, 0), (101, 0, 0))
    for _ in range(200):
        host.wait(0.5)
    assert host.ask("A1").endswith("64 00 24")
    host.wait(2.0)
    host.console.reset(host.at)
    assert host.ask("A1") == "81 A1 03 00 00 24"
