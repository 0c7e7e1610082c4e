"""One connection to one instrument: bytes through the driver to chunks, and the driver's bytes to the port."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from acquisition.device.bus import Bus
from acquisition.device.flapping import Flapping
from acquisition.device.intake import Intake
from acquisition.device.sequencer import StreamSequencer
from acquisition.device.tape import Piece, Step, TapeWriter
from acquisition.driverkit.derived import Derivation
from acquisition.driverkit.driver import Driver, Order
from acquisition.errors import LinkLost, NothingFits, WrongInstrument
from acquisition.model import Chunk, Event, Instant, Notice, Readings
from acquisition.ports import Guard, Port
from acquisition.timing.clock import Clock, Timeline
from acquisition.timing.pauses import Latecomers, Pause, Pauses, held_back

log = logging.getLogger(__name__)

NOISE_EVERY = 10.0
"""Seconds over which noise is summed into one event."""
REPEATED = ("identity", "state", "warning")
"""Kinds of notices that are not recorded anew with each of many brief links."""
NOISE_HINT = 256
"""Bytes of noise before the first sample after which the line settings are suspected."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What the configuration says of the instrument that must answer."""

    device: str
    simulated: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceContext:
    """What outlives connections of one device: its streams' books, what is derived from them, how its links fare."""

    streams: Mapping[str, StreamSequencer]
    derivations: tuple[tuple[Derivation, StreamSequencer], ...] = ()
    intake: Intake = field(default_factory=Intake)
    flapping: Flapping = field(default_factory=Flapping)


