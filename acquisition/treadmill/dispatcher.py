"""Hands orders to the instruments that the configuration lets the service control: a person's, and a protocol's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from acquisition.control_socket.server import Answer
from acquisition.driverkit.driver import Order
from acquisition.errors import Refused
from acquisition.model import Chunk, Event
from acquisition.text import clean
from acquisition.timing.clock import Clock
from acquisition.treadmill.protocol import WalkProgress, load_walk

log = logging.getLogger(__name__)

MOST = 1e6
"""No order of any instrument has a number as large, in any unit."""

STOPS = ("stop", "emergency")
"""Orders that need no name: without one they are given to every treadmill under control."""
ANSWERED = 1.0
"""Seconds on the wall within which a treadmill acknowledges a stop, or has let all its repetitions pass."""
RED_BUTTON = "press the red button at the treadmill"


class Controlled(Protocol):
    """A device that takes orders; `commands` counts what was written to it that may move or stop it."""

    @property
    def commands(self) -> int:
        """Messages written so far."""

    def order(self, order: Order) -> None:
        """Follow an order; Refused where it cannot be followed now."""


class TreadmillDispatcher:
    """Answers the requests `order` and `walk` of the control socket.

    A walk waits for its belt: it begins when the device is seen walking, orders each stage in its time and
    the stop at its limit, and ends with anything that stops the belt. To stop needs no protocol and no name: an
    order of a person is handed over at once, whatever a walk is about to do. A stop is answered once something was
    written to every belt that is meant, and none of them let it pass unacknowledged; else it is Refused.
    """

    def __init__(
        self,
        devices: Mapping[str, Controlled],
        clock: Clock,
        say: Callable[[str, str, str], None],
        beside: Path | None = None,
    ) -> None:
        self._devices = devices
        self._clock = clock
        self._say = say
        self._beside = beside
        self._walks: dict[str, _Walking] = {}
        self._fates: list[_Fate] = []

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What the control socket may ask."""
        return MappingProxyType({"order": self._order, "walk": self._walk})

    def put(self, item: Chunk | Event) -> None:
        """Follow what happens on the bus: a belt that walks, one that no longer does."""
        if not isinstance(item, Event):
            return
        for fate in self._fates:
            fate.follow(item)
        if item.device not in self._walks:
            return
        phase = item.details.get("control")
        walking = self._walks[item.device]
        if phase == "walking" and walking.timer is None:
            walking.walk.begin(self._clock.now().seconds)
            self._arm(item.device)
        elif phase in ("idle", "stopping", "latched") or item.details.get("state") in ("LOST", "FAILED"):
            self._drop(item.device)

    def close(self) -> None:
        """Forget every walk; belts are stopped by their drivers."""
        for device in list(self._walks):
            self._drop(device)

    async def _order(self, request: dict[str, Any]) -> dict[str, Any]:
        """Hand a person's order to the device: {"device", "order", "value", "by"}; a stop to all without a device."""
        value = request.get("value")
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST
        ):
            raise Refused(f"{value!r} is no number", str(request.get("device") or ""))
        order = Order(clean(str(request.get("order", ""))), value, clean(str(request.get("by", ""))))
        if order.name in STOPS:
            return await self._stop(
                list(self._devices) if request.get("device") is None else [self._name(request)], order
            )
        device = self._name(request)
        self._devices[device].order(order)
        return {"device": device, "order": order.name, "value": order.value}

    async def _stop(self, devices: list[str], order: Order) -> dict[str, Any]:
        """Stop every one of some belts, and see what becomes of it; Refused names those of which that is not known."""
        if not devices:
            raise Refused("nothing was sent: no treadmill is under control", "", "no entry says control", RED_BUTTON)
        fates = [_Fate(device, self._devices[device].commands) for device in devices]
        self._fates += fates
        try:
            for fate in fates:
                try:
                    self._devices[fate.device].order(order)
                except Refused as refusal:
                    fate.end(": ".join(filter(None, (refusal.what, refusal.cause))))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*(fate.over.wait() for fate in fates)), ANSWERED)
        finally:
            self._fates = [each for each in self._fates if each not in fates]
        told = [(fate.device, fate.told(order, self._devices[fate.device].commands)) for fate in fates]
        if any(why for _, why in told):
            words = "; ".join(f"{device}: {why or order.name + ' sent'}" for device, why in told)
            raise Refused(words, "treadmill", "", RED_BUTTON)
        return {"device": ", ".join(devices), "devices": devices, "order": order.name, "value": None, "sent": True}

    async def _walk(self, request: dict[str, Any]) -> dict[str, Any]:
        """Prepare a walk: {"device", "protocol", "max_grade", "limit", "by"}; the order `confirm` then starts it."""
        device = self._name(request)
        protocol = load_walk(str(request.get("protocol", "")), self._beside)
        walk = WalkProgress(protocol, _number(request, "max_grade"), _number(request, "limit"))
        self._devices[device].order(Order("prepare", by=clean(str(request.get("by", "")))))
        self._drop(device)
        self._walks[device] = _Walking(walk)
        self._say(device, "state", f"walk by protocol: {protocol.title}")
        return {"device": device, "protocol": protocol.title, "source": protocol.source}

    def _name(self, request: dict[str, Any]) -> str:
        """The device that a request means; Refused where none or several may be."""
        named = request.get("device")
        if named is None and len(self._devices) == 1:
            return next(iter(self._devices))
        if str(named) not in self._devices:
            several = named is None and len(self._devices) > 1
            raise Refused(
                "no device under control is named" if named is None else f"{named!r} is no device under control",
                cause="several treadmills are under control" if several else "its entry does not say control = true",
                remedy=f"--device with one of: {', '.join(self._devices)}"
                if self._devices
                else "see docs/treadmills.md",
            )
        return str(named)

    def _arm(self, device: str) -> None:
        walking = self._walks[device]
        deadline = walking.walk.deadline()
        if deadline is None:
            self._drop(device)
            return
        wait = self._clock.real(max(deadline - self._clock.now().seconds, 0.0))
        walking.timer = asyncio.get_running_loop().call_later(wait, self._due, device, deadline)

    def _due(self, device: str, deadline: float) -> None:
        walking = self._walks[device]
        # The loop may call a moment early.
        for order in walking.walk.due(max(self._clock.now().seconds, deadline)):
            try:
                self._devices[device].order(order)
            except Refused as refusal:
                log.warning("%s: %s", device, refusal)
                self._say(device, "warning", str(refusal))
        if self._walks.get(device) is walking:
            self._arm(device)

    def _drop(self, device: str) -> None:
        walking = self._walks.pop(device, None)
        if walking is not None and walking.timer is not None:
            walking.timer.cancel()


@dataclass(eq=False, slots=True)
class _Fate:
    """What becomes of a stop: over once the belt stands, or nothing answered, or the link went away."""

    device: str
    before: int
    why: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def follow(self, event: Event) -> None:
        """Take what the device says after the stop was ordered."""
        if event.device != self.device or self.over.is_set():
            return
        if event.details.get("red_button"):
            self.end(event.text)
        elif event.details.get("state") in ("LOST", "FAILED"):
            self.end(f"the link went away before the stop was acknowledged ({event.details['state']})")
        elif event.details.get("control") in ("idle", "latched"):
            self.over.set()

    def end(self, why: str) -> None:
        """Know that the stop failed."""
        self.why = why
        self.over.set()

    def told(self, order: Order, commands: int) -> str:
        """Why it is not known that the stop reached the belt; empty where it was sent and nothing speaks against it."""
        if self.why or commands > self.before:
            return self.why
        return f"nothing was sent: the {order.name} still waits for the line"


@dataclass(slots=True)
class _Walking:
    walk: WalkProgress
    timer: asyncio.TimerHandle | None = None


def _number(request: dict[str, Any], key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MOST:
        raise Refused(f"{key} is {value!r}", remedy="a number above 0")
    return float(value)
