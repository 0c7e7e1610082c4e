"""The simulated Trackmaster: transcripts, limits, ramps, and every option for what firmwares do differently."""

import asyncio

import pytest

from simulators.simkit.instrument import Plan
from simulators.trackmaster import Options, Trackmaster
from simulators.transports.cables import PtyCable
from tests.treadmill.belt import Belt


class Host:
    """Sends bytes in hex and reads what comes back within a second."""

    def __init__(self, *corners, **options):
        self.rows = []
        self.treadmill = Trackmaster(Plan("trackmaster", Belt(*corners), Options(**options), ledger=self.rows.append))
        self.at = 0.0
        self.treadmill.connect(0.0)

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

    def keep_walking(self, seconds):
        """Poll every 0.25 s, as a watched belt wants it."""
        for _ in range(round(seconds / 0.25)):
            self.ask("C0", 0.25)


def test_the_transcript_of_an_independent_host_is_reproduced():
    host = Host()
    for request, reply in [
        ("C3", "D3 30 30 30 30"),
        ("C4", "D4 30 30 30 30"),
        ("A3 30 30 32 30", "B3"),
        ("C0", "D0 31"),
        ("A1", "B1"),
        ("A4 30 31 32 30", "B4"),
    ]:
        assert host.ask(request) == reply
    host.wait(30.0)
    for request, reply in [
        ("C0", "D0 33"),
        ("C1", "D1 30 30 32 30"),
        ("C2", "D2 30 31 32 30"),
        ("AA", "BA"),
        ("A2", "B2"),
    ]:
        assert host.ask(request) == reply
    host.wait(30.0)
    assert host.ask("C1") == "D1 30 30 30 30"


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        ("A3 30 31 35 31", "BE"),
        ("A3 30 30 30 31", "BE"),
        ("A4 30 30 30 33", "BE"),
        ("A4 30 32 35 35", "BE"),
        ("A4 30 32 35 30", "B4"),
        ("AD", "BF"),
        ("D0", "BF"),
        ("CE", "DF"),
        ("A5 30 30 30 30", "B5"),
        ("A6 30 30", "B6"),
        ("A7 30 30", "B7"),
        ("A9 30 30 30 30", "B9"),
        ("A8", "B8"),
        ("C6", "D6 30 30 30 30"),
        ("C7", "D7 30 30 30 30"),
        ("C8", "D8 30 30"),
        ("C9", "D9 30 30"),
        ("CD", "DD 30 30 30 30"),
        ("A3 30 30 C0", "D0 31"),
        ("A3 30 30 2E C0", "D0 31"),
        ("30 31 54 00", ""),
    ],
)
def test_each_request_gets_the_manuals_answer(request_, reply):
    host = Host()
    assert host.ask(request_) == reply


def test_a_refused_value_changes_nothing():
    host = Host()
    host.ask("A3 30 30 32 30")
    assert host.ask("A3 30 39 39 39") == "BE"
    assert host.ask("C3") == "D3 30 30 32 30"


def test_without_a_host_the_belt_follows_the_bench():
    host = Host((0, 3.2186, 10), (100, 3.2186, 10))
    assert host.ask("C0") == "D0 33"
    assert host.ask("C1") == "D1 30 30 32 30"
    assert host.ask("C2") == "D2 30 31 30 30"
    assert host.ask("C3") == "D3 30 30 32 30"


def test_a_kmh_belt_counts_in_kmh():
    host = Host((0, 3.2, 10), (100, 3.2, 10), unit="kmh")
    assert host.ask("C1") == "D1 30 30 33 32"


def test_the_ledger_has_a_row_for_each_speed_sent():
    host = Host((0, 3.2, 10), (100, 3.2, 10), unit="kmh")
    for request in ("C0", "C3", "C4", "C2", "C1"):
        host.ask(request)
    assert [row["values"] for row in host.rows] == [[3.2, 10.0, 3.2, 10.0, 1.0]]
    assert host.rows[0]["stream"] == "belt"


def test_the_belt_ramps_to_what_the_host_sets():
    host = Host(ramp=0.5)
    for request in ("A3 30 30 32 30", "A0"):
        host.ask(request)
    host.keep_walking(2.0)
    assert host.treadmill.speed == pytest.approx(1.609344, abs=0.01)
    host.keep_walking(3.0)
    assert host.treadmill.speed == pytest.approx(2 * 1.609344)
    host.ask("A2")
    host.wait(4.1)
    assert host.treadmill.speed == 0.0


def test_a_watched_belt_stops_by_itself_when_the_host_is_silent():
    host = Host(ramp=0.5)
    for request in ("A3 30 30 32 30", "A4 30 30 35 30", "A0"):
        host.ask(request)
    host.keep_walking(20.0)
    full = host.treadmill.speed
    host.wait(0.24)
    assert host.treadmill.speed == full
    host.wait(0.1)
    assert host.treadmill.speed < full
    host.wait(12.0)
    assert (host.treadmill.speed, host.treadmill.grade, host.treadmill.status) == (0.0, 0.0, b"1")


@pytest.mark.parametrize(("start", "options"), [("A1", {}), ("A0", {"watched": False})])
def test_an_unwatched_belt_runs_on(start, options):
    host = Host(**options)
    for request in ("A3 30 30 32 30", start):
        host.ask(request)
    host.wait(60.0)
    assert host.treadmill.speed == pytest.approx(2 * 1.609344)


