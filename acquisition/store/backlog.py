"""Bounded backlog of what waits for the disk; what does not fit becomes a gap."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from msgspec.structs import replace

from acquisition.model import Chunk, Event, Gap, Nanoseconds
from acquisition.store import rows
from acquisition.store.compressed_chunk import FULL, CompressedChunk, Item

OVERHEAD = 600
"""Bytes of memory that a queued item takes beside its arrays and text (measured)."""
AT_ONCE = 32 << 20
"""Bytes of samples that are taken in one batch: what waited through an outage is committed piece by piece."""
CAUSE = "the record's memory was full"


@dataclass(slots=True)
class _Hole:
    start: int
    after: int
    samples: int
    counted: bool


class Backlog:
    """At most `room` bytes of items; `put` belongs to the acquisition loop, the rest to any thread.

    What waits long is merged and compressed. A chunk that finds no room is dropped and counted, and the next
    one of its stream that fits carries the gap. Events may use an eighth more, so that what happens while the
    disk is away is still told.
    """

    def __init__(self, room: int) -> None:
        self.dropped = 0
        self.put_count = 0
        self._room = room
        self._items: deque[Chunk | Event] = deque()
        self._compressed: deque[CompressedChunk | Event] = deque()
        self._open: dict[tuple[str, str], CompressedChunk] = {}
        self._lock = threading.Lock()
        self._entered = self._left = self._packed = 0
        self._times: dict[tuple[str, str], Nanoseconds] = {}
        self._holes: dict[tuple[str, str], _Hole] = {}
        self._lost_events = 0

    def __len__(self) -> int:
        return len(self._compressed) + len(self._items)

    @property
    def size(self) -> int:
        """Bytes held, those of an unfinished batch included."""
        return self._entered - self._left

    @property
    def uncompressed(self) -> int:
        """Bytes held that are not compressed."""
        return self.size - self._packed

    def put(self, item: Chunk | Event) -> None:
        """Queue one item, or drop it where there is no room."""
        size = size_of(item)
        if isinstance(item, Chunk):
            if self.size + size > self._room:
                self._drop(item)
                return
            key = item.header.key
            if key in self._holes:
                item = self._with_gap(item)
            self._times[key] = item.time
        elif self.size + size > self._room + self._room // 8:
            self._lost_events += 1
            return
        elif self._lost_events:
            lost, self._lost_events = self._lost_events, 0
            told = Event("store", item.time, "", f"{lost} events were dropped: {CAUSE}", {"dropped": lost})
            self._append(told, size_of(told))
        self._append(item, size)

    def take(self, most: int = AT_ONCE) -> list[Item]:
        """The oldest of what waits, in order, some `most` bytes of samples; its room is free again after `release`."""
        batch: list[Item] = []
        with self._lock:
            while most > 0 and self._compressed:
                item = self._compressed.popleft()
                self._packed -= size_of(item)
                if isinstance(item, CompressedChunk):
                    most -= item.raw
                    if self._open.get(item.header.key) is item:
                        del self._open[item.header.key]
                batch.append(item)
            if self.uncompressed <= most:
                return batch + [self._items.popleft() for _ in range(len(self._items))]
            while most > 0 and self._items:
                batch.append(self._items.popleft())
                most -= size_of(batch[-1])
        return batch

    def release(self, batch: list[Item]) -> int:
        """Free the room of a batch that is written; answers how many items were put for it."""
        with self._lock:
            self._left += sum(size_of(item) for item in batch)
        return sum(item.puts if isinstance(item, CompressedChunk) else 1 for item in batch)

    def compress(self) -> None:
        """Merge and compress the samples that wait: each stream keeps its order, and so do the events."""
        with self._lock:
            before = after = 0
            fresh: dict[tuple[str, str], list[Chunk]] = {}
            for _ in range(len(self._items)):
                item = self._items.popleft()
                before += size_of(item)
                if isinstance(item, Event):
                    self._compressed.append(item)
                    after += size_of(item)
                    continue
                group = fresh.get(item.header.key)
                if group is not None and item.first - group[0].first < FULL and rows.follows(group[-1], item):
                    group.append(item)
                    continue
                if group is not None:
                    after += self._compress_group(group)
                fresh[item.header.key] = [item]
            after += sum(self._compress_group(group) for group in fresh.values())
            self._left += before - after
            self._packed += after

    def _compress_group(self, group: list[Chunk]) -> int:
        """Put chunks that follow one another into a compressed one; returns how much more room those take."""
        key = group[0].header.key
        chunk = self._open.get(key)
        before = 0
        if chunk is not None and chunk.continues(group[0]):
            before = size_of(chunk)
            chunk.add(group)
        else:
            chunk = self._open[key] = CompressedChunk(group)
            self._compressed.append(chunk)
        return size_of(chunk) - before

    def farewell(self) -> None:
        """Tell of the holes that no later chunk can carry; called once, at the end."""
        for (device, stream), hole in self._holes.items():
            text = f"{hole.samples} samples were dropped at the end: {CAUSE}"
            details = {"stream": stream, "dropped": hole.samples, "after": hole.after}
            told = Event("store", hole.start + 1, device, text, details)
            self._append(told, size_of(told))
        self._holes.clear()

    def _append(self, item: Chunk | Event, size: int) -> None:
        self._entered += size
        self.put_count += 1
        self._items.append(item)

    def _drop(self, chunk: Chunk) -> None:
        key, gap = chunk.header.key, chunk.gap
        hole = self._holes.get(key)
        if hole is None:
            before = int(self._times[key][-1]) if key in self._times else int(chunk.time[0]) - 1
            start = before if gap is None else gap.start
            hole = self._holes[key] = _Hole(start, chunk.first - 1 if gap is None else gap.after, 0, True)
        if gap is not None and gap.missing is None:
            hole.counted = False
        hole.samples += len(chunk)
        self.dropped += len(chunk)

    def _with_gap(self, chunk: Chunk) -> Chunk:
        hole = self._holes.pop(chunk.header.key)
        counted = hole.counted and (chunk.gap is None or chunk.gap.missing is not None)
        missing = chunk.first - hole.after - 1 if counted else None
        return replace(chunk, gap=Gap(hole.start, int(chunk.time[0]), hole.after, chunk.first, CAUSE, missing))


def size_of(item: Item) -> int:
    """Bytes of memory that an item takes."""
    if isinstance(item, Chunk):
        device_time = 0 if item.device_time is None else item.device_time.nbytes
        return item.values.nbytes + item.time.nbytes + item.quality.nbytes + device_time + OVERHEAD
    return (item.size if isinstance(item, CompressedChunk) else len(item.text)) + OVERHEAD
