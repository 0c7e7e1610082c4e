"""The IntelliVue driver against the guide's bytes, against noise, and against a simulated monitor in virtual time."""

import math
import random
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.clock import Timeline
from acquisition.config import load
from acquisition.driver import Announced, Setup
from acquisition.errors import ConfigurationError
from acquisition.framing import Cutter, Skipped
from acquisition.model import Header, Instant, Quality, Readings
from acquisition.streambook import InstrumentClocks, StreamBook
from drivers.intellivue import Electrode, IntelliVue, Options, association, attributes, electrodes, exchange, frames
from simulators.conversation import converse
from simulators.instrument import Plan
from simulators.intellivue import IntelliVueMonitor
from simulators.intellivue import Options as Monitor
from tests import intellivue as known
from tests.intellivue import Room, one_by_one, randomly

CHEST, CALF = Electrode("chest", 257), Electrode("calf", 258)
BOTH = (CHEST, CALF)
POLLS = ("extended", "single")
TCPO2, TCPCO2, SITE_TIME, TEMPERATURE, POWER = range(5)


def reader(*electrodes, datagrams=False, **options):
    return IntelliVue(Setup("intellivue", Options(electrodes, **options), datagrams=datagrams, random=random.Random(1)))


class Scripted(IntelliVueMonitor):
    """A monitor to which things happen at given seconds; it is deaf and dumb in the intervals `away`."""

    def __init__(self, options=None, events=(), away=(), room=None, datagrams=False):
        self.rows = []
        self.sent_at = []
        self.received = []
        plan = Plan("intellivue", room or Room(), options or Monitor(), ledger=self._note, datagrams=datagrams)
        super().__init__(plan)
        self.events = sorted(events, key=lambda event: event[0])
        self.away = away
        self.now = 0.0

    def _note(self, row):
        self.rows.append((self.now, row))

    def receive(self, data, at):
        self.received.append((at, data))
        self._happen(at)
        if not any(start <= at < stop for start, stop in self.away):
            super().receive(data, at)

    def advance(self, at):
        self._happen(at)
        super().advance(at)

    def to_send(self):
        messages = super().to_send()
        gone = any(start <= self.now < stop for start, stop in self.away)
        return [] if gone else messages

    def _happen(self, at):
        self.now = at
        while self.events and self.events[0][0] <= at:
            self.events.pop(0)[1](self)


def texts(said, kind):
    return [notice.text for notice in said.notices if notice.kind == kind]


def device_times(said, stream):
    return np.concatenate([r.device_time for r in said.readings if r.stream == stream])


def arrivals(said, stream):
    return [at for at, item in said if isinstance(item, Readings) and item.stream == stream]


# Bytes.


@pytest.mark.parametrize(("data", "check"), known.FCS_VECTORS)
def test_the_check_sequence_is_that_of_the_published_vectors(data, check):
    assert frames.fcs(bytes.fromhex(data)) == check


@pytest.mark.parametrize(("data", "wire"), [("3A 71", "C0 3A 71 9B 26 C1"), ("3A 91", "C0 3A 91 95 7D E1 C1")])
def test_the_check_sequence_is_escaped_too(data, wire):
    body = bytes.fromhex(data)
    body += struct.pack("<H", frames.fcs(body))
    assert frames.BOF + frames.escape(body) + frames.EOF == bytes.fromhex(wire)


def test_flags_in_a_message_are_escaped_and_come_back():
    payload = bytes(range(256)) + b"\x7d\x5d\xc0\xc1\x7d"
    framed = frames.frame(payload)
    assert framed[1:-1].count(b"\xc0") == framed[1:-1].count(b"\xc1") == 0
    assert frames.unframe(framed) == payload


