"""Carries the record to a remote: reads behind the writer, sends, and advances only after the remote's word."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from acquisition.model import Header
from acquisition.remotes import lines
from acquisition.remotes.influx import Answer, Verdict
from acquisition.remotes.outbox import Outbox, Range
from acquisition.store import Store, StoreWriter

log = logging.getLogger(__name__)

BATCH = 5000
"""Lines in a batch; measured: larger ones gain nothing."""
LAG = 5.0
"""Seconds behind at which live data stop waiting for what is older."""
FIRST, CAP, HELD = 0.2, 15.0, 30.0
"""Seconds before the second try, at most, and while held."""


class Remote(Protocol):
    """Takes a batch of lines and says what became of it."""

    def send(self, lines: list[str]) -> Answer:
        """Send; never raises for what a server or network may do."""

    def close(self) -> None:
        """Let go of the connection."""


Say = Callable[[str, str, Mapping[str, object]], None]
"""Takes what happens to a remote, as an event's kind, text and details; called from the shipper's thread."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """Where each stream goes: its measurement by driver name, and the tags of the station."""

    measurement: Callable[[Header], str]
    tags: Mapping[str, str]


class Shipper:
    """One remote's thread. `status` is a word and the newest reason, `pending` the samples it is behind."""

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
        flush: float = 1.0,
        rng: random.Random | None = None,
    ) -> None:
        self.status: tuple[str, str] = ("starting", "")
        self.pending = 0
        self.quarantined = 0
        self._name = name
        self._remote = remote
        self._writer = writer
        self._directory = directory
        self._shipment = shipment
        self._say = say
        self._key_now = key_now
        self._flush = flush
        self._rng = rng or random.Random()
        self._failures = 0
        self._batch = BATCH
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"remote-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Deliver what is left, for so many seconds at most."""
        self._stop.set()
        self._thread.join(timeout)
        if self._thread.is_alive():
            log.warning("%s: the rest is sent after the next start", self._name)

    def _work(self) -> None:
        try:
            with Store(self._directory) as store:
                self._ship(store)
        except Exception as error:
            self.status = ("failed", f"{type(error).__name__}: {error}")
            log.critical("%s: its thread died; the record stays whole and is sent after a restart", self._name,
                         exc_info=error)  # fmt: skip
            self._say("remote", f"{self._name}: failed ({type(error).__name__})", {"remote": self._name})
        finally:
            self._remote.close()

    def _ship(self, store: Store) -> None:
        cursor = store.cursors().get(self._name)
        outbox = Outbox(cursor.positions if cursor is not None else {})
        event = cursor.event if cursor is not None else 0
        while True:
            stopping = self._stop.is_set()
            ends = store.ends()
            busy = self._serve(store, outbox, outbox.live, ends)
            backlog = outbox.backlog(ends)
            if backlog is not None:
                busy = self._serve(store, outbox, backlog, ends) or busy
            event = self._serve_events(store, event)
            self.pending = outbox.pending(ends)
            self._writer.advance(self._name, outbox.acknowledged(ends), event)
            if stopping:
                return
            if not busy:
                self._stop.wait(self._flush)

    def _serve(self, store: Store, outbox: Outbox, part: Range, ends: Mapping[int, int]) -> bool:
        """Send one batch of a range; whether more waits in it."""
        texts: list[str] = []
        reached: dict[int, int] = {}
        oldest: int | None = None
        full = False
        for stream, end in ends.items():
            position, stop = part.positions.get(stream, 0), part.end(stream, ends)
            while position < stop and len(texts) < self._batch:
                samples = store.after(stream, position, min(self._batch - len(texts), stop - position))
                if samples is None or samples.first >= stop:
                    position = stop  # the rest is a hole; its gap record says why
                    break
                header = store.headers(stream)[samples.run]
                channels = [channel.name for channel in header.stream.channels]
                oldest = min(int(samples.time[0]), oldest) if oldest is not None else int(samples.time[0])
                texts += lines.encode(self._shipment.measurement(header), self._tags(header), channels, samples)
                position = samples.following
            reached[stream] = position
            full = full or position < end
        late = oldest is not None and (self._key_now() - oldest) / 1e9 > LAG
        if part is outbox.live and late and full and outbox.split(ends):
            log.info("%s: behind; live data go on beside the backlog", self._name)
            return True
        if texts and not self._deliver(texts):
            return False
        part.positions.update(reached)
        return full

    def _tags(self, header: Header) -> dict[str, str]:
        simulated = {"simulated": "true"} if header.simulated else {}
        return {**self._shipment.tags, "device": header.device, "stream": header.stream.name, **simulated}

    def _serve_events(self, store: Store, since: int) -> int:
        recorded = store.events(since=since, limit=self._batch)
        if not recorded:
            return since
        return recorded[-1].id if self._deliver(lines.events(self._shipment.tags, recorded)) else since

    def _deliver(self, texts: list[str]) -> bool:
        """Send until the remote took or refused for good every line; False when the service ends before that."""
        waiting = [texts]
        while waiting:
            batch = waiting.pop()
            answer = self._remote.send(batch)
            match answer.verdict:
                case Verdict.ACCEPTED:
                    self._recovered()
                case Verdict.REJECT if len(batch) == 1:
                    self._quarantine(batch[0], answer.reason)
                case Verdict.REJECT:
                    middle = len(batch) // 2
                    waiting += [batch[middle:], batch[:middle]]
                case Verdict.TOO_LARGE if len(batch) > 1:
                    self._batch = max(len(batch) // 2, 1)
                    middle = len(batch) // 2
                    waiting += [batch[middle:], batch[:middle]]
                case _:
                    waiting.append(batch)
                    if not self._wait(answer):
                        return False
        return True

    def _wait(self, answer: Answer) -> bool:
        """Wait before the next try; False where the service ends meanwhile."""
        self._failures += 1
        held = answer.verdict in (Verdict.HOLD, Verdict.TOO_LARGE)
        word = "held" if held else "unreachable"
        if self.status[0] != word:
            log.warning("%s: %s: %s; nothing is lost, the record keeps it", self._name, word, answer.reason)
            self._say("remote", f"{self._name}: {word}: {answer.reason}", {"remote": self._name, "status": word})
        self.status = (word, answer.reason)
        wait = HELD if held else min(FIRST * 2 ** min(self._failures - 1, 16), CAP)
        wait = max(answer.wait or 0.0, wait * self._rng.uniform(0.5, 1.0))
        return not self._stop.wait(wait)

    def _recovered(self) -> None:
        if self.status[0] in ("held", "unreachable"):
            log.info("%s: delivering again", self._name)
            self._say("remote", f"{self._name}: delivering again",
                            {"remote": self._name, "status": "delivering"})  # fmt: skip
        self._failures = 0
        self.status = ("delivering", "")

    def _quarantine(self, line: str, reason: str) -> None:
        self.quarantined += 1
        log.error("%s: refused for good: %s", self._name, reason)
        self._say("quarantine", f"{self._name}: refused for good: {reason}",
                        {"remote": self._name, "line": line, "reason": reason})  # fmt: skip
