"""Both tiers of a record as one: a stream's rows, fresh or compressed, in order of sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
import msgspec

from acquisition.errors import StoreError
from acquisition.model import Header
from acquisition.store import compressed_block, rows
from acquisition.store.rows import Samples

PAGE, LONGEST, BYTES = 8, 64, 1 << 20
"""Rows read at first and at most at a time, and about how many bytes: no read transaction stays open while a slow
consumer looks at them, and a short span does not cost the reading of many large blocks."""
MANY = 2**62

parse_header = msgspec.json.Decoder(Header).decode
"""A header from its JSON. Made here, once: msgspec crashes where two threads meet a dataclass for the first time."""

_PAGE = f"""
SELECT 0 AS tier, id, {rows.COLUMNS} FROM chunk WHERE stream = ?1 AND first >= ?2
UNION ALL
SELECT 1, id, stream, run, connection, first, n, start, stop, body, NULL, NULL, NULL, NULL, crc
FROM block WHERE stream = ?1 AND first >= ?2
ORDER BY first LIMIT ?3"""
_PAGE_BEFORE = _PAGE.replace("first >= ?2", "first >= ?2 AND first < ?4")

_HOLDS = """SELECT first FROM (SELECT first, n FROM {} WHERE stream = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1)
WHERE first + n > ?2"""
_ROW_AT = f"SELECT coalesce(({_HOLDS.format('block')}), ({_HOLDS.format('chunk')}), ?2)"
_END = "(SELECT first + n FROM {} WHERE stream = s.id ORDER BY first DESC LIMIT 1)"
_ENDS = f"SELECT id, {_END.format('chunk')}, {_END.format('block')} FROM stream s"
_BEGUN = "SELECT first, n FROM {} WHERE stream = ? AND start <= ? ORDER BY {} DESC LIMIT 1"


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """A row of either tier: where it says it stands, and its samples, None where it is damaged."""

    tier: int
    id: int
    run: int
    first: Any
    n: Any
    start: Any
    stop: Any
    samples: Samples | None

    @property
    def name(self) -> str:
        """How a report calls the row."""
        return f"{'block' if self.tier else 'row'} {self.id}"


def walk(
    connection: apsw.Connection,
    stream: int,
    channels: dict[int, int],
    first: int = 0,
    page: int = PAGE,
    columns: dict[int, list[int]] | None = None,
    before: int | None = None,
) -> Iterator[StoredRow]:
    """The stream's rows from the one that holds sample `first` on; `channels` is how many there are in each run.

    With `before` only those that begin before that sample: a page then reads no more than is wanted.
    `columns` says which channels to take in each run; without, all, and the arrivals with them.

    Between two pages rows may be compressed into blocks, so a row can begin before what was asked for.
    Inside a transaction of the caller nothing moves, and every row comes exactly once.
    """
    frozen = connection.in_transaction
    while True:
        found = _page(connection, stream, first, page, frozen, before)
        following = first
        for tier, identifier, *row in found:
            samples = _unpack(tier, row, channels, columns)
            yield StoredRow(tier, identifier, row[1], row[3], row[4], row[5], row[6], samples)
            following = row[3] + 1 if frozen or samples is None else samples.following
        if len(found) < page:
            return
        if following <= first:
            raise StoreError("the rows of a stream are out of order", f"stream {stream}", "the file is damaged")
        first = following
        size = sum(len(part) for part in found[-1] if isinstance(part, bytes))
        page = min(max(BYTES // max(size, 1), PAGE), LONGEST)


def number(connection: apsw.Connection, device: str, stream: str) -> int | None:
    """The stream's number in this record."""
    found = connection.execute("SELECT id FROM stream WHERE device = ? AND name = ?", (device, stream))
    return next((each for (each,) in found), None)


def headers(connection: apsw.Connection, stream: int) -> dict[int, Header]:
    """The stream's header in each run."""
    found = connection.execute("SELECT run, header FROM header WHERE stream = ?", (stream,))
    return {run: parse_header(header) for run, header in found}


def widths(known: dict[int, Header]) -> dict[int, int]:
    """How many channels a stream has in each run."""
    return {run: len(header.stream.channels) for run, header in known.items()}