MESSAGES = {
    "association request": (known.ASSOCIATION_REQUEST, association.AssociationRequest()),
    "abort": (known.ABORT, association.Abort()),
    "release request": (known.RELEASE_REQUEST, association.ReleaseRequest()),
    "release response": (known.RELEASE_RESPONSE, association.ReleaseResponse()),
    "create result": (known.CREATE_RESULT, exchange.MdsCreateResult(1, 0x000ABD00)),
    "numerics poll": (known.POLL_FRAME[5:-3], exchange.PollRequest(0, 1)),
    "extended poll": (known.EXTENDED_POLL, exchange.PollRequest(4, 3, 9, period=0x00493E00)),
    "poll result": (
        known.REPLY_FRAME[5:-3],
        exchange.PollResult(
            0, 1, None, 0x000ABD00, bytes.fromhex("2026010112000000"), attributes.NUMERICS, 0,
            (
                attributes.Observed(
                    0, 257, ((0x0921, b"\x01\x01"), (0x0924, b"\x00\x02\x50\xd0"),
                             (0x0950, bytes.fromhex("50D000000F2000000044"))),
                ),
            ),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_are_those_of_the_guide_in_both_directions(name):
    payload, message = MESSAGES[name]
    assert message.encode() == payload
    assert exchange.decode(payload) == message


def test_the_association_headers_are_the_published_ones():
    assert known.ASSOCIATION_REQUEST[18:149] == known.REQUEST_HEADER
    accepted = association.AssociationAccept().encode()
    assert len(accepted) == 208
    assert accepted[:2] + accepted[16:19] == bytes.fromhex("0E CE C1 BE 31")
    assert accepted[18:119] == known.ACCEPT_HEADER
    assert exchange.decode(accepted) == association.AssociationAccept()


def test_an_accept_with_the_short_presentation_header_is_read():
    whole = association.AssociationAccept(
        association.UserInfo(association.SERVER, association.HOT_START, 8000, extensions=0)
    )
    short = whole.encode().replace(bytes.fromhex("BE802880020102 81"), bytes.fromhex("BE80288081"))
    short = short[:1] + bytes([short[1] - 3]) + short[2:17] + bytes([short[17] - 3]) + short[18:]
    assert exchange.decode(short) == whole


def test_an_accept_longer_than_254_bytes_is_read():
    info = association.UserInfo(association.SERVER, association.HOT_START).encode()
    more = attributes.pack_attributes(((0x0001, info[32:]), (0x0102, bytes(80))))
    info = info[:24] + more
    body = association.SESSION + b"\xc1"
    inner = known.ACCEPT_HEADER + bytes([0x81, len(info)]) + info + bytes(16)
    body += b"\xff" + struct.pack(">H", len(inner)) + inner
    message = exchange.decode(b"\x0e\xff" + struct.pack(">H", len(body)) + body)
    assert message == association.AssociationAccept(association.UserInfo(association.SERVER, association.HOT_START))


def test_an_accept_without_a_poll_profile_grants_nothing():
    info = association.UserInfo(association.SERVER, association.HOT_START, extensions=0)
    user = info.encode()[:24] + attributes.pack_attributes(())
    inner = known.ACCEPT_HEADER + bytes([len(user)]) + user + bytes(16)
    body = association.SESSION + b"\xc1" + bytes([len(inner)]) + inner
    assert exchange.decode(b"\x0e" + bytes([len(body)]) + body) == association.AssociationAccept(info)


@pytest.mark.parametrize("refusal", ["0C 03 32 01 00", "0C 02 00 00"])
def test_a_refusal_is_read_with_and_without_reasons(refusal):
    assert exchange.decode(bytes.fromhex(refusal)) == association.Refuse()


@pytest.mark.parametrize(
    ("raw", "value", "decimals"), [("00000044", 68.0, 0), ("FF00019F", 41.5, 1), ("FF00005B", 9.1, 1)]
)
def test_numbers_are_those_of_the_guide_in_both_directions(raw, value, decimals):
    assert attributes.decode_float(int(raw, 16)) == value
    assert attributes.encode_float(value, decimals) == int(raw, 16)


@pytest.mark.parametrize("raw", ["007FFFFF", "00800000", "007FFFFE", "00800002", "00800001", "FF7FFFFF"])
def test_special_numbers_are_none(raw):
    assert math.isnan(attributes.decode_float(int(raw, 16)))


@given(st.floats(-8000, 8000), st.integers(0, 3))
def test_numbers_survive_the_way_to_their_resolution(value, decimals):
    back = attributes.decode_float(attributes.encode_float(value, decimals))
    assert abs(back - value) <= 0.5 * 10**-decimals + 1e-9


def test_the_captured_connect_indication_is_read_to_its_last_byte():
    indication = exchange.decode(known.CONNECT_INDICATION)
    assert indication.encode() == known.CONNECT_INDICATION
    assert (indication.address, indication.port) == ("192.168.247.101", 24105)
    assert attributes.identity_of(indication.attributes) == {
        "manufacturer": "Philips", "model": "866062", "serial": "0009fbffff88c1bd",
    }  # fmt: skip


# Frames out of a byte stream.

STREAM = [frames.frame(payload) for payload, _ in MESSAGES.values()]


def test_a_genuine_connect_indication_says_where_the_monitor_is_and_which():
    assert IntelliVue.announced(known.CONNECT_INDICATION) == Announced(
        "udp://192.168.247.101:24105", "866062", "0009fbffff88c1bd"
    )
    assert IntelliVue.announced(known.ASSOCIATION_REQUEST) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_connect_indication_raises_nothing(seed):
    chance = random.Random(seed)
    for _ in range(2000):
        data = bytearray(known.CONNECT_INDICATION[: chance.randrange(len(known.CONNECT_INDICATION) + 1)])
        for _ in range(chance.randrange(4)):
            if data:
                data[chance.randrange(len(data))] = chance.randrange(256)
        said = IntelliVue.announced(bytes(data))
        assert said is None or said.port.startswith("udp://")


def whole_frames(pieces):
    cutter = Cutter(frames.cut_frame, frames.FRAME_LIMIT)
    found, skipped = [], 0
    for piece in pieces:
        for item in cutter.feed(piece):
            if isinstance(item, Skipped):
                skipped += len(item.data)
            else:
                found.append(item)
    return found, skipped


@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one, randomly(1), randomly(2), randomly(3)])
def test_frames_cut_anywhere_come_out_whole(cut):
    assert whole_frames(cut(b"".join(STREAM))) == (STREAM, 0)


@pytest.mark.parametrize("seed", range(20))
def test_noise_between_frames_costs_no_intact_frame(seed):
    rng = random.Random(seed)

    def noise():
        return bytes(rng.choice([0xC0, 0xC1, 0x7D, 0x11, 0x01, rng.randrange(256)]) for _ in range(rng.randrange(40)))

    # Noise that ends in an escape would hide nothing: a flag is a flag whatever stands before it.
    data = noise() + b"".join(each + noise() for each in STREAM)
    found, _ = whole_frames(randomly(seed)(data))
    assert [each for each in found if each in STREAM] == STREAM


def test_a_damaged_frame_costs_only_itself():
    for index in range(1, len(known.REPLY_FRAME) - 1):
        damaged = bytearray(known.REPLY_FRAME)
        damaged[index] ^= 0x04
        found, skipped = whole_frames([known.POLL_FRAME + bytes(damaged) + known.POLL_FRAME])
        assert found == [known.POLL_FRAME] * 2
        assert skipped == len(damaged)


@pytest.mark.parametrize("seed", range(5))
def test_garbage_raises_nothing_and_fills_no_memory(seed):
    rng = random.Random(seed)
    driver = reader(*BOTH)
    driver.start(0.0)
    for _ in range(400):
        flags = rng.choice([b"", b"\xc0", b"\xc1", b"\x7d", b"\xc0\x11\x01"])
        for item in driver.receive(flags + rng.randbytes(rng.randrange(200)), 1.0):
            assert item.kind == "noise"
        assert len(driver._cutter) <= frames.FRAME_LIMIT


@pytest.mark.parametrize("seed", range(5))
def test_messages_cut_short_or_changed_in_good_frames_raise_nothing(seed):
    rng = random.Random(seed)
    driver = reader(*BOTH)
    driver.start(0.0)
    payloads = [payload for payload, _ in MESSAGES.values()] + [association.AssociationAccept().encode()]
    for payload in payloads:
        for _ in range(60):
            changed = bytearray(payload[: rng.randrange(1, len(payload) + 1)])
            changed[rng.randrange(len(changed))] = rng.randrange(256)
            list(driver.receive(frames.frame(bytes(changed)), 1.0))


# Conversations.


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("cut", [None, one_by_one, randomly(7)])
def test_ten_minutes_give_every_sample_of_both_electrodes_in_order(cut, poll):
    monitor = Scripted()
    said = converse(reader(*BOTH, poll=poll), monitor, 600.0, cut=cut)
    for name in ("chest", "calf"):
        rows = [row for _, row in monitor.rows if row["stream"] == name]
        assert len(rows) == pytest.approx(600, abs=2)
        assert np.array_equal(said.values(name), [row["values"] for row in rows])
        assert np.array_equal(device_times(said, name), [row["device_time"] for row in rows])
        assert np.diff(device_times(said, name)) == pytest.approx(np.ones(len(rows) - 1), abs=0.01)
    assert not any(r.quality.any() or r.lost for r in said.readings)
    assert len({r.base.token for r in said.readings}) == 1
    assert said.values("chest")[0, TCPO2] == pytest.approx(70, abs=0.1)
    assert said.values("calf")[0, TCPCO2] == pytest.approx(45, abs=0.1)
    assert said.values("calf")[0, TEMPERATURE] == 44
    assert {n.kind for n in said.notices} == {"state", "identity"}


def test_streaming_begins_at_once_and_ends_with_a_release():
    said = converse(reader(*BOTH), Scripted(), 5.0, latency=0.002)
    assert arrivals(said, "chest")[0] < 0.2
    assert exchange.decode(frames.unframe(said.written[0])) == association.Abort()
    assert exchange.decode(frames.unframe(said.written[-1])) == association.ReleaseRequest()
    assert exchange.decode(frames.unframe(said.sent[-1])) == association.ReleaseResponse()


def test_the_monitor_is_identified_before_its_first_sample():
    for introduces in (True, False):
        said = converse(reader(*BOTH), Scripted(Monitor(introduces=introduces)), 3.0)
        kinds = [item.kind for _, item in said if not isinstance(item, Readings)]
        first = next(i for i, (_, item) in enumerate(said) if isinstance(item, Readings))
        assert kinds[:first] == ["state", "identity"]
        identity = next(n for n in said.notices if n.kind == "identity")
        assert identity.details["model"] == "SIM-IntelliVue"
        assert identity.details["serial"] == "53494d0000000001"


def test_an_identity_from_the_introduction_alone_is_said_before_the_first_sample():
    class Taciturn(Scripted):
        def _describe(self, request, at):
            pass

    said = converse(reader(*BOTH), Taciturn(), 6.0)
    kinds = ["sample" if isinstance(item, Readings) else item.kind for _, item in said]
    assert kinds[:3] == ["state", "identity", "sample"]


def test_a_monitor_without_an_identity_streams_with_a_warning():
    class Nameless(Scripted):
        def _identity(self):
            return ()

    said = converse(reader(*BOTH), Nameless(), 6.0)
    assert len(said.values("chest")) == 6
    assert ["neither model nor system id" in text for text in texts(said, "warning")] == [True]


@pytest.mark.parametrize("poll", POLLS)
def test_noise_on_the_line_costs_only_the_damaged_replies(poll):
    rng = random.Random(5)
    monitor = Scripted()
    damaged = []

    def tamper(message, at):
        measured = b"\x50\xd0" in message
        if not measured or at < 2 or at > 295 or rng.random() > 0.2:
            return bytes(rng.randrange(256) for _ in range(rng.randrange(4))) + message
        damaged.append(at)
        return message[:20] + bytes([message[20] ^ 4]) + message[21:]

    said = converse(reader(*BOTH, poll=poll), monitor, 300.0, tamper=tamper, cut=randomly(3))
    rows = [row["values"] for at, row in monitor.rows if row["stream"] == "calf" and at not in damaged]
    assert len(damaged) > 40
    assert np.array_equal(said.values("calf"), rows)
    assert sum(r.lost for r in said.readings if r.stream == "calf") == len(damaged)


@pytest.mark.parametrize("poll", POLLS)
def test_a_monitor_that_comes_back_streams_within_two_seconds(poll):
    for back in (25.0, 27.3, 41.9, 62.4, 90.0):
        said = converse(reader(*BOTH, poll=poll), Scripted(away=[(20.5, back)]), back + 10)
        again = next(at for at in arrivals(said, "chest") if at >= back)
        assert again - back < 2.0
        assert "the monitor does not answer; associating anew" in texts(said, "state")


@pytest.mark.parametrize("poll", POLLS)
def test_a_restarted_monitor_is_read_on_a_new_time_base(poll):
    monitor = Scripted(events=[(30.4, lambda m: m.reset(30.4))])
    said = converse(reader(*BOTH, poll=poll), monitor, 60.0)
    bases = [r.base.token for r in said.readings if r.stream == "calf"]
    assert len(set(bases)) == 2
    assert bases == sorted(bases, key=bases.index)
    after = [float(r.device_time[0]) for r in said.readings if r.base.token == bases[-1]]
    assert after[0] < 6
    assert np.array_equal(said.values("calf"), [row["values"] for _, row in monitor.rows if row["stream"] == "calf"])


def test_a_restart_shows_even_where_the_new_time_is_later_than_the_old():
    monitor = Scripted(Monitor(uptime=0), events=[(60.0, lambda m: m.reset(60.0))], away=[(20.5, 100.0)])
    said = converse(reader(CHEST), monitor, 110.0)
    times = device_times(said, "chest")
    assert times[-1] > times[19]
    assert len({r.base.token for r in said.readings}) == 2


@pytest.mark.parametrize("poll", POLLS)
def test_an_interruption_without_a_restart_keeps_the_time_base(poll):
    said = converse(reader(*BOTH, poll=poll), Scripted(away=[(20.5, 50.0)]), 60.0)
    assert len({r.base.token for r in said.readings}) == 1
    times = device_times(said, "chest")
    assert times[-1] - times[0] == pytest.approx(arrivals(said, "chest")[-1] - arrivals(said, "chest")[0], abs=0.01)


@pytest.mark.parametrize("poll", POLLS)
def test_relative_time_runs_on_over_its_wrap(poll):
    said = converse(reader(*BOTH, poll=poll), Scripted(Monitor(uptime=2**32 / 8000 - 5)), 20.0)
    times = device_times(said, "chest")
    assert np.diff(times) == pytest.approx(np.ones(len(times) - 1), abs=0.01)
    assert times[-1] > 2**32 / 8000
    assert len({r.base.token for r in said.readings}) == 1


def test_two_connections_to_one_running_monitor_share_the_time_base_and_a_restart_does_not():
    first = converse(reader(*BOTH), Scripted(Monitor(uptime=1000)), 3.0)
    later = converse(reader(*BOTH), Scripted(Monitor(uptime=1000)), 3.0, start=500.0)
    restarted = converse(reader(*BOTH), Scripted(Monitor(uptime=10)), 3.0, start=500.0)
    tokens = [said.readings[0].base.token for said in (first, later, restarted)]
    assert tokens[0] == tokens[1] != tokens[2]


@pytest.mark.parametrize("poll", POLLS)
def test_a_gap_over_a_reconnection_says_how_many_samples_are_missing(poll):
    header = Header("tcpo2", IntelliVue(Setup("intellivue", Options(BOTH))).streams[0], "intellivue", "", "")
    book = StreamBook(header, Timeline(1, 0, 0), InstrumentClocks(), 10.0)
    chunks = []
    for connection, (start, seconds) in enumerate([(0.0, 30.0), (90.0, 30.0)]):
        said = converse(reader(*BOTH, poll=poll), Scripted(Monitor(uptime=1000)), seconds, start=start)
        book.interrupted("unplugged")
        chunks += [
            book.chunk(r, Instant(round(t * 1e9), 0), connection)
            for t, r in said
            if isinstance(r, Readings) and r.stream == "chest"
        ]
    (gap,) = [chunk.gap for chunk in chunks if chunk.gap]
    seconds = float(chunks[gap.after + 1].device_time[0] - chunks[gap.after].device_time[0])
    assert seconds > 55
    assert gap.missing == round(seconds) - 1
    assert gap.before - gap.after - 1 == gap.missing


def requests(said):
    """All polls that the driver sent, decoded."""
    messages = [exchange.decode(frames.unframe(message)) for message in said.written]
    return [message for message in messages if isinstance(message, exchange.PollRequest)]


def test_an_extended_poll_is_renewed_before_it_ends_without_a_seam():
    monitor = Scripted()
    said = converse(reader(CHEST), monitor, 2400.0)
    extended = [request for request in requests(said) if request.period is not None]
    assert [request.period for request in extended] == [4_800_000] * 6
    times = device_times(said, "chest")
    assert len(times) == 2400
    assert np.diff(times) == pytest.approx(np.ones(len(times) - 1), abs=0.05)
    assert not any(r.lost for r in said.readings)


def test_an_extended_poll_whose_renewal_is_lost_is_renewed_again():
    class HardOfHearing(Scripted):
        def _answer_poll(self, request, at):
            if request.period is None or not 440 < at < 470:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), HardOfHearing(Monitor(others=0)), 700.0)
    assert len(said.values("chest")) >= 698


