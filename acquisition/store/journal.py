"""Batches as rows: samples, gaps, events and cursors written inside the writer's transaction."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import apsw
import msgspec

from acquisition.model import Chunk, Event, Gap, Header, Instant
from acquisition.store import rows, schema
from acquisition.store.chain import Chain
from acquisition.store.compressed_chunk import CompressedChunk, Item

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


@dataclass(frozen=True, slots=True)
class Begun:
    """A run as it was begun: its number, instant, anchor (time key, ns) and what is said about it."""

    run: int
    started: Instant
    anchor: int
    about: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The record that a new one takes the place of, within a run: number and hash of its last event, and its fate."""

    head: tuple[int, bytes]
    fate: str
    session: str = ""

    @property
    def details(self) -> dict[str, object]:
        """What an event says of it."""
        session = {"session": self.session} if self.session else {}
        return {"before": {"event": self.head[0], "hash": self.head[1].hex(), **session}}


def cursor_checksum(name: str, stream: int, following: int) -> int:
    """CRC-32 over a row of the table `cursor`."""
    return zlib.crc32(struct.pack("<2q", stream, following), zlib.crc32(name.encode()))


class Journal:
    """Writes batches on one connection; it knows what that connection's file holds.

    After a failed transaction both are thrown away and made anew from what is on the disk. With a `predecessor` the
    first samples of each stream in `begun` follow a gap: those before them are in that record.
    """

    def __init__(
        self, connection: apsw.Connection, begun: Begun | None = None, predecessor: Predecessor | None = None
    ) -> None:
        self._begun = begun
        self._predecessor = predecessor
        self._connection = connection
        self._chain = Chain(connection)
        self._streams = {(d, s): i for i, d, s in connection.execute("SELECT id, device, name FROM stream")}
        self._headers: set[tuple[int, int]] = set(connection.execute("SELECT stream, run FROM header"))

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the last event."""
        return self._chain.position

    @property
    def record(self) -> str:
        """What names this record among all: the hash of its first event; empty before that."""
        return schema.name(self._connection)

    @property
    def streams(self) -> Mapping[tuple[str, str], int]:
        """The number of each (device, stream)."""
        return self._streams

    def begin_run(self, started: Instant, anchor: int, about: Mapping[str, object]) -> int:
        """Write a new run in a transaction of its own; answers its number."""
        with self._connection:
            run = self._run(None, started, anchor, about)
        return run

    def continue_run(self, time: int, session: Sequence[Event], kept: Sequence[Item], remotes: Iterable[str]) -> None:
        """Go on with the run in an empty record, in one transaction: at the time key `time`, ns.

        First comes what the predecessor held of the examination that goes on, then what of its last seconds is `kept`;
        for each of the `remotes` retention waits from now on.
        """
        begun, before = self._begun, self._predecessor
        assert begun is not None
        assert before is not None
        told = Event("record", time, "", f"a record in place of one that {before.fate}", before.details)
        with self._connection:
            self.append(
                told
            )  # before the run, which both tell of in the same words: a record is named by its first event
            self._run(begun.run, begun.started, begun.anchor, begun.about)
            self._insert([*session, *kept])
            for name in remotes:
                self._advance(name, Advance({EVENTS: 1}))

    def _run(self, number: int | None, started: Instant, anchor: int, about: Mapping[str, object]) -> int:
        text = msgspec.json.encode(about).decode()
        connection = self._connection
        connection.execute("INSERT INTO run VALUES (?,?,?,?,?)", (number, started.utc, started.monotonic, anchor, text))
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
        if self.head[0] > head[0]:
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
        ready: list[list[Chunk] | CompressedChunk] = []
        for item in batch:
            if isinstance(item, Event):
                self.append(item)
                continue
            key = item.header.key
            if isinstance(item, CompressedChunk):
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
            head = each if isinstance(each, CompressedChunk) else each[0]
            elsewhere = self._predecessor is not None and head.first > 0 and head.header.key not in self._streams
            row = self._row(each)
            if elsewhere:
                self._gap_before(head, row[5])
            elif head.gap is not None:
                self._gap(head, head.gap)
            packed.append(row)
            stored.append((*head.header.key, row[3], row[4]))
        self._connection.executemany(rows.INSERT, packed)
        return stored

    def _row(self, group: list[Chunk] | CompressedChunk) -> rows.Row:
        if isinstance(group, CompressedChunk):
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

    def _gap_before(self, chunk: Chunk | CompressedChunk, start: int) -> None:
        """Account for what is in the predecessor: the run up to `start` (time key, ns) of the first sample here."""
        assert self._begun is not None
        assert self._predecessor is not None
        known = chunk.gap is None or chunk.gap.missing is not None
        gap = Gap(
            min(self._begun.anchor, start - 1), start, -1, chunk.first, f"the record before {self._predecessor.fate}",
            chunk.first if known else None,
        )  # fmt: skip
        self._gap(chunk, gap, self._predecessor.details)

    def _gap(self, chunk: Chunk | CompressedChunk, gap: Gap, details: Mapping[str, object] | None = None) -> None:
        body = {
            "text": gap.cause,
            "from": gap.start,
            "to": gap.stop,
            "after": gap.after,
            "before": gap.before,
            "missing": gap.missing,
            **({"details": details} if details else {}),
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
