"""Traces of any length from a thousand points: least, greatest and mean values kept at several resolutions.

Level 1 has a bucket for every 256 samples of a block and a row for each large block; a row of each further level
joins four of the level below, and a bucket four buckets. What no level covers yet, or what is damaged, is
taken from the level below and in the end from the samples themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apsw
import numpy as np

from acquisition.model import Flags, Floats, Nanoseconds
from acquisition.store import buckets, merged_read, rows
from acquisition.store.buckets import Buckets, OverviewRow
from acquisition.store.rows import Samples

FAN = 4
FINE = 3
"""A point of a trace is made of buckets at most a third as long as itself."""
TOGETHER = 4096
"""Samples of fresh rows that are put into bins at once."""


@dataclass(frozen=True, slots=True)
class Overview:
    """A trace of equal bins.

    edges (points + 1,) ns; per channel (points, c): the count of values, the least, the greatest and their
    mean (NaN where there is none), and every quality flag met. Where it is drawn from stored buckets, a bin
    may reach over its edge by a third of its length.
    """

    channels: tuple[str, ...]
    edges: Nanoseconds
    count: Nanoseconds
    low: Floats
    high: Floats
    mean: Floats
    quality: Flags


def fold(connection: apsw.Connection, fresh: OverviewRow) -> list[OverviewRow]:
    """The rows of higher levels that become complete with a fresh row of level 1."""
    query = """SELECT * FROM overview WHERE stream = ?1 AND level = ?2 AND run = ?3 AND first >=
               coalesce((SELECT max(following) FROM overview WHERE stream = ?1 AND level = ?2 + 1), 0)
               ORDER BY first DESC LIMIT ?4"""
    made: list[OverviewRow] = []
    while True:
        stream, level, _, following, run = fresh[:5]
        below = [fresh, *connection.execute(query, (stream, level, run, FAN - 1))][::-1]
        parts = [part for part in (buckets.unpack([row]) for row in below) if part is not None]
        if len(parts) < FAN:
            return made  # not yet, or a damaged row: this stretch stays at the lower level
        joined = buckets.concatenate(parts)
        folded = buckets.merge(joined, np.arange(0, len(joined), FAN))
        fresh = buckets.pack(stream, level + 1, below[0][2], following, run, folded)
        made.append(fresh)


def draw(
    connection: apsw.Connection,
    stream: int,
    columns: dict[int, list[int]],
    widths: dict[int, int],
    edges: Nanoseconds,
    exact: bool,
) -> Buckets | None:
    """The stream's samples within `edges` as one bucket per bin that has any; None where there are none.

    `columns` says which columns to take in a run, -1 for a channel that the run has not; `exact` bins hold
    no sample from beyond their edges.
    """
    begin, end = int(edges[0]), int(edges[-1])
    with connection:  # one snapshot
        first, following = (
            merged_read.row_before(connection, stream, begin),
            merged_read.row_behind(connection, stream, end),
        )
        held = {run: [column for column in pick if column >= 0] for run, pick in columns.items()}
        cover = _Cover(connection, stream, columns, held, widths, edges, exact)
        parts = [part for part in cover.walk(cover.coarsest(), first, following) if len(part)]
    if not parts:
        return None
    joined = buckets.concatenate(parts)
    bins = np.searchsorted(edges, joined.start, side="right") - 1
    return buckets.merge(joined, np.flatnonzero(np.diff(bins, prepend=-1)))


@dataclass(frozen=True, slots=True)
class _Cover:
    connection: apsw.Connection
    stream: int
    columns: dict[int, list[int]]
    held: dict[int, list[int]]
    widths: dict[int, int]
    edges: Nanoseconds
    exact: bool

    def coarsest(self) -> int:
        """The level to begin at: the highest one whose buckets are likely to be short enough."""
        # Each level is looked up by itself: GROUP BY would read every row of the stream.
        query = "SELECT * FROM overview WHERE stream = ? AND level = ? LIMIT 1"
        level = 0
        while row := next(self.connection.execute(query, (self.stream, level + 1)), None):
            found = buckets.unpack([row])
            if found is not None and int((found.stop - found.start).max()) > self._longest():
                break
            level += 1
        return level

    def walk(self, level: int, first: int, following: int) -> Iterator[Buckets]:
        """Buckets over the samples from `first` to before `following`, from this level and where need be from below."""
        if first >= following:
            return
        if level == 0:
            yield from self._samples(first, following)
            return
        query = """SELECT * FROM overview WHERE stream = ?1 AND level = ?2 AND following > ?3 AND first < ?4 AND
                   first >= coalesce((SELECT max(first) FROM overview
                                      WHERE stream = ?1 AND level = ?2 AND first <= ?3), ?3) ORDER BY first"""
        at = first
        for group in _in_turn(self.connection.execute(query, (self.stream, level, first, following))):
            yield from self.walk(level - 1, at, group[0][2])
            yield from self._cover(level, group, first, following)
            at = max(at, group[-1][3])
        yield from self.walk(level - 1, at, following)

    def _cover(self, level: int, group: list[OverviewRow], first: int, following: int) -> Iterator[Buckets]:
        run = group[0][4]
        found = buckets.unpack(group, self.held[run]) if run in self.held else None
        if found is not None and self._fit(found):
            yield self._within(found, run)
        elif len(group) > 1:
            half = len(group) // 2
            yield from self._cover(level, group[:half], first, following)
            yield from self._cover(level, group[half:], first, following)
        else:
            yield from self.walk(level - 1, max(first, group[0][2]), min(following, group[0][3]))

    def _fit(self, found: Buckets) -> bool:
        if self.exact:
            left, right = (np.searchsorted(self.edges, times, side="right") for times in (found.start, found.stop))
            return bool((left == right).all())
        return int((found.stop - found.start).max()) <= self._longest()

    def _longest(self) -> int:
        share = 1 if self.exact else FINE
        return int(self.edges[-1] - self.edges[0]) // (len(self.edges) - 1) // share

    def _samples(self, first: int, following: int) -> Iterator[Buckets]:
        start = merged_read.row_at(self.connection, self.stream, first)
        parts: list[Samples] = []
        count = 0
        for row in merged_read.walk(
            self.connection, self.stream, self.widths, start, columns=self.held, before=following
        ):
            if row.samples is None:
                continue
            samples = rows.cut(row.samples, first - row.samples.first, following - row.samples.first)
            samples = rows.cut(samples, *np.searchsorted(samples.time, self.edges[[0, -1]]).tolist())
            # Fresh rows hold few samples each: they are looked at together.
            if parts and (samples.run != parts[0].run or count >= TOGETHER):
                yield self._bins(parts)
                parts, count = [], 0
            if len(samples):
                parts.append(samples)
                count += len(samples)
        if parts:
            yield self._bins(parts)

    def _bins(self, parts: list[Samples]) -> Buckets:
        samples = rows.join(parts)
        return self._within(buckets.merge(buckets.single(samples), self._heads(samples.time)), samples.run)

    def _heads(self, time: Nanoseconds) -> Any:
        """Where each bin that has samples begins: few numbers are then carried on, however many samples there are."""
        inner = slice(*np.searchsorted(self.edges, time[[0, -1]], side="right").tolist())
        heads = np.searchsorted(time, self.edges[inner])
        return np.concatenate(([0], heads[np.diff(heads, prepend=0) > 0]))

    def _within(self, found: Buckets, run: int) -> Buckets:
        """Those that begin within the edges, with empty columns for the channels that the run has not."""
        keep = slice(*np.searchsorted(found.start, self.edges[[0, -1]]))
        here = np.flatnonzero(np.array(self.columns[run]) >= 0)

        def spread(array: Any, missing: float) -> Any:
            if len(here) == len(self.columns[run]):
                return array[keep]
            wide = np.full((len(array[keep]), len(self.columns[run])), missing, array.dtype)
            wide[:, here] = array[keep]
            return wide

        return Buckets(
            found.start[keep],
            found.stop[keep],
            spread(found.count, 0),
            spread(found.low, np.nan),
            spread(found.high, np.nan),
            spread(found.mean, np.nan),
            spread(found.quality, 0),
        )


def _in_turn(found: Iterable[Any]) -> list[list[OverviewRow]]:
    """Rows of one run that go on without a hole together."""
    groups: list[list[OverviewRow]] = []
    for row in found:
        last = groups[-1][-1] if groups else None
        if last is not None and last[3:5] == (row[2], row[4]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