def test_an_association_with_an_extended_poll_is_kept_alive():
    monitor = Scripted()
    said = converse(reader(CHEST), monitor, 100.0)
    asked = [request for request in requests(said) if request.kind == attributes.MDS]
    assert len(requests(said)) == len(asked) + 1
    assert len(asked) == pytest.approx(30, abs=2)
    assert {request.group for request in asked[1:]} == {attributes.SYSTEM_PRODUCTION}
    assert len(said.values("chest")) == 100


def test_a_monitor_that_grants_no_extended_polls_is_polled_one_by_one():
    said = converse(reader(CHEST), Scripted(Monitor(extended=False)), 30.0)
    assert len(said.values("chest")) == 30
    assert not any(request.period for request in requests(said))


def test_a_monitor_that_grants_extended_polls_and_refuses_them_is_polled_one_by_one():
    class Fickle(Scripted):
        def _answer_poll(self, request, at):
            if request.period is not None:
                self._say(exchange.ErrorResult(request.invoke, 24))
            else:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), Fickle(), 30.0)
    assert len(said.values("chest")) == 30
    assert any("refused (invalid operation)" in text for text in texts(said, "state"))


def test_a_monitor_that_leaves_extended_polls_unanswered_is_polled_one_by_one():
    class Mute(Scripted):
        def _answer_poll(self, request, at):
            if request.period is None:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), Mute(), 30.0)
    assert len(said.values("chest")) == 29
    assert any("none came" in text for text in texts(said, "state"))


