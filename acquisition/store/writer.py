"""The writing side of a record: one thread, one connection, group commits that are on disk when they return."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from acquisition.clock import Clock
from acquisition.errors import StoreError
from acquisition.model import Chunk, Event, Floats, Instant
from acquisition.store import schema, tiers, wal
from acquisition.store.compaction import EVERY, Compactor, Housekeeper
from acquisition.store.journal import Advance, Journal, Stored
from acquisition.store.lock import Lock
from acquisition.store.parcel import Item, account
from acquisition.store.retention import Expiry, Retention
from acquisition.store.ring import Ring
from acquisition.store.tapes import TapeExpiry
from acquisition.store.upkeep import Step

log = logging.getLogger(__name__)

Witness = Callable[[list[Stored]], None]
RETRY = 1.0
SQUEEZE = 1.0
"""Seconds between two looks at what waits."""
LOOSE = 32 << 20
"""Bytes that may wait as they came; more than that is squeezed."""
LOSING = "the memory for what waits is full too: SAMPLES ARE BEING LOST"
SLOW = 3.0
"""Seconds after which a COMMIT that has not returned is told of."""


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
    """Owns a record: takes items from the acquisition loop and begins to commit them every `flush` seconds.

    `put` never blocks. Samples count as accepted when COMMIT has returned; then `witness` hears of
    them. Where the disk does not take them, the batch is kept, the file is reopened and the batch
    written again; meanwhile up to `ring` bytes wait, compressed. Beyond that new samples are dropped, counted, and
    the next one stored of their stream carries the gap. `on_trouble` hears what is wrong, that samples begin to be
    dropped, and None when it is over; it may be called on any thread. Every `compact` seconds old rows are
    compressed, and what `retention` lets go is removed. `failed` is why the writer died, or could not commit at the
    end what still waited: then something is lost that was never accepted.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        flush: float = 0.08,
        ring: int = 256 << 20,
        witness: Witness | None = None,
        on_trouble: Callable[[str | None], None] | None = None,
        compact: float | None = EVERY,
        retention: Retention | None = None,
        retry: float = RETRY,
        vfs: str = "",
    ) -> None:
        self.failed: BaseException | None = None
        self.last_key = 0
        self._directory = directory
        self._file = directory / schema.FILE
        self._clock = clock
        self._interval = flush
        self._retry = retry
        self._vfs = vfs
        self._witness = witness
        self._on_trouble = on_trouble
        self._lock = Lock(directory)
        self._ring = Ring(ring)
        self._advances: dict[str, Advance] = {}
        self._advances_lock = threading.Lock()
        self._upkeep: deque[Step] = deque()
        self._housekeeper = self._make_housekeeper(compact, retention)
        self._squeezer = Housekeeper((self._squeeze,), SQUEEZE, name="store memory")
        self._wake = threading.Event()
        self._closing = False
        self._done = threading.Condition()
        self._done_count = 0
        self._advance_count = self._advance_done = 0
        self._thread: threading.Thread | None = None
        self._began: int | None = None
        self._trouble: str | None = None
        self._losing = False
        self._dropped = 0
        self._trouble_lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._journal: Journal | None = None
        self._doubtful = False
        self._commits = self._rows = self._samples = 0
        self._last_commit: Instant | None = None

    @property
    def stats(self) -> Stats:
        """What has been done so far."""
        trouble = self._trouble
        return Stats(
            self._commits,
            self._rows,
            self._samples,
            len(self._ring),
            self._ring.dropped,
            self._last_commit,
            f"{trouble}; {LOSING}, {self._dropped} so far" if trouble and self._losing else trouble,
        )

    def open(self) -> None:
        """Take the lock and open the record; Refused where another process writes it, StoreError where it fails."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder cannot be made ({error.strerror})",
                str(self._directory),
                "a file has that name" if isinstance(error, FileExistsError) else "no permission, or a wrong path",
                "choose another folder",
            ) from error
        self._lock.take()
        try:
            with schema.telling(self._file):
                self.last_key = tiers.last_key(self._connect(create=True))
        except BaseException:
            self._disconnect()
            self._lock.release()
            raise

    def begin_run(self, started: Instant, anchor: int, about: Mapping[str, Any]) -> int:
        """Open a new run and start the writing thread; answers the run's number."""
        assert self._journal is not None
        try:
            run = self._journal.begin_run(started, anchor, about)
        except apsw.Error as error:
            raise StoreError(
                f"the record cannot be written ({error})",
                str(self._file),
                "the disk is full, read-only or failing",
                "make room, or choose another folder",
            ) from error
        self._thread = threading.Thread(target=self._work, name="store", daemon=True)
        self._thread.start()
        self._squeezer.start()
        if self._housekeeper is not None:
            self._housekeeper.start()
        return run

    def last(self, device: str, stream: str) -> LastSample | None:
        """Where a stream ended in earlier runs."""
        connection = schema.open_reader(self._file, vfs=self._vfs)
        try:
            with schema.telling(self._file):
                end = tiers.end(connection, device, stream)
        finally:
            connection.close()
        if end is None:
            return None
        following, samples = end
        return LastSample(following, int(samples.time[-1]), samples.values[-1])

    def put(self, item: Chunk | Event) -> None:
        """Queue one item; called on the acquisition loop only."""
        self._ring.put(item)
        if self._ring.dropped != self._dropped:
            self._tell_dropped()
        began = self._began
        if began is not None and self._trouble is None:
            waited = self._clock.real((self._clock.now().monotonic - began) / 1e9)
            if waited > SLOW:
                self._say_trouble(f"the disk has not answered for {waited:.0f} s; samples wait in memory")

    def advance(self, cursor: str, positions: Mapping[int, int], event: int | None = None) -> None:
        """Note what the remote `cursor` has acknowledged; from any thread, committed with the next batch.

        `positions` maps stream numbers to the next sequence number to deliver, `event` is the last event
        delivered. A position never goes back.
        """
        with self._advances_lock:
            self._advances.setdefault(cursor, Advance()).take(positions, event)
            self._advance_count += 1

    def submit(self, step: Step) -> None:
        """Queue a step of upkeep; it is done after the samples that wait, or not at all when the record closes."""
        with contextlib.suppress(IndexError):
            while self._upkeep[0].cancelled:  # while the disk is away nobody does them
                self._upkeep.popleft()
        self._upkeep.append(step)
        self._wake.set()
        if self._closing:
            self._refuse_upkeep()

    def flush(self, timeout: float = 5.0) -> bool:
        """Commit all that was put and advanced so far; False where that takes longer, or the writer died."""
        target, advances = self._ring.put_count, self._advance_count

        def through() -> bool:
            return self._done_count >= target and self._advance_done >= advances

        self._wake.set()
        with self._done:
            self._done.wait_for(lambda: through() or self.failed is not None, timeout)
            return through()

    def close(self, timeout: float = 5.0) -> None:
        """Commit what waits and release the record."""
        self._squeezer.stop()
        if self._housekeeper is not None:
            self._housekeeper.stop()
        if self._thread is not None:
            self._ring.farewell()
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._squeezer.join(timeout)
            if self._housekeeper is not None:
                self._housekeeper.join(timeout)
            if self._thread.is_alive():
                self._lose(len(self._ring), f"the disk has not answered for {timeout:g} s")
                return
        self._disconnect()
        self._lock.release()

    def _connect(self, create: bool = False) -> apsw.Connection:
        self._connection = connection = schema.open_writer(self._file, create=create, vfs=self._vfs)
        self._journal = Journal(connection)
        return connection

    def _work(self) -> None:
        try:
            closing = False
            begun = self._clock.now()
            while not closing:
                spent = self._clock.real(self._clock.now().seconds - begun.seconds)
                self._wake.wait(max(self._interval - spent, 0.0))
                self._wake.clear()
                begun = self._clock.now()
                closing = self._closing
                while self._write_what_waits():
                    pass
                self._keep_up()
            self._refuse_upkeep()
        except BaseException as error:
            self.failed = error
            log.critical("the record's writer died", exc_info=error)
            if self._on_trouble is not None:
                self._on_trouble(f"the writer died: {error}")
            self._closing = True
            self._refuse_upkeep()
            with self._done:
                self._done.notify_all()

    def _write_what_waits(self) -> bool:
        """Commit a batch, however long that takes; whether more was left behind."""
        with self._advances_lock:
            advances, self._advances = self._advances, {}
            advanced = self._advance_count
        batch = self._ring.take()
        if not batch and not advances:
            return False
        more, waiting, head = len(self._ring) > 0, batch, None if self._journal is None else self._journal.head
        while not self._commit(waiting, advances):
            if self._closing:
                self._lose(len(waiting) + len(self._ring), self._trouble or "the disk does not take it")
                more = False
                break
            self._wake.wait(self._retry)
            self._wake.clear()
            if not self._reconnect() or self._journal is None:
                continue
            if head is None:
                head = self._journal.head
            elif waiting and self._holds(waiting, head):
                # COMMIT failed after the file had it all; what the reopened file shows has been synced anew.
                waiting = []
        puts = self._ring.release(batch)
        with self._done:
            self._done_count += puts
            self._advance_done = advanced
            self._done.notify_all()
        return more

    def _commit(self, batch: list[Item], advances: Mapping[str, Advance]) -> bool:
        if self._journal is None:
            return False
        self._began = self._clock.now().monotonic
        try:
            stored = self._journal.write(batch, advances)
        except apsw.ConstraintError:
            raise  # two samples of one number: no disk's fault, and trying again does not help
        except apsw.Error as error:
            self._doubtful = True
            self._disconnect()
            self._say_trouble(f"not written ({error}); samples wait in memory")
            return False
        finally:
            self._began = None
        self._accept(stored)
        return True

    def _accept(self, stored: list[Stored]) -> None:
        self._commits += 1
        self._rows += len(stored)
        self._samples += sum(n for *_, n in stored)
        self._last_commit = self._clock.now()
        if self._trouble is not None:
            self._say_trouble(None)
        if self._witness is not None and stored:
            self._witness(stored)

    def _lose(self, items: int, cause: str) -> None:
        self.failed = StoreError(
            f"{items} items are lost: the service ends, and the record cannot be written", str(self._file), cause
        )
        log.critical("%s", self.failed)

    def _holds(self, batch: list[Item], head: tuple[int, bytes]) -> bool:
        assert self._journal is not None
        try:
            stored = self._journal.holds(batch, head)
        except apsw.Error as error:
            self._disconnect()
            self._say_trouble(f"not readable ({error}); samples wait in memory")
            return False
        if stored:
            self._accept(account(batch))
        return stored

    def _keep_up(self) -> None:
        """Do one step of upkeep: after the samples, in a transaction of its own."""
        if not self._upkeep or self._journal is None or self._connection is None or self._closing:
            return
        step = self._upkeep.popleft()
        if step.cancelled:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            step.run(self._connection, self._journal)
            self._connection.execute("COMMIT")
        except apsw.Error as error:
            log.warning("upkeep of the record failed (%s)", error)
            self._doubtful = True
            self._disconnect()
            self._reconnect()
            step.finish(False)
        else:
            step.finish(True)

    def _refuse_upkeep(self) -> None:
        while self._upkeep:
            with contextlib.suppress(IndexError):
                self._upkeep.popleft().finish(False)

    def _make_housekeeper(self, every: float | None, retention: Retention | None) -> Housekeeper | None:
        if every is None:
            return None
        chores = [Compactor(self._file, self.submit, vfs=self._vfs).run_once]
        if retention is not None:
            expiry = Expiry(self._file, retention, self.submit, vfs=self._vfs)
            chores.append(expiry.run_once)
            chores.append(TapeExpiry(self._file, retention, self.submit).run_once)
        return Housekeeper(tuple(chores), every)

    def _squeeze(self, _: threading.Event) -> None:
        if self._ring.loose > LOOSE:
            self._ring.squeeze()

    def _tell_dropped(self) -> None:
        self._dropped = self._ring.dropped
        if not self._losing:
            self._losing = True
            log.critical("the record's memory is full: samples are being lost")
            self._say_trouble("the disk takes too little", LOSING)

    def _say_trouble(self, text: str | None, more: str = "") -> None:
        with self._trouble_lock:
            changed = (text is None) != (self._trouble is None)
            self._trouble = text if text is None or changed or not more else self._trouble
            self._losing = self._losing and text is not None
        if (changed or more) and self._on_trouble is not None:
            self._on_trouble(f"{self._trouble}; {more}" if more else text)

    def _disconnect(self) -> None:
        # After a failed write or fsync this handle's cache cannot be trusted: a new one reads the disk.
        connection, self._connection, self._journal = self._connection, None, None
        if connection is not None:
            try:
                if self._doubtful:  # what the log holds may not be on the disk: it must not go into the file yet
                    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close(True)
            except apsw.Error as error:
                log.debug("closing a failed record: %s", error)

    def _reconnect(self) -> bool:
        try:
            if self._doubtful:
                wal.write_anew(self._file, self._vfs)
            self._connect()
        except (StoreError, apsw.Error, OSError) as error:
            self._disconnect()
            self._say_trouble(f"not opened ({error}); samples wait in memory")
            return False
        self._doubtful = False
        return True
