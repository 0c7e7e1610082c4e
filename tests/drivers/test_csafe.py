"""The CSAFE driver against computed and captured vectors, real consoles' habits, and a walk."""

import random

import numpy as np
import pytest

from acquisition.driverkit.driver import Setup
from acquisition.driverkit.framing import Cutter, Skipped
from acquisition.model import Notice, Quality, Readings
from drivers.csafe import Csafe, Options
from drivers.csafe.frames import KMH, METRES, PERCENT, Previous, Reply, State, cut, decode, encode
from simulators.csafe import Csafe as Console
from simulators.csafe import Options as Habits
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from tests.treadmill.belt import Belt, one_by_one, randomly

# Contents and their frame: Concept2's definition and an independent codec agree on each.
VECTORS = [
    ("", "F1 00 F2"),
    ("80", "F1 80 80 F2"),
    ("A5", "F1 A5 A5 F2"),
    ("A8", "F1 A8 A8 F2"),
    ("A0 A1 A5 A8", "F1 A0 A1 A5 A8 0C F2"),
    (
        "05 A0 03 00 0C 22 A1 03 F3 02 24 A5 03 20 00 31 A8 03 78 00 4C",
        "F1 05 A0 03 00 0C 22 A1 03 F3 03 02 24 A5 03 20 00 31 A8 03 78 00 4C D7 F2",
    ),
    ("85 A5 03 20 00 31", "F1 85 A5 03 20 00 31 32 F2"),
    ("05 A8 03 78 00 4C", "F1 05 A8 03 78 00 4C 9A F2"),
    ("85 A1 03 F1 00 24", "F1 85 A1 03 F3 01 00 24 F3 02 F2"),
    ("25 03 20 00 31", "F1 25 03 20 00 31 37 F2"),
    ("25 03 14 00 11", "F1 25 03 14 00 11 23 F2"),
    ("28 03 78 00 4C", "F1 28 03 78 00 4C 1F F2"),
    ("28 03 97 00 4C", "F1 28 03 97 00 4C F3 00 F2"),
    ("21 03 F4 01 24", "F1 21 03 F4 01 24 F3 03 F2"),
    ("20 03 00 1E 00", "F1 20 03 00 1E 00 3D F2"),
    ("13 01 0A", "F1 13 01 0A 18 F2"),
    ("01 01 10", "F1 01 01 10 10 F2"),
    ("09 A0 03 00 03 03", "F1 09 A0 03 00 03 03 AA F2"),
    ("89 A1 03 39 00 23", "F1 89 A1 03 39 00 23 31 F2"),
]
WALKING = "F1 05 A0 03 00 0C 22 A1 03 F3 03 02 24 A5 03 20 00 31 A8 03 78 00 4C D7 F2"
IDENTITY = "F1 81 94 03 31 32 33 26 F2"
MALFORMED = "F1 89 D2 0F 43 54 35 48 52 54" + " 00" * 10 + " 38 F2"


def driver(**options):
    return Csafe(Setup("csafe", Options(**options)))


def talk(replies, pieces=lambda message: [message]):
    """Start a driver and answer its requests in turn; gives back what it said and the driver."""
    host, said = driver(), []
    host.start(0.0)
    at = 0.0
    for reply in replies:
        at = max(at + 0.01, host.deadline() - 0.5 if host._asked else host.deadline())
        if host._asked is None:
            host.poll(at)
        for piece in pieces(bytes.fromhex(reply)):
            said += host.receive(piece, at)
    return said, host


def walk(habits=None, seconds=60.0, belt=None, **more):
    belt = belt or Belt((0, 0, 0), (5, 0, 0), (8, 3.2, 10), (400, 3.2, 10))
    rows = []
    console = Console(Plan("csafe", belt, habits or Habits(), ledger=rows.append))
    return converse(driver(), console, seconds, **more), console, rows


