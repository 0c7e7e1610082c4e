"""Compares what a server holds with what it acknowledged: count and checksum per stream and hour, then by sample."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from acquisition.errors import RemoteError
from acquisition.remotes import compare
from acquisition.remotes.readback import Source, condition
from acquisition.remotes.reader import Shipment
from acquisition.remotes.write_result import Remote, WriteVerdict
from acquisition.store import Store
from acquisition.store.rows import Samples

HOUR = 3_600_000_000_000
STRETCH = 20_000
"""Samples that are read back by one query."""
BATCH = 5000
Span = tuple[int, int]
Truth = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(slots=True)
class Hour:
    """What the record and the server hold of one stream in the hour from `start` (UTC, ns) on.

    The checksums `here` and `there` are sums of sequence numbers, or with `exact` a CRC-32 over all that is known
    of each sample. `lost` and `altered` are sequence numbers as (first, following); `span` is the time of the first
    sample and 1 ns after the last one's.
    """

    device: str
    stream: str
    start: int
    span: Span
    first: int
    accepted: int = 0
    found: int = 0
    here: int = 0
    there: int = 0
    exact: bool = False
    lost: list[Span] = field(default_factory=list)
    altered: list[Span] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether both hold the same."""
        return (self.accepted, self.here) == (self.found, self.there)


def reconcile(store: Store, cursor: str, shipment: Shipment, source: Source, exact: bool = False) -> Iterator[Hour]:
    """Compare, stream by stream and hour by hour, all that the remote `cursor` has acknowledged and not refused.

    The server first answers counts and sums only; an hour that differs, or each with `exact`, is then read back
    whole. What the record itself no longer holds is not compared. RemoteError where the server cannot be asked.
    """
    known = store.cursors().get(cursor)
    refused = _refused(store, cursor)
    for info in store.streams():
        following = 0 if known is None else known.positions.get(info.number, 0)
        own = _Stream(store, info.number, following, refused.get((info.device, info.stream), []), shipment, source)
        for hour in own.hours():
            own.count(hour)
            if exact or not hour.agrees:
                own.compare(hour)
            yield hour


def resend(store: Store, hour: Hour, shipment: Shipment, remote: Remote) -> int:
    """Send again what the hour lacks or holds otherwise; answers how many samples. RemoteError where not taken."""
    (info,) = (each for each in store.streams() if (each.device, each.stream) == (hour.device, hour.stream))
    headers, count = store.headers(info.number), 0
    for position, stop in sorted(hour.lost + hour.altered):
        while position < stop:
            samples = store.after(info.number, position, min(BATCH, stop - position))
            assert samples is not None
            answer = remote.send(shipment.encode(headers[samples.run], samples))
            if answer.verdict is not WriteVerdict.ACCEPTED:
                raise RemoteError(f"the samples are not taken: {answer.reason}", f"{hour.device}/{hour.stream}")
            count += len(samples)
            position = samples.following
    return count


