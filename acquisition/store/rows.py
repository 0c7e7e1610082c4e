"""One row of samples: packed to bytes with a checksum, and back to arrays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from acquisition.model import Chunk, Flags, Floats, Nanoseconds

COLUMNS = "stream, run, connection, first, n, start, stop, time, vals, quality, device_time, arrived, crc"
_FIXED = struct.Struct("<7q")

Row = tuple[int, int, int, int, int, int, int, bytes, bytes, bytes | None, bytes | None, bytes, int]


@dataclass(frozen=True, slots=True)
class Samples:
    """A row as arrays: time (n,) int64 ns, values (n, c), quality (n, c), device_time (n,) s or None."""

    run: int
    connection: int
    first: int
    time: Nanoseconds
    values: Floats
    quality: Flags
    device_time: Floats | None


def checksum(row: Sequence[object]) -> int:
    """CRC-32 over a row's fields, the checksum itself left out."""
    crc = zlib.crc32(_FIXED.pack(*row[:7]))
    for blob in row[7:12]:
        # A length before each blob: bytes cannot move from one to its neighbour unseen.
        size = -1 if blob is None else len(blob)  # type: ignore[arg-type]
        crc = zlib.crc32(size.to_bytes(8, "little", signed=True), crc)
        if blob is not None:
            crc = zlib.crc32(blob, crc)  # type: ignore[arg-type]
    return crc


def pack(stream: int, chunks: Sequence[Chunk]) -> Row:
    """Merge chunks that follow one another without a gap into one row."""
    head, tail = chunks[0], chunks[-1]
    if len(chunks) == 1:
        time, values, quality, device_time = head.time, head.values, head.quality, head.device_time
    else:
        time = np.concatenate([c.time for c in chunks])
        values = np.concatenate([c.values for c in chunks])
        quality = np.concatenate([c.quality for c in chunks])
        times = [c.device_time for c in chunks if c.device_time is not None]
        device_time = np.concatenate(times) if len(times) == len(chunks) else None
    arrived = np.array([(len(c.time), c.arrived.monotonic, c.arrived.utc) for c in chunks], dtype="<i8")
    fields = (
        stream,
        head.run,
        head.connection,
        head.first,
        len(time),
        int(head.time[0]),
        int(tail.time[-1]),
        time.tobytes(),
        values.tobytes(),
        quality.tobytes() if quality.any() else None,
        None if device_time is None else device_time.tobytes(),
        arrived.tobytes(),
    )
    return (*fields, checksum(fields))


def unpack(row: Row, channels: int) -> Samples | None:
    """Turn a row into arrays; None where it is damaged."""
    if checksum(row) != row[12]:
        return None
    n = row[4]
    if len(row[7]) != 8 * n or len(row[8]) != 8 * n * channels:
        return None
    quality = np.zeros((n, channels), np.uint8) if row[9] is None else np.frombuffer(row[9], np.uint8).reshape(n, -1)
    return Samples(
        row[1],
        row[2],
        row[3],
        np.frombuffer(row[7], "<i8"),
        np.frombuffer(row[8], "<f8").reshape(n, channels),
        quality,
        None if row[10] is None else np.frombuffer(row[10], "<f8"),
    )


def follows(last: Chunk, chunk: Chunk) -> bool:
    """Whether `chunk` continues `last` in one row: no gap, same connection, same clock."""
    return (
        chunk.gap is None
        and chunk.first == last.first + len(last.time)
        and chunk.connection == last.connection
        and (chunk.device_time is None) == (last.device_time is None)
    )
