"""The simulated IntelliVue: one host at a time, time-outs, extended and linked results, modes, faults, ledger."""

import itertools
import math

import pytest

from drivers.intellivue import association, attributes, electrodes, exchange
from drivers.intellivue.attributes import UNAVAILABLE
from drivers.intellivue.exchange import decode
from drivers.intellivue.frames import frame, unframe
from simulators.intellivue import IntelliVueMonitor, Options
from simulators.simkit.instrument import Plan
from tests import intellivue as known
from tests.intellivue import Room, one_by_one


class Host:
    """Sends messages and decodes what comes back; `at` runs on by what it waits."""

    def __init__(self, room=None, patience=1.0, **options):
        self.rows = []
        plan = Plan("intellivue", room or Room(), Options(**options), patience=patience, ledger=self.rows.append)
        self.monitor = IntelliVueMonitor(plan)
        self.at = 0.0
        self.monitor.connect(0.0)

    def send(self, *payloads, cut=lambda data: [data]):
        for payload in payloads:
            for piece in cut(frame(payload)):
                self.monitor.receive(piece, self.at)
        return self.heard()

    def wait(self, seconds):
        end = self.at + seconds
        while (due := self.monitor.deadline()) is not None and due <= end:
            self.monitor.advance(due)
        self.at = end
        return self.heard()

    def heard(self):
        return [decode(unframe(message)) for message in self.monitor.to_send()]

    def associate(self):
        accepted, created = self.send(known.ASSOCIATION_REQUEST)
        assert self.send(exchange.MdsCreateResult(created.invoke, created.time).encode()) == []
        return accepted

    def poll(self, **how):
        return self.send(exchange.PollRequest(5, 1, **how).encode())


def associated(**options):
    host = Host(**options)
    host.associate()
    return host


def test_it_accepts_the_published_request_whole_and_byte_by_byte():
    for cut in (lambda data: [data], one_by_one):
        accepted, created = Host().send(known.ASSOCIATION_REQUEST, cut=cut)
        assert accepted.info.poll_period == 2500
        assert accepted.info.system_type == association.SERVER
        assert attributes.identity_of(created.attributes)["model"] == "SIM-IntelliVue"


def test_a_second_association_is_refused_until_an_abort():
    host = associated()
    assert host.send(known.ASSOCIATION_REQUEST) == [association.Refuse()]
    assert host.send(known.ABORT) == []
    assert isinstance(host.send(known.ASSOCIATION_REQUEST)[0], association.AssociationAccept)


def test_a_silent_host_loses_its_association_without_a_word():
    host = associated()
    assert host.wait(9.9) == []
    assert host.send(known.ASSOCIATION_REQUEST) == [association.Refuse()]
    assert host.wait(9.9) == []
    host.poll()
    assert host.wait(10.1) == []
    assert host.poll() == []
    assert isinstance(host.send(known.ASSOCIATION_REQUEST)[0], association.AssociationAccept)


def test_patience_stretches_its_time_out():
    host = Host(patience=10.0)
    host.associate()
    host.wait(99)
    assert host.poll()


def test_a_release_is_answered_as_published():
    host = associated()
    host.monitor.receive(frame(known.RELEASE_REQUEST), 1.0)
    assert host.monitor.to_send() == [frame(known.RELEASE_RESPONSE)]
    assert host.poll() == []


def test_polls_before_the_introduction_is_acknowledged_are_passed_over():
    host = Host()
    host.send(known.ASSOCIATION_REQUEST)
    assert host.poll() == []


def test_the_published_poll_is_answered_with_both_electrodes_and_a_ledger_row_each():
    host = associated()
    host.at = 60.0
    host.monitor.receive(known.POLL_FRAME, 9.0)
    (result,) = host.heard()
    assert (result.invoke, result.number, result.sequence, result.kind) == (0, 1, None, attributes.NUMERICS)
    assert result.date == bytes.fromhex("2026010100000900")
    chest, calf = result.objects[-2:]
    assert (chest.handle, calf.handle) == (257, 258)
    codes = [numeric.physio for numeric in chest.numerics]
    assert codes == list(electrodes.QUANTITIES)
    assert [numeric.value for numeric in chest.numerics] == [70.1, 40.1, 60, 44.0, 285]
    assert [row["stream"] for row in host.rows] == ["chest", "calf"]
    assert host.rows[0]["device_time"] == result.time / 8000 == 3609.0
    assert host.rows[0]["values"] == [numeric.value for numeric in chest.numerics]


def test_an_extended_poll_sends_each_second_until_its_period_ends():
    host = associated()
    results = host.poll(period=round(4.5 * 8000)) + host.wait(9.0)
    assert [result.sequence for result in results] == [1, 2, 3, 4, 5]
    assert [result.time for result in results] == [28_800_000 + 8000 * i for i in range(5)]
    assert {result.number for result in results} == {1}


def test_a_renewed_extended_poll_takes_the_place_of_the_former_in_step_with_it():
    host = associated()
    first = host.poll(period=80000) + host.wait(2.4)
    second = host.send(exchange.PollRequest(6, 2, period=80000).encode()) + host.wait(9.0)
    assert [result.number for result in first + second] == [1] * 3 + [2] * 9
    times = [result.time for result in first + second]
    assert [b - a for a, b in itertools.pairwise(times)] == [8000] * 11


