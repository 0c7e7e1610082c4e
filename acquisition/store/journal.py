"""Batches as rows: samples, gaps, events and cursors written inside the writer's transaction."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import apsw
import msgspec

from acquisition.model import Chunk, Event, Gap, Header, Instant
from acquisition.store import rows, schema
from acquisition.store.chain import Chain
from acquisition.store.parcel import Item, Parcel

LONGEST = 8192
"""Samples that are merged into one row at most: what waited through an outage becomes rows of a sane size."""
EVENTS = 0
"""The stream number that stands for the events in the table `cursor`."""

Stored = tuple[str, str, int, int]
"""What a witness hears of a row: device, stream, first, n."""


@dataclass(slots=True)
class Advance:
    """How far a remote has acknowledged: the next sequence number per stream, and the last event."""

    positions: dict[int, int] = field(default_factory=dict)

    def take(self, positions: Mapping[int, int], event: int | None) -> None:
        """Merge a later acknowledgement; a position never goes back."""
        for stream, following in positions.items():
            self.positions[stream] = max(following, self.positions.get(stream, 0))
        if event is not None:
            self.positions[EVENTS] = max(event + 1, self.positions.get(EVENTS, 0))


def cursor_checksum(name: str, stream: int, following: int) -> int:
    """CRC-32 over a row of the table `cursor`."""
    return zlib.crc32(struct.pack("<2q", stream, following), zlib.crc32(name.encode()))


class Journal:
    """Writes batches on one connection; it knows what that connection's file holds.

    After a failed transaction both are thrown away and made anew from what is on the disk.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._chain = Chain(connection)
        self._streams = {(d, s): i for i, d, s in connection.execute("SELECT id, device, name FROM stream")}
        self._headers: set[tuple[int, int]] = set(connection.execute("SELECT stream, run FROM header"))

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last event."""
        return self._chain.position

    @property
    def streams(self) -> Mapping[tuple[str, str], int]:
        """The number of each (device, stream)."""
        return self._streams

    def begin_run(self, started: Instant, anchor: int, about: Mapping[str, object]) -> int:
        """Write a new run in a transaction of its own; answers its number."""
        connection = self._connection
        text = msgspec.json.encode(about).decode()
        with connection:
            connection.execute(
                "INSERT INTO run (utc, monotonic, anchor, about) VALUES (?,?,?,?)",
                (started.utc, started.monotonic, anchor, text),
            )
            run = connection.last_insert_rowid()
            schema.announce_run(self._chain, run, started.utc, started.monotonic, anchor, text)
        return run

    def write(self, batch: Sequence[Item], advances: Mapping[str, Advance]) -> list[Stored]:
        """Commit one batch; answers the rows it became. What it raises leaves nothing of the batch accepted."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        stored = self._insert(batch)
        for name, advance in advances.items():
            self._advance(name, advance)
        connection.execute("COMMIT")
        return stored

    def holds(self, batch: Sequence[Item], head: tuple[int, bytes]) -> bool:
        """Whether a batch whose COMMIT failed is in the file all the same; `head` was the head before it."""
        if self.head != head:
            return True
        for item in batch:
            if not isinstance(item, Event):
                at = (self._streams.get(item.header.key, -1), item.first)
                return bool(list(self._connection.execute("SELECT 1 FROM chunk WHERE stream = ? AND first = ?", at)))
        return False

    def append(self, event: Event) -> None:
        """Write one event inside the present transaction."""
        body = {"text": event.text, **({"details": dict(event.details)} if event.details else {})}
        self._chain.append(event.time, event.kind, event.device, str(event.details.get("stream", "")), body)

    def _insert(self, batch: Sequence[Item]) -> list[Stored]:
        groups: dict[tuple[str, str], list[Chunk]] = {}
        ready: list[list[Chunk] | Parcel] = []
        for item in batch:
            if isinstance(item, Event):
                self.append(item)
                continue
            key = item.header.key
            if isinstance(item, Parcel):
                ready.append(item)
                continue
            group = groups.get(key)
            if group is not None and item.first - group[0].first < LONGEST and rows.follows(group[-1], item):
                group.append(item)
                continue
            groups[key] = group = [item]
            ready.append(group)
        packed, stored = [], []
        for each in ready:
            head = each if isinstance(each, Parcel) else each[0]
            row = self._row(each)
            if head.gap is not None:
                self._gap(head, head.gap)
            packed.append(row)
            stored.append((*head.header.key, row[3], row[4]))
        self._connection.executemany(rows.INSERT, packed)
        return stored

    def _row(self, group: list[Chunk] | Parcel) -> rows.Row:
        if isinstance(group, Parcel):
            samples = group.samples
            return rows.pack(self._stream(group.header, samples.run, int(samples.time[0])), samples)
        head = group[0]
        return rows.pack_chunks(self._stream(head.header, head.run, int(head.time[0])), group)

    def _stream(self, header: Header, run: int, time: int) -> int:
        connection = self._connection
        stream = self._streams.get(header.key)
        if stream is None:
            connection.execute("INSERT INTO stream (device, name) VALUES (?,?)", header.key)
            stream = self._streams[header.key] = connection.last_insert_rowid()
        if (stream, run) not in self._headers:
            text = msgspec.json.encode(header).decode()
            connection.execute("INSERT INTO header VALUES (?,?,?)", (stream, run, text))
            schema.announce_header(self._chain, time, stream, run, *header.key, text)
            self._headers.add((stream, run))
        return stream

    def _gap(self, chunk: Chunk | Parcel, gap: Gap) -> None:
        body = {
            "text": gap.cause,
            "from": gap.start,
            "to": gap.stop,
            "after": gap.after,
            "before": gap.before,
            "missing": gap.missing,
        }
        self._chain.append(gap.stop, "gap", *chunk.header.key, body)

    def _advance(self, name: str, advance: Advance) -> None:
        known = {
            stream: following
            for stream, following, crc in self._connection.execute(
                "SELECT stream, next, crc FROM cursor WHERE name = ?", (name,)
            )
            if cursor_checksum(name, stream, following) == crc
        }
        self._connection.executemany(
            "INSERT OR REPLACE INTO cursor VALUES (?,?,?,?)",
            [
                (name, stream, following, cursor_checksum(name, stream, following))
                for stream, following in advance.positions.items()
                if stream not in known or following > known[stream]
            ],
        )
