"""The simulated CSAFE console: states, rejections, time-outs and habits, byte by byte."""

import pytest

from drivers.csafe.frames import State, decode, encode
from simulators.csafe import Csafe, Options
from simulators.instrument import Plan
from tests.treadmill import Belt


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


@pytest.mark.parametrize("frame", ["F1 A5 A6 F2", "F0 00 FD A5 A5 F2"])
def test_a_wrong_checksum_and_extended_frames_are_bad(frame):
    assert Host().raw(bytes.fromhex(frame)) == "21"


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
