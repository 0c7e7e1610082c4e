"""The writer of simulated examinations: each is a run of the service that was on for as long as it took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from acquisition import __version__
from acquisition.config import Config
from acquisition.daemon.gateway import events
from acquisition.errors import ConfigurationError, Refused
from acquisition.examination.protocol import Protocol, load
from acquisition.examination.rules import KEY, Rules
from acquisition.examination.session_service import SessionService
from acquisition.model import Chunk, Event, Flags, Floats, Gap, Header, Instant, Quality
from acquisition.store import Store, StoreWriter, schema
from acquisition.timing.clock import Clock, Timeline
from simulators.patient.physiology import Participant
from simulators.sessions.bench import Source, Unit, needed, units
from simulators.sessions.course import Course, answers, course, entries_of, scenario
from simulators.sessions.plan import Plan

SECOND = 1_000_000_000
BEFORE = 5.0
"""Seconds that the service is on before an examination."""
ARRIVAL = 10.0
"""Seconds of samples that arrive together."""
SAVED = 60.0
"""Seconds that a commit may take before it is given up."""


@dataclass(frozen=True, slots=True)
class Made:
    """One examination in the record: its session, and what is true of the participant."""

    session: str
    plan: Plan
    truth: Mapping[str, Any]


def write(directory: Path, plans: Iterable[Plan], config: Config) -> Iterator[Made]:
    """Write examinations one after another into a record, new or going on; `config` says which devices there are.

    Refused where another process writes the record, or where a plan is none that a technician could follow.
    ConfigurationError where a bench is not simulated throughout.
    """
    real = [device.table.name for device in config.devices if not device.table.simulated]
    if real:
        raise ConfigurationError(
            f"{', '.join(real)}: not simulated", str(config.path), "simulated samples must not pass for real ones",
            "simulated = true for every device",
        )  # fmt: skip
    bench = tuple(units(config))
    technician = _Technician(directory, Rules.of(config))
    for plan in plans:
        writer = StoreWriter(directory, clock=Clock(), compact=None)
        writer.open()
        try:
            made = _examine(writer, plan, bench, config, technician)
        finally:
            writer.close()
        if writer.failed is not None:
            raise writer.failed
        yield made


def _examine(writer: StoreWriter, plan: Plan, bench: tuple[Unit, ...], config: Config, technician: _Technician) -> Made:
    protocol = load(plan.protocol, config.path.parent)
    participant = Participant(plan.kind, scenario(protocol), plan.seed)
    truth = participant.truth()
    planned = course(protocol, plan.kind, plan.limb, truth)
    on = tuple(unit for unit in bench if needed(unit, protocol.measures))
    timeline = _begin(writer, plan.start - round(BEFORE * SECOND), config)
    for unit in on:
        _tell(writer, timeline.anchor, unit)
    run = _Run(writer, timeline, participant, planned)
    for unit in on:
        run.record(unit)
    headers = [each.header for unit in on for each in unit.sources]
    session = technician.examine(plan, protocol, planned, headers, timeline, writer)
    writer.put(Event("service", timeline.key(round((BEFORE + planned.seconds + 1.0) * SECOND)), "", "stopped"))
    writer.flush(SAVED)
    return Made(session, plan, truth)


def _begin(writer: StoreWriter, began: int, config: Config) -> Timeline:
    site = config.tables.site
    if began <= writer.last_key:
        raise Refused(
            "an examination would begin before the record ends", str(config.path), "an earlier time",
            "a later time, or another record",
        )  # fmt: skip
    study = replace(Rules.of(config), beside=None).as_dict()
    about = {"version": __version__, "host": "simulated", "site": site.id, "station": site.station, "boot": "",
             "speed": 1.0, KEY: study}  # fmt: skip
    started = Instant(0, began)
    run = writer.begin_run(started, began, about)
    writer.put(Event("service", began, "", "started", {"run": run, "version": __version__}))
    return Timeline(run, started.monotonic, began)


def _tell(writer: StoreWriter, key: int, unit: Unit) -> None:
    about = {"model": f"SIM {unit.model}", "serial": "SIM00001"}
    writer.put(Event("identity", key, unit.name, about["model"], about))
    writer.put(Event("state", key, unit.name, "STREAMING", {"state": "STREAMING", "cause": ""}))


@dataclass(frozen=True, slots=True)
class _Run:
    """Samples of one participant from the start of one run of the service to the end of the examination."""

    writer: StoreWriter
    timeline: Timeline
    participant: Participant
    course: Course

    def record(self, unit: Unit) -> None:
        """Put every stream of a device, and what is derived of it, into the record."""
        for source in unit.sources:
            chunks = list(self._chunks(source))
            derivations = [each for each in unit.derivations if each[0].source == source.header.stream.name]
            for chunk in chunks:
                self.writer.put(chunk)
            for derivation, header in derivations:
                last = self.writer.last(header.device, header.stream.name)
                if last is not None:
                    derivation.resume(last.values)
                first, gap = self._first(header, chunks[0].time[0])
                for chunk in chunks:
                    readings = derivation.feed(chunk)
                    if readings is not None:
                        self.writer.put(self._chunk(header, first, chunk.time, readings.values, readings.quality, gap))
                        first, gap = first + len(chunk), None

    def _chunks(self, source: Source) -> Iterator[Chunk]:
        step = round(source.interval * SECOND)
        times = np.arange(0, round((BEFORE + self.course.seconds) * SECOND), step, dtype=np.int64)
        values = source.samples(self.participant, times / SECOND - BEFORE)
        quality = _judge(source.header, values)
        first, gap = self._first(source.header, self.timeline.anchor)
        size = max(round(ARRIVAL / source.interval), 1)
        for start in range(0, len(times), size):
            part = slice(start, start + size)
            key = times[part] + self.timeline.anchor
            yield self._chunk(source.header, first + start, key, values[part], quality[part], gap)
            gap = None

    def _first(self, header: Header, key: int) -> tuple[int, Gap | None]:
        """Where the numbers of a stream go on, and the hole since the examination before."""
        last = self.writer.last(header.device, header.stream.name)
        if last is None:
            return 0, None
        return last.next + 1, Gap(last.key, int(key), last.next - 1, last.next + 1, "the service was not running")

    def _chunk(
        self, header: Header, first: int, key: np.ndarray[tuple[int], np.dtype[np.int64]], values: Floats,
        quality: Flags, gap: Gap | None,
    ) -> Chunk:  # fmt: skip
        for array in (key, values, quality):
            array.setflags(write=False)
        since = int(key[-1]) - self.timeline.anchor
        return Chunk(header, self.timeline.run, 1, first, Instant(since, since), key, values, quality, None, gap)


def _judge(header: Header, values: Floats) -> Flags:
    """What is known against each value: none is INVALID, one outside its channel's range is marked."""
    quality = np.where(np.isnan(values), np.uint8(Quality.INVALID), np.uint8(Quality.GOOD))
    for column, channel in enumerate(header.stream.channels):
        low = -np.inf if channel.low is None else channel.low
        high = np.inf if channel.high is None else channel.high
        quality[(values[:, column] < low) | (values[:, column] > high), column] = Quality.RANGE
    return quality


