"""Plays tapes through today's drivers, and compares what they make of them with what was stored."""

from __future__ import annotations

import contextlib
import csv
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from acquisition.device.tape import Label, Piece, label, pieces
from acquisition.driverkit.driver import Driver, Order, Setup
from acquisition.driverkit.registry import drivers
from acquisition.errors import NoRecord, PerfusionError, Refused
from acquisition.model import Flags, Floats, Nanoseconds, Quality, Readings
from acquisition.store import Store, modes
from acquisition.store.tapes import FOLDER
from acquisition.timing.pauses import Latecomers, Pause, held_back

EXPECTED = "expected.csv"


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of one stream: values (n, c), quality (n, c), arrived (n,) int64 ns, monotonic."""

    values: Floats
    quality: Flags
    arrived: Nanoseconds

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def join(cls, parts: Sequence[Rows], channels: int) -> Rows:
        """One after another."""
        if not parts:
            return cls(np.empty((0, channels)), np.empty((0, channels), np.uint8), np.empty(0, np.int64))
        return cls(
            np.concatenate([each.values for each in parts]),
            np.concatenate([each.quality for each in parts]),
            np.concatenate([each.arrived for each in parts]),
        )

    def since(self, arrived: int) -> Rows:
        """Those that arrived at or after an instant."""
        late = self.arrived >= arrived
        return Rows(self.values[late], self.quality[late], self.arrived[late])


@dataclass(frozen=True, slots=True)
class Tape:
    """All parts of one connection's tape, in order."""

    label: Label
    files: tuple[Path, ...]

    def pieces(self) -> Iterator[Piece]:
        """Every piece of every part."""
        for file in self.files:
            yield from pieces(file)


@dataclass(frozen=True, slots=True)
class Played:
    """What today's driver made of a tape: `rows` by stream, and how many of `asked` messages it wrote differently.

    `ended`: the tape reaches to the end of its connection; else it was cut, as by a power failure.
    """

    rows: dict[str, Rows]
    asked: int
    asked_differently: int
    ended: bool


@dataclass(frozen=True, slots=True)
class ReplayVerdict:
    """How many `samples` were compared, how many `differ`, and how many after a cut had not been stored yet."""

    samples: int = 0
    differ: int = 0
    not_stored: int = 0

    def __add__(self, other: ReplayVerdict) -> ReplayVerdict:
        return ReplayVerdict(
            self.samples + other.samples, self.differ + other.differ, self.not_stored + other.not_stored
        )


def tapes(path: Path, device: str | None = None) -> list[Tape]:
    """The tapes in a file, a folder, or the folder of a record, by device, run and connection; NoRecord for none."""
    folder = path / FOLDER if (path / FOLDER).is_dir() else path
    files = sorted(folder.glob("*.tape")) if folder.is_dir() else [folder]
    if not all(file.is_file() for file in files) or not files:
        raise NoRecord(
            "there is no tape", str(path), "the device's entry does not say tape = true, or retention removed it"
        )
    every = [(label(file), file) for file in files]
    labelled = sorted((each for each in every if device in (None, each[0].device)), key=lambda each: _order(each[0]))
    if not labelled:
        held = ", ".join(dict.fromkeys(each.device for each, _ in every))
        raise NoRecord(f"there is no tape of the device {device!r}", str(folder), remedy=f"one of: {held}")
    return [
        Tape(group[0][0], tuple(file for _, file in group))
        for _, each in groupby(labelled, key=lambda each: _order(each[0])[:3])
        if (group := list(each))
    ]


def play(tape: Tape) -> Played:
    """Let the driver of today, built as the label says, hear the tape with the clock that stands on it."""
    if tape.label.part:
        raise PerfusionError(
            "the tape has lost its beginning", str(tape.files[0]), "retention removed it", "play a later connection's"
        )
    return _Player(driver_of(tape.label)).run(tape.pieces())


def compare(played: Rows, kept: Rows, ended: bool = True, doubted: bool = False) -> ReplayVerdict:
    """Value by value, bit by bit; what is missing on one side differs, unless the tape was cut before it was stored.

    Where samples were `doubted` for their rate, which no driver knows of, what was kept may be QUESTIONABLE beside.
    """
    n = min(len(played), len(kept))
    values = np.ascontiguousarray(played.values[:n]).view(np.int64) == np.ascontiguousarray(kept.values[:n]).view(
        np.int64
    )
    beside = np.uint8(Quality.QUESTIONABLE if doubted else 0)
    flags = (kept.quality[:n] == played.quality[:n]) | (kept.quality[:n] == played.quality[:n] | beside)
    same = (values | (np.isnan(played.values[:n]) & np.isnan(kept.values[:n]))) & flags
    more = len(played) - n
    differ = int((~same.all(axis=1)).sum()) + len(kept) - n + (more if ended else 0)
    return ReplayVerdict(max(len(played), len(kept)), differ, 0 if ended else more)