def test_a_refused_association_is_reported_once_and_tried_again():
    said = converse(reader(*BOTH), Refusing(), 10.0)
    assert len(texts(said, "warning")) == 1
    assert "refuses the association" in texts(said, "warning")[0]
    assert not said.readings
    requests = [m for m in said.written if exchange.decode(frames.unframe(m)) == association.AssociationRequest()]
    assert 8 <= len(requests) <= 10


class Refusing(Scripted):
    def _associate(self, info, at):
        self.send(frames.frame(association.Refuse().encode()))


def test_an_abort_by_the_monitor_is_followed_by_a_new_association():
    def abort(monitor):
        monitor._forget()
        monitor.send(frames.frame(association.Abort().encode()))

    said = converse(reader(*BOTH), Scripted(events=[(10.5, abort)]), 20.0)
    assert "the monitor ended the association" in texts(said, "state")
    assert max(np.diff(arrivals(said, "chest"))) < 2.5
    assert len(texts(said, "state")) == 3


def test_rare_polls_are_bridged_by_keep_alives_and_the_association_holds():
    monitor = Scripted()
    said = converse(reader(*BOTH, poll="single", interval=30.0), monitor, 300.0)
    assert len(said.values("chest")) == 10
    assert len(texts(said, "state")) == 1
    times = [at for at, _ in monitor.received]
    assert max(np.diff(times[3:])) < 10.0


