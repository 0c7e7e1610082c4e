"""Bugs that the suite must catch: each is a patch of the running code, made in a test process of its own.

`python -m pytest -p tests.proof.plant` with PERFUSION_BUG=NAME runs tests with that bug in the code.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from acquisition.device.sequencer import StreamSequencer
from acquisition.remotes import influx
from acquisition.remotes.outbox import Outbox
from acquisition.remotes.shipper import Shipper
from acquisition.remotes.write_result import WriteVerdict
from acquisition.store import StoreWriter, chain, compressed_chunk, journal, merged_read, retention, rows, wal
from acquisition.store.backlog import Backlog
from acquisition.store.compaction import Compactor
from acquisition.store.journal import Journal
from acquisition.store.lock import Lock


@dataclass(frozen=True)
class Bug:
    """One mistake: what it is in words, the patch that makes it, and the tests of which one must fail."""

    what: str
    plant: Callable[[], None]
    tests: tuple[str, ...]


BUGS: dict[str, Bug] = {}


def bug(what, *tests):
    """Register the decorated patch under its own name."""

    def register(plant):
        BUGS[plant.__name__.replace("_", "-")] = Bug(what, plant, tests)
        return plant

    return register


def around(owner, name, wrapper):
    """Put `wrapper(original, *args)` in the place of a function."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **more: wrapper(original, *args, **more))


@bug("samples count as accepted before COMMIT", "tests/store/test_writer_and_reader.py")
def acknowledged_before_commit():
    def commit(original, self, batch, advances):
        witness, self._witness = self._witness, None
        if witness is not None and (stored := compressed_chunk.account(batch)):
            witness(stored)
        try:
            return original(self, batch, advances)
        finally:
            self._witness = witness

    around(StoreWriter, "_commit", commit)


@bug("COMMIT does not wait for the disk (synchronous=NORMAL)", "tests/faults/test_power_cut.py")
def synchronous_normal():
    def connect(original, self, create=False):
        connection = original(self, create)
        connection.pragma("synchronous", "normal")
        return connection

    around(StoreWriter, "_connect", connect)


@bug("the log is not written anew after a failed fsync, only synced again", "tests/faults/test_failing_disk.py")
def fsync_tried_again():
    wal.write_anew = lambda file, vfs: None


@bug("a batch that the disk did not take is thrown away", "tests/faults/test_failing_disk.py")
def batch_dropped_on_error():
    around(StoreWriter, "_commit", lambda original, self, batch, advances: original(self, batch, advances) or True)


@bug("a batch is written again though its failed COMMIT had reached the file", "tests/faults/test_failing_disk.py")
def written_twice():
    Journal.holds = lambda self, batch, head: False


@bug("what waits for the disk has no bound", "tests/store/test_backlog.py")
def unbounded_queue():
    around(Backlog, "__init__", lambda original, self, room: original(self, 1 << 62))


@bug("what the backlog drops leaves no gap record", "tests/store/test_backlog.py")
def dropped_in_silence():
    def drop(original, self, chunk):
        original(self, chunk)
        self._holes.clear()

    around(Backlog, "_drop", drop)


@bug("an interruption leaves no gap record", "tests/store/test_check.py")
def missing_gap():
    Journal._gap = lambda self, chunk, gap: None


@bug("a new run begins with a number that is in use already", "tests/store/test_writer_and_reader.py")
def sequence_used_again():
    def end(original, connection, device, stream):
        found = original(connection, device, stream)
        return None if found is None else (found[1].following - 1, found[1])

    around(merged_read, "end", end)


@bug("time keys follow the wall clock", "tests/faults/test_clock_steps.py")
def wall_clock_keys():
    def times(self, readings, arrived, first):
        return arrived.utc + np.arange(1 - len(readings.values), 1, dtype=np.int64)

    StreamSequencer._times = times


@bug(
    "a second writer is let in",
    "tests/store/test_writer_and_reader.py::test_a_second_writer_is_refused_with_the_pid_of_the_first",
)
def second_writer():
    Lock.take = lambda self: None


@bug("compaction loses the newest sample of a block", "tests/store/test_compaction.py")
def tail_lost():
    def swap(original, self, stream, table, group):
        last = group[-1]
        return original(self, stream, table, [*group[:-1], rows.cut(last, 0, max(len(last) - 1, 1))])

    around(Compactor, "_replace", swap)


@bug("compaction forgets quality", "tests/store/test_compaction.py")
def quality_lost():
    def swap(original, self, stream, table, group):
        good = [replace(part, quality=np.zeros_like(part.quality)) for part in group]
        return original(self, stream, table, good)

    around(Compactor, "_replace", swap)


@bug("a row is served though its checksum does not fit", "tests/store/test_check.py")
def checksum_ignored():
    class Agreeable(int):
        def __ne__(self, other):
            return False

        __hash__ = int.__hash__

    around(rows, "checksum", lambda original, fixed, blobs: Agreeable(original(fixed, blobs)))


@bug("the chain of events covers no details", "tests/store/test_check.py")
def unchained_details():
    around(chain, "link", lambda original, previous, row: original(previous, (*row[:5], "")))


@bug("retention does not wait for a remote", "tests/store/test_retention.py")
def retention_before_delivery():
    retention._acknowledged = lambda connection: []


@bug("retention removes a session that is to be kept", "tests/store/test_retention.py")
def kept_session_removed():
    retention._kept = lambda connection: []


@bug("a late acknowledgement takes a cursor back", "tests/store/test_cursors.py")
def cursor_goes_back():
    def advance(self, name, taken):
        self._connection.executemany(
            "INSERT OR REPLACE INTO cursor VALUES (?,?,?,?)",
            [(name, s, n, journal.cursor_checksum(name, s, n)) for s, n in taken.positions.items()],
        )

    Journal._advance = advance


@bug("the cursor moves before the remote has answered", "tests/remotes/test_shipper.py")
def cursor_before_the_answer():
    def serve(original, self, reader, outbox, part, ends):
        load = reader.load(part, ends, self._delivery.limit)
        if load.positions:
            self._writer.advance(self.name, load.positions, None)
        return original(self, reader, outbox, part, ends)

    around(Shipper, "_serve", serve)


@bug("a batch is dropped when the server refuses the token", "tests/remotes/test_shipper.py")
def dropped_on_401():
    around(
        influx,
        "_verdict",
        lambda original, status, own: WriteVerdict.ACCEPTED if status == 401 else original(status, own),
    )


@bug("live data wait for the backlog", "tests/remotes/test_outbox.py", "tests/remotes/test_shipper.py")
def live_behind_backlog():
    Outbox.split = lambda self, ends: None
