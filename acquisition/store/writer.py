"""The writing side of a record: one thread, one connection, group commits that are on disk when they return."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import apsw
import msgspec
import numpy as np

from acquisition.clock import Clock
from acquisition.errors import StoreError
from acquisition.model import Chunk, Event, Floats, Gap, Header, Instant
from acquisition.store import rows, schema
from acquisition.store.chain import Chain
from acquisition.store.lock import Lock

log = logging.getLogger(__name__)

Witness = Callable[[list[tuple[str, str, int, int]]], None]
RETRY = 1.0
OVERHEAD = 600
"""Bytes of memory that a queued chunk takes beside its arrays (measured)."""
_INSERT = f"INSERT INTO chunk ({rows.COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class LastSample:
    """Where a stream ended: next sequence number, last time key, and the last row of values (c,)."""

    next: int
    key: int
    values: Floats


@dataclass(frozen=True, slots=True)
class Stats:
    """What the writer has done in this run, and what waits."""

    commits: int = 0
    rows: int = 0
    samples: int = 0
    queued: int = 0
    dropped: int = 0
    last_commit: Instant | None = None
    trouble: str | None = None


class StoreWriter:
    """Owns a record: takes items from the acquisition loop and commits them every `flush` seconds.

    `put` never blocks. Samples count as accepted when COMMIT has returned; then `witness` hears of
    them. Where the disk does not take them, the batch is kept, the file is reopened and the batch
    written again; meanwhile up to `ring` bytes wait. Beyond that new samples are dropped, counted, and
    the next one stored of their stream carries the gap.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        flush: float = 0.1,
        ring: int = 256 << 20,
        witness: Witness | None = None,
        on_trouble: Callable[[str | None], None] | None = None,
    ) -> None:
        self.stats = Stats()
        self.failed: BaseException | None = None
        self.last_key = 0
        self._directory = directory
        self._file = directory / schema.FILE
        self._clock = clock
        self._interval = flush
        self._ring = ring
        self._witness = witness
        self._on_trouble = on_trouble
        self._lock = Lock(directory)
        self._queue: deque[Chunk | Event] = deque()
        self._waiting = 0
        self._taken = 0
        self._dropped: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._wake = threading.Event()
        self._closing = False
        self._batch_done = threading.Condition()
        self._put_count = self._done_count = 0
        self._streams: dict[tuple[str, str], int] = {}
        self._headers: set[tuple[int, int]] = set()
        self._thread: threading.Thread | None = None
        self._trouble: str | None = None
        self._connection: apsw.Connection | None = None

    def open(self) -> None:
        """Take the lock and open the record; Refused where another process writes it, StoreError where it fails."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder cannot be made ({error.strerror})", str(self._directory), "no permission", "choose another"
            ) from error
        self._lock.take()
        try:
            self._connect()
            connection = self._connection
            assert connection is not None
            self._streams = {(d, s): i for i, d, s in connection.execute("SELECT id, device, name FROM stream")}
            keys = connection.execute("SELECT max(stop) FROM chunk UNION ALL SELECT max(time) FROM event")
            self.last_key = max((key for (key,) in keys if key is not None), default=0)
        except BaseException:
            self._lock.release()
            raise

    def begin_run(self, started: Instant, anchor: int, about: Mapping[str, Any]) -> int:
        """Open a new run and start the writing thread; answers the run's number."""
        connection = self._connection
        assert connection is not None
        with connection:
            connection.execute(
                "INSERT INTO run (utc, monotonic, anchor, about) VALUES (?,?,?,?)",
                (started.utc, started.monotonic, anchor, msgspec.json.encode(about).decode()),
            )
        run = connection.last_insert_rowid()
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()
        return run

    def last(self, device: str, stream: str) -> LastSample | None:
        """Where a stream ended in earlier runs; to be asked before `begin_run` hands the connection over."""
        connection = schema.open_reader(self._file)
        try:
            found = list(
                connection.execute(
                    "SELECT first + n, stop, vals, n FROM chunk WHERE stream = ? ORDER BY first DESC LIMIT 1",
                    (self._streams.get((device, stream), -1),),
                )
            )
        finally:
            connection.close()
        if not found:
            return None
        following, key, values, n = found[0]
        return LastSample(following, key, np.frombuffer(values, "<f8").reshape(n, -1)[-1])

    def put(self, item: Chunk | Event) -> None:
        """Queue one item; called on the acquisition loop only."""
        if type(item) is Chunk:
            size = item.values.nbytes + item.time.nbytes + item.quality.nbytes + OVERHEAD
            key = item.header.key
            if self._waiting - self._taken + size > self._ring:
                self._drop(key, item)
                return
            if key in self._dropped:
                item = self._with_gap(item)
            self._waiting += size
        self._put_count += 1
        self._queue.append(item)

    def flush(self, timeout: float = 5.0) -> bool:
        """Commit all that was put so far; False where that takes longer."""
        target = self._put_count
        self._wake.set()
        with self._batch_done:
            return self._batch_done.wait_for(lambda: self._done_count >= target or self.failed is not None, timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Commit what waits and release the record."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.critical("the record's writer did not end; %d items were not committed", len(self._queue))
                return
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release()

    def _connect(self) -> None:
        self._connection = schema.open_writer(self._file)
        self._chain = Chain(self._connection)

    def _drop(self, key: tuple[str, str], chunk: Chunk) -> None:
        gap = chunk.gap
        start = int(chunk.time[0]) - 1 if gap is None else gap.start
        start, after, count = self._dropped.get(key, (start, chunk.first - 1 if gap is None else gap.after, 0))
        self._dropped[key] = (start, after, count + len(chunk))
        self.stats = replace(self.stats, dropped=self.stats.dropped + len(chunk))

    def _with_gap(self, chunk: Chunk) -> Chunk:
        start, after, _ = self._dropped.pop(chunk.header.key)
        missing = chunk.first - after - 1
        gap = Gap(start, int(chunk.time[0]), after, chunk.first, "the record's memory was full", missing)
        return replace(chunk, gap=gap)

    def _work(self) -> None:
        try:
            while not (self._closing and not self._queue):
                self._wake.wait(self._interval)
                self._wake.clear()
                self._write_what_waits()
        except BaseException as error:
            self.failed = error
            log.critical("the record's writer died", exc_info=error)
            if self._on_trouble is not None:
                self._on_trouble(f"the writer died: {error}")

    def _write_what_waits(self) -> None:
        queue = self._queue
        batch = [queue.popleft() for _ in range(len(queue))]
        if not batch:
            return
        size = sum(c.values.nbytes + c.time.nbytes + c.quality.nbytes + OVERHEAD for c in batch if type(c) is Chunk)
        while not self._commit(batch):
            if self._closing:
                log.critical("the record cannot be written and the service ends: %d items are lost", len(batch))
                break
            self._wake.wait(RETRY)
            self._wake.clear()
            self._reconnect()
        self._taken += size
        with self._batch_done:
            self._done_count += len(batch)
            self._batch_done.notify_all()

    def _commit(self, batch: list[Chunk | Event]) -> bool:
        connection = self._connection
        if connection is None:
            return False
        position = self._chain.position
        streams, headers = dict(self._streams), set(self._headers)
        try:
            connection.execute("BEGIN IMMEDIATE")
            stored = self._insert(connection, batch)
            connection.execute("COMMIT")
        except apsw.Error as error:
            self._streams, self._headers = streams, headers
            self._chain.revert(position)
            self._disconnect()
            self._say_trouble(f"not written ({error}); samples wait in memory")
            return False
        stats = self.stats
        self.stats = replace(
            stats,
            commits=stats.commits + 1,
            rows=stats.rows + len(stored),
            samples=stats.samples + sum(n for *_, n in stored),
            queued=len(self._queue),
            last_commit=self._clock.now(),
        )
        if self._trouble is not None:
            self._say_trouble(None)
        if self._witness is not None and stored:
            self._witness(stored)
        return True

    def _insert(self, connection: apsw.Connection, batch: list[Chunk | Event]) -> list[tuple[str, str, int, int]]:
        groups: dict[tuple[str, str], list[Chunk]] = {}
        ready: list[list[Chunk]] = []
        for item in batch:
            if type(item) is not Chunk:
                self._event(item)  # type: ignore[arg-type]
                continue
            key = item.header.key
            group = groups.get(key)
            if group is not None and rows.follows(group[-1], item):
                group.append(item)
                continue
            groups[key] = group = [item]
            ready.append(group)
        packed, stored = [], []
        for group in ready:
            head = group[0]
            stream = self._stream(connection, head.header, head.run)
            if head.gap is not None:
                self._gap(head, head.gap)
            row = rows.pack(stream, group)
            packed.append(row)
            stored.append((*head.header.key, row[3], row[4]))
        connection.executemany(_INSERT, packed)
        return stored

    def _stream(self, connection: apsw.Connection, header: Header, run: int) -> int:
        stream = self._streams.get(header.key)
        if stream is None:
            connection.execute("INSERT INTO stream (device, name) VALUES (?,?)", header.key)
            stream = self._streams[header.key] = connection.last_insert_rowid()
        if (stream, run) not in self._headers:
            text = msgspec.json.encode(header).decode()
            connection.execute("INSERT OR IGNORE INTO header VALUES (?,?,?)", (stream, run, text))
            self._headers.add((stream, run))
        return stream

    def _event(self, event: Event) -> None:
        body = {"text": event.text, **({"details": dict(event.details)} if event.details else {})}
        self._chain.append(event.time, event.kind, event.device, str(event.details.get("stream", "")), body)

    def _gap(self, chunk: Chunk, gap: Gap) -> None:
        device, stream = chunk.header.key
        body = {
            "text": gap.cause,
            "from": gap.start,
            "to": gap.stop,
            "after": gap.after,
            "before": gap.before,
            "missing": gap.missing,
        }
        self._chain.append(gap.stop, "gap", device, stream, body)

    def _say_trouble(self, text: str | None) -> None:
        if (text is None) != (self._trouble is None) and self._on_trouble is not None:
            self._on_trouble(text)
        self._trouble = text
        self.stats = replace(self.stats, queued=len(self._queue), trouble=text)

    def _disconnect(self) -> None:
        # After a failed write or fsync this handle's cache cannot be trusted: a new one reads the disk.
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close(True)
            except apsw.Error as error:
                log.debug("closing a failed record: %s", error)

    def _reconnect(self) -> None:
        try:
            self._connect()
        except StoreError as error:
            self._say_trouble(str(error))
