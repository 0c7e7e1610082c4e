"""The durable feed: the record from a cursor, sample by sample in order, each acknowledged before the cursor moves."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from acquisition.model import Header
from acquisition.remotes.mqtt import payloads
from acquisition.remotes.mqtt.link import WINDOW
from acquisition.remotes.mqtt.outgoing import Outgoing
from acquisition.remotes.mqtt.payloads import Format
from acquisition.remotes.mqtt.topics import Topics
from acquisition.store import Samples, Store, rows

SAMPLES = 500
"""Samples in one message at most."""


@dataclass(slots=True)
class Load:
    """Messages, and where each stream (by number) and the events stand once they are acknowledged."""

    messages: list[Outgoing] = field(default_factory=list)
    positions: dict[int, int] = field(default_factory=dict)
    event: int | None = None


class RecordMessages:
    """Turns stretches of a record into messages."""

    def __init__(self, store: Store, topics: Topics, how: Format) -> None:
        self.store = store
        self._topics = topics
        self._how = how

    def header(self, stream: int, run: int) -> Header:
        """The header of a stream in a run."""
        return self.store.headers(stream)[run]

    def payloads(self, number: int, samples: Samples, **more: object) -> list[bytes]:
        """Consecutive samples as messages."""
        channels = [channel.name for channel in self.header(number, samples.run).stream.channels]
        pieces = [rows.cut(samples, at, at + SAMPLES) for at in range(0, len(samples), SAMPLES)]
        return [payloads.samples(piece, self._how, channels=channels, **more) for piece in pieces]

    def of_stream(self, stream: int, samples: Samples) -> list[Outgoing]:
        """Messages of the durable feed."""
        topic = self._topics.record(*self.header(stream, samples.run).key)
        return [Outgoing(topic, each) for each in self.payloads(stream, samples)]


class SettledCursor:
    """How far the feed is: `positions` and `event` are acknowledged, but count only after `settle` seconds.

    A broker acknowledges before its disk has a message. What it took shortly before it was lost is therefore
    sent again to whoever takes its place, and so is what it took shortly before this service ended.
    """

    def __init__(
        self,
        positions: dict[int, int],
        event: int,
        advance: Callable[[dict[int, int], int], None],
        settle: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settled, self._settled_event = positions, event
        self._advance = advance
        self._settle = settle
        self._monotonic = monotonic
        self.rewind()

    def rewind(self) -> None:
        """Go back to what counts; after the link was lost."""
        self.positions, self.event = dict(self._settled), self._settled_event
        self._unsettled: deque[tuple[float, dict[int, int], int]] = deque()

    def acknowledge(self, load: Load) -> None:
        """Note that a load was taken."""
        self.positions.update(load.positions)
        self.event = load.event if load.event is not None else self.event
        self._unsettled.append((self._monotonic(), load.positions, self.event))

    def settle(self) -> None:
        """Let count, and note in the record, what was taken long enough ago."""
        moved: dict[int, int] = {}
        event = self._settled_event
        while self._unsettled and self._monotonic() - self._unsettled[0][0] >= self._settle:
            _, positions, event = self._unsettled.popleft()
            moved |= positions
        if moved or event != self._settled_event:
            self._settled.update(moved)
            self._settled_event = event
            self._advance(moved, event)

    def pending(self, ends: dict[int, int]) -> int:
        """How many sequence numbers are not acknowledged yet."""
        return sum(max(end - self.positions.get(stream, 0), 0) for stream, end in ends.items())


class DurableFeed:
    """Cuts what the cursor has yet to deliver into loads: the streams that are furthest behind in time go first."""

    def __init__(self, messages: RecordMessages, topics: Topics, cursor: SettledCursor) -> None:
        self.cursor = cursor
        self._messages = messages
        self._topics = topics
        self._reached: dict[int, int] = {}

    def load(self, ends: dict[int, int]) -> Load:
        """The next load; without messages where all is delivered."""
        load = Load()
        waiting = [stream for stream, end in ends.items() if self.cursor.positions.get(stream, 0) < end]
        for stream in sorted(waiting, key=lambda each: self._reached.get(each, 0)):
            room = WINDOW - len(load.messages)
            if room <= 0:
                return load
            self._take(load, stream, ends[stream], room)
        room = WINDOW - len(load.messages)
        for event in self._messages.store.events(since=self.cursor.event, limit=room) if room > 0 else ():
            load.messages.append(Outgoing(self._topics.events, payloads.event(event)))
            load.event = event.id
        return load

    def _take(self, load: Load, stream: int, end: int, room: int) -> None:
        position = self.cursor.positions.get(stream, 0)
        samples = self._messages.store.after(stream, position, room * SAMPLES)
        if samples is None:
            load.positions[stream] = end  # what is left is a hole; its gap record says why
            return
        load.messages += self._messages.of_stream(stream, samples)
        load.positions[stream] = samples.following
        self._reached[stream] = int(samples.time[-1])