class Connection:
    """Runs one driver object over one open port until the link, the instrument or the driver gives up.

    `over` is done when the connection has ended, with the LinkLost or the driver's own exception; `silent` where
    it ended for want of samples. `on_sample` is called at the first sample; `commands` counts the messages written that
    may move a belt. After a pause of this computer what waited is read before the instrument is judged, and only the
    driver of a belt under control is called at once.
    """

    def __init__(
        self,
        number: int,
        expected: Expected,
        driver: Driver,
        port: Port,
        context: DeviceContext,
        bus: Bus,
        clock: Clock,
        timeline: Timeline,
        on_sample: Callable[[], None],
        pauses: Pauses,
        tape: TapeWriter | None = None,
    ) -> None:
        self.samples = 0
        self.silent = False
        self.commands = 0
        self.over: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._number = number
        self._expected = expected
        self._driver = driver
        self._port = port
        self._guard = Guard(port, driver.writable)
        self._context = context
        self._bus = bus
        self._clock = clock
        self._timeline = timeline
        self._on_sample = on_sample
        self._pauses = pauses
        self._late = Latecomers()
        self._rates: dict[str, list[Notice]] = {}
        self._tape = tape
        self._loop = asyncio.get_running_loop()
        self._poll: asyncio.TimerHandle | None = None
        self._poll_at: float | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._alive = 0.0
        self._intake = context.intake
        self._understood = False
        self._heard = -math.inf

    @property
    def patience(self) -> float:
        """Seconds without a sample after which the instrument counts as lost."""
        return self._driver.silence * self._driver.setup.patience

    async def open(self) -> None:
        """Open the port and begin the conversation; LinkLost where the port refuses."""
        await self._port.open(self)
        if self.over.done():
            return
        self._pauses.listen(self._paused)
        now = self._clock.now()
        self._alive = now.seconds
        self._record("start", now)
        self._attempt(lambda: self._driver.start(now.seconds))
        self._arm_watch()

    def close(self, farewell: bool = False) -> None:
        """Close the port; with `farewell` the driver may first say good-bye."""
        if farewell and not self.over.done():
            now = self._clock.now()
            self._record("stop", now)
            self._attempt(lambda: self._driver.stop(now.seconds))
        self._end(LinkLost("closed", self._port.name))

    def order(self, order: Order) -> None:
        """Hand an order to the driver; Refused where it cannot be followed."""
        self._pauses.look()
        now = self._clock.now()
        if self._tape is not None:
            self._tape.add(Piece.order(order, now))
        try:
            self._driver.order(order, now.seconds)
        finally:
            self._flush()

    def data(self, data: bytes, arrived: Instant) -> None:
        """Take bytes from the port."""
        monotonic = arrived.monotonic
        if monotonic > self._pauses.overdue:
            self._pauses.look()
        if self.over.done():
            return
        self._record("read", arrived, data)
        self._intake.received += len(data)
        self._intake.latest = data
        self._heard = monotonic / 1e9
        try:
            items: Iterable[Readings | Notice] = self._driver.receive(data, monotonic / 1e9)
            if self._late.waited(monotonic, len(data)):
                items = self._held(list(items), len(data))
            for item in items:
                if type(item) is Readings:
                    self._readings(item, arrived)
                else:
                    self._notice(item, arrived)  # type: ignore[arg-type]
                if self.over.done():
                    return
        except Exception as error:
            self._end(error)
            return
        if self._rates:
            self._tell_rates(arrived)
        self._flush()

    def lost(self, error: LinkLost) -> None:
        """Take note that the port lost its link."""
        self._end(error)

    def _held(self, items: list[Readings | Notice], size: int) -> list[Readings | Notice]:
        """Mark what may have waited while this computer stood still, and tell the books how many samples did."""
        counts = Counter[str]()
        for item in items:
            if isinstance(item, Readings):
                counts[item.stream] += len(item.values)
        for stream, count in counts.items():
            self._context.streams[stream].held(count, self._late.more_until(size))
        return [held_back(item) if isinstance(item, Readings) else item for item in items]

    def _paused(self, pause: Pause) -> None:
        """Begin every wait anew: what passed meanwhile says nothing of the instrument."""
        if self.over.done():
            return
        if self._tape is not None:
            self._tape.add(Piece.pause(pause, self._clock.now()))
        self._late.heed(pause)
        self._alive = ended = pause.ended / 1e9
        for sequencer in self._context.streams.values():
            sequencer.paused(pause)
        self._attempt(lambda: self._driver.paused((pause.ended - pause.began) / 1e9, ended))

    def _record(self, step: Step, at: Instant, data: bytes = b"") -> None:
        if self._tape is not None:
            self._tape.add(Piece(step, at, data))

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self._end(error)
            return
        self._flush()

    def _flush(self) -> None:
        for notice in self._driver.to_say():
            self._notice(notice, self._clock.now())
        if self.over.done():
            return
        outgoing = self._driver.to_send()
        if outgoing:
            try:
                for message in outgoing:
                    self._guard.write(message)
                    if self._driver.setup.control:
                        self.commands += any(pattern.fullmatch(message) for pattern in self._driver.commands)
                    self._record("wrote", self._clock.now(), message)
            except Exception as error:
                self._end(error)
                return
        deadline = self._driver.deadline()
        if deadline != self._poll_at:
            self._arm_poll(deadline)

    def _arm_poll(self, deadline: float | None) -> None:
        if self._poll is not None:
            self._poll.cancel()
        self._poll, self._poll_at = None, deadline
        if deadline is not None and not self.over.done():
            wait = self._clock.real(max(deadline - self._clock.now().seconds, 0.0))
            self._poll = self._loop.call_later(wait, self._due)

    def _due(self) -> None:
        self._poll, self._poll_at = None, None
        pause = self._pauses.look()
        if self.over.done() or self._poll is not None:
            return
        now = self._clock.now()
        if pause is not None and not self._driver.setup.control:
            self._poll_at = self._driver.deadline()
            self._poll = self._loop.call_later(self._clock.real(pause.settled / 1e9 - now.seconds), self._due)
            return
        self._record("poll", now)
        self._attempt(lambda: self._driver.poll(now.seconds))

    def _arm_watch(self) -> None:
        if not self.over.done():
            self._watch = self._loop.call_later(self._clock.real(self.patience / 4), self._check)

    def _check(self) -> None:
        if self._pauses.look() is not None:
            self._arm_watch()
            return
        now = self._clock.now().seconds
        if now - self._alive > self.patience:
            self.silent = True
            self._end(self._silence(self._clock.real(now - self._alive), now - self._heard > self.patience / 2))
            return
        self._arm_watch()

    def _silence(self, seconds: float, mute: bool) -> LinkLost:
        """Why no sample came for so many seconds on the wall; `mute`: no byte came for long, either."""
        count, where = self._intake.received, self._port.name
        if mute:
            return LinkLost(
                f"silent for {seconds:.1f} s", where,
                "the instrument is off, its data output is disabled, or the line settings differ",
                "look at the instrument; the connection is tried again by itself",
            )  # fmt: skip
        if self.samples or self._understood:
            return LinkLost(
                f"no sample for {seconds:.1f} s, though {count} bytes came", where,
                f"it has nothing to measure, or its messages are damaged or cut, such as {self._intake.shown}",
                "look at the instrument; the connection is tried again by itself",
            )  # fmt: skip
        return NothingFits(
            f"receives {count} bytes, none fits", where,
            "terminator, pattern or line settings (baud rate, parity) are not those of the instrument, which sends "
            + self._intake.shown,
            "compare these bytes with the device's entry and its profile; the connection is tried again by itself",
        )  # fmt: skip

    def _readings(self, readings: Readings, arrived: Instant) -> None:
        if not len(readings.values):
            return
        sequencer = self._context.streams[readings.stream]
        chunk = sequencer.chunk(readings, arrived, self._number)
        self._alive = arrived.monotonic / 1e9
        self._intake.received = self._intake.misfits = 0
        self._bus.publish(chunk)
        if sequencer.saying:
            self._rates[readings.stream] = sequencer.to_say()
        if not self.samples:
            self._intake.hinted = False
            self._on_sample()
        self.samples += len(chunk.time)
        for derivation, sequencer in self._context.derivations:
            if derivation.source == readings.stream:
                self._derive(derivation, sequencer, chunk)

    def _tell_rates(self, arrived: Instant) -> None:
        """Say once for all streams that share it what the host's clock says of their rate."""
        told, self._rates = self._rates, {}
        for text in dict.fromkeys(notice.text for notices in told.values() for notice in notices):
            each = {stream: n for stream, notices in told.items() for n in notices if n.text == text}
            first = next(iter(each.values()))
            details = {"streams": list(each), **first.details}
            self._notice(Notice(first.kind, f"{', '.join(each)}: {text}", details), arrived)

    def _derive(self, derivation: Derivation, sequencer: StreamSequencer, chunk: Chunk) -> None:
        rows = derivation.feed(chunk)
        if rows is not None and len(rows.values):
            self._bus.publish(sequencer.derived(rows, chunk))

    def _notice(self, notice: Notice, arrived: Instant) -> None:
        if notice.kind == "noise":
            self._count_noise(int(notice.details.get("bytes", 0)), notice, arrived)
            return
        self._understood = True
        usual = notice.kind in REPEATED and "control" not in notice.details
        if usual and self._context.flapping.repeats(notice.kind, notice.text):
            log.debug("%s: %s", self._expected.device, notice.text)
        else:
            level = logging.WARNING if notice.kind in ("alarm", "overflow", "warning") else logging.INFO
            log.log(level, "%s: %s", self._expected.device, notice.text)
            kind = "instrument" if notice.kind == "state" else notice.kind
            self._say(kind, notice.text, arrived, **dict(notice.details))
        if notice.kind == "identity":
            self._check_identity(notice)
        elif notice.kind == "unfit":
            details = notice.details
            cause, remedy = str(details.get("cause", "")), str(details.get("remedy", ""))
            self._end(LinkLost(notice.text, self._port.name, cause, remedy))

    def _count_noise(self, count: int, notice: Notice, arrived: Instant) -> None:
        intake = self._intake
        intake.noise += count
        intake.misfits += count
        at = arrived.seconds
        if not self.samples and not intake.hinted and intake.misfits >= NOISE_HINT:
            intake.hinted = True
            text = (
                f"{intake.misfits} bytes and no valid frame: are baud rate, parity and instrument the configured ones? "
                f"It sends {intake.shown}"
            )
            log.warning("%s: %s: %s", self._expected.device, self._port.name, text)
            self._say("warning", text, arrived)
        if at - intake.noise_said >= NOISE_EVERY * self._clock.speed:
            self._say("noise", notice.text, arrived, bytes=intake.noise)
            intake.noise, intake.noise_said = 0, at

    def _check_identity(self, notice: Notice) -> None:
        model = str(notice.details.get("model", ""))
        serial = str(notice.details.get("serial", ""))
        expected = self._expected
        where = self._port.name
        for key, found in (("model", model), ("serial", serial)):
            wanted = expected.identity.get(key)
            if wanted is not None and wanted != found:
                self._end(
                    WrongInstrument(
                        f"the instrument's {key} is {found!r}, configured is {wanted!r}",
                        where,
                        "another instrument is on this port",
                        f"plug in the right one, or change the device's identity.{key}",
                    )
                )
                return
        says_simulated = "SIM" in model or "SIM" in serial
        if says_simulated and not expected.simulated:
            self._end(
                WrongInstrument(
                    f"a simulator answers (model {model!r}, serial number {serial!r})",
                    where,
                    "the entry describes a real instrument",
                    "set simulated = true for this device, so that its data are marked",
                )
            )
        elif expected.simulated and not says_simulated:
            self._end(
                WrongInstrument(
                    f"a real instrument answers (model {model!r}, serial number {serial!r})",
                    where,
                    "the entry says simulated = true",
                    "remove simulated = true: real data must not be marked as simulated",
                )
            )

    def _say(self, kind: str, text: str, arrived: Instant, **details: object) -> None:
        self._bus.publish(Event(kind, self._timeline.key(arrived.monotonic), self._expected.device, text, details))

    def _end(self, error: BaseException) -> None:
        if self.over.done():
            return
        if self._intake.noise and not self._context.flapping.brief:
            self._say("noise", "bytes that belong to no frame", self._clock.now(), bytes=self._intake.noise)
            self._intake.noise = 0
        for timer in (self._poll, self._watch):
            if timer is not None:
                timer.cancel()
        self._pauses.leave(self._paused)
        self._poll = self._watch = None
        self._port.close()
        self.over.set_result(error)
