"""The runs of a record: when each began and ended on both clocks, how the next begins, and doubts of its clock."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import apsw

from acquisition.model import Alarm, Instant
from acquisition.store import merged_read, wall
from acquisition.store.wall import Wall
from acquisition.timing.clock import Timeline

if TYPE_CHECKING:
    from acquisition.store.writer import StoreWriter

SECOND = 1_000_000_000
ACCEPTED = "clock-accepted"
"""The kind of the event by which a person says that a run's clock is right; details: `run`, `reason`, `by`."""
ALARM = "clock"
"""The kind of the alarm that stands while a doubt of the clock does."""
STEPPED = "clock_step"
"""The kind of the alarm that stands since the clock was stepped far within a run."""
BEHIND = 600 * SECOND
"""Nanoseconds by which a start may lie before what was recorded last without being asked about."""
PAUSE = 30 * 86400 * SECOND
"""Nanoseconds between two runs that are taken as they are; a longer pause may as well be a clock set wrong."""
_LAST_BLOCK = "SELECT stop FROM block WHERE stream = ? AND start < ? ORDER BY start DESC LIMIT 1"


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its first and last time key, what its clock showed then (ns), and how fast its clock ran.

    `said` is what the clock showed at the start before any correction.
    """

    number: int
    anchor: int
    end: int
    began: int
    ended: int
    said: int
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Doubt:
    """The clock shows `utc` (ns) though `runs`, recorded before, ended later than that: one of both was wrong."""

    utc: int
    runs: tuple[Run, ...]

    @property
    def text(self) -> str:
        """What is the matter, with both times and both possibilities."""
        last = max(self.runs, key=lambda run: run.ended)
        return (
            f"this computer's clock says {said(self.utc)}, but run {last.number} of the record ended at "
            f"{said(last.ended)}: either this clock is behind (a dead battery, no network yet), "
            "or that run's was ahead"
        )

    @property
    def remedy(self) -> str:
        """What to do in each case."""
        numbers = ", ".join(str(run.number) for run in self.runs)
        which = f"run{'s' if len(self.runs) > 1 else ''} {numbers}"
        return (
            "compare with another clock. If this one is wrong, set it. If it is right, say so: "
            f"perfusion clock accept --reason WHY, or give {which} the right time: "
            f"perfusion clock mend {self.runs[-1].number} --offset … --reason WHY"
        )

    def alarm(self, since: int) -> Alarm:
        """The alarm of it, from a time key (ns) on."""
        return Alarm(ALARM, self.text, self.remedy, blocks=True, since=since)


@dataclass(frozen=True, slots=True)
class Stepped:
    """The clock was stepped far while a run went on, and nobody has said yet which of its times are right."""

    text: str
    remedy = (
        "compare with another clock. If this one is wrong, set it. If it is right now, say so: perfusion clock accept "
        "--reason WHY; what was recorded before the step gets its true time by perfusion clock mend RUN"
    )

    @classmethod
    def by(cls, seconds: float) -> Stepped | None:
        """The doubt that follows from steps of so many seconds together; None where they are small, or undone."""
        if abs(seconds) <= BEHIND / SECOND:
            return None
        days, rest = divmod(abs(seconds), 86400)
        far = f"{days:.0f} d {rest / 3600:.1f} h" if days else f"{rest / 60:.0f} min"
        return cls(
            f"this computer's clock was stepped {'ahead' if seconds > 0 else 'back'} by {far} while it recorded: "
            "either the times before that are wrong, or those since"
        )


def said(utc: int) -> str:
    """A wall time (ns) in words."""
    return f"{datetime.fromtimestamp(utc // SECOND, UTC):%Y-%m-%d %H:%M:%S} UTC"


def read(connection: apsw.Connection) -> list[Run]:
    """Every run of a record, in order."""
    shown = wall.read(connection)
    rows = list(connection.execute("SELECT run, utc, anchor, about FROM run ORDER BY run"))
    ends = _ends(connection, [anchor for _, _, anchor, _ in rows])
    return [
        Run(number, anchor, end, shown.of(anchor), shown.of(end), utc, float(json.loads(about).get("speed", 1.0)))
        for (number, utc, anchor, about), end in zip(rows, ends, strict=True)
    ]


def accepted(connection: apsw.Connection) -> int:
    """The last run whose clock a person has accepted, 0 where none was."""
    rows = connection.execute("SELECT body FROM event WHERE kind = ? ORDER BY id DESC LIMIT 1", (ACCEPTED,))
    return next((int(json.loads(body)["details"]["run"]) for (body,) in rows), 0)


def stepped(connection: apsw.Connection) -> Stepped | None:
    """The step within a run that a person has not spoken of since it was told as an alarm."""
    newest = "SELECT id, kind, body FROM event WHERE kind IN ('alarm', ?, ?) ORDER BY id DESC"
    for _, kind, body in connection.execute(newest, (ACCEPTED, wall.MENDED)):
        if kind != "alarm":
            return None
        told = json.loads(body)
        if told["details"].get("alarm") == STEPPED:
            return Stepped(str(told["text"])) if told["details"]["standing"] else None
    return None


def doubt(known: Sequence[Run], since: int, utc: int) -> Doubt | None:
    """Whether `utc` (ns) lies more than `BEHIND` before the end of a known run from number `since` on.

    Runs of a simulated bench whose clock ran faster are left out: their times are made.
    """
    later = tuple(run for run in known if run.number >= since and run.speed == 1.0 and run.ended - utc > BEHIND)
    return Doubt(utc, later) if later else None


def anchor(shown: Wall, last: int, utc: int) -> int:
    """The time key of an instant at which a run begins, given the map and the last key of those before, ns.

    It is UTC, unless that would not be later than the last key. Where the axis is ahead of the wall clock since an
    earlier run's was, it goes on by as much as the wall clock did: a pause in an examination keeps its length.
    """
    passed = utc - shown.of(last)
    ahead = last - shown.of(last) > BEHIND
    return max(utc, last + 1, last + passed if ahead and passed <= PAUSE else 0)


def begin(writer: StoreWriter, started: Instant, about: Mapping[str, Any]) -> Timeline:
    """Begin a run in an open record; answers its axis. The writer's `wall` has the run from then on."""
    first = anchor(writer.wall, writer.last_key, started.utc)
    timeline = Timeline(writer.begin_run(started, first, about), started.monotonic, first)
    writer.wall = writer.wall.begun(first, started.utc)
    return timeline