class _Technician:
    """Has the requests of each examination decided at their seconds, as the control socket has them decided."""

    def __init__(self, directory: Path, rules: Rules) -> None:
        known: list[Event] = []
        if (directory / schema.FILE).exists():
            with Store(directory) as store:
                known = list(events(store))
        self._now = 0
        self._headers: list[Header] = []
        self._writer: StoreWriter | None = None
        self._session_service = SessionService(
            known, lambda: self._now, self._put, headers=lambda: self._headers, rules=rules
        )

    def examine(
        self, plan: Plan, protocol: Protocol, planned: Course, headers: list[Header], timeline: Timeline,
        writer: StoreWriter,
    ) -> str:  # fmt: skip
        """Do one examination from its first request to its last; answers the session."""
        self._headers, self._writer = headers, writer
        if protocol.measures == "entries":
            return self._enter(plan, timeline)
        day = datetime.fromtimestamp(plan.start // SECOND, UTC).date()
        self._ask(
            timeline, 0.0, plan, do="session.start", protocol=plan.protocol, subject=plan.subject, visit=plan.visit,
            limb=plan.limb, conditions=plan.conditions, checks=answers(protocol, day),
        )  # fmt: skip
        for step in planned.steps:
            self._ask(timeline, step.at, plan, **step.request)
        session = self._ask(timeline, planned.seconds, plan, do="session.stop", reason="simulated")
        for each in plan.entries:
            self._ask(timeline, planned.seconds, plan, do="session.observe", session=session, fields=each)
        return session

    def _enter(self, plan: Plan, timeline: Timeline) -> str:
        session = self._ask(timeline, 0.0, plan, do="session.visit", subject=plan.subject, visit=plan.visit)
        for index, each in enumerate((*entries_of(plan.kind, plan.limb), *plan.entries)):
            self._ask(timeline, index + 1.0, plan, do="session.observe", session=session, fields=each)
        return session

    def _ask(self, timeline: Timeline, at: float, plan: Plan, **request: Any) -> str:
        self._now = timeline.key(round((BEFORE + at) * SECOND))
        return str(self._session_service.answer({**request, "by": plan.by})["session"])

    def _put(self, event: Event) -> None:
        assert self._writer is not None
        self._writer.put(event)
