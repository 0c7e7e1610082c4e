"""The one program that judges a record: sequence, order, keys, gap records, checksums and the event chain."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apsw
import msgspec

from acquisition.model import Header
from acquisition.store import chain, rows, schema

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
    """The verdict on a record."""

    path: str
    streams: tuple[StreamReport, ...]
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def document(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {"ok": self.ok, **asdict(self)}


def check(path: Path | str) -> Report:
    """Read the whole record and judge it; StoreError where there is none."""
    file = schema.locate(Path(path))
    connection = schema.open_reader(file)
    problems: list[str] = []
    streams: list[StreamReport] = []
    try:
        for (text,) in connection.execute("PRAGMA integrity_check"):
            if text != "ok":
                problems.append(f"file structure: {text}")
        runs = {run for (run,) in connection.execute("SELECT run FROM run")}
        for stream, device, name in list(connection.execute("SELECT id, device, name FROM stream ORDER BY id")):
            streams.append(_check_stream(connection, stream, device, name, runs, problems))
        broken = chain.first_broken(connection)
        if broken is not None:
            problems.append(f"event {broken}: the chain of events is broken here")
    except (apsw.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
        problems.append(f"the file cannot be read further: {error}")
    finally:
        connection.close()
    if len(problems) > LIMIT:
        problems[LIMIT:] = [f"... and {len(problems) - LIMIT} more"]
    return Report(str(file), tuple(streams), tuple(problems))


def _check_stream(
    connection: apsw.Connection, stream: int, device: str, name: str, runs: set[int], problems: list[str]
) -> StreamReport:
    where = f"{device}/{name}"
    channels = {
        run: len(msgspec.json.decode(header, type=Header).stream.channels)
        for run, header in connection.execute("SELECT run, header FROM header WHERE stream = ?", (stream,))
    }
    gaps = {
        after: (before, start, stop, missing)
        for after, before, start, stop, missing in connection.execute(
            """SELECT body ->> 'after', body ->> 'before', body ->> 'from', body ->> 'to', body ->> 'missing'
               FROM event WHERE kind = 'gap' AND device = ? AND stream = ?""",
            (device, name),
        )
    }
    samples, following, last_key = 0, 0, None
    met: set[int] = set()
    query = f"SELECT id, {rows.COLUMNS} FROM chunk WHERE stream = ? ORDER BY first"
    for identifier, *row in connection.execute(query, (stream,)):
        at = f"{where}, row {identifier} (samples from {row[3]})"
        if row[1] not in runs or row[1] not in channels:
            problems.append(f"{at}: belongs to no known run")
            continue
        data = rows.unpack(tuple(row), channels[row[1]])
        if data is None:
            problems.append(f"{at}: damaged, its checksum does not fit")
            following, last_key = row[3] + row[4], row[6]
            continue
        first, n = data.first, len(data.time)
        gap = gaps.get(following - 1) if last_key is not None else None
        if first < following:
            problems.append(f"{at}: overlaps the samples before it (they reach {following - 1})")
        elif gap is not None and gap[0] == first:
            met.add(following - 1)
            if last_key is not None and not (last_key <= gap[1] < gap[2] <= int(data.time[0])):
                problems.append(f"{at}: samples lie inside the gap record before it")
        elif first > following:
            problems.append(f"{at}: samples {following} to {first - 1} are missing without a gap record")
        if (last_key is not None and int(data.time[0]) <= last_key) or not bool((data.time[1:] > data.time[:-1]).all()):
            problems.append(f"{at}: times do not rise")
        if int(data.time[0]) != row[5] or int(data.time[-1]) != row[6]:
            problems.append(f"{at}: its limits are not those of its samples")
        samples += n
        following, last_key = first + n, int(data.time[-1])
    problems += [f"{where}: the gap record after sample {after} fits no hole" for after in gaps.keys() - met]
    counts = [missing for *_, missing in gaps.values()]
    missing = None if None in counts else sum(counts)
    return StreamReport(device, name, samples, len(gaps), missing)