def test_no_more_than_four_frames_leave_in_128_ms():
    class Eager(Scripted):
        """Introduces itself again with everything that it hears."""

        def receive(self, data, at):
            super().receive(data, at)
            if self._associated and at < 5:
                for _ in range(6):
                    self._say(exchange.MdsCreate(7, 0, ()))

    monitor = Eager()
    converse(reader(*BOTH), monitor, 8.0)
    times = np.array([at for at, _ in monitor.received[:-1]])  # the last one is the farewell, which waits for nothing
    assert len(times) > 50
    assert np.all(times[4:] - times[:-4] >= 0.128 - 1e-9)


def test_patience_stretches_every_time_out():
    driver = IntelliVue(Setup("intellivue", Options(BOTH), patience=10.0))
    driver.start(0.0)
    assert driver.deadline() == pytest.approx(15.0)


def test_only_what_is_declared_matches_the_queries():
    driver = reader(*BOTH)
    allowed = [
        known.POLL_FRAME,
        frames.frame(exchange.PollRequest(4, 4, period=4_800_000).encode()),
        *map(frames.frame, [known.ABORT, known.ASSOCIATION_REQUEST, known.CREATE_RESULT]),
    ]
    forbidden = [
        known.REPLY_FRAME,
        known.POLL_FRAME + b"\x00",
        known.POLL_FRAME * 2,
        frames.frame(known.EXTENDED_POLL),
    ]
    forbidden.append(frames.frame(known.POLL_FRAME[5:-3].replace(b"\x00\x07\x00\x16", b"\x00\x05\x00\x16")))
    assert all(any(query.fullmatch(m) for query in driver.queries) for m in allowed)
    assert not any(query.fullmatch(m) for query in driver.queries for m in forbidden)
    for invoke in [*range(0, 0x10000, 37), *range(0xC000, 0xC200), *range(0x7D00, 0x7E00)]:
        message = frames.frame(exchange.PollRequest(invoke, invoke).encode())
        assert driver.queries[4].fullmatch(message), message.hex(" ")


