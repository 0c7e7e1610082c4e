"""The binary frames of the live feed: samples as they come, and min/max columns for what came before.

A WebSocket binary message is one or more records, each padded with zeros to a multiple of 8 bytes, all
little-endian. A record begins with 16 bytes:

    offset  size  field
    0       1     kind: 1 samples, 2 columns
    1       1     flags: bit 0 = a gap lies before the first sample
    2       2     index of the stream in the hello message
    4       2     samples: number of channels c; columns: index of the channel
    6       2     0
    8       4     n: samples or columns
    12      4     0

Samples go on with time (n,) float64, ms since 1970 on the axis of the record; values (n, c) float64, row by
row, NaN = none; quality (n, c) uint8. Columns go on with the start of the first column, float64 ms; the width
of each, float64 ms; low (n,) and high (n,) float32, NaN = no sample in it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from acquisition.model import Chunk
from acquisition.store.views import Columns

SAMPLES, COLUMNS = 1, 2
GAP = 1
_HEAD = struct.Struct("<BBHHHII")


def samples(index: int, chunks: Sequence[Chunk]) -> bytes:
    """Encode consecutive chunks of one stream; each gap begins a record of its own."""
    records = []
    begin = 0
    for end in range(1, len(chunks) + 1):
        if end == len(chunks) or chunks[end].gap is not None:
            records.append(_samples(index, chunks[begin:end]))
            begin = end
    return b"".join(records)


def columns(index: int, channel: int, drawn: Columns) -> bytes:
    """Encode the columns of one channel."""
    n = len(drawn.low)
    start = float(drawn.edges[0]) / 1e6
    width = float(drawn.edges[-1] - drawn.edges[0]) / 1e6 / n
    return _pad(
        _HEAD.pack(COLUMNS, 0, index, channel, 0, n, 0)
        + struct.pack("<dd", start, width)
        + drawn.low.astype("<f4").tobytes()
        + drawn.high.astype("<f4").tobytes()
    )


def _samples(index: int, chunks: Sequence[Chunk]) -> bytes:
    one = len(chunks) == 1
    time = chunks[0].time if one else np.concatenate([chunk.time for chunk in chunks])
    values = chunks[0].values if one else np.concatenate([chunk.values for chunk in chunks])
    quality = chunks[0].quality if one else np.concatenate([chunk.quality for chunk in chunks])
    flags = GAP if chunks[0].gap is not None else 0
    return _pad(
        _HEAD.pack(SAMPLES, flags, index, values.shape[1], 0, len(time), 0)
        + (time / 1e6).astype("<f8").tobytes()
        + values.astype("<f8").tobytes()
        + quality.tobytes()
    )


def _pad(record: bytes) -> bytes:
    return record + bytes(-len(record) % 8)
