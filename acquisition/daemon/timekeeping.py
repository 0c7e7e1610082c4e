"""The wall clock of the record while it is written: doubts of it, and what people say and correct about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from acquisition import __version__
from acquisition.control_socket.client import NoDaemon, ask
from acquisition.control_socket.server import Answer
from acquisition.daemon.alarms import Alarms
from acquisition.errors import Refused, StoreError
from acquisition.examination import fields
from acquisition.model import Event, Instant
from acquisition.store import Store, StoreWriter, runs, wall
from acquisition.store.runs import Doubt, Run, Stepped, said
from acquisition.store.schema import locate
from acquisition.text import clean
from acquisition.timing.clock import Clock

log = logging.getLogger(__name__)

PATIENCE = 4.0
"""Seconds that the disk may take."""
Reason = Annotated[str, Meta(min_length=3, max_length=2000)]
Nanoseconds = Annotated[int, Meta(ge=-(2**62), le=2**62)]


class Accept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="clock.accept"):
    """Say that the clock of the present run is right, whatever was recorded before."""

    reason: Reason
    by: str = ""


class Mend(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", tag="clock.mend"):
    """Say when a run truly began: its `utc` (ns), or what is to be added to what its clock showed (`offset`, ns)."""

    run: int
    reason: Reason
    utc: Nanoseconds | None = None
    offset: Nanoseconds | None = None
    by: str = ""


Request = Accept | Mend
REQUESTS = ("clock.accept", "clock.mend")
"""What the control socket may be asked about the clock."""


class Timekeeper:
    """Keeps the map to the wall clock of the run that goes on, and the alarm of a clock that is in doubt.

    `wall` may be read from any thread; the rest belongs to the acquisition loop.
    """

    def __init__(
        self,
        directory: Path,
        writer: StoreWriter,
        run: int,
        speed: float,
        alarms: Alarms,
        publish: Callable[[Event], None],
    ) -> None:
        self.wall = writer.wall
        self._directory = directory
        self._writer = writer
        self._run = run
        self._speed = speed
        self._alarms = alarms
        self._publish = publish
        self._known: Sequence[Run] = ()
        self._since = 0
        self._against: tuple[int, ...] = ()
        self._moved = 0.0
        self._stepped: Stepped | None = None
        self._earlier: Stepped | None = None
        self._read()

    def begin(self, utc: int) -> None:
        """Raise what is in doubt when the run begins; the clock shows `utc` (ns)."""
        self.look(utc)
        if self._stepped is not None:
            self._tell_step()

    def step(self, key: int, utc: int, seconds: float) -> None:
        """Follow a step of the wall clock by `seconds`: it shows `utc` (ns) at the time key `key`."""
        doubted = self._against
        self._moved += seconds
        self.wall = self.wall.stepped(key, utc)
        self.look(utc)
        if doubted and not self._against:  # it was in doubt, and was set right
            self._moved = 0.0
        if self._speed == 1.0:
            self._stepped = Stepped.by(self._moved) or self._earlier
            self._tell_step()

    def _tell_step(self) -> None:
        """Let an alarm stand while nobody has said which times are right, those before a step or those since."""
        if self._stepped is None:
            self._alarms.clear(runs.STEPPED, "the step of the clock is no longer in doubt")
            return
        if all(alarm.text != self._stepped.text for alarm in self._alarms.present):
            log.critical("%s; %s", self._stepped.text, self._stepped.remedy)
        self._alarms.raise_alarm(runs.STEPPED, self._stepped.text, self._stepped.remedy, blocks=True)

    def look(self, utc: int) -> None:
        """Let the alarm stand while the clock, which shows `utc` (ns), lies before what was recorded."""
        found = self._doubt(utc)
        against = () if found is None else tuple(run.number for run in found.runs)
        if against == self._against:
            return
        self._against = against  # its words hold a time: they stay as they are while they are read
        if found is None:
            self._alarms.clear(runs.ALARM, "the clock is no longer in doubt")
            return
        log.critical("%s; %s", found.text, found.remedy)
        self._alarms.raise_alarm(runs.ALARM, found.text, found.remedy, blocks=True)

    def answers(self, now: Callable[[], Instant], key_now: Callable[[], int]) -> dict[str, Answer]:
        """The answers to `REQUESTS`, given the clock and the present time key."""

        async def answer(request: dict[str, Any]) -> Any:
            asked = _parsed(request)
            against = self._doubt(now().utc) or self._stepped
            event = decide(asked, self._known_with_present(), against, self._run, now().utc, key_now())
            self._publish(event)
            committed = await asyncio.to_thread(self._writer.flush, PATIENCE)
            self._read()
            self.look(now().utc)
            self._moved = 0.0
            self._tell_step()
            return {"done": event.text, "committed": committed}

        return dict.fromkeys(REQUESTS, answer)

    def _doubt(self, utc: int) -> Doubt | None:
        return runs.doubt(self._known, self._since, utc) if self._speed == 1.0 else None

    def _known_with_present(self) -> list[Run]:
        with Store(self._directory) as store:
            return store.history()

    def _read(self) -> None:
        with Store(self._directory) as store:
            self._known = [run for run in store.history() if run.number < self._run]
            self._since, self.wall = store.accepted(), store.wall()
            self._stepped = self._earlier = store.stepped() if self._speed == 1.0 else None


def send(directory: Path, request: dict[str, Any], clock: Clock | None = None) -> dict[str, Any]:
    """Have a request about the clock done: by the daemon, or where none runs in the record itself."""
    try:
        answer: dict[str, Any] = ask(directory, request)
    except NoDaemon:
        return _write(directory, _parsed(request), clock or Clock())
    return answer


def decide(asked: Request, known: Sequence[Run], doubt: Doubt | Stepped | None, run: int, utc: int, now: int) -> Event:
    """The event that a request becomes at the time key `now`, in run `run`, when the clock shows `utc` (ns).

    Refused where there is nothing to accept, or nothing to change.
    """
    reason, by = clean(asked.reason.strip()), clean(asked.by)
    if len(reason) < 3:
        raise Refused("no reason was given", "clock", remedy="say why: --reason …")
    if isinstance(asked, Mend):
        return _mended(asked, known, reason, by, now)
    if doubt is None:
        raise Refused("there is nothing to accept", "clock accept", "no run of the record ended later than now")
    if isinstance(doubt, Stepped):
        text = f"the clock of run {run} is accepted: {said(utc)}, although it was stepped: {reason}"
        return Event(
            runs.ACCEPTED, now, "", text, {"run": run, "utc": utc, "stepped": doubt.text, "reason": reason, "by": by}
        )
    ended = max(each.ended for each in doubt.runs)
    details = {"run": run, "utc": utc, "runs": [each.number for each in doubt.runs], "ended": ended,
               "reason": reason, "by": by}  # fmt: skip
    text = f"the clock of run {run} is accepted: {said(utc)}, although the record ended at {said(ended)}: {reason}"
    return Event(runs.ACCEPTED, now, "", text, details)


def _mended(asked: Mend, known: Sequence[Run], reason: str, by: str, now: int) -> Event:
    found = next((run for run in known if run.number == asked.run), None)
    if found is None:
        numbers = f"1 to {known[-1].number}" if known else "none"
        raise Refused(f"the record has no run {asked.run}", "clock mend", remedy=f"it has: {numbers}")
    if (asked.utc is None) == (asked.offset is None):
        raise Refused("say either when the run began or by how much its clock was wrong", "clock mend")
    utc = found.said + asked.offset if asked.offset is not None else asked.utc
    if utc == found.began:
        raise Refused(f"run {found.number} began at {said(utc)} already", "clock mend")
    assert utc is not None
    details = {"run": found.number, "utc": utc, "old": found.began, "said": found.said, "reason": reason, "by": by}
    text = f"run {found.number} began at {said(utc)}, not at {said(found.began)}: {reason}"
    return Event(wall.MENDED, now, "", text, details)


def _write(directory: Path, asked: Request, clock: Clock) -> dict[str, Any]:
    # A wrong folder must not become a new and empty record.
    locate(directory)
    writer = StoreWriter(directory, clock=clock, compact=None)
    writer.open()
    try:
        started = clock.now()
        with Store(directory) as store:
            known, doubt = store.history(), store.doubt(started.utc) or store.stepped()
        number = known[-1].number + 1 if known else 1
        first = runs.anchor(writer.wall, writer.last_key, started.utc)
        event = decide(asked, known, doubt, number, started.utc, first)
        runs.begin(writer, started, {"version": __version__, "purpose": "the clock, without a daemon"})
        writer.put(event)
        if not writer.flush(PATIENCE):
            raise StoreError("nothing was changed: the record is not writing", str(directory), "the disk is full")
    finally:
        writer.close()
    return {"done": event.text, "committed": True}


def _parsed(request: dict[str, Any]) -> Request:
    do = str(request.get("do", "request"))
    fields.plain(request)
    asked: Request = fields.convert(request, Mend if do == REQUESTS[1] else Accept, where=do)
    return asked
