"""Frames out of a byte stream: any cut gives the same frames, and damage costs one byte at a time."""

import random

from hypothesis import given
from hypothesis import strategies as st

from acquisition.driverkit.framing import Cutter, Skipped


def cut(buffer: bytes) -> int:
    """Frames `<` n bytes n: a length-prefixed frame whose bytes sum to its last one."""
    if buffer[0] != 0x3C:
        return -1
    if len(buffer) < 2:
        return 0
    n = 3 + buffer[1] % 8
    if len(buffer) < n:
        return 0
    return n if sum(buffer[: n - 1]) & 0xFF == buffer[n - 1] else -1


def frame(body: bytes) -> bytes:
    head = bytes([0x3C, len(body)]) + body
    return head + bytes([sum(head) & 0xFF])


def run(pieces):
    cutter = Cutter(cut, limit=10)
    frames, skipped = [], b""
    for piece in pieces:
        for item in cutter.feed(piece):
            if isinstance(item, Skipped):
                skipped += item.data
            else:
                frames.append(item)
    return frames, skipped, len(cutter)


@given(st.lists(st.binary(max_size=7)), st.randoms())
def test_every_cut_gives_the_same_frames(bodies, rng):
    whole = b"".join(frame(body) for body in bodies)
    pieces, rest = [], whole
    while rest:
        n = rng.randint(1, len(rest))
        pieces.append(rest[:n])
        rest = rest[n:]
    assert run(pieces) == ([frame(body) for body in bodies], b"", 0)


def test_noise_is_reported_and_costs_no_intact_frame():
    good = frame(b"abc")
    junk = bytes([0x3C, 5]) + b"zz"  # the head of a frame that never ends, swallowing a good one if taken whole
    frames, skipped, rest = run([good + junk + good + good])
    assert frames == [good, good, good]
    assert skipped == junk
    assert rest == 0


def test_every_byte_comes_out_once():
    rng = random.Random(1)
    data = bytes(rng.randrange(0x38, 0x44) for _ in range(5000))
    cutter = Cutter(cut, limit=10)
    out = b""
    for byte in data:
        out += b"".join(i.data if isinstance(i, Skipped) else i for i in cutter.feed(bytes([byte])))
        assert len(cutter) <= 10
    assert data.startswith(out)
    assert len(data) - len(out) == len(cutter)


def test_a_cut_that_always_wants_more_is_bounded():
    cutter = Cutter(lambda _: 0, limit=16)
    skipped = 0
    for _ in range(100):
        skipped += sum(len(i.data) for i in cutter.feed(b"x" * 7) if isinstance(i, Skipped))
        assert len(cutter) < 16
    assert skipped + len(cutter) == 700
