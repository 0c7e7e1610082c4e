"""The succession of records within a run: what a new one holds that takes the place of one that vanished."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import apsw

from acquisition.store.journal import Begun, Journal, Predecessor
from acquisition.store.kept import Kept, open_session

log = logging.getLogger(__name__)


class Succession:
    """Follows one record after the other; belongs to the writing thread.

    `record` names the present one, empty while it is not begun; `head` is number and hash of the last event that was
    written; `predecessor` is the one before it within the run; `lost` says what is not in the present one.
    """

    def __init__(self) -> None:
        self.record = ""
        self.head = (0, b"")
        self.kept = Kept(whole=True)
        self.begun: Begun | None = None
        self.predecessor: Predecessor | None = None
        self.lost: str | None = None

    @property
    def awaited(self) -> bool:
        """Whether a record has vanished, and the one in its place is not begun yet."""
        return self.predecessor is not None and not self.record

    def opened(self, connection: apsw.Connection) -> None:
        """Take note of what a record holds that was opened."""
        head = Journal(connection).head
        self.kept = Kept(whole=head[0] == 0, session=open_session(connection))

    def connected(self, journal: Journal) -> None:
        """Take note of the record as it was found, the first time or again."""
        if self.record and journal.head[0] < self.head[0]:
            self.lost = f"what was recorded last is gone: it ends with event {journal.head[0]}, not {self.head[0]}"
            log.critical("the record: %s", self.lost)
        self.head = journal.head

    def begin(self, journal: Journal, begun: Begun) -> None:
        """Follow a run from its beginning."""
        self.begun, self.head, self.record = begun, journal.head, journal.record

    def vanished(self, fate: str) -> None:
        """Note that the record `fate` (was removed, was replaced): another one has to be begun."""
        if not self.awaited:
            session = self.kept.session
            key = str(session[0].details["session"]) if session else ""
            self.predecessor = Predecessor(self.head, fate, key)
        self.record = ""

    def renew(self, journal: Journal, now: float, time: int, remotes: Iterable[str]) -> str:
        """Begin the new record at `now` (s on the wall) and `time` (time key, ns); answers what happened, in words."""
        assert self.predecessor is not None
        kept, before = self.kept, self.predecessor
        journal.continue_run(time, kept.session, kept.items(), remotes)
        self.head, self.record = journal.head, journal.record
        text = f"a new record was begun in place of one that {before.fate}"
        if not kept.whole:
            short = " (the memory for them was full)" if kept.short(now) else ""
            self.lost = text = (
                f"{text}: it holds the last {kept.reach(now):.0f} s{short}, what is older is in the one before alone, "
                f"whose last event was {before.head[0]}, {before.head[1].hex()}"
            )
        log.critical("%s", text)
        return text
