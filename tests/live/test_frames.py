"""The binary frames, read back as docs/live_protocol.md lays them out."""

import struct

import numpy as np
import pytest

from acquisition.live import frames
from acquisition.live.history import Window
from acquisition.model import Channel, Chunk, Gap, Header, Instant, Stream
from acquisition.store.views import Columns

HEADER = Header("ldf", Stream("ldf", (Channel("flux", "[arb'U]"), Channel("temperature", "Cel")), 40.0), "d", "", "")


def chunk(first, time, gap=None):
    time = np.array(time, np.int64)
    values = np.arange(2 * len(time), dtype=float).reshape(-1, 2) + first
    values[0, 1] = np.nan
    quality = np.full(values.shape, first, np.uint8)
    return Chunk(HEADER, 1, 1, first, Instant(0, 0), time, values, quality, None, gap)


def records(message):
    """Take a message apart by the layout alone."""
    at = 0
    while at < len(message):
        kind, flags, stream, c, _, n, _ = struct.unpack_from("<BBHHHII", message, at)
        if kind == 1:
            size = 16 + 8 * n + 9 * n * c
            yield (
                kind,
                flags,
                stream,
                (
                    np.frombuffer(message, "<f8", n, at + 16),
                    np.frombuffer(message, "<f8", n * c, at + 16 + 8 * n).reshape(n, c),
                    np.frombuffer(message, "u1", n * c, at + 16 + 8 * n + 8 * n * c).reshape(n, c),
                ),
            )
        else:
            size = 32 + 8 * n
            start, width = struct.unpack_from("<dd", message, at + 16)
            low, high = (np.frombuffer(message, "<f4", n, at + 32 + 4 * n * i) for i in (0, 1))
            yield kind, c, stream, (start, width, low, high)
        at += -(-size // 8) * 8


def test_chunks_become_one_record_and_a_gap_begins_another():
    key = 1_700_000_000_123_456_789
    chunks = [chunk(1, [key]), chunk(2, [key + 10, key + 20]), chunk(5, [key + 10**9], Gap(0, 0, 3, 5, "lost"))]
    found = list(records(frames.samples(7, chunks)))
    assert [(kind, flags, stream, len(body[0])) for kind, flags, stream, body in found] == [(1, 0, 7, 3), (1, 1, 7, 1)]
    time, values, quality = found[0][3]
    np.testing.assert_allclose(time, (np.array([key, key + 10, key + 20]) / 1e6), rtol=0, atol=3e-4)
    np.testing.assert_array_equal(values, [[1, np.nan], [2, np.nan], [4, 5]])
    np.testing.assert_array_equal(quality, [[1, 1], [2, 2], [2, 2]])


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_records_start_on_eight_bytes_so_that_a_browser_can_map_them(n):
    message = frames.samples(0, [chunk(0, range(n))])
    assert len(message) % 8 == 0


def test_columns_carry_their_grid():
    edges = np.arange(4, dtype=np.int64) * 1_024_000 + 1_700_000_000_000_000_000
    low, high = np.array([1, np.nan, 3.0]), np.array([2, np.nan, 30.0])
    ((kind, channel, stream, body),) = records(frames.columns(3, 1, Columns(edges, low, high)))
    assert (kind, channel, stream) == (2, 1, 3)
    assert body[:2] == (1_700_000_000_000.0, 1.024)
    np.testing.assert_array_equal(body[2], low.astype("f4"))
    np.testing.assert_array_equal(body[3], high.astype("f4"))


@pytest.mark.parametrize("seconds", [60.0, 600.0, 3600.0])
@pytest.mark.parametrize("points", [50, 866, 4000])
def test_a_window_lies_on_a_grid_that_is_exact_and_does_not_move(seconds, points):
    window = Window(seconds, points)
    key = 1_795_635_118_431_012_345
    start, stop = window.span(key)
    assert (stop - start) == points * window.width
    assert start % window.width == 0
    assert stop - window.width <= key < stop
    assert int(float(start)) == start, "an edge is exact in float64"
    later, _ = window.span(key + 7 * window.width)
    assert later == start + 7 * window.width
    assert abs(stop - start - seconds * 1e9) < points * 1024