# Datagrams.


@pytest.mark.parametrize("poll", POLLS)
def test_over_udp_messages_go_bare_and_nothing_is_lost(poll):
    monitor = Scripted(Monitor(others=12, mtu=300), datagrams=True)
    said = converse(reader(*BOTH, datagrams=True, poll=poll), monitor, 120.0)
    assert said.written[:2] == [known.ABORT, known.ASSOCIATION_REQUEST]
    assert said.written[-1] == known.RELEASE_REQUEST
    rows = [row["values"] for _, row in monitor.rows if row["stream"] == "chest"]
    assert len(rows) == pytest.approx(120, abs=1)
    assert np.array_equal(said.values("chest"), rows)


@pytest.mark.parametrize("poll", POLLS)
def test_datagrams_that_come_twice_or_never_are_stored_once_or_counted(poll):
    rng = random.Random(11)
    monitor = Scripted(datagrams=True)
    dropped = []

    def cut(message):
        """Double or drop measurements."""
        if b"\x50\xd0" not in message or not 3 < monitor.now < 290:
            return [message]
        fate = rng.random()
        if fate < 0.1:
            dropped.append(monitor.now)
            return []
        return [message] * (2 if fate < 0.4 else 1)

    said = converse(reader(*BOTH, datagrams=True, poll=poll), monitor, 300.0, cut=cut)
    rows = [row["values"] for at, row in monitor.rows if row["stream"] == "calf" and at not in dropped]
    assert len(dropped) > 20
    assert np.array_equal(said.values("calf"), rows)
    assert sum(r.lost for r in said.readings if r.stream == "calf") == len(dropped)


def test_a_datagram_that_was_overtaken_is_left_out():
    monitor = Scripted(datagrams=True)
    held = []

    def cut(message):
        if b"\x50\xd0" in message and 10 < monitor.now < 11:
            held.append(message)
            return []
        return [message, held.pop()] if held and b"\x50\xd0" in message else [message]

    said = converse(reader(CHEST, datagrams=True), monitor, 20.0, cut=cut)
    assert np.all(np.diff(device_times(said, "chest")) > 0)
    assert sum(r.lost for r in said.readings) == 1


@pytest.mark.parametrize("seed", range(3))
def test_stray_datagrams_are_noise(seed):
    rng = random.Random(seed)
    driver = reader(*BOTH, datagrams=True)
    driver.start(0.0)
    for size in (0, 1, 2, 8, 40, 400):
        for _ in range(50):
            assert {item.kind for item in driver.receive(rng.randbytes(size), 1.0)} <= {"noise"}
    (notice,) = driver.receive(known.POLL_FRAME, 1.0)
    assert notice.kind == "noise"


def test_bare_queries_match_bare_messages_alone():
    driver = reader(*BOTH, datagrams=True)
    allowed = [known.ABORT, known.ASSOCIATION_REQUEST, known.CREATE_RESULT, known.POLL_FRAME[5:-3]]
    forbidden = [known.POLL_FRAME, known.EXTENDED_POLL, known.ABORT + b"\x00", known.REPLY_FRAME[5:-3]]
    assert all(any(query.fullmatch(m) for query in driver.queries) for m in allowed)
    assert not any(query.fullmatch(m) for query in driver.queries for m in forbidden)


# From objects to samples.


def talk(driver, *objects, link=None, **changes):
    """A driver that has asked for numerics gets a reply with these objects; answers what it makes of it."""
    if not driver._streaming:
        driver.start(0.0)
        info = association.UserInfo(association.SERVER, association.HOT_START, extensions=0)
        list(driver.receive(frames.frame(association.AssociationAccept(info).encode()), 0.0))
        driver._begin_streaming(0.0)
        driver._announcer.said()
    if driver._pending is None:
        driver.poll(driver.deadline())
    request = driver._pending
    at = driver._asked + 0.01
    result = exchange.PollResult(
        request.invoke, request.number, None, 8_000_000 + round(at * 8000), attributes.NO_DATE, attributes.NUMERICS, 0,
        objects, link,
    )  # fmt: skip
    return list(driver.receive(frames.frame(replace(result, **changes).encode()), at))


def gas(handle, value=68.0, state=0, unit=electrodes.MMHG, physio=electrodes.TCPO2, decimals=1, context=0):
    numeric = attributes.Numeric(physio, state, unit, attributes.encode_float(value, decimals))
    return attributes.Observed(context, handle, ((attributes.NUMERIC, numeric.encode()),))


def one(items):
    (reading,) = [item for item in items if isinstance(item, Readings)]
    return reading


@pytest.mark.parametrize(
    ("state", "quality", "kept"),
    [
        (0x0000, Quality.GOOD, True),
        (0x8000, Quality.INVALID, False),
        (0x4000, Quality.QUESTIONABLE, True),
        (0x2000, Quality.INVALID, False),
        (0x1000, Quality.CALIBRATING, True),
        (0x0800, Quality.DEMO, True),
        (0x0400, Quality.DEMO, True),
        (0x0080, Quality.GOOD, True),
        (0x0040, Quality.QUESTIONABLE, True),
        (0x0020, Quality.GOOD, True),
        (0x0003, Quality.GOOD, True),
        (0x5400, Quality.QUESTIONABLE | Quality.CALIBRATING | Quality.DEMO, True),
        (0xA400, Quality.INVALID | Quality.DEMO, False),
    ],
)
def test_state_bits_become_quality(state, quality, kept):
    reading = one(talk(reader(CHEST), gas(257, state=state)))
    assert reading.quality[0, TCPO2] == quality
    assert math.isnan(reading.values[0, TCPO2]) != kept


