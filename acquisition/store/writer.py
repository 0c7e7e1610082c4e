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

from acquisition.errors import PerfusionError, StoreError
from acquisition.model import Chunk, Event, Floats, Instant
from acquisition.store import merged_read, schema, wal, wall
from acquisition.store.backlog import Backlog
from acquisition.store.compaction import Compactor
from acquisition.store.compressed_chunk import Item, account
from acquisition.store.housekeeper import EVERY, Housekeeper
from acquisition.store.journal import Advance, Begun, Journal, Stored
from acquisition.store.maintenance import Step
from acquisition.store.place import Fault, Kind, Place
from acquisition.store.retention import Expiry, Retention
from acquisition.store.soundness import is_whole
from acquisition.store.succession import Succession
from acquisition.store.tapes import TapeExpiry
from acquisition.store.trouble import Trouble
from acquisition.store.wall import Wall
from acquisition.timing.clock import Clock

log = logging.getLogger(__name__)

Witness = Callable[[list[Stored]], None]
RETRY = 1.0
SQUEEZE = 1.0
"""Seconds between two looks at what waits."""
LOOSE = 32 << 20
"""Bytes that may wait as they came; more than that is squeezed."""
LOOK = 1.0
"""Seconds between two looks at whether the record is still at its path, while nothing is committed."""
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
    """What the writer has done in this run, and what waits; `size` is the record's in bytes as it was left last."""

    commits: int = 0
    rows: int = 0
    samples: int = 0
    size: int = 0
    queued: int = 0
    dropped: int = 0
    last_commit: Instant | None = None
    trouble: str | None = None
    maintenance: str | None = None