def test_results_that_are_too_long_are_linked_and_closed_by_an_empty_one():
    host = associated(others=12, mtu=300)
    parts = host.poll()
    assert [part.link for part in parts[:2]] == [(1, 1), (2, 2)]
    assert parts[-2].link == (3, len(parts) - 1)
    assert (parts[-1].link, parts[-1].objects) == (None, ())
    assert all(len(part.encode()) <= 300 for part in parts)
    assert sum(len(part.objects) for part in parts) == 14


def test_what_it_does_not_know_is_answered_with_an_error():
    host = associated(extended=False)
    assert host.poll(kind=attributes.MDS, group=0x0999) == [exchange.ErrorResult(5, 5)]
    assert host.poll(period=80000) == [exchange.ErrorResult(5, 24)]
    assert host.poll(kind=0x0777) == [exchange.ErrorResult(5, 6)]


@pytest.mark.parametrize(("state", "bits"), [("demo", 0x0400), ("test", 0x0800), ("calibrating", 0x1000)])
def test_modes_show_in_every_state(state, bits):
    (result,) = associated(state=state).poll()
    states = {numeric.state for each in result.objects if each.handle > 256 for numeric in each.numerics}
    assert states == {bits}


def test_a_missing_signal_is_unavailable():
    (result,) = associated(room=Room("tcpo2_calf")).poll()
    numeric = result.objects[-1].numerics[0]
    assert numeric.state == UNAVAILABLE
    assert math.isnan(numeric.value)


def test_kilopascal_come_in_their_unit_and_stand_in_the_ledger_as_a_host_should_record_them():
    host = associated(unit="kPa")
    (result,) = host.poll()
    oxygen = result.objects[-2].numerics[0]
    assert (oxygen.unit, oxygen.value) == (electrodes.KPA, 9.33)
    assert host.rows[0]["values"][0] == pytest.approx(9.33 * 7.50062)


def test_faults_of_the_monitor_itself():
    host = associated()
    assert host.monitor.fault("detached", True)
    assert [each.handle for each in host.poll()[0].objects if each.handle > 256] == [258]
    assert host.monitor.fault("detached", False)
    assert host.monitor.fault("out-of-range", True)
    assert host.poll()[0].objects[-2].numerics[0].value == 950
    assert host.monitor.fault("alarm", True)
    assert host.poll()[0].objects[-1].numerics[0].state == 0x0002
    assert host.monitor.fault("wrong-identity", True)
    (answer,) = host.poll(kind=attributes.MDS, group=attributes.SYSTEM_IDENTIFICATION)
    assert attributes.identity_of(answer.objects[0].attributes)["model"] == "OTHER"
    assert not host.monitor.fault("on-fire", True)


def test_the_relative_time_wraps_five_seconds_after_the_fault():
    host = associated()
    host.at = 8.0
    host.poll()
    assert host.monitor.fault("counter-wrap", True)
    host.at = 12.9
    assert host.poll()[0].time > 0xFFFFF000 - 8000
    host.at = 13.1
    assert host.poll()[0].time == 800


def test_a_restart_forgets_the_association_and_the_time():
    host = associated()
    host.monitor.reset(5.0)
    host.at = 6.0
    assert host.poll() == []
    host.associate()
    assert host.poll()[0].time == 8000


def test_garbage_is_passed_over():
    host = associated()
    host.monitor.receive(bytes(range(256)) * 20 + b"\xc0\x7d\xc1" + known.POLL_FRAME, 1.0)
    assert len(host.heard()) == 1


def contents(results):
    """The attributes of each numeric, by handle."""
    return {each.handle: [key for key, _ in each.attributes] for each in results[0].objects}


def test_a_group_has_its_attributes_alone():
    host = associated(others=0)
    assert contents(host.poll(group=0x0803)) == {257: [0x094B], 258: [0x094B]}
    assert contents(host.poll(group=0x0810)) == {257: [0x0924, 0x0927], 258: [0x0924, 0x0927]}
    assert contents(host.poll(group=0x0811)) == {257: [0x0921], 258: [0x0921]}
    assert contents(host.poll()) == {handle: [0x0921, 0x0924, 0x0927, 0x094B] for handle in (257, 258)}
    assert host.poll(group=0x0999) == [exchange.ErrorResult(5, 5)]


@pytest.mark.parametrize(("kind", "group"), [(0x0036, 0x0811), (0x002A, 0x0807), (0x0009, 0x0803)])
def test_what_it_has_nothing_to_tell_of_keeps_the_association_all_the_same(kind, group):
    host = associated()
    for _ in range(5):
        host.wait(8.0)
        (result,) = host.poll(kind=kind, group=group)
        assert (result.kind, result.group, result.objects) == (kind, group, ())


def test_everything_of_the_system_is_told_at_once():
    (result,) = associated().poll(kind=attributes.MDS)
    (system,) = result.objects
    assert [key for key, _ in system.attributes] == [0x0928, 0x0984, 0x092D]
