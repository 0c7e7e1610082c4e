"""The one program that judges a record: sequence, order, keys, gap records, checksums and the event chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import apsw
import msgspec

from acquisition.errors import Damaged, StoreError
from acquisition.store import buckets, chain, merged_read, schema, wal
from acquisition.store.journal import cursor_checksum
from acquisition.store.merged_read import StoredRow

LIMIT = 100
"""Problems that are listed; the rest is counted."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """One stream: `missing` samples are known to be gone, None where some gap does not know how many."""

    device: str
    stream: str
    samples: int
    gaps: int
    missing: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on a record; `events` and `head` are to be compared with what was witnessed outside."""

    path: str
    streams: tuple[StreamReport, ...]
    problems: tuple[str, ...]
    events: int = 0
    head: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        streams = self.streams
        missing = None if any(each.missing is None for each in streams) else sum(each.missing or 0 for each in streams)
        return {
            "ok": self.ok,
            "samples": sum(each.samples for each in streams),
            "gaps": sum(each.gaps for each in streams),
            "missing": missing,
            **asdict(self),
        }


def check(path: Path | str, witness: tuple[int, str] | None = None, *, vfs: str = "") -> Report:
    """Read the whole record, as it is at this moment, and judge it; StoreError where there is none.

    `witness` is number and hash of an event as somebody else remembers them.
    """
    file = schema.locate(Path(path))
    problems: list[str] = []
    streams: list[StreamReport] = []
    head = (0, "")
    try:
        connection = schema.open_reader(file, vfs=vfs)
    except Damaged as error:
        return Report(str(file), (), (f"file structure: {error.__cause__ or error.what}",))
    try:
        with connection:
            problems += _structure(connection)
            lost = wal.commits_behind_damage(file)
            if lost > 1:
                problems.append(f"{wal.path(file).name}: damaged, {lost} commits behind that place cannot be read")
            for stream, device, name in list(connection.execute("SELECT id, device, name FROM stream ORDER BY id")):
                streams.append(_Check(connection, stream, device, name, problems).run())
            head = _check_events(connection, witness, problems)
            problems += _announced(connection)
            problems += _cursors(connection)
            problems += _overviews(connection)
    except (apsw.Error, msgspec.MsgspecError, ValueError, TypeError, StoreError) as error:
        problems.append(f"the file cannot be read further: {error}")
    finally:
        connection.close(True)
    if len(problems) > LIMIT:
        problems[LIMIT:] = [f"... and {len(problems) - LIMIT} more"]
    return Report(str(file), tuple(streams), tuple(problems), *head)


def _structure(connection: apsw.Connection) -> Iterator[str]:
    for (text,) in connection.execute("PRAGMA integrity_check"):
        if text != "ok":
            yield f"file structure: {text}"


def _check_events(connection: apsw.Connection, witness: tuple[int, str] | None, problems: list[str]) -> tuple[int, str]:
    broken = chain.first_broken(connection)
    if broken is not None:
        problems.append(f"event {broken}: the chain of events is broken here")
    hashes = "SELECT hash FROM event WHERE id = ?"
    if witness is not None and witness[0]:
        found = [digest.hex() for (digest,) in connection.execute(hashes, witness[:1])]
        if found != [witness[1].lower()]:
            told = "is another one" if found else "is missing"
            problems.append(f"event {witness[0]}: the event that was witnessed {told}; the record was cut or made anew")
    newest = next(iter(connection.execute("SELECT max(id) FROM event")))[0] or 0
    return newest, next((digest.hex() for (digest,) in connection.execute(hashes, (newest,))), "")


def _announced(connection: apsw.Connection) -> Iterator[str]:
    """Runs and headers must be those that the chain of events tells of."""
    if connection.pragma("user_version") < 2:
        return
    kinds: dict[str, set[str]] = {"run": set(), "header": set()}
    for kind, device, stream, row in connection.execute(
        "SELECT kind, device, stream, body -> '$.details.row' FROM event WHERE kind IN ('run', 'header')"
    ):
        kinds[kind].add(chain.canonical([device, stream, *json.loads(row)]))
    for row in connection.execute("SELECT '', '', run, utc, monotonic, anchor, about FROM run"):
        if chain.canonical(list(row)) not in kinds["run"]:
            yield f"run {row[2]}: it is not what the chain of events says"
    for row in connection.execute(
        "SELECT s.device, s.name, h.stream, h.run, h.header FROM header h LEFT JOIN stream s ON s.id = h.stream"
    ):
        if chain.canonical(list(row)) not in kinds["header"]:
            yield f"{row[0]}/{row[1]}: its header in run {row[3]} is not what the chain of events says"


def _cursors(connection: apsw.Connection) -> Iterator[str]:
    for name, stream, following, crc in connection.execute("SELECT * FROM cursor"):
        if cursor_checksum(name, stream, following) != crc:
            yield f"cursor {name}: its position in stream {stream} is damaged"