def _ends(connection: apsw.Connection, anchors: Sequence[int]) -> list[int]:
    """The last key of each run, given those that they begin with: of its samples and its events."""
    if not anchors:
        return []
    bounds = [*anchors[1:], merged_read.last_key(connection) + 1]
    streams = [stream for (stream,) in connection.execute("SELECT id FROM stream")]
    keys = [
        *(stop for (stop,) in connection.execute("SELECT max(stop) FROM chunk GROUP BY run")),
        *(time for time in _events_before_runs(connection)),
        bounds[-1] - 1,
    ]
    for bound in bounds:
        keys += [stop for stream in streams for (stop,) in connection.execute(_LAST_BLOCK, (stream, bound))]
    whole = sorted(key for key in keys if isinstance(key, int))
    ends = []
    for first, bound in zip(anchors, bounds, strict=True):
        place = bisect_left(whole, bound)
        ends.append(max(first, whole[place - 1] if place else first))
    return ends


def _events_before_runs(connection: apsw.Connection) -> Iterator[int]:
    """The time of the last event before each run."""
    ids = [number for (number,) in connection.execute("SELECT id FROM event WHERE kind = 'run' ORDER BY id")]
    for number in ids:
        rows = connection.execute("SELECT time FROM event WHERE id <= ? ORDER BY id DESC LIMIT 1", (number - 1,))
        yield next((int(time) for (time,) in rows), 0)


def elapsed(known: Sequence[Run], most: int) -> dict[int, int]:
    """What to add to the keys of each run, by number, for the time that surely passed, ns.

    A pause between two runs counts as the wall clock says, though never as less than nothing nor as more than `most`.
    """
    added, found = 0, {run.number: 0 for run in known[:1]}
    for before, after in pairwise(known):
        pause = min(max(after.began - before.ended, 0), most)
        added += pause - (after.anchor - before.end)
        found[after.number] = added
    return found
