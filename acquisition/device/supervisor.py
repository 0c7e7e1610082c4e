"""Keeps one device connected for ever: states, back-off, liveness; a line for each change, a summary of many."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from acquisition.device.bus import Bus
from acquisition.device.connection import Connection, DeviceContext, Expected
from acquisition.device.flapping import LASTED, Reminder
from acquisition.device.tape import TapeWriter
from acquisition.driverkit.driver import Driver, Order
from acquisition.errors import LinkLost, NothingFits, Refused
from acquisition.model import Event
from acquisition.ports import Port
from acquisition.timing.clock import Clock, Timeline
from acquisition.timing.pauses import Pauses

log = logging.getLogger(__name__)


class DeviceState(StrEnum):
    """Where a device stands."""

    CONNECTING = "CONNECTING"
    NEGOTIATING = "NEGOTIATING"
    STREAMING = "STREAMING"
    LOST = "LOST"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Patience:
    """Back-off of reconnections: from `first` s, doubled and jittered, to `cap` s, reset by a link that has lasted."""

    cap: float
    first: float = 0.1

    def wait(self, failures: int, rng: random.Random, least_cap: float = 0.0) -> float:
        """Seconds before the try that follows the given number of failures (1, 2, ...)."""
        cap = max(self.cap, least_cap)
        return float(min(self.first * 2 ** min(failures - 1, 16), cap) * rng.uniform(0.5, 1.0))


@dataclass(frozen=True, slots=True)
class Device:
    """All that it takes to connect to one instrument, again and again."""

    expected: Expected
    make_driver: Callable[[], Driver]
    make_port: Callable[[Driver], Port]
    patience: Patience
    make_tape: Callable[[int, Driver], TapeWriter] | None = None


class Supervisor:
    """Runs one device until `stop`: connects, watches, reconnects; a driver's bug ends it as FAILED.

    The first links that do not last are told one by one; of more there is a summary, ever more seldom, and a link is
    then told only once it has held for a while. Its samples and gaps are recorded all the same.
    """

    def __init__(
        self,
        device: Device,
        context: DeviceContext,
        bus: Bus,
        clock: Clock,
        timeline: Timeline,
        rng: random.Random,
        pauses: Pauses | None = None,
    ) -> None:
        self.name = device.expected.device
        self.state = DeviceState.CONNECTING
        self._device = device
        self._context = context
        self._bus = bus
        self._clock = clock
        self._timeline = timeline
        self._rng = rng
        self._pauses = pauses or Pauses(clock)
        self._failures = 0
        self._said = False
        self._held: list[asyncio.TimerHandle] = []
        self._unfit: Reminder | None = None
        self._connections = 0
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None
        self._commands = 0

    @property
    def commands(self) -> int:
        """How many messages that may move the instrument were written to it, over all connections."""
        return self._commands + (self._connection.commands if self._connection is not None else 0)

    async def run(self) -> None:
        """Keep the device connected until `stop` is called or its driver fails."""
        try:
            await self._run()
        finally:
            if noise := self._context.intake.noise:
                key = self._timeline.key(self._clock.now().monotonic)
                text = "bytes that belong to no frame"
                self._bus.publish(Event("noise", key, self.name, text, {"bytes": noise}))

    async def _run(self) -> None:
        self._announce(DeviceState.CONNECTING, "")
        while not self._stopping.is_set():
            error = await self._once()
            if self._stopping.is_set():
                return
            if not isinstance(error, LinkLost):
                self._fail(error)
                return
            self._lost(error)
            wait = self._device.patience.wait(self._failures, self._rng, self._context.flapping.cap)
            try:
                await asyncio.wait_for(self._stopping.wait(), wait)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """End the connection with a farewell and do not reconnect."""
        self._stopping.set()
        if self._connection is not None:
            self._connection.close(farewell=True)

    def order(self, order: Order) -> None:
        """Hand an order to the instrument; Refused where it is away, or cannot follow it now."""
        if self._connection is None:
            raise Refused(
                f"the order {order.name!r} cannot be given",
                self.name,
                f"the device is {self.state}",
                "use what is at the instrument itself: press the red button at the treadmill",
            )
        self._connection.order(order)

    async def _once(self) -> BaseException:
        """Connect once and stay until it ends; answer why it ended."""
        self._connections += 1
        tape = connection = None
        opened = None
        try:
            driver = self._device.make_driver()
            port = self._device.make_port(driver)
            tape = self._device.make_tape(self._connections, driver) if self._device.make_tape else None
            connection = Connection(
                self._connections,
                self._device.expected,
                driver,
                port,
                self._context,
                self._bus,
                self._clock,
                self._timeline,
                self._streaming,
                self._pauses,
                tape,
            )
            await connection.open()
            opened = self._seconds()
            self._context.flapping.opened()
            if self._stopping.is_set():
                connection.close()
            self._connection = connection
            if self.state is DeviceState.CONNECTING:
                self._announce(DeviceState.NEGOTIATING, "")
            return await connection.over
        except LinkLost as error:
            return error
        except Exception as error:
            return error
        finally:
            self._commands, self._connection = self.commands, None
            for timer in self._held:
                timer.cancel()
            self._held.clear()
            if connection is not None and opened is not None:
                self._count(connection, opened)
            if tape is not None:
                tape.close(self._clock.now())

    def _count(self, connection: Connection, opened: float) -> None:
        """Count a link that has ended, unless it had lasted or brought nothing for want of an instrument."""
        now, flapping = self._seconds(), self._context.flapping
        if connection.samples and now - opened >= LASTED:
            self._settled()
        elif connection.samples or not connection.silent:
            flapping.ended(connection.samples, now, now - opened)

    def _seconds(self) -> float:
        """Now, in seconds on the wall."""
        return self._clock.real(self._clock.now().seconds)

    def _settled(self) -> None:
        self._failures = 0
        self._context.flapping.clear()

    def _streaming(self) -> None:
        flapping, loop = self._context.flapping, asyncio.get_running_loop()
        self._failures, self._unfit = flapping.brief, None
        self._held.append(loop.call_later(LASTED, self._settled))
        if flapping.hold:
            self._held.append(loop.call_later(flapping.hold, self._tell_streaming))
        else:
            self._tell_streaming()

    def _tell_streaming(self) -> None:
        if self._said:
            log.info("%s: streaming again", self.name)
        self._said = False
        self._announce(DeviceState.STREAMING, "")

    def _lost(self, error: LinkLost) -> None:
        self._failures += 1
        log.log(logging.DEBUG if self._said else logging.WARNING, "%s: %s", self.name, error)
        self._said = True
        pause = self._pauses.blamed()
        cause = error.what if pause is None else f"{error.what}, after {pause.text}"
        for sequencer in self._context.streams.values():
            sequencer.interrupted(cause)
        for _, sequencer in self._context.derivations:
            sequencer.interrupted(cause)
        if self.state is not DeviceState.LOST or self._failures == 1:
            self._announce(DeviceState.LOST, str(error))
        elif summary := self._summary(error):
            log.warning("%s: %s", self.name, summary)
            self._announce(DeviceState.LOST, str(summary))

    def _summary(self, error: LinkLost) -> LinkLost | None:
        """What is to be said by now of many links that did not last, or of bytes that never fit."""
        now = self._seconds()
        if text := self._context.flapping.summary(now):
            cause = f"{error.what}: {error.cause}" if error.cause else error.what
            return LinkLost(text, error.where, cause, error.remedy)
        if not isinstance(error, NothingFits):
            return None
        self._unfit = self._unfit or Reminder(now)
        return error if self._unfit.due(now) else None

    def _fail(self, error: BaseException) -> None:
        log.error("%s: FAILED, a fault in the driver; it is not retried", self.name, exc_info=error)
        self._announce(DeviceState.FAILED, f"{type(error).__name__}: {error}")

    def _announce(self, state: DeviceState, cause: str) -> None:
        self.state = state
        key = self._timeline.key(self._clock.now().monotonic)
        text = f"{state}: {cause}" if cause else str(state)
        self._bus.publish(Event("state", key, self.name, text, {"state": str(state), "cause": cause}))