class StoreWriter:
    """Owns a record: takes items from the acquisition loop and begins to commit them every `flush` seconds.

    `put` never blocks. Samples count as accepted when COMMIT has returned; then `witness` hears of
    them. Where the disk does not take them, the batch is kept, the file is reopened and the batch
    written again; meanwhile up to `backlog` bytes wait, compressed. Beyond that new samples are dropped, counted, and
    the next one stored of their stream carries the gap. `on_trouble` hears what is wrong, that samples begin to be
    dropped, and None when it is over; it may be called on any thread. Every `compact` seconds old rows are
    compressed, and what `retention` lets go is removed. `failed` is why the writer died, or could not commit at the
    end what still waited: then something is lost that was never accepted. `last_key` and `wall` are the last time key,
    and the map to the wall clock, of the runs before this one.

    What was committed counts only while the record is at its path: after each COMMIT, and every second, file, log and
    lock are looked up. Where the file is gone, a new record is begun there with the last seconds and the examination
    that goes on; another file that stands there is moved aside and kept. `on_renewal` hears of it on the writing
    thread, and `lost` says what is not in the new one. A lost log is written into the file before it is opened anew.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        flush: float = 0.08,
        backlog: int = 256 << 20,
        witness: Witness | None = None,
        on_trouble: Callable[[str | None], None] | None = None,
        on_renewal: Callable[[str], None] | None = None,
        compact: float | None = EVERY,
        retention: Retention | None = None,
        retry: float = RETRY,
        vfs: str = "",
    ) -> None:
        self.failed: BaseException | None = None
        self.last_key = 0
        self.wall = Wall()
        self._directory = directory
        self._file = directory / schema.FILE
        self._clock = clock
        self._interval = flush
        self._retry = retry
        self._vfs = vfs
        self._witness = witness
        self._on_renewal = on_renewal
        self._place = Place(self._file)
        self._fault: Fault | None = None
        self._looked = 0.0
        self._succession = Succession()
        self._backlog = Backlog(backlog)
        self._advances: dict[str, Advance] = {}
        self._advances_lock = threading.Lock()
        self._remotes: set[str] = set()
        self._maintenance: deque[Step] = deque()
        self._housekeeper = self._make_housekeeper(compact, retention)
        self._squeezer = Housekeeper((self._squeeze,), SQUEEZE, name="store memory")
        self._wake = threading.Event()
        self._closing = False
        self._done = threading.Condition()
        self._done_count = 0
        self._advance_count = self._advance_done = 0
        self._thread: threading.Thread | None = None
        self._began: int | None = None
        self._trouble = Trouble(on_trouble)
        self._dropped = 0
        self._connection: apsw.Connection | None = None
        self._journal: Journal | None = None
        self._doubtful = False
        self._commits = self._rows = self._samples = 0
        self._last_commit: Instant | None = None

    @property
    def stats(self) -> Stats:
        """What has been done so far."""
        return Stats(
            self._commits,
            self._rows,
            self._samples,
            self._place.size,
            len(self._backlog),
            self._backlog.dropped,
            self._last_commit,
            self._trouble.told(self._dropped),
            next((each.trouble for each in (self._housekeeper, self._squeezer) if each and each.trouble), None),
        )

    @property
    def lost(self) -> str | None:
        """What was accepted and is not in the present record; None where nothing is known of that kind."""
        return self._succession.lost

    @property
    def links(self) -> int:
        """How many names the record's file has: a second one is no copy, and to open it there spoils the record."""
        return self._place.links

    def open(self) -> None:
        """Take the lock and open the record; Refused where another process writes it, StoreError where it fails."""
        try:
            self._place.prepare()
        except OSError as error:
            raise StoreError(
                f"the folder cannot be made ({error.strerror})",
                str(self._directory),
                "a file has that name" if isinstance(error, FileExistsError) else "no permission, or a wrong path",
                "choose another folder",
            ) from error
        schema.WRITTEN.add(self._file.absolute())
        try:
            with schema.telling(self._file):
                connection = self._connect(create=True)
                self.last_key, self.wall = merged_read.last_key(connection), wall.read(connection)
                self._succession.opened(connection)
        except BaseException:
            self._end()
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
        self._succession.begin(self._journal, Begun(run, started, anchor, about))
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
                end = merged_read.end(connection, device, stream)
        finally:
            connection.close()
        if end is None:
            return None
        following, samples = end
        return LastSample(following, int(samples.time[-1]), samples.values[-1])

    def put(self, item: Chunk | Event) -> None:
        """Queue one item; called on the acquisition loop only."""
        self._backlog.put(item)
        if self._backlog.dropped != self._dropped:
            self._tell_dropped()
        began = self._began
        if began is not None and self._trouble.text is None:
            waited = self._clock.real((self._clock.now().monotonic - began) / 1e9)
            if waited > SLOW:
                self._trouble.say(f"the disk has not answered for {waited:.0f} s; samples wait in memory")

    def advance(self, cursor: str, positions: Mapping[int, int], event: int | None = None, record: str = "") -> None:
        """Note what the remote `cursor` has acknowledged; from any thread, committed with the next batch.

        `positions` maps stream numbers to the next sequence number to deliver, `event` is the last event
        delivered, both as in `record`: what was read of another record than the present one does not count.
        A position never goes back.
        """
        with self._advances_lock:
            self._remotes.add(cursor)
            if record and record != self._succession.record:
                return
            self._advances.setdefault(cursor, Advance()).take(positions, event)
            self._advance_count += 1

    def submit(self, step: Step) -> None:
        """Queue a step of maintenance; it is done after the samples that wait, or not at all when the record closes."""
        with contextlib.suppress(IndexError):
            while self._maintenance[0].cancelled:  # while the disk is away nobody does them
                self._maintenance.popleft()
        self._maintenance.append(step)
        self._wake.set()
        if self._closing:
            self._refuse_maintenance()

    def flush(self, timeout: float = 5.0) -> bool:
        """Commit all that was put and advanced so far; False where that takes longer, or the writer died."""
        target, advances = self._backlog.put_count, self._advance_count

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
            self._backlog.farewell()
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._squeezer.join(timeout)
            if self._housekeeper is not None:
                self._housekeeper.join(timeout)
            if self._thread.is_alive():
                self._lose(len(self._backlog), f"the disk has not answered for {timeout:g} s")
                return
        self._end()

    def _end(self) -> None:
        self._disconnect()
        schema.WRITTEN.discard(self._file.absolute())
        self._place.release()

    def _connect(self, create: bool = False) -> apsw.Connection:
        self._connection = connection = schema.open_writer(self._file, create=create, vfs=self._vfs)
        self._journal = Journal(connection, self._succession.begun, self._succession.predecessor)
        self._succession.connected(self._journal)
        self._place.note()
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
            self._refuse_maintenance()
        except BaseException as error:
            self.failed = error
            log.critical("the record's writer died", exc_info=error)
            self._trouble.die(error)
            self._closing = True
            self._refuse_maintenance()
            with self._done:
                self._done.notify_all()

    def _write_what_waits(self) -> bool:
        """Commit a batch, however long that takes; whether more was left behind."""
        with self._advances_lock:
            advances, self._advances = self._advances, {}
            advanced = self._advance_count
        batch = self._backlog.take()
        if not batch and not advances and self._looks_well():
            return False
        more, waiting, head = len(self._backlog) > 0, batch, None if self._journal is None else self._journal.head
        while not self._commit(waiting, advances):
            record, displaced = self._succession.record, self._fault is not None
            if not self._closing:
                self._wake.wait(self._retry)
                self._wake.clear()
            if (self._closing and not displaced) or not self._reconnect() or self._journal is None:
                if self._closing:
                    self._lose(len(waiting) + len(self._backlog), self._trouble.text or "the disk does not take it")
                    more = False
                    break
                continue
            if self._succession.record != record:
                advances, head = {}, self._journal.head  # what the record before held counts no more
            elif head is None:
                head = self._journal.head
            elif waiting and self._holds(waiting, head):
                # COMMIT failed after the file had it all; what the reopened file shows has been synced anew.
                waiting = []
        puts = self._backlog.release(batch)
        with self._done:
            self._done_count += puts
            self._advance_done = advanced
            self._done.notify_all()
        return more

    def _commit(self, batch: list[Item], advances: Mapping[str, Advance]) -> bool:
        if self._journal is None or self._fault is not None:
            return False
        self._began = self._clock.now().monotonic
        try:
            if not self._is_as_left():
                return False
            stored = self._journal.write(batch, advances)
            self._succession.head = self._journal.head
            self._place.written()
            if not self._is_in_place():
                return False
        except apsw.ConstraintError:
            raise  # two samples of one number: no disk's fault, and trying again does not help
        except apsw.Error as error:
            self._doubtful = True
            self._disconnect()
            self._trouble.say(f"not written ({error}); samples wait in memory")
            return False
        finally:
            self._began = None
        self._accept(batch, stored)
        return True

    def _accept(self, batch: list[Item], stored: list[Stored]) -> None:
        self._succession.kept.take(batch, self._seconds())
        self._commits += 1
        self._rows += len(stored)
        self._samples += sum(n for *_, n in stored)
        self._last_commit = self._clock.now()
        if self._trouble.text is not None:
            self._trouble.say(None)
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
            self._trouble.say(f"not readable ({error}); samples wait in memory")
            return False
        if stored:
            self._accept(batch, account(batch))
        return stored

    def _keep_up(self) -> None:
        """Do one step of maintenance: after the samples, in a transaction of its own."""
        if not self._maintenance or self._journal is None or self._connection is None or self._closing or self._fault:
            return
        step = self._maintenance.popleft()
        if step.cancelled:
            return
        if (step.record and step.record != self._succession.record) or not self._is_as_left():
            step.finish(False)
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            step.run(self._connection, self._journal)
            self._connection.execute("COMMIT")
            self._place.written()
        except apsw.Error as error:
            log.warning("maintenance of the record failed (%s)", error)
            self._doubtful = True
            self._disconnect()
            self._reconnect()
            step.finish(False)
        else:
            step.finish(True)

    def _refuse_maintenance(self) -> None:
        while self._maintenance:
            with contextlib.suppress(IndexError):
                self._maintenance.popleft().finish(False)

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
        if self._backlog.uncompressed > LOOSE:
            self._backlog.compress()

    def _tell_dropped(self) -> None:
        self._dropped = self._backlog.dropped
        if self._trouble.lose():
            log.critical("the record's memory is full: samples are being lost")

    def _seconds(self) -> float:
        """Seconds on the wall, from any beginning."""
        return self._clock.real(self._clock.now().seconds)

    def _looks_well(self) -> bool:
        """Whether the record is at its path; looked up once in a while."""
        if self._fault is None and self._seconds() - self._looked < LOOK:
            return True
        self._began = self._clock.now().monotonic
        try:
            return self._is_in_place() and self._is_as_left()
        finally:
            self._began = None

    def _is_in_place(self) -> bool:
        """Look the record up by its path; what is wrong there is told."""
        self._looked = self._seconds()
        if self._fault is None and (fault := self._place.fault()) is not None:
            self._displace(fault)
        return self._fault is None

    def _is_as_left(self) -> bool:
        """Look whether another program wrote into the record; where it did, whether all of it can still be read."""
        touched = None if self._fault is not None else self._place.touched()
        if touched is None:
            return self._fault is None
        if self._place.fault() is not None:
            return self._is_in_place()
        log.critical("%s", touched)
        head = self._succession.head if self._journal is None else self._journal.head
        if is_whole(self._file, self._succession.record, head, vfs=self._vfs):
            self._place.written()
        else:
            self._displace(self._place.spoil())
        return self._fault is None

    def _displace(self, fault: Fault) -> None:
        if self._fault is None or self._fault.kind is not fault.kind:
            log.critical("%s: nothing counts as recorded until that is mended", fault.text)
        self._fault = fault
        self._trouble.say(f"{fault.text}; samples wait in memory")
        if fault.kind is Kind.GONE:
            with contextlib.suppress(PerfusionError, OSError):
                self._place.seize()

    def _regain(self, fault: Fault) -> None:
        """Mend what is wrong with the place; where that is not possible yet, an error says why."""
        match fault.kind:
            case Kind.UNSEEN:
                raise StoreError(fault.text)
            case Kind.LOCK:
                self._place.take()
            case Kind.LOG:
                self._save_log()
        self._disconnect()  # what is at the path may have changed
        if fault.kind is Kind.GONE:
            aside = self._place.clear()
            with self._advances_lock:
                self._succession.vanished(f"{fault.fate}, which is now {aside.name}" if aside else fault.fate)
                self._advances = {}
            self._doubtful = False

    def _save_log(self) -> None:
        """Have everything that the lost log holds in the file, through the connection that still has it open."""
        if self._connection is None:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError as error:
            raise StoreError("its log is gone, and a reader holds what that held", str(self._file)) from error

    def _renew(self) -> None:
        """Begin the new record with what is kept of the one before."""
        journal, begun = self._journal, self._succession.begun
        assert journal is not None
        assert begun is not None
        time = begun.anchor + self._clock.now().monotonic - begun.started.monotonic
        text = self._succession.renew(journal, self._seconds(), time, tuple(self._remotes))
        if self._on_renewal is not None:
            self._on_renewal(text)

    def _disconnect(self) -> None:
        # After a failed write or fsync this handle's cache cannot be trusted: a new one reads the disk.
        connection, self._connection, self._journal = self._connection, None, None
        if connection is not None:
            try:
                # What the log holds may not be on the disk, or the log at the path be another's: it must not go
                # into the file.
                if self._doubtful or self._fault is not None:
                    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close(True)
            except apsw.Error as error:
                log.debug("closing a failed record: %s", error)

    def _reconnect(self) -> bool:
        try:
            self._looked = self._seconds()
            fault = self._place.fault()
            if fault is not None:
                self._displace(fault)
                self._regain(fault)
            elif self._doubtful:
                wal.write_anew(self._file, self._vfs)
            if self._connection is None:
                self._connect()
            if self._succession.awaited:
                self._renew()
        except (PerfusionError, apsw.Error, OSError) as error:
            if self._fault is None or self._fault.kind is Kind.GONE:
                self._disconnect()
            self._trouble.say(f"not opened ({error}); samples wait in memory")
            return False
        self._doubtful, self._fault = False, None
        return True
