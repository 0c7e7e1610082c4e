"""The latest of what was committed, kept in memory until it is old: with it a record that vanished is begun anew."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable

import apsw

from acquisition.model import Event
from acquisition.store.backlog import size_of
from acquisition.store.compressed_chunk import Item

SECONDS = 15.0
ROOM = 64 << 20
"""Bytes: 15 s of some ten thousand chunks a second; of more than that the newest are kept."""


class Kept:
    """Items of the last `seconds`, in at most `room` bytes, and every event of the examination that goes on.

    `now` is seconds on the wall. `whole` says that nothing was let go of since the record began, `short` that the room
    did not suffice for the seconds.
    """

    def __init__(
        self, *, whole: bool, session: Iterable[Event] = (), seconds: float = SECONDS, room: int = ROOM
    ) -> None:
        self.whole = whole
        self._seconds = seconds
        self._room = room
        self._items: deque[tuple[float, int, Item]] = deque()
        self._size = 0
        self._crowded: float | None = None
        self._session = list(session)
        self._ended: float | None = None

    @property
    def session(self) -> tuple[Event, ...]:
        """The events of the examination that goes on, or has just ended."""
        return tuple(self._session)

    def take(self, batch: Iterable[Item], now: float) -> None:
        """Keep what was committed, and let go of what is old."""
        for item in batch:
            size = size_of(item)
            self._items.append((now, size, item))
            self._size += size
            if isinstance(item, Event):
                self._follow(item, now)
        while self._items and (self._items[0][0] < now - self._seconds or self._size > self._room):
            at, size, _ = self._items.popleft()
            self._size -= size
            self.whole = False
            if at >= now - self._seconds:
                self._crowded = now
        if self._ended is not None and self._ended < now - self._seconds:
            self._session, self._ended = [], None

    def items(self) -> list[Item]:
        """What is kept, in order, without the events of `session`."""
        mine = {id(event) for event in self._session}
        return [item for _, _, item in self._items if id(item) not in mine]

    def reach(self, now: float) -> float:
        """Seconds that what is kept reaches back."""
        return now - self._items[0][0] if self._items else 0.0

    def short(self, now: float) -> bool:
        """Whether the room did not suffice within the last seconds."""
        return self._crowded is not None and self._crowded >= now - self._seconds

    def _follow(self, event: Event, now: float) -> None:
        key = event.details.get("session")
        if key is None:
            return
        begun = event.kind == "session"
        if begun and event.details.get("do") == "start":
            self._session, self._ended = [event], None
        elif self._session and self._session[0].details["session"] == key:
            self._session.append(event)
            if begun and event.details.get("do") == "stop":
                self._ended = now


def open_session(connection: apsw.Connection) -> list[Event]:
    """The events of the examination that goes on in a record, oldest first; none where none does."""
    begun: tuple[int, str] | None = None
    for number, done, key in connection.execute(
        "SELECT id, body ->> '$.details.do', body ->> '$.details.session' FROM event WHERE kind = 'session' ORDER BY id"
    ):
        if done == "start":
            begun = number, key
        elif done == "stop" and begun is not None and begun[1] == key:
            begun = None
    if begun is None:
        return []
    query = "SELECT kind, time, device, body FROM event WHERE id >= ? AND body ->> '$.details.session' = ? ORDER BY id"
    found = []
    for kind, time, device, text in connection.execute(query, begun):
        body = json.loads(text)
        found.append(Event(kind, time, device, str(body.get("text", "")), body["details"]))
    return found