def row_at(connection: apsw.Connection, stream: int, sequence: int) -> int:
    """The `first` of the row that holds sample `sequence`, or `sequence` itself where none does."""
    ((first,),) = connection.execute(_ROW_AT, (stream, sequence))
    return int(first)


def row_before(connection: apsw.Connection, stream: int, time: int) -> int:
    """A sequence number from which on all samples at or after the time key `time` are found."""
    return max((first for first, _ in _begun(connection, stream, time)), default=0)


def row_behind(connection: apsw.Connection, stream: int, time: int) -> int:
    """The sequence number after the last row that begins before the time key `time`."""
    return max((first + n for first, n in _begun(connection, stream, time - 1)), default=0)


def end(connection: apsw.Connection, device: str, stream: str) -> tuple[int, Samples] | None:
    """The next sequence number of a stream, never one that was in use, and its last intact row."""
    identifier = number(connection, device, stream)
    if identifier is None:
        return None
    channels = widths(headers(connection, identifier))
    following, before = 0, MANY
    while (first := _newest(connection, identifier, before)) is not None:
        row = next(walk(connection, identifier, channels, first, 1))
        if isinstance(row.first, int) and isinstance(row.n, int) and 0 < row.n < 1 << 32 and row.first < MANY:
            following = max(following, row.first + row.n)
        if row.samples is not None:
            return following, row.samples
        before = first
    return None


def ends(connection: apsw.Connection) -> dict[int, int]:
    """The next sequence number of every stream that has samples, by its number."""
    found = {stream: max(row or 0, block or 0) for stream, row, block in connection.execute(_ENDS)}
    return {stream: following for stream, following in found.items() if following}


def last_key(connection: apsw.Connection) -> int:
    """The greatest time key of the record, 0 where it holds none."""
    newest = """SELECT stop FROM {} WHERE stream = ? ORDER BY first DESC LIMIT 1"""
    keys = [
        stop
        for (stream,) in list(connection.execute("SELECT id FROM stream"))
        for tier in ("chunk", "block")
        for (stop,) in connection.execute(newest.format(tier), (stream,))
    ]
    keys += [time for (time,) in connection.execute("SELECT max(time) FROM event") if time is not None]
    return max((key for key in keys if isinstance(key, int)), default=0)


def _page(
    connection: apsw.Connection, stream: int, first: int, page: int, frozen: bool, before: int | None
) -> list[Any]:
    query, bound = (_PAGE, ()) if before is None else (_PAGE_BEFORE, (before,))
    found = list(connection.execute(query, (stream, first, page, *bound)))
    if not frozen and not (found and found[0][5] == first):
        with connection:  # one snapshot for both questions: which row holds the sample, and what follows it
            found = list(connection.execute(query, (stream, row_at(connection, stream, first), page, *bound)))
    return found


def _begun(connection: apsw.Connection, stream: int, time: int) -> Iterator[tuple[int, int]]:
    """The last row of each tier that begins by the time key `time`: its first sequence number, and how many samples."""
    # Rows have no index by time, but rise in it; compaction keeps them few, and the newest are looked at first.
    for query in (_BEGUN.format("chunk", "first"), _BEGUN.format("block", "start")):
        yield from connection.execute(query, (stream, time))


def _newest(connection: apsw.Connection, stream: int, before: int) -> int | None:
    query = "SELECT first FROM {} WHERE stream = ? AND first < ? ORDER BY first DESC LIMIT 1"
    found = [
        first for tier in ("chunk", "block") for (first,) in connection.execute(query.format(tier), (stream, before))
    ]
    return max(found, default=None)


def _unpack(
    tier: int, row: list[Any], channels: dict[int, int], columns: dict[int, list[int]] | None
) -> Samples | None:
    run = row[1]
    if run not in channels:
        return None
    pick = None if columns is None else columns[run]
    if tier:
        samples = compressed_block.unpack((*row[:8], row[12]), pick)
        fits = samples is None or pick is not None or samples.values.shape[1] == channels[run]
        return samples if fits else None
    samples = rows.unpack(tuple(row), channels[run])
    return samples if samples is None or pick is None else rows.pick(samples, pick)
