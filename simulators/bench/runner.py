"""Runs one simulated instrument on one cable as the seconds of its scenario go by."""

from __future__ import annotations

import asyncio
import faulthandler
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from acquisition.errors import ConfigurationError
from acquisition.timing.clock import monotonic_ns
from simulators.simkit.faults import KINDS, Fault, Faults
from simulators.simkit.instrument import Instrument
from simulators.transports.cables import Cable

STANDSTILL = 1000
HANG = 60.0


class ScenarioClock:
    """Seconds since the scenario began at `t0` (UTC s), `speed` times as fast as on the wall.

    A step of the wall clock after the start does not show.
    """

    def __init__(self, t0: float | None = None, speed: float = 1.0) -> None:
        now = time.time()
        self.speed = speed
        self._zero = monotonic_ns() / 1e9 - (0.0 if t0 is None else now - t0)

    def now(self) -> float:
        """Seconds of the scenario."""
        return (monotonic_ns() / 1e9 - self._zero) * self.speed


class Runner:
    """The instrument's end of a cable: hands it bytes and time, and carries away what it says.

    An instrument that fails, asks for time without end at one instant, or hangs for a minute ends the
    run with that error: a simulator that limps would make a test lie.
    """

    def __init__(self, instrument: Instrument, cable: Cable, clock: ScenarioClock, faults: Faults) -> None:
        self._instrument = instrument
        self._cable = cable
        self._clock = clock
        self._faults = faults
        self._leaving: deque[tuple[float, bytes]] = deque()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._still = 0
        for kind in faults.instrument_kinds:
            self._require(kind)

    async def run(self, announce: Callable[[dict[str, Any]], None], stop: asyncio.Event) -> None:
        """Plug in, say where, and run until `stop` is set; raises what the instrument raised."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._failed: asyncio.Future[None] = loop.create_future()
        loop.set_exception_handler(self._on_exception)
        announce(await self._cable.plug(self))
        self._arm()
        stopped = asyncio.ensure_future(stop.wait())
        alive = asyncio.ensure_future(_keep_alive())
        try:
            ends: list[asyncio.Future[Any]] = [stopped, self._failed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            alive.cancel()
            for timer in self._timers.values():
                timer.cancel()
            await self._cable.close()
        if self._failed.done():
            self._failed.result()

    def strike(self, fault: Fault) -> None:
        """Let a fault happen whose start counts from now; ConfigurationError where it cannot be had any more."""
        if fault.kind == "stuck":
            raise ConfigurationError("values can be stuck from the start on only", "stuck", remedy="--fault stuck@60s")
        if fault.family == "instrument":
            self._require(fault.kind)
        at = self._clock.now()
        self._faults.add(replace(fault, start=at + fault.start), at)
        self._arm()

    def connected(self) -> None:
        """Tell the instrument that a host opened the link."""
        self._instrument.connect(self._clock.now())
        self._flush()

    def data(self, data: bytes) -> None:
        """Hand over bytes of the host."""
        at = self._clock.now()
        if not self._faults.deaf(at):
            self._instrument.receive(data, at)
            self._flush()

    def disconnected(self) -> None:
        """Forget what was on its way."""
        self._leaving.clear()

    def _require(self, kind: str) -> None:
        if not self._instrument.fault(kind, False):
            own = [each for each, (family, _) in KINDS.items() if family == "instrument"]
            has = ", ".join(each for each in own if self._instrument.fault(each, False)) or "none"
            what = f"{self._instrument.plan.name} has no fault {kind!r}"
            raise ConfigurationError(what, f"--fault {kind}", remedy=f"of its own it has {has}")

    def _flush(self) -> None:
        at = self._clock.now()
        for message in self._instrument.to_send():
            for release, piece in self._faults.outward(message, at):
                self._leaving.append((release, piece))
        self._depart()
        self._arm()

    def _depart(self) -> None:
        at = self._clock.now()
        while self._leaving and self._leaving[0][0] <= at:
            self._cable.send(self._leaving.popleft()[1])
        self._call("depart", self._leaving[0][0] if self._leaving else None, self._depart)

    def _arm(self) -> None:
        self._call("advance", self._instrument.deadline(), self._advance)
        self._call("fault", self._faults.deadline(), self._strike)

    def _advance(self) -> None:
        at = self._clock.now()
        before = self._instrument.deadline()
        self._instrument.advance(at)
        after = self._instrument.deadline()
        stands = before is not None and after is not None and after <= before
        self._still = self._still + 1 if stands else 0
        if self._still > STANDSTILL:
            raise RuntimeError(
                f"time stands still at {at} s: the instrument wants advance() at {after} again and again"
            )
        self._flush()

    def _strike(self) -> None:
        at = self._clock.now()
        for action, kind in self._faults.due(at):
            match action:
                case "unplug":
                    self._cable.unplug()
                case "replug":
                    task = self._loop.create_task(self._cable.replug())
                    task.add_done_callback(self._on_replug)
                case "reset":
                    self._instrument.reset(at)
                case "on" | "off":
                    self._instrument.fault(kind, action == "on")
        self._flush()

    def _call(self, name: str, due: float | None, step: Callable[[], None]) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if due is not None and not self._failed.done():
            wait = max(due - self._clock.now(), 0.0) / self._clock.speed
            self._timers[name] = self._loop.call_later(wait, step)

    def _on_replug(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None and not self._failed.done():
            self._failed.set_exception(error)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException) and not self._failed.done():
            self._failed.set_exception(error)
        elif error is None:
            loop.default_exception_handler(context)


async def _keep_alive() -> None:
    """Push back, every few seconds, the moment at which a hanging instrument ends the process with a traceback."""
    try:
        while True:
            faulthandler.dump_traceback_later(HANG, exit=True)
            await asyncio.sleep(HANG / 10)
    finally:
        faulthandler.cancel_dump_traceback_later()