def test_a_missing_number_is_invalid_whatever_its_state():
    reading = one(talk(reader(CHEST), gas(257, math.nan)))
    assert reading.quality[0, TCPO2] == Quality.INVALID


def test_what_an_electrode_does_not_deliver_is_invalid():
    reading = one(talk(reader(CHEST), gas(257)))
    assert reading.values[0, TCPO2] == 68
    assert np.isnan(reading.values[0, 1:]).all()
    assert (reading.quality[0, 1:] == Quality.INVALID).all()


def test_kilopascal_are_converted_and_said_once():
    driver = reader(CHEST)
    items = talk(driver, gas(257, 9.1, unit=electrodes.KPA)) + talk(driver, gas(257, 9.0, unit=electrodes.KPA))
    values = [item.values[0, TCPO2] for item in items if isinstance(item, Readings)]
    assert values == pytest.approx([9.1 * 7.50062, 9.0 * 7.50062])
    assert len([i for i in items if not isinstance(i, Readings) and "kPa" in i.text]) == 1


def test_a_value_in_an_unlike_unit_is_refused_loudly():
    items = talk(reader(CHEST), gas(257, unit=electrodes.CELSIUS))
    assert math.isnan(one(items).values[0, TCPO2])
    assert one(items).quality[0, TCPO2] == Quality.INVALID
    assert any("unit 17A0" in i.text and i.kind == "warning" for i in items if not isinstance(i, Readings))


def test_values_that_no_skin_has_are_marked_and_kept():
    reading = one(talk(reader(CHEST), gas(257, 950.0)))
    assert reading.values[0, TCPO2] == 950
    assert reading.quality[0, TCPO2] == Quality.RANGE


def test_each_electrode_has_its_handle_and_nothing_is_mixed():
    items = talk(reader(*BOTH), gas(258, 30.0), gas(257, 70.0))
    values = {i.stream: i.values[0, TCPO2] for i in items if isinstance(i, Readings)}
    assert values == {"chest": 70.0, "calf": 30.0}


def test_one_object_for_each_value_is_joined_by_further_handles():
    monitor = Monitor(objects="single")
    also = {base: tuple(base + 256 * i for i in range(1, 5)) for base in (257, 258)}
    driver = reader(Electrode("chest", 257, also[257]), Electrode("calf", 258, also[258]))
    simulated = Scripted(monitor)
    said = converse(driver, simulated, 20.0)
    rows = [row["values"] for _, row in simulated.rows if row["stream"] == "calf"]
    assert np.array_equal(said.values("calf"), rows)
    assert not texts(said, "warning")


def test_without_configured_electrodes_the_first_is_bound_and_a_second_reported_once():
    driver = reader()
    items = talk(driver, gas(300, 70.0), gas(301, 30.0)) + talk(driver, gas(301, 31.0), gas(300, 71.0))
    assert [i.values[0, TCPO2] for i in items if isinstance(i, Readings)] == [70.0, 71.0]
    assert [i.stream for i in items if isinstance(i, Readings)] == ["electrode"] * 2
    warnings = [i.text for i in items if not isinstance(i, Readings)]
    assert len(warnings) == 1
    assert "handle 301" in warnings[0]


def test_values_of_two_electrodes_in_objects_of_their_own_are_not_guessed_together():
    co2 = [gas(310, 40.0, physio=electrodes.TCPCO2), gas(311, 45.0, physio=electrodes.TCPCO2)]
    items = talk(reader(), gas(300, 70.0), gas(301, 30.0), *co2)
    assert math.isnan(one(items).values[0, TCPCO2])
    assert len([i for i in items if not isinstance(i, Readings)]) == 3


def test_an_object_that_cannot_be_read_costs_only_itself():
    odd = attributes.Observed(
        0, 12, ((attributes.COMPOUND_NUMERIC, b"\x00\x05\x00\x02ab"), (attributes.LABEL_STRING, b"x"))
    )
    items = talk(reader(CHEST), odd, gas(257))
    assert one(items).values[0, TCPO2] == 68
    assert any("handle 12 cannot be read" in i.text for i in items if not isinstance(i, Readings))


def test_an_echoing_line_is_reported_once():
    driver = reader(CHEST)
    driver.start(0.0)
    items = [item for _ in range(3) for item in driver.receive(known.POLL_FRAME, 0.1)]
    assert [item.kind for item in items] == ["warning"]


def test_the_same_handle_in_another_context_is_another_electrode():
    driver = reader(CHEST)
    items = talk(driver, gas(257, 70.0, context=1), gas(257, 30.0, context=2))
    assert one(items).values[0, TCPO2] == 70
    assert any("context 2" in i.text for i in items if not isinstance(i, Readings))