@pytest.mark.parametrize(("contents", "frame"), VECTORS)
def test_frames_are_those_of_the_definition(contents, frame):
    assert encode(bytes.fromhex(contents)) == bytes.fromhex(frame)
    assert decode(bytes.fromhex(frame)) == bytes.fromhex(contents)
    assert cut(bytes.fromhex(frame)) == len(bytes.fromhex(frame))


@pytest.mark.parametrize("frame", ["F1 A5 A6 F2", "F1 A5 F3 04 F2", "F1 F3 F2", "F1 25 03 20 00 31 36 F2"])
def test_a_wrong_checksum_or_stuffing_is_no_frame(frame):
    assert decode(bytes.fromhex(frame)) is None
    assert cut(bytes.fromhex(frame)) < 0


@pytest.mark.parametrize("seed", range(10))
def test_any_contents_survive_the_frame_and_any_cutting(seed):
    rng = random.Random(seed)
    contents = [bytes(rng.choices([0xF0, 0xF1, 0xF2, 0xF3, 0x00, 0x80], k=rng.randrange(1, 40))) for _ in range(20)]
    wire = b"".join(b"\x55\xf1\x80" + encode(each) for each in contents)
    cutter = Cutter(cut, 242)
    found = [frame for byte in wire for frame in cutter.feed(bytes((byte,)))]
    assert [decode(frame) for frame in found if isinstance(frame, bytes)] == contents
    assert any(isinstance(each, Skipped) for each in found)


def test_a_new_start_begins_a_new_frame():
    wire = bytes.fromhex("F1 A5 F1 80 80 F2")
    assert cut(wire) == -2
    assert cut(wire[2:]) == 4


def test_a_status_byte_is_taken_apart():
    reply = Reply.of(bytes.fromhex("91"))
    assert (reply.toggle, reply.previous, reply.state) == (True, Previous.REJECTED, State.READY)


def test_a_block_with_a_wrong_count_is_left_out_alone():
    reply = Reply.of(decode(bytes.fromhex(MALFORMED)))
    assert reply.blocks == {0xD2: b"CT5HRT" + bytes(9)}
    assert reply.rest == b"\x00"
    short = Reply.of(bytes.fromhex("05 A8 03 78 00 4C A5 05 20 00 31"))
    assert short.blocks == {0xA8: bytes.fromhex("78 00 4C")}
    assert short.rest == bytes.fromhex("A5 05 20 00 31")


@pytest.mark.parametrize(
    ("block", "units", "value"),
    [
        ("A5 03 20 00 31", KMH, 3.2),
        ("A5 03 14 00 11", KMH, 3.218688),
        ("A5 03 02 00 10", KMH, 3.218688),
        ("A5 03 C8 00 12", KMH, 3.218688),
        ("A5 03 40 01 32", KMH, 3.2),
        ("A5 03 03 00 30", KMH, 3.0),
        ("A5 03 35 00 33", KMH, 3.18),
        ("A5 03 AF 00 13", KMH, 3.2004),
        ("A8 03 78 00 4C", PERCENT, 12.0),
        ("A8 03 0C 00 4A", PERCENT, 12.0),
        ("A8 03 B0 04 4B", PERCENT, 12.0),
        ("A1 03 39 00 23", METRES, 570.0),
        ("A1 03 01 00 01", METRES, 1609.344),
        ("A1 03 64 00 0A", METRES, 304.8),
        ("A1 03 E8 03 26", METRES, 10.0),
        ("A5 03 52 00 52", KMH, None),
        ("A5 02 20 00", KMH, None),
    ],
)
def test_numbers_follow_their_unit_code(block, units, value):
    found = Reply.of(bytes.fromhex("05 " + block)).quantity(int(block[:2], 16), units)
    assert found == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    "pieces", [lambda m: [m], one_by_one, randomly(random.Random(3))], ids=["whole", "bytes", "cut"]
)
def test_a_reply_is_a_sample(pieces):
    said, _ = talk([IDENTITY, WALKING], pieces)
    belt, console = (item for item in said if isinstance(item, Readings))
    assert belt.values[0] == pytest.approx([3.2, 12.0, 1.0])
    assert console.values[0] == pytest.approx([755.0, 12 * 60 + 34])
    assert not belt.quality.any()
    assert [item.details.get("state") for item in said if isinstance(item, Notice)] == [State.READY, None, State.IN_USE]


