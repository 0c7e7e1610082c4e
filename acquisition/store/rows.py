"""One row of samples: packed to bytes with a checksum, and back to arrays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec.structs import replace

from acquisition.model import Chunk, Flags, Floats, Nanoseconds

COLUMNS = "stream, run, connection, first, n, start, stop, time, vals, quality, device_time, arrived, crc"
INSERT = f"INSERT INTO chunk ({COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_FIXED = struct.Struct("<7q")
_LENGTH = struct.Struct("<q")

Blob = bytes | None
Row = tuple[int, int, int, int, int, int, int, bytes, bytes, Blob, Blob, bytes, int]


class Samples(msgspec.Struct, frozen=True, gc=False):
    """Consecutive samples of a stream from number `first` on, none missing, of one run and connection.

    time (n,) int64 ns, values (n, c), quality (n, c), device_time (n,) s or None; arrived (k, 3) int64: how
    many samples each arrival brought, and its instant on the monotonic and the wall clock, ns.
    """

    run: int
    connection: int
    first: int
    time: Nanoseconds
    values: Floats
    quality: Flags
    device_time: Floats | None
    arrived: Nanoseconds

    def __len__(self) -> int:
        return len(self.time)

    @property
    def following(self) -> int:
        """The sequence number after the last sample."""
        return self.first + len(self.time)


def checksum(fixed: Sequence[int], blobs: Sequence[Blob]) -> int:
    """CRC-32 over a row's seven numbers and its blobs."""
    crc = zlib.crc32(_FIXED.pack(*fixed))
    for blob in blobs:
        # A length before each blob: bytes cannot move from one to its neighbour unseen.
        crc = zlib.crc32(_LENGTH.pack(-1 if blob is None else len(blob)), crc)
        if blob is not None:
            crc = zlib.crc32(blob, crc)
    return crc


def gather(chunks: Sequence[Chunk]) -> Samples:
    """Make one of chunks that follow one another without a gap."""
    head = chunks[0]
    if len(chunks) == 1:
        time, values, quality, device_time = head.time, head.values, head.quality, head.device_time
    else:
        time = np.concatenate([c.time for c in chunks])
        values = np.concatenate([c.values for c in chunks])
        quality = np.concatenate([c.quality for c in chunks])
        times = [c.device_time for c in chunks if c.device_time is not None]
        device_time = np.concatenate(times) if len(times) == len(chunks) else None
    arrived = np.array([(len(c.time), c.arrived.monotonic, c.arrived.utc) for c in chunks], dtype=np.int64)
    return Samples(head.run, head.connection, head.first, time, values, quality, device_time, arrived)


def pack(stream: int, samples: Samples) -> Row:
    """Make a row of samples."""
    time, values, quality, device_time = samples.time, samples.values, samples.quality, samples.device_time
    fixed = (stream, samples.run, samples.connection, samples.first, len(time), int(time[0]), int(time[-1]))
    blobs = (
        time.astype("<i8", copy=False).tobytes(),
        values.astype("<f8", copy=False).tobytes(),
        quality.tobytes() if quality.any() else None,
        None if device_time is None else device_time.astype("<f8", copy=False).tobytes(),
        samples.arrived.astype("<i8", copy=False).tobytes(),
    )
    return (*fixed, *blobs, checksum(fixed, blobs))


def pack_chunks(stream: int, chunks: Sequence[Chunk]) -> Row:
    """The row of chunks that follow one another without a gap, without an array of them between."""
    head, tail = chunks[0], chunks[-1]
    n = tail.first + len(tail.time) - head.first
    fixed = (stream, head.run, head.connection, head.first, n, int(head.time[0]), int(tail.time[-1]))
    quality = b"".join([c.quality.tobytes() for c in chunks])
    times = [c.device_time for c in chunks if c.device_time is not None]
    arrived = [number for c in chunks for number in (len(c.time), c.arrived.monotonic, c.arrived.utc)]
    blobs = (
        b"".join([c.time.astype("<i8", copy=False).tobytes() for c in chunks]),
        b"".join([c.values.astype("<f8", copy=False).tobytes() for c in chunks]),
        quality if quality.strip(b"\0") else None,
        b"".join([t.astype("<f8", copy=False).tobytes() for t in times]) if len(times) == len(chunks) else None,
        struct.pack(f"<{len(arrived)}q", *arrived),
    )
    return (*fixed, *blobs, checksum(fixed, blobs))


def unpack(row: Row, channels: int) -> Samples | None:
    """Turn a row into arrays; None where it is damaged."""
    try:
        if checksum(row[:7], row[7:12]) != row[12]:
            return None
        n = row[4]
        good = row[9] is None
        return Samples(
            row[1],
            row[2],
            row[3],
            np.frombuffer(row[7], "<i8").reshape(n),
            np.frombuffer(row[8], "<f8").reshape(n, channels),
            np.zeros((n, channels), np.uint8) if good else np.frombuffer(row[9] or b"", np.uint8).reshape(n, channels),
            None if row[10] is None else np.frombuffer(row[10], "<f8").reshape(n),
            np.frombuffer(row[11], "<i8").reshape(-1, 3),
        )
    except (TypeError, ValueError, struct.error):  # a flipped bit turned a column into another type
        return None


def follows(last: Chunk, chunk: Chunk) -> bool:
    """Whether `chunk` continues `last` in one row: no gap, same connection, same clock."""
    return (
        chunk.gap is None
        and chunk.first == last.first + len(last.time)
        and chunk.connection == last.connection
        and (chunk.device_time is None) == (last.device_time is None)
    )


def join(parts: Sequence[Samples]) -> Samples:
    """Make one of parts that follow one another."""
    if len(parts) == 1:
        return parts[0]
    times = [part.device_time for part in parts if part.device_time is not None]
    return Samples(
        parts[0].run,
        parts[0].connection,
        parts[0].first,
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.quality for part in parts]),
        np.concatenate(times) if len(times) == len(parts) else None,
        np.concatenate([part.arrived for part in parts]),
    )


def pick(samples: Samples, columns: list[int]) -> Samples:
    """The samples with only these columns, in this order."""
    if columns == list(range(samples.values.shape[1])):
        return samples
    return replace(samples, values=samples.values[:, columns], quality=samples.quality[:, columns])


def cut(samples: Samples, left: int, right: int) -> Samples:
    """The samples from `left` to before `right`, with the arrivals that brought them."""
    left, right = max(left, 0), min(right, len(samples))
    if left == 0 and right == len(samples):
        return samples
    ends = np.cumsum(samples.arrived[:, 0])
    counts = np.clip(ends, left, right) - np.clip(ends - samples.arrived[:, 0], left, right)
    arrived = samples.arrived.copy()
    arrived[:, 0] = counts
    return Samples(
        samples.run,
        samples.connection,
        samples.first + left,
        samples.time[left:right],
        samples.values[left:right],
        samples.quality[left:right],
        None if samples.device_time is None else samples.device_time[left:right],
        arrived[counts > 0],
    )


def continues(last: Samples, samples: Samples) -> bool:
    """Whether `samples` go on where `last` ended, in the same run and connection and on the same clock."""
    return (
        samples.first == last.following
        and samples.run == last.run
        and samples.connection == last.connection
        and (samples.device_time is None) == (last.device_time is None)
    )


def nbytes(samples: Samples) -> int:
    """Bytes of the arrays."""
    held = (samples.time, samples.values, samples.quality, samples.arrived)
    return sum(each.nbytes for each in held) + (0 if samples.device_time is None else samples.device_time.nbytes)