def test_auto_cool_down_goes_to_the_minimum_and_keeps_walking():
    host = Host()
    for request in ("A3 30 30 32 30", "A4 30 30 35 30", "A1"):
        host.ask(request)
    host.wait(20.0)
    assert host.ask("AB") == "BB"
    host.wait(20.0)
    assert host.treadmill.speed == pytest.approx(0.2 * 1.609344)
    assert host.treadmill.grade == 0.0


@pytest.mark.parametrize(("one_command", "speed"), [(True, "30 30 30 30"), (False, "30 30 32 30")])
def test_a_command_before_the_answer_takes_the_place_of_the_first(one_command, speed):
    host = Host(one_command=one_command)
    host.ask("A3 30 30 32 30 C4")
    assert host.ask("C3") == f"D3 {speed}"


@pytest.mark.parametrize(("echo", "tail"), [("off", ""), ("data", " 30 30 32 30"), ("code+data", " A3 30 30 32 30")])
def test_acknowledged_data_can_be_sent_back(echo, tail):
    host = Host(echo=echo)
    assert host.ask("A3 30 30 32 30") == "B3"
    assert host.ask("AC") == "BC"
    assert host.ask("A3 30 30 32 30") == "B3" + tail


def test_the_older_counters_show_hundredths_of_the_distance():
    host = Host((0, 3.6, 0), (1000, 3.6, 0), unit="kmh", counters="jas")
    for _ in range(100):
        host.ask("C0", 1.0)
    assert host.ask("C7") == "D7 30 30 31 30"
    assert host.ask("A8") == "B8"
    assert host.ask("C7") == "D7 30 30 30 30"


def test_an_early_start_at_zero_grade_is_locked_out_until_a_stop():
    host = Host(lockout=True)
    host.treadmill.reset(host.at)
    assert host.ask("A0") == "BF"
    host.wait(5.0)
    assert host.ask("A0") == "BF"
    assert host.ask("A2") == "B2"
    assert host.ask("A0") == "B0"


def test_a_lock_out_ends_after_twenty_silent_seconds():
    host = Host(lockout=True)
    host.treadmill.reset(host.at)
    assert host.ask("A0") == "BF"
    host.wait(20.0)
    assert host.ask("A0") == "B0"


def test_power_up_precedes_the_first_connection():
    assert Host(lockout=True).ask("A0") == "B0"


def test_the_emergency_stop_is_silence_then_power_up():
    host = Host((0, 3.2, 5), emergency_stop=(10.0, 3.0))
    host.wait(10.5)
    assert host.ask("C0") == ""
    assert host.treadmill.speed == 0.0
    host.wait(3.0)
    assert host.ask("C0") == "D0 31"
    assert host.ask("C1") == "D1 30 30 30 30"


def test_the_speed_fault_reads_999_9_for_its_time():
    host = Host(speed_fault=(10.0, 5.0))
    assert host.ask("C1") == "D1 30 30 30 30"
    host.wait(11.0)
    assert host.ask("C1") == "D1 39 39 39 39"
    host.wait(5.0)
    assert host.ask("C1") == "D1 30 30 30 30"


def test_an_echoed_self_test_moves_the_belt_and_silence_does_not():
    for echo, moving in ((True, True), (False, False)):
        host = Host(self_test=True)
        host.treadmill.reset(host.at)
        assert host.wait(0.1) == "54"
        host.ask("54" if echo else "C0")
        host.wait(5.0)
        assert (host.treadmill.speed > 0) == moving


def test_status_requests_that_do_not_exist_are_refused_in_either_way():
    assert Host(unknown_status="BF").ask("CF") == "BF"


class Bedside:
    """Puts a simulated treadmill on a cable in real time."""

    def __init__(self, treadmill, cable):
        self.treadmill, self.cable, self.loop = treadmill, cable, asyncio.get_running_loop()

    def connected(self):
        self.treadmill.connect(self.loop.time())

    def disconnected(self):
        pass

    def data(self, data):
        self.treadmill.receive(data, self.loop.time())
        self.pump()

    def pump(self):
        self.treadmill.advance(self.loop.time())
        for message in self.treadmill.to_send():
            self.cable.send(message)
        due = self.treadmill.deadline()
        if due is not None:
            self.loop.call_at(due, self.pump)


def test_an_independent_host_sets_speed_and_grade_and_sees_them():
    peers = pytest.importorskip("trackmaster", reason="PyPI trackmaster 0.1.1 is not installed")

    def drive(path):
        peer = peers.Treadmill(path)
        try:
            peer.speed = 2.0
            peer.incline = 4.0
            ramped = [peer.get_actual_speed(), peer.get_actual_elevation()]
            while peer.get_actual_speed() < 2.0 or peer.get_actual_elevation() < 4.0:
                ramped.append(peer.get_actual_speed())
            assert peer.belt_running
            assert (peer.get_set_speed(), peer.get_set_incline()) == (2.0, 4.0)
            peer.auto_stop()
            while peer.belt_running:
                pass
            return ramped
        finally:
            peer.device.close()

    async def bedside():
        treadmill = Trackmaster(Plan("trackmaster", Belt(), Options(ramp=10.0, grade_ramp=20.0)))
        cable = PtyCable(None, treadmill.serial)
        offer = await cable.plug(Bedside(treadmill, cable))
        try:
            return await asyncio.wait_for(asyncio.to_thread(drive, offer["path"]), 20)
        finally:
            await cable.close()

    ramped = asyncio.run(bedside())
    assert ramped[0] < 2.0