def test_what_is_left_out_is_none_and_not_zero():
    said, _ = talk([IDENTITY, "F1 09 A0 03 00 03 03 AA F2"])
    belt, console = (item for item in said if isinstance(item, Readings))
    assert np.isnan(belt.values[0, :2]).all()
    assert belt.quality[0].tolist() == [Quality.INVALID, Quality.INVALID, 0]
    assert console.values[0, 1] == 183.0
    assert np.isnan(console.values[0, 0])


def test_a_number_in_revolutions_is_no_speed():
    said, _ = talk([IDENTITY, encode(bytes.fromhex("05 A5 03 52 00 52")).hex()])
    assert any("unit 82" in item.text for item in said if isinstance(item, Notice))
    belt = next(item for item in said if isinstance(item, Readings))
    assert np.isnan(belt.values[0, 0])


def test_paces_are_speeds_too():
    said, _ = talk([IDENTITY, encode(bytes.fromhex("05 A5 03 65 04 39")).hex()])
    assert next(item for item in said if isinstance(item, Readings)).values[0, 0] == pytest.approx(3.2)


def test_status_frames_come_unasked_and_answer_nothing():
    host = driver()
    host.start(0.0)
    list(host.receive(bytes.fromhex(IDENTITY), 0.01))
    host.poll(host.deadline())
    host.to_send()
    (notice,) = host.receive(bytes.fromhex("F1 82 82 F2"), 0.07)
    assert notice.kind == "state"
    said = list(host.receive(bytes.fromhex(WALKING), 0.08))
    assert [item.stream for item in said if isinstance(item, Readings)] == ["belt", "console"]


def test_a_rejected_poll_is_asked_in_parts():
    said, _, _ = walk(Habits(combined=False))
    assert said.written[:8] == [
        bytes.fromhex(f)
        for f in (
            "F1 91 94 05 F2",
            "F1 91 91 F2",
            "F1 94 94 F2",
            "F1 A0 A1 A5 A8 0C F2",
            "F1 A0 A0 F2",
            "F1 A1 A1 F2",
            "F1 A5 A5 F2",
            "F1 A8 A8 F2",
        )
    ]
    assert any(item.kind == "identity" for item in said.notices)
    assert said.values("belt")[-1] == pytest.approx([3.2, 10.0, 1.0])


def test_a_console_that_never_toggles_and_rejects_combined_polls_is_read():
    said, _, _ = walk(Habits(combined=False, toggles=False))
    assert said.values("belt")[-1] == pytest.approx([3.2, 10.0, 1.0])
    assert len(said.values("belt")) > 80


def test_an_unanswered_request_is_repeated_and_the_round_given_up():
    host = driver()
    host.start(0.0)
    for _ in range(3):
        assert host.to_send() == [bytes.fromhex("F1 91 94 05 F2")]
        host.poll(host.deadline())
    assert host.to_send() == []
    host.poll(host.deadline())
    assert host.to_send() == [bytes.fromhex("F1 A0 A1 A5 A8 0C F2")]


def test_frames_keep_their_distance():
    said, _, _ = walk(Habits(combined=False))
    assert len(said.written) > 100
    host = driver()
    host.start(0.0)
    list(host.receive(bytes.fromhex(IDENTITY), 0.2))
    assert host.deadline() >= 0.25


def test_only_requests_for_data_can_be_written():
    for contents in ("85", "86", "87", "81", "25 03 20 00 31", "28 03 78 00 4C", "A5 85", "01 01 10"):
        frame = encode(bytes.fromhex(contents))
        assert not any(query.fullmatch(frame) for query in Csafe.queries)
        assert not any(pattern.fullmatch(frame) for pattern in driver().writable)