def stored(store: Store, tape: Label, stream: str, channels: int) -> Rows:
    """What a record holds of a tape's connection."""
    found = []
    numbers = [i.number for i in store.streams() if (i.device, i.stream) == (tape.device, stream)]
    for number in numbers:
        following = 0
        while (samples := store.after(number, following, 100_000)) is not None:
            following = samples.following
            if (samples.run, samples.connection) == (tape.run, tape.connection):
                arrived = np.repeat(samples.arrived[:, 1], samples.arrived[:, 0])
                found.append(Rows(samples.values, samples.quality, arrived))
    return Rows.join(found, channels)


def expired(store: Store, tape: Label, stream: str) -> bool:
    """Whether retention removed samples of a stream."""
    return any(e.body["details"].get("stream") == stream for e in store.events("expired", tape.device))


def doubted(store: Store, tape: Label, stream: str) -> bool:
    """Whether samples of a stream came at another rate than its own, and were marked for it."""
    told = (event.body["details"] for event in store.events("warning", tape.device))
    return any("configured_hz" in details and stream in details.get("streams", ()) for details in told)


def write_expected(file: Path, rows: dict[str, Rows]) -> None:
    """Write samples by stream as CSV: stream, values, quality; floats so that they come back bit by bit."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        for stream, each in rows.items():
            for values, quality in zip(each.values.tolist(), each.quality.tolist(), strict=True):
                writer.writerow([stream, " ".join(map(repr, values)), " ".join(map(str, quality))])


def read_expected(file: Path) -> dict[str, Rows]:
    """Read what `write_expected` wrote."""
    with file.open(newline="", encoding="utf-8") as lines:
        lines_by_stream: dict[str, list[list[str]]] = {}
        for stream, *fields in csv.reader(lines):
            lines_by_stream.setdefault(stream, []).append(fields)
    return {
        stream: Rows(
            np.array([values.split() for values, _ in fields], dtype=float),
            np.array([quality.split() for _, quality in fields], dtype=np.uint8),
            np.zeros(len(fields), np.int64),
        )
        for stream, fields in lines_by_stream.items()
    }


def cut(tape: Tape, played: Played, folder: Path) -> None:
    """Make a case for the tests of it: the tape's parts, and what today's driver makes of them."""
    modes.make_folder(folder)
    for file in tape.files:
        copy = folder / file.name
        copy.touch(modes.FILE)
        shutil.copyfile(file, copy)
    write_expected(folder / EXPECTED, played.rows)


@dataclass(slots=True)
class _Player:
    driver: Driver
    parts: dict[str, list[Rows]] = field(default_factory=dict)
    writes: list[bytes] = field(default_factory=list)
    asked: int = 0
    differently: int = 0
    late: Latecomers = field(default_factory=Latecomers)

    def run(self, tape: Iterable[Piece]) -> Played:
        step = ""
        for piece in tape:
            step = piece.step
            if step == "wrote":
                self._compare_write(piece.data)
            else:
                self._step(piece)
                self.driver.to_say()
                self.writes += self.driver.to_send()
        widths = {stream.name: len(stream.channels) for stream in self.driver.streams}
        rows = {stream: Rows.join(self.parts.get(stream, []), width) for stream, width in widths.items()}
        return Played(rows, self.asked, self.differently + len(self.writes), step == "end")

    def _step(self, piece: Piece) -> None:
        at = piece.at.seconds
        match piece.step:
            case "start":
                self.driver.start(at)
            case "poll":
                self.driver.poll(at)
            case "stop":
                self.driver.stop(at)
            case "order":
                with contextlib.suppress(Refused):
                    self.driver.order(msgspec.json.decode(piece.data, type=Order), at)
            case "pause":
                pause = msgspec.json.decode(piece.data, type=Pause)
                self.late.heed(pause)
                self.driver.paused((pause.ended - pause.began) / 1e9, pause.ended / 1e9)
            case "read":
                waited = self.late.waited(piece.at.monotonic, len(piece.data))
                for item in self.driver.receive(piece.data, at):
                    if isinstance(item, Readings):
                        item = held_back(item) if waited else item
                        arrived = np.full(len(item.values), piece.at.monotonic, np.int64)
                        self.parts.setdefault(item.stream, []).append(Rows(item.values, item.quality, arrived))

    def _compare_write(self, message: bytes) -> None:
        self.asked += 1
        self.differently += not self.writes or self.writes.pop(0) != message


def _order(each: Label) -> tuple[str, int, int, int]:
    return each.device, each.run, each.connection, each.part


def driver_of(tape: Label) -> Driver:
    """Build the driver of today as the label says; PerfusionError where there is none of that name."""
    kind = drivers().get(tape.driver)
    if kind is None:
        raise PerfusionError(f"the tape needs the driver {tape.driver!r}, which is not installed", tape.file)
    documents: dict[str, Any] = {
        option: msgspec.convert(tape.documents[option], document) for option, document in kind.documents.items()
    }
    options = msgspec.convert(tape.options, kind.Options)
    setup = Setup(tape.driver, options, tape.inputs, tape.patience, tape.control, tape.datagrams, documents, tape.seed)
    setup.random.seed(tape.seed)
    return kind(setup)
