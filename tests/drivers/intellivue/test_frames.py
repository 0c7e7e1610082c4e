"""Frames on the wire: check sequence, escapes, and frames found in a damaged stream."""

import random
import struct

import pytest

from acquisition.driverkit.framing import Cutter, Skipped
from drivers.intellivue import association, frames
from tests import intellivue as known
from tests.drivers.intellivue.messages import MESSAGES
from tests.drivers.intellivue.monitor import BOTH, reader
from tests.intellivue import one_by_one, randomly


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


STREAM = [frames.frame(payload) for payload, _ in MESSAGES.values()]


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
