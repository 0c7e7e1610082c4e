"""From rows to blocks: old samples compressed in the background, verified bit for bit before they replace."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from acquisition.errors import PerfusionError
from acquisition.store import blocks, overview, rows, schema, tiers
from acquisition.store.journal import Journal
from acquisition.store.rows import Samples
from acquisition.store.upkeep import Step

log = logging.getLogger(__name__)

SAMPLES = 4096
"""A block is closed as soon as it has so many samples: 102 s of a 40 Hz stream."""
LARGE = 4 << 20
"""Bytes of values after which the block of a wide stream is closed earlier."""
EVERY = 5.0
PATIENCE = 30.0


class Compactor:
    """Turns the oldest rows of every stream into blocks with their overview.

    It reads with a connection of its own and prepares everything on its own thread; the writer only
    inserts and deletes, in one transaction per block and after the samples that wait. A kill leaves
    either the rows or the block. Damaged rows stay where they are, for `verify` to name.
    """

    def __init__(self, file: Path, submit: Callable[[Step], None], *, samples: int = SAMPLES, vfs: str = "") -> None:
        self._file = file
        self._submit = submit
        self._samples = samples
        self._vfs = vfs

    def run_once(self, stopped: threading.Event | None = None) -> int:
        """Compress all that is due; answers how many blocks were made."""
        made = 0
        connection = schema.open_reader(self._file, vfs=self._vfs)
        try:
            for stream, device, name in list(connection.execute("SELECT id, device, name FROM stream")):
                while stopped is None or not stopped.is_set():
                    group = self._due(connection, stream, device, name)
                    if group is None or not self._replace(connection, stream, group):
                        break
                    made += 1
        finally:
            connection.close()
        return made

    def _due(self, connection: apsw.Connection, stream: int, device: str, name: str) -> list[Samples] | None:
        """The oldest rows that fill a block, or that a gap, a connection or a run has closed."""
        span = connection.execute("SELECT min(first), max(first) FROM chunk WHERE stream = ?", (stream,))
        low, high = next(iter(span))
        if low is None:
            return None
        widths = tiers.widths(tiers.headers(connection, stream))
        enough = min(self._samples, max(LARGE // 8 // max(widths.values(), default=1), 1))
        if high - low < enough:
            return None
        gaps = "SELECT body ->> 'before' FROM event WHERE kind = 'gap' AND device = ? AND stream = ?"
        borders = {before for (before,) in connection.execute(gaps, (device, name))}
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

    def _replace(self, connection: apsw.Connection, stream: int, group: list[Samples]) -> bool:
        samples = rows.join(group)
        row = blocks.pack(stream, samples)
        again = blocks.unpack(row)
        if again is None or not blocks.same(samples, again):
            log.error("block of stream %d from sample %d does not come back bit for bit; left as rows", *row[:4:3])
            return False
        fresh = overview.pack(stream, 1, samples.first, samples.following, samples.run, overview.summarise(samples))
        drawn = [fresh, *overview.fold(connection, fresh)]

        def swap(connection: apsw.Connection, _: Journal) -> None:
            connection.execute(
                "DELETE FROM chunk WHERE stream = ? AND first >= ? AND first < ?",
                (stream, samples.first, samples.following),
            )
            if connection.changes() != len(group):
                raise apsw.AbortError("the rows to be compressed have changed")
            connection.execute(blocks.INSERT, row)
            connection.executemany(overview.INSERT, drawn)

        step = Step(swap)
        self._submit(step)
        return step.wait(PATIENCE)


class Housekeeper:
    """Runs chores every few seconds on a thread of its own, until stopped; what fails is told and tried again."""

    def __init__(
        self, chores: tuple[Callable[[threading.Event], object], ...], every: float = EVERY, name: str = "store upkeep"
    ) -> None:
        self._chores = chores
        self._every = every
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step at hand and end."""
        self._stopped.set()

    def join(self, timeout: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while not self._stopped.wait(self._every):
            for chore in self._chores:
                try:
                    chore(self._stopped)
                except (apsw.Error, PerfusionError, ValueError) as error:
                    log.warning("upkeep of the record failed, to be tried again: %s", error)