def _overviews(connection: apsw.Connection) -> Iterator[str]:
    """A damaged row of the overview costs no sample, but a trace is then drawn in other bins than before."""
    if connection.pragma("user_version") < schema.DRAWN_AS_NOW:
        return
    for row in connection.execute("SELECT * FROM overview"):
        if buckets.unpack([row]) is None:
            yield f"overview of stream {row[0]}, level {row[1]} (samples from {row[2]}): damaged, drawn without it"


@dataclass(slots=True)
class _Gap:
    before: int
    start: int
    stop: int
    missing: int | None
    met: bool = False


@dataclass(slots=True)
class _Check:
    """Walks one stream and compares it with its gap records."""

    connection: apsw.Connection
    number: int
    device: str
    stream: str
    problems: list[str]
    gaps: dict[int, _Gap] = field(default_factory=dict)
    expired: list[tuple[int, int]] = field(default_factory=list)
    following: int = 0
    key: int | None = None

    def run(self) -> StreamReport:
        where, samples = f"{self.device}/{self.stream}", 0
        self._read_gaps(where)
        self._read_expired()
        widths = merged_read.widths(merged_read.headers(self.connection, self.number))
        for row in merged_read.walk(self.connection, self.number, widths, -merged_read.MANY):
            at = f"{where}, {row.name} (samples from {row.first})"
            if row.run not in widths:
                self.problems.append(f"{at}: belongs to no known run")
                continue
            if row.samples is None:
                self.problems.append(f"{at}: damaged, its checksum does not fit")
                self._skip(row)
                continue
            self.problems += [f"{at}: {problem}" for problem in self._follow(row)]
            samples += len(row.samples)
        for after, gap in self.gaps.items():
            if not gap.met:
                self.problems.append(f"{where}: the gap record after sample {after} fits no hole")
        counts = [gap.missing for gap in self.gaps.values()]
        missing = None if None in counts else sum(count or 0 for count in counts)
        return StreamReport(self.device, self.stream, samples, len(counts), missing)

    def _read_gaps(self, where: str) -> None:
        query = "SELECT id, body FROM event WHERE kind = 'gap' AND device = ? AND stream = ?"
        for number, text in self.connection.execute(query, (self.device, self.stream)):
            try:
                body = json.loads(text)
                after, gap = body["after"], _Gap(body["before"], body["from"], body["to"], body["missing"])
                holds = gap.missing is None or gap.before - after - 1 == gap.missing
            except (ValueError, KeyError, TypeError):
                self.problems.append(f"event {number}: no gap record that can be read")
                continue
            if not holds:
                self.problems.append(
                    f"{where}: the gap record after sample {after} says {gap.missing} are missing, "
                    f"its numbers say {gap.before - after - 1}"
                )
            if after in self.gaps:
                self.problems.append(f"{where}: two gap records after sample {after}")
            self.gaps[after] = gap

    def _read_expired(self) -> None:
        """Ranges of samples that retention removed: they and the holes among them are accounted for."""
        query = "SELECT body FROM event WHERE kind = 'expired' AND device = ? AND stream = ?"
        for (text,) in self.connection.execute(query, (self.device, self.stream)):
            for first, following in json.loads(text)["details"]["ranges"]:
                self.expired.append((first, following))
        self.expired.sort()
        for after, gap in self.gaps.items():
            gap.met = any(
                first <= after < following or first < gap.before < following for first, following in self.expired
            )

    def _pass_expired(self, first: int) -> None:
        """Move on over what retention removed before sample `first`, and over the holes beside it."""
        for begin, following in self.expired:
            if begin > first:
                return
            gap = self.gaps.get(self.following - 1)
            if gap is not None and gap.before == begin:
                gap.met, self.following = True, begin
            if begin <= self.following < following:
                self.following, self.key = following, None

    def _follow(self, row: StoredRow) -> Iterator[str]:
        data = row.samples
        assert data is not None
        first, start, stop = data.first, int(data.time[0]), int(data.time[-1])
        if first > self.following:
            self._pass_expired(first)
        gap = self.gaps.get(self.following - 1)
        if gap is not None and gap.before == first:
            gap.met = True
            if not ((self.key is None or self.key <= gap.start) and gap.start < gap.stop <= start):
                yield "samples lie inside the gap record before it"
        elif first > self.following:
            yield f"samples {self.following} to {first - 1} are missing without a gap record"
        if first < self.following:
            yield f"overlaps the samples before it (they reach {self.following - 1})"
        if (self.key is not None and start <= self.key) or not bool((data.time[1:] > data.time[:-1]).all()):
            yield "times do not rise"
        if (start, stop, len(data)) != (row.start, row.stop, row.n):
            yield "its limits are not those of its samples"
        if int(data.arrived[:, 0].sum()) != len(data):
            yield "its arrivals do not account for its samples"
        self.following, self.key = data.following, stop

    def _skip(self, row: StoredRow) -> None:
        """Go on behind a damaged row as well as it can be told where it ends."""
        gap = self.gaps.get(self.following - 1)
        if gap is not None and gap.before == row.first:
            gap.met = True
        if isinstance(row.first, int) and isinstance(row.n, int) and isinstance(row.stop, int):
            self.following, self.key = row.first + row.n, row.stop