class _Stream:
    """One stream as far as a remote has acknowledged it."""

    def __init__(
        self,
        store: Store,
        number: int,
        following: int,
        refused: Sequence[Span],
        shipment: Shipment,
        source: Source,
    ) -> None:
        self._store = store
        self._number = number
        self._following = following
        self._refused = refused
        self._headers = store.headers(number)
        self._shipment = shipment
        self._source = source

    def hours(self) -> list[Hour]:
        """Every hour of which the record holds something, with its count and sum of sequence numbers."""
        found: dict[int, Hour] = {}
        for samples, wanted in self._walk(0):
            seq, time = samples.first + np.flatnonzero(wanted), samples.time[wanted]
            for start in np.unique(time // HOUR).tolist():
                own = time // HOUR == start
                head = self._headers[samples.run]
                hour = found.setdefault(
                    start,
                    Hour(head.device, head.stream.name, start * HOUR, (int(time[own][0]), 0), int(seq[own][0])),
                )
                hour.span = hour.span[0], int(time[own][-1]) + 1
                hour.accepted += int(own.sum())
                hour.here += int(seq[own].sum())
        return [found[start] for start in sorted(found)]

    def count(self, hour: Hour) -> None:
        """Let the server count the hour's samples and sum up their sequence numbers."""
        for place in {self._shipment.place(header): None for header in self._headers.values()}:
            columns = self._source.ask(f'SELECT count("seq"), sum("seq") {condition(place, *hour.span)}')
            with _understood(hour):
                hour.found += int(sum(columns.get("count", ())))
                hour.there += int(sum(columns.get("sum", ())))

    def compare(self, hour: Hour) -> None:
        """Read the hour back and compare each sample to the last bit."""
        hour.exact, hour.found, hour.here, hour.there = True, 0, 0, 0
        for samples, wanted in self._walk(hour.first):
            wanted &= (samples.time >= hour.span[0]) & (samples.time < hour.span[1])
            if wanted.any():
                self._compare(hour, samples, wanted)
            if samples.time[-1] >= hour.span[1]:
                break

    def _compare(self, hour: Hour, samples: Samples, wanted: Truth) -> None:
        header = self._headers[samples.run]
        channels = [channel.name for channel in header.stream.channels]
        times = samples.time[wanted]
        place = self._shipment.place(header)
        stretch = condition(place, int(times[0]), int(times[-1]) + 1)
        columns = self._source.ask(f"SELECT * {stretch}", len(times), len(channels))
        seq, here = samples.first + np.flatnonzero(wanted), compare.held(samples, wanted)
        with _understood(hour):
            there_seq, there = compare.answered(columns, channels)
        known = np.isin(there_seq, seq)  # what was refused and stored nevertheless is no loss
        there_seq, there = there_seq[known], there[known]
        common = np.isin(seq, there_seq)
        altered = (here[common] != there[np.searchsorted(there_seq, seq[common])]).any(axis=1)
        hour.found += len(there_seq)
        hour.here = zlib.crc32(here.tobytes(), hour.here)
        hour.there = zlib.crc32(there.tobytes(), hour.there)
        hour.lost += _spans(seq[~common])
        hour.altered += _spans(seq[common][altered])

    def _walk(self, sequence: int) -> Iterator[tuple[Samples, Truth]]:
        """Samples from a sequence number on, and which of them the server took."""
        while sequence < self._following:
            samples = self._store.after(self._number, sequence, min(STRETCH, self._following - sequence))
            if samples is None or samples.first >= self._following:
                return
            seq = np.arange(samples.first, samples.following)
            wanted = seq < self._following
            for first, following in self._refused:
                wanted &= (seq < first) | (seq >= following)
            if wanted.any():
                yield samples, wanted
            sequence = samples.following


def _refused(store: Store, cursor: str) -> dict[tuple[str, str], list[Span]]:
    found: dict[tuple[str, str], list[Span]] = {}
    for event in store.events("quarantine"):
        details = event.body["details"]
        if details["remote"] == cursor:
            spans = found.setdefault((details["device"], details["stream"]), [])
            spans += [(first, following) for first, following in details["ranges"]]
    return found


@contextlib.contextmanager
def _understood(hour: Hour) -> Iterator[None]:
    """Tell of columns that are none of this record's, instead of failing in the middle of them."""
    try:
        yield
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise RemoteError(
            f"the server's answer is none that fits ({type(error).__name__}: {error})", f"{hour.device}/{hour.stream}",
            "another program writes into this bucket, or this is no InfluxDB", "look at the bucket and at [influx] url",
        ) from error  # fmt: skip


def _spans(seq: np.ndarray[Any, np.dtype[np.int64]]) -> list[Span]:
    """Runs of consecutive numbers as (first, following)."""
    if not len(seq):
        return []
    runs = np.split(seq, np.flatnonzero(np.diff(seq) != 1) + 1)
    return [(int(run[0]), int(run[-1]) + 1) for run in runs]
