"""From rows to blocks: old samples compressed in the background, verified bit for bit before they replace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import apsw

from acquisition.store import buckets, compressed_block, merged_read, overview, rows, schema
from acquisition.store.buckets import OverviewRow
from acquisition.store.journal import Journal
from acquisition.store.maintenance import Step
from acquisition.store.rows import Samples

log = logging.getLogger(__name__)

SAMPLES, BYTES = 4096, 4 << 20
"""A block is closed as soon as it has so many samples, 102 s of a 40 Hz stream, or bytes of values."""
LARGE, LARGE_BYTES = 32768, 1 << 20
"""Small blocks that follow one another become one as soon as they have so many samples, or bytes of values, together:
each takes whole pages of the file, and tables of its own for the compression."""
PATIENCE = 30.0


class Compactor:
    """Turns the oldest rows of every stream into blocks, small blocks into large ones, and draws their overview.

    It reads with a connection of its own and prepares everything on its own thread; the writer only
    inserts and deletes, in one transaction per block and after the samples that wait. A kill leaves
    either what was there or the block. Damaged rows stay where they are, for `verify` to name.
    """

    def __init__(
        self,
        file: Path,
        submit: Callable[[Step], None],
        *,
        samples: int = SAMPLES,
        large: int = LARGE,
        vfs: str = "",
    ) -> None:
        self._file = file
        self._submit = submit
        self._samples = samples
        self._large = large
        self._vfs = vfs
        self._passed: dict[int, int] = {}
        self._record = ""

    def run_once(self, stopped: threading.Event | None = None) -> int:
        """Compress and merge all that is due; answers how many blocks were made."""
        made = 0
        connection = schema.open_reader(self._file, vfs=self._vfs)
        try:
            if (record := schema.name(connection)) != self._record:
                self._record, self._passed = record, {}
            for stream, device, name in list(connection.execute("SELECT id, device, name FROM stream")):
                for table, due in (("chunk", self._due), ("block", self._small)):
                    while stopped is None or not stopped.is_set():
                        group = due(connection, stream, device, name)
                        if group is None or not self._replace(stream, table, group):
                            break
                        made += 1
                self._draw(connection, stream, stopped)
        finally:
            connection.close()
        return made

    def _due(self, connection: apsw.Connection, stream: int, device: str, name: str) -> list[Samples] | None:
        """The oldest rows that fill a block, or that a gap, a connection or a run has closed."""
        span = connection.execute("SELECT min(first), max(first) FROM chunk WHERE stream = ?", (stream,))
        low, high = next(iter(span))
        if low is None:
            return None
        widths = merged_read.widths(merged_read.headers(connection, stream))
        enough = _enough(self._samples, BYTES, widths)
        if high - low < enough:
            return None
        borders = _borders(connection, device, name)
        group: list[Samples] = []
        count = 0
        query = f"SELECT {rows.COLUMNS} FROM chunk WHERE stream = ? ORDER BY first LIMIT ?"
        for row in connection.execute(query, (stream, enough + 1)):
            samples = rows.unpack(row, widths[row[1]]) if row[1] in widths else None
            if group and (samples is None or samples.first in borders or not rows.continues(group[-1], samples)):
                return group
            if samples is None:
                continue
            group.append(samples)
            count += len(samples)
            if count >= enough:
                return group
        return None

    def _small(self, connection: apsw.Connection, stream: int, device: str, name: str) -> list[Samples] | None:
        """The oldest small blocks that fill a large one, or that a gap, a connection or a run has closed."""
        enough = _enough(self._large, LARGE_BYTES, merged_read.widths(merged_read.headers(connection, stream)))
        if stream not in self._passed:
            newest = "SELECT start FROM block WHERE stream = ? AND n >= ? ORDER BY start DESC LIMIT 1"
            found = connection.execute(newest, (stream, enough))
            self._passed[stream] = next((start for (start,) in found), -merged_read.MANY)
        rest = (stream, self._passed[stream])
        waiting = connection.execute("SELECT coalesce(sum(n), 0) FROM block WHERE stream = ? AND start > ?", rest)
        if next(waiting)[0] < enough:
            return None
        borders = _borders(connection, device, name)
        group: list[Samples] = []
        query = f"SELECT {compressed_block.COLUMNS} FROM block WHERE stream = ? AND start > ? ORDER BY start"
        for row in connection.execute(query, rest):
            samples = compressed_block.unpack(row) if row[4] < enough else None
            if group and (samples is None or samples.first in borders or not rows.continues(group[-1], samples)):
                if len(group) > 1:
                    return group
                self._passed[stream] = int(group.pop().time[0])
            if samples is None:
                self._passed[stream] = row[5]
                continue
            group.append(samples)
            if sum(map(len, group)) >= enough:
                return group
        return None

    def _replace(self, stream: int, table: str, group: list[Samples]) -> bool:
        samples = rows.join(group)
        row = compressed_block.pack(stream, samples)
        again = compressed_block.unpack(row)
        if again is None or not compressed_block.same(samples, again):
            log.error("block of stream %d from sample %d does not come back bit for bit; not made", *row[:4:3])
            return False

        def swap(connection: apsw.Connection, _: Journal) -> None:
            connection.execute(
                f"DELETE FROM {table} WHERE stream = ? AND first >= ? AND first < ?",
                (stream, samples.first, samples.following),
            )
            if connection.changes() != len(group):
                raise apsw.AbortError("what is to be compressed has changed")
            connection.execute(compressed_block.INSERT, row)

        return self._done(swap)

    def _draw(self, connection: apsw.Connection, stream: int, stopped: threading.Event | None) -> None:
        """Add to the overview the blocks that will not be merged any more."""
        last = self._passed.get(stream, -merged_read.MANY)
        for row in _undrawn(connection, stream, last):
            if stopped is not None and stopped.is_set():
                return
            samples = compressed_block.unpack(row)
            if samples is None:
                continue
            seen = buckets.summarise(samples)
            fresh = buckets.pack(stream, 1, samples.first, samples.following, samples.run, seen)
            drawn = [fresh, *overview.fold(connection, fresh)]
            if not self._done(partial(_insert, drawn)):
                return

    def _done(self, change: Callable[[apsw.Connection, Journal], None]) -> bool:
        step = Step(change, self._record)
        self._submit(step)
        return step.wait(PATIENCE)


def _enough(samples: int, size: int, widths: dict[int, int]) -> int:
    """How many samples fill a block: fewer where each has many values."""
    return min(samples, max(size // 8 // max(widths.values(), default=1), 1))


def _borders(connection: apsw.Connection, device: str, name: str) -> set[int]:
    """The samples before which a gap is recorded."""
    gaps = "SELECT body ->> 'before' FROM event WHERE kind = 'gap' AND device = ? AND stream = ?"
    return {before for (before,) in connection.execute(gaps, (device, name))}


def _insert(drawn: list[OverviewRow], connection: apsw.Connection, _: Journal) -> None:
    connection.executemany(buckets.INSERT, drawn)


def _undrawn(connection: apsw.Connection, stream: int, last: int) -> Iterator[compressed_block.BlockRow]:
    """Blocks that begin by the time key `last` and follow what the overview covers, read one by one."""
    query = f"""SELECT {compressed_block.COLUMNS} FROM block WHERE stream = ?1 AND start <= ?2 AND first > ?3
                AND first >= coalesce((SELECT max(following) FROM overview WHERE stream = ?1 AND level = 1), 0)
                ORDER BY first LIMIT 1"""
    first = -1
    while row := next(connection.execute(query, (stream, last, first)), None):
        yield row
        first = row[3]