@pytest.mark.parametrize("unit", [16, 17, 18, 19, 48, 49, 50, 51])
def test_a_walk_is_read_in_any_unit(unit):
    said, _, rows = walk(Habits(speed_unit=unit), 60.0)
    assert said.values("belt")[-1, 0] == pytest.approx(3.2, abs=KMH[unit] / 2 + 1e-9)
    assert said.values("belt")[-1, 1:].tolist() == pytest.approx([10.0, 1.0])
    belt = [row["values"] for row in rows if row["stream"] == "belt"]
    assert np.array_equal(said.values("belt"), np.array(belt[: len(said.values("belt"))], dtype=float))


def test_ten_minutes_of_walking_are_read_as_the_belt_moved():
    belt = Belt((0, 0, 0), (5, 0, 0), (8, 3.2, 10), (590, 3.2, 10), (593, 0, 10), (600, 0, 0))
    said, _, _ = walk(Habits(unsolicited=True), 600.0, belt)
    instants = np.array([at for at, item in said if isinstance(item, Readings) and item.stream == "belt"])
    values = said.values("belt")
    assert len(values) > 1000
    assert np.abs(values[:, 0] - belt.values("belt_speed", instants)).max() < 0.05 + 0.02
    assert said.values("console")[-1, 0] == pytest.approx(belt.metres(600), abs=1.5)
    assert said.values("console")[-1, 1] == pytest.approx(588, abs=1.5)
    states = [item.details["state"] for item in said.notices if item.kind == "state"]
    assert states == [State.READY, State.IN_USE, State.PAUSED]
    (identity,) = [item for item in said.notices if item.kind == "identity"]
    assert identity.details == {"model": "2.1.7.1.4", "serial": "SIM000001"}


@pytest.mark.parametrize(
    "habits",
    [
        {"toggles": False},
        {"status_block": True},
        {"wrong_count": True},
        {"offline": "answer", "local": True},
        {"not_ready_every": 7},
        {"unsolicited": True, "combined": False},
    ],
    ids=str,
)
def test_habits_of_consoles_cost_no_walk(habits):
    said, _, _ = walk(Habits(**habits))
    assert said.values("belt")[-1] == pytest.approx([3.2, 10.0, 1.0])
    assert len(said.values("belt")) > 80
    assert not np.isnan(said.values("belt")).any()


def test_a_suppressed_offline_walk_has_no_numbers():
    said, _, _ = walk(Habits(local=True))
    assert np.isnan(said.values("belt")[-1, :2]).all()


def test_an_unsupported_grade_is_none_beside_the_speed():
    said, _, _ = walk(Habits(unsupported=(0xA8,)))
    assert said.values("belt")[-1, 0] == pytest.approx(3.2)
    assert np.isnan(said.values("belt")[-1, 1])


def test_garbled_replies_are_noise_and_the_rest_is_read():
    rng = random.Random(5)

    def tamper(message, at):
        if rng.random() < 0.3:
            spot = rng.randrange(len(message))
            return message[:spot] + bytes((message[spot] ^ 1 << rng.randrange(8),)) + message[spot + 1 :]
        return message

    said, _, _ = walk(seconds=200.0, tamper=tamper)
    assert any(item.kind == "noise" for item in said.notices)
    after = np.array([item.values[0] for at, item in said if isinstance(item, Readings) and item.stream == "belt"])[60:]
    assert len(after) > 100
    assert np.nanmax(np.abs(after[:, 0] - 3.2)) < 1e-9


@pytest.mark.parametrize("seed", range(5))
def test_bytes_of_any_kind_never_raise(seed):
    host, rng = driver(), random.Random(seed)
    host.start(0.0)
    for step in range(300):
        junk = bytes(rng.choices([0xF1, 0xF2, 0xF3, 0xF0, 0x85, 0xA5, 3, 0, 0x20, 0x31, 0x32], k=rng.randrange(30)))
        list(host.receive(junk + encode(rng.randbytes(rng.randrange(1, 9))), step * 0.01))
        host.to_send()
