"""The simulated Woodway: the transcript of an independent host, limits, reverse, and the missed host."""

import pytest

from drivers.woodway import MPH
from simulators.simkit.instrument import Plan
from simulators.woodway import Options, Woodway
from tests.treadmill.belt import Belt


class Host:
    def __init__(self, *corners, **options):
        self.treadmill = Woodway(Plan("woodway", Belt(*corners), Options(**options)))
        self.at = 0.0

    def ask(self, request, wait=0.01):
        self.treadmill.receive(bytes.fromhex(request), self.at)
        return self.wait(wait)

    def wait(self, seconds):
        end = self.at + seconds
        while (due := self.treadmill.deadline()) is not None and due <= end:
            self.treadmill.advance(due)
        self.treadmill.advance(end)
        self.at = end
        return b"".join(self.treadmill.to_send()).hex(" ").upper()


def test_the_transcript_of_an_independent_host_is_reproduced():
    host = Host()
    for request, reply in [("A9", "B9"), ("A3 30 30 32 30", "B3"), ("A4 30 31 32 30", "B4")]:
        assert host.ask(request) == reply
    host.wait(30.0)
    assert host.ask("C1") == "D1 30 30 32 30"
    assert host.ask("C2") == "D2 30 31 32 30"
    assert host.ask("A3 33 30 32 30") == "B3"
    host.wait(10.0)
    assert host.treadmill.speed == pytest.approx(-2 * MPH)
    assert host.ask("C1") == "D1 33 30 32 30"
    for request, reply in [("AA", "BA"), ("A2", "B2")]:
        assert host.ask(request) == reply
    host.wait(30.0)
    assert host.ask("C1") == "D1 30 30 30 30"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("C0", "D0 00"),
        ("C3", "D3 00 01 02 03"),
        ("A3 31 30 32 30", "BE"),
        ("A4 30 33 30 30", "BE"),
        ("A4 30 30 30 31", "B4"),
        ("A1", "BF"),
        ("C4", "BF"),
        ("A3 30 30 C0", "D0 00"),
    ],
)
def test_each_request_gets_its_answer(request_, reply):
    assert Host().ask(request_) == reply


@pytest.mark.parametrize(("start", "stands"), [("A0", True), ("A9", False)])
def test_a_watched_belt_misses_its_host(start, stands):
    host = Host(timer=1.0)
    host.ask("A3 30 30 32 30")
    host.ask(start)
    said = host.wait(20.0)
    assert (said == "BD") == stands
    assert (host.treadmill.speed == 0.0) == stands


def test_without_a_host_the_belt_follows_the_bench():
    host = Host((0, 3.2186, 10), (100, 3.2186, 10), negative_zero=True)
    assert host.ask("C1") == "D1 30 30 32 30"
    assert Host(negative_zero=True).ask("C1") == "D1 33 30 30 30"
