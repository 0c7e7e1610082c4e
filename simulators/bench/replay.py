"""Recorded signals in place of simulated ones: `--replay FILE:COLUMN=CHANNEL`."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np

from acquisition.errors import ConfigurationError
from acquisition.model import Floats
from simulators.simkit.instrument import Bench

TIMES = ("t", "time", "time_s", "t_s", "seconds", "s")
"""Names of a column of times, s; without one the rows are numbered, one a second."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One column of a file: `time` (n,) s as recorded, `values` (n,) in the channel's unit."""

    channel: str
    time: Floats
    values: Floats


class Replay:
    """A bench on which some signals come from recordings; the others are the participant's.

    The scenario begins at a recording's first row. By time, a row holds until the next; before the first
    row and after the last one the first and the last hold. By row, every row is read once.
    """

    def __init__(self, recordings: Sequence[Recording], otherwise: Bench) -> None:
        self._recordings = {recording.channel: recording for recording in recordings}
        self._otherwise = otherwise
        self._longest = max(recordings, key=lambda recording: len(recording.time))

    @property
    def channels(self) -> tuple[str, ...]:
        """The signals that are replayed."""
        return tuple(self._recordings)

    def values(self, signal: str, t: Floats) -> Floats:
        """The signal at t (n,) s since the scenario began -> (n,); KeyError for an unknown one."""
        recording = self._recordings.get(signal)
        if recording is None:
            return self._otherwise.values(signal, t)
        row = np.searchsorted(recording.time, recording.time[0] + np.asarray(t) + 1e-9, side="right") - 1
        return np.asarray(recording.values[np.clip(row, 0, len(recording.time) - 1)])

    def rows(self, first: int, count: int, signal: str) -> Floats:
        """Rows first, first + 1, ... of a signal -> (k,), k <= count; fewer where the recording has ended.

        A signal that is not replayed has its values at the times of the longest recording's rows.
        """
        recording = self._recordings.get(signal)
        if recording is not None:
            return recording.values[first : first + count]
        time = self._longest.time
        return self._otherwise.values(signal, time[first : first + count] - time[0])


def load(specs: Sequence[str], otherwise: Bench) -> Replay:
    """Read every `FILE:COLUMN=CHANNEL`; ConfigurationError names file, line and column."""
    recordings = [_read(spec) for spec in specs]
    seen: dict[str, str] = {}
    for recording, spec in zip(recordings, specs, strict=True):
        other = seen.setdefault(recording.channel, spec)
        if other is not spec:
            _refuse(spec, f"the channel {recording.channel!r} is replayed twice", f"the other one is {other}")
    return Replay(recordings, otherwise)


def _read(spec: str) -> Recording:
    address, equals, channel = spec.rpartition("=")
    file, colon, column = address.rpartition(":")
    if not (equals and colon and file and column and channel):
        _refuse(spec, "is no FILE:COLUMN=CHANNEL", "an example: finger.csv:flux=101")
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as stream:
            header_line = stream.readline()
            dialect = ";" if header_line.count(";") > header_line.count(",") else ","
            header = [name.strip() for name in next(csv.reader([header_line], delimiter=dialect), [])]
            if column not in header:
                _refuse(file, f"has no column {column!r}", f"its columns are {', '.join(header) or 'none'}")
            wanted = header.index(column)
            clock = next((header.index(name) for name in TIMES if name in header), None)
            reader = csv.reader(stream, delimiter=dialect)
            rows = [(reader.line_num + 1, row) for row in reader if row]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot be read ({error})", file, "a wrong path, or a wrong working directory"
        ) from error
    values = np.array([_number(file, line, row, wanted, column) for line, row in rows])
    if clock is None:
        time = np.arange(len(rows), dtype=np.float64)
    else:
        time = np.array([_number(file, line, row, clock, header[clock]) for line, row in rows])
    if not len(values):
        _refuse(file, "has no rows")
    for index, (before, after) in enumerate(itertools.pairwise(time)):
        if not after > before:
            _refuse(f"{file}:{rows[index + 1][0]}", f"the time {after:g} s does not follow {before:g} s")
    return Recording(channel, time, values)


def _number(file: str, line: int, row: list[str], column: int, name: str) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        return float(text)
    except ValueError:
        _refuse(f"{file}:{line}", f"column {name!r} holds {text!r}, which is no number")


def _refuse(where: str, what: str, remedy: str = "") -> NoReturn:
    raise ConfigurationError(what, where, remedy=remedy)
