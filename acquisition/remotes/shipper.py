"""Carries the record to a remote: reads behind the writer, sends, and advances only after the remote's word."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw

from acquisition.errors import StoreError
from acquisition.remotes import line_protocol
from acquisition.remotes.batch import Batch, Origin, RefusedSamples
from acquisition.remotes.delivery import LARGEST, Delivery, RetryPace
from acquisition.remotes.health import Say, Standing
from acquisition.remotes.outbox import Outbox, Range
from acquisition.remotes.reader import RangeReader, Shipment
from acquisition.remotes.worker import Worker
from acquisition.remotes.write_result import Remote, WriteVerdict
from acquisition.store import Store, StoreWriter
from acquisition.store.wall import Wall

log = logging.getLogger(__name__)

LAG = 5.0
"""Seconds behind at which live data stop waiting for what is older."""
REOPEN = 5.0
"""Seconds before a record that could not be read is opened again."""
BREATH = 0.01
"""Seconds between two passes while the service ends."""
HEARTBEAT = 10.0
"""Seconds between two lines about the station itself."""
TOGETHER = 30.0
"""Seconds in which refused samples are collected, so that a stream that is refused whole is no flood of events."""

MANY = 1000
"""Refused stretches that are not kept any longer untold."""
Told = tuple[str, str, str, tuple[tuple[int, int], ...]]
"""Device, stream, reason and ranges of sequence numbers of an event `quarantine`."""


class Shipper:
    """One remote's thread, which begins anew where it dies. `standing` says how it goes.

    What is refused for good becomes an event `quarantine` (device, stream, `ranges` of sequence numbers, reason);
    the cursor passes such samples only once that event is in the record.
    """

    def __init__(
        self,
        name: str,
        remote: Remote,
        writer: StoreWriter,
        directory: Path,
        shipment: Shipment,
        say: Say,
        key_now: Callable[[], int],
        *,
        flush: float = 0.5,
        pace: RetryPace | None = None,
        standing: Standing | None = None,
        rng: random.Random | None = None,
        together: float = TOGETHER,
        lag: float = LAG,
    ) -> None:
        self.name = name
        self.standing = standing or Standing(name, say)
        self.standing.recorded = lambda: writer.stats.samples
        self.refused = 0
        self._remote = remote
        self._writer = writer
        self._directory = directory
        self._shipment = shipment
        self._key_now = key_now
        self._flush = flush
        self._together = together
        self._lag = lag
        self._stop = threading.Event()
        self._deadline = float("inf")
        self._delivery = Delivery(
            remote,
            self.standing,
            self._describe,
            self._stop,
            pace or RetryPace(),
            rng or random.Random(),
            lambda: self._look_back(),
        )
        self._look_back: Callable[[], None] = lambda: None
        self._noted: dict[int, int] = {}
        self._noted_event = 0
        self._wall = Wall()
        self._untold: list[RefusedSamples] = []
        self._untold_since = 0.0
        self._awaited: set[Told] = set()
        self._record = ""
        self._witnessed = 0
        self._told_of_events = False
        self._beat = float("-inf")
        self._worker = Worker(self.standing, self._work, stopping=self._stop, count=self._count, leave=remote.close)

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._worker.alive

    @property
    def pending(self) -> int | None:
        """How many samples it is behind; None while nobody knows."""
        return self.standing.pending

    def start(self) -> None:
        """Begin."""
        # From now on retention waits for this remote, even where it never answers.
        self._writer.advance(self.name, {}, 0)
        self._worker.start()

    def stop(self, timeout: float) -> None:
        """Deliver what is left, for so many seconds at most."""
        self._deadline = time.monotonic() + timeout
        self._stop.set()
        self._worker.join(timeout)
        if self._worker.alive:
            log.warning("%s: the rest is sent after the next start", self.name)

    def _work(self) -> None:
        self._untold = []  # what a life before has not told is sent again: the cursor has not passed it
        while not self._finished():
            try:
                with Store(self._directory) as store:
                    self._ship(store)
            except (StoreError, apsw.Error) as error:
                self.standing.fail("unreachable", f"the record cannot be read ({error})")
                self.standing.beat(REOPEN)
                self._stop.wait(REOPEN)

    def _count(self) -> None:
        """See how much waits, while nothing is sent."""
        with Store(self._directory) as store:
            cursor = store.cursors().get(self.name)
            self.standing.behind(Outbox(cursor.positions if cursor is not None else {}).pending(store.ends()))

    def _finished(self) -> bool:
        return self._stop.is_set() and time.monotonic() >= self._deadline

    def _ship(self, store: Store) -> None:
        cursor = store.cursors().get(self.name)
        outbox = Outbox(cursor.positions if cursor is not None else {})
        event = cursor.event if cursor is not None else 0
        fresh, older = RangeReader(store, self._shipment), RangeReader(store, self._shipment)
        if store.record != self._record:  # the first one, or one in the place of another
            self._record, self._noted, self._noted_event = store.record, {}, 0
            self._wall = store.wall()
            self._witnessed, _ = store.head()
            self._awaited.clear()

        def look_back() -> None:
            self.standing.behind(outbox.pending(store.ends()))
            self.standing.beat()

        self._look_back = look_back
        while True:
            store.check_place()
            stopping = self._stop.is_set()
            self.standing.beat()
            ends = store.ends()
            if self.pending is None:
                self.standing.behind(outbox.pending(ends))
            busy = self._serve(fresh, outbox, outbox.live, ends)
            backlog = outbox.backlog(ends)
            if backlog is not None:
                busy = self._serve(older, outbox, backlog, ends) or busy
            event, more = self._serve_events(store, event)
            busy = busy or more
            self.standing.behind(outbox.pending(ends))
            self._tell_refused(at_once=stopping)
            self._await_told(store, self._witnessed)
            self._advance(outbox.acknowledged(ends), event)
            self._tell_of_itself(store)
            if stopping and (self._finished() or not (busy or self._awaited)):
                self._deadline = 0.0
                return
            if stopping:
                time.sleep(BREATH)
            elif not busy:
                self.standing.beat(self._flush)
                self._stop.wait(self._flush)

    def _serve(self, reader: RangeReader, outbox: Outbox, part: Range, ends: Mapping[int, int]) -> bool:
        """Send one batch of a range; whether more waits in it."""
        load = reader.load(part, ends, self._delivery.limit)
        late = load.oldest is not None and (self._key_now() - load.oldest) / 1e9 > self._lag
        if part is outbox.live and late and load.more:
            log.info("%s: behind; live data go on beside the backlog", self.name)
            outbox.split(ends)
            return True
        if load.batch.size and not self._deliver(load.batch):
            return False
        part.positions.update(load.positions)
        part.reached.update(load.reached)
        return load.more

    def _serve_events(self, store: Store, since: int) -> tuple[int, bool]:
        """Send the events after number `since`; the number reached, and whether more wait."""
        recorded = store.events(since=since, limit=LARGEST)
        if not recorded:
            return since, False
        batch = Batch()
        for event in recorded:
            batch.add(Origin("", "", event.id), line_protocol.events(self._shipment.tags, [event]), 1)
        if not self._deliver(batch):
            return since, False
        return recorded[-1].id, len(recorded) == LARGEST

    def _deliver(self, batch: Batch) -> bool:
        """Send a batch and note what was refused; False where the service ends before all was taken."""
        refused = None if self._finished() else self._delivery.deliver(batch)
        if refused is None:
            return False
        samples = [each for each in refused if each.origin.device]
        self._note_events(each for each in refused if not each.origin.device)
        self.refused += sum(each.following - each.origin.first for each in samples)
        if samples and not self._untold:
            self._untold_since = time.monotonic()
        self._untold += samples
        return True

    def _note_events(self, refused: Iterable[RefusedSamples]) -> None:
        """Log refused events; in the record once for all, or each would be the cause of the next."""
        for each in refused:
            log.error("%s: event %d is refused for good: %s", self.name, each.origin.first, each.reason)
            if not self._told_of_events:
                self._told_of_events = True
                self.standing.tell("remote", f"refuses events: {each.reason}", {})

    def _tell_refused(self, at_once: bool) -> None:
        """Say which samples were refused: one event for each stream and reason."""
        due = at_once or time.monotonic() - self._untold_since >= self._together or len(self._untold) >= MANY
        if not self._untold or not due:
            return
        for (device, stream, reason), parts in _by_reason(self._untold).items():
            ranges = _ranges(parts)
            count = sum(following - first for first, following in ranges)
            log.error("%s: %d samples of %s/%s are refused for good: %s", self.name, count, device, stream, reason)
            details = {"device": device, "stream": stream, "ranges": ranges, "reason": reason, "line": parts[0].line}
            self.standing.tell("quarantine", f"{count} samples are refused for good: {reason}", details)
            self._awaited.add(_told(details))
        self._untold = []

    def _await_told(self, store: Store, witnessed: int) -> None:
        """Look for the events `quarantine` that were said."""
        if not self._awaited:
            return
        for event in store.events("quarantine", since=witnessed):
            self._witnessed = event.id
            details = event.body.get("details", {})
            if details.get("remote") == self.name:
                self._awaited.discard(_told(details))

    def _advance(self, positions: Mapping[int, int], event: int) -> None:
        """Note what has moved, unless refused samples would be passed of which the record does not know."""
        if self._untold or self._awaited:
            return
        moved = {stream: at for stream, at in positions.items() if self._noted.get(stream) != at}
        if moved or event != self._noted_event:
            self._writer.advance(self.name, moved, event, self._record)
            self._noted.update(moved)
            self._noted_event = event

    def _tell_of_itself(self, store: Store) -> None:
        """Send a sign of life where the remote is well; whatever becomes of it."""
        now = time.monotonic()
        if self.standing.word == "delivering" and now - self._beat >= HEARTBEAT:
            self._beat, self._wall = now, store.wall()
            answer = self._remote.send(self._describe())
            if answer.verdict is not WriteVerdict.ACCEPTED:
                log.debug("%s: a sign of life was not taken: %s", self.name, answer.reason)

    def _describe(self) -> str:
        now = self._key_now()
        return line_protocol.station(self._shipment.tags, self.pending, self.refused, now, self._wall.shift(now))


def _told(details: Mapping[str, Any]) -> Told:
    """What an event `quarantine` says, to know it again in the record: others of this remote may come late."""
    ranges = tuple((first, following) for first, following in details["ranges"])
    return details["device"], details["stream"], details["reason"], ranges


def _by_reason(refused: Iterable[RefusedSamples]) -> dict[tuple[str, str, str], list[RefusedSamples]]:
    found: dict[tuple[str, str, str], list[RefusedSamples]] = {}
    for each in refused:
        found.setdefault((each.origin.device, each.origin.stream, each.reason), []).append(each)
    return found


def _ranges(parts: Iterable[RefusedSamples]) -> list[list[int]]:
    """Sequence numbers as [first, following], those that touch joined."""
    found: list[list[int]] = []
    for first, following in sorted((each.origin.first, each.following) for each in parts):
        if found and found[-1][1] >= first:
            found[-1][1] = max(following, found[-1][1])
        else:
            found.append([first, following])
    return found