def test_an_electrode_that_is_replugged_is_reported_and_its_hole_counted():
    monitor = Scripted(
        events=[(10.0, lambda m: m.fault("detached", True)), (20.0, lambda m: m.fault("detached", False))]
    )
    said = converse(reader(*BOTH), monitor, 30.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert "does not deliver the electrode chest (handle 257)" in warnings[0]
    assert "handle 258" in warnings[0]
    assert "chest (handle 257) is back: check" in warnings[1]
    lost = [r.lost for r in said.readings if r.stream == "chest" and r.lost]
    assert lost == [pytest.approx(10, abs=1)]
    assert len(said.values("calf")) == pytest.approx(30, abs=1)


def test_swapped_handles_are_noticed_by_the_site_time():
    options = Monitor()
    monitor = Scripted(options, events=[(60.0, lambda m: m.swap())])
    monitor._applied["calf"] = -7200.0
    said = converse(reader(*BOTH), monitor, 120.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert all("moved, replugged or swapped" in text for text in warnings)


def test_electrodes_on_new_handles_are_not_recorded_under_old_names():
    monitor = Scripted(events=[(10.0, lambda m: m._handles.update(chest=400, calf=401))])
    said = converse(reader(*BOTH), monitor, 20.0)
    assert len(said.values("chest")) == pytest.approx(10, abs=1)
    assert any("handle 400" in text for text in texts(said, "warning"))


@pytest.mark.parametrize("poll", POLLS)
def test_linked_results_are_joined(poll):
    simulated = Scripted(Monitor(others=12, mtu=300))
    said = converse(reader(*BOTH, poll=poll), simulated, 20.0)
    linked = [m for m in said.sent if m[9:11] == b"\x00\x05" or m[5:11].endswith(b"\x00\x05")]
    assert len(linked) > 60
    rows = [row["values"] for _, row in simulated.rows if row["stream"] == "calf"]
    assert np.array_equal(said.values("calf"), rows)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_result_with_a_missing_part_is_left_out_and_counted(missing):
    driver = reader(*BOTH)
    talk(driver, gas(257), gas(258))
    parts = [((gas(257),), (1, 1)), ((gas(300),), (2, 2)), ((gas(258),), (3, 3)), ((), None)]
    items = []
    driver.poll(driver.deadline())
    for index, (objects, link) in enumerate(parts):
        if index != missing:
            items += talk(driver, *objects, link=link)
    assert not [i for i in items if isinstance(i, Readings)]
    items = talk(driver, gas(257), gas(258))
    assert [i.lost for i in items if isinstance(i, Readings)] == [1, 1]


def test_a_repeated_reply_is_stored_once():
    driver = reader(*BOTH)
    talk(driver, gas(257), gas(258))
    driver.poll(driver.deadline())
    request = driver._pending
    first = talk(driver, gas(257), gas(258))
    frame = frames.frame(
        exchange.PollResult(
            request.invoke,
            request.number,
            None,
            8_000_000 + 8080,
            attributes.NO_DATE,
            attributes.NUMERICS,
            0,
            (gas(257),),
        ).encode()
    )
    assert len([i for i in first if isinstance(i, Readings)]) == 2
    assert list(driver.receive(frame, 1.02)) == []


def test_a_reply_with_the_time_of_the_last_is_not_a_new_sample():
    driver = reader(CHEST)
    assert talk(driver, gas(257), time=9_000_000)
    assert talk(driver, gas(257), time=9_000_000) == []
    assert talk(driver, gas(257), time=9_016_000)


# Configuration.

ENTRY = '[[device]]\nname = "tc"\ndriver = "intellivue"\nport = "/dev/ttyS0"\noptions = {}\n'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('{ electrodes = [{ name = "a", handle = 1 }, { name = "a", handle = 2 }] }', "the same name"),
        ('{ electrodes = [{ name = "a", handle = 1 }, { name = "b", handle = 3, also = [1] }] }', "the same handle"),
        ('{ electrodes = [{ name = "Calf", handle = 1 }] }', "name"),
        ("{ interval = 2.0 }", 'poll = "single"'),
        ("{ interval = 0.1 }", "interval"),
    ],
)
def test_wrong_options_are_refused_with_their_key(tmp_path, options, message):
    path = tmp_path / "bed.toml"
    path.write_text(ENTRY.replace("{}", options))
    with pytest.raises(ConfigurationError, match=message) as error:
        load(path)
    assert "$.device[0].options" in str(error.value)


def test_a_udp_port_makes_the_driver_speak_in_datagrams(tmp_path):
    path = tmp_path / "bed.toml"
    path.write_text(ENTRY.replace("/dev/ttyS0", "udp://192.168.1.60:24105"))
    (device,) = load(path).devices
    assert device.setup().datagrams
    driver = device.driver(device.setup())
    driver.start(0.0)
    assert driver.to_send()[1] == known.ASSOCIATION_REQUEST


def test_the_options_of_the_shipped_configuration_are_taken(tmp_path):
    path = tmp_path / "bed.toml"
    path.write_text(
        ENTRY.replace("{}", '{ electrodes = [{ name = "chest", handle = 257 }, { name = "calf", handle = 258 }] }')
    )
    (device,) = load(path).devices
    streams = device.driver(device.setup()).streams
    assert [stream.name for stream in streams] == ["chest", "calf"]
    names = ["tcpo2", "tcpco2", "site_time", "sensor_temperature", "heating_power"]
    assert [channel.name for channel in streams[0].channels] == names
