"""Hands orders to the instruments that the configuration lets the service control: a person's, and a protocol's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from acquisition.clock import Clock
from acquisition.control import Answer
from acquisition.driver import Order
from acquisition.errors import Refused
from acquisition.model import Chunk, Event
from acquisition.text import clean
from acquisition.walking import Walk, load_walk

log = logging.getLogger(__name__)

MOST = 1e6
"""No order of any instrument has a number as large, in any unit."""

Give = Callable[[Order], None]
"""Hands an order to a device; Refused where it cannot be followed now."""


class Conductor:
    """Answers the requests `order` and `walk` of the control socket.

    A walk waits for its belt: it begins when the device is seen walking, orders each stage in its time and
    the stop at its limit, and ends with anything that stops the belt. To stop needs no protocol: an
    order of a person is handed over at once, whatever a walk is about to do.
    """

    def __init__(
        self,
        devices: Mapping[str, Give],
        clock: Clock,
        say: Callable[[str, str, str], None],
        beside: Path | None = None,
    ) -> None:
        self._devices = devices
        self._clock = clock
        self._say = say
        self._beside = beside
        self._walks: dict[str, _Walking] = {}

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What the control socket may ask."""
        return MappingProxyType({"order": self._order, "walk": self._walk})

    def put(self, item: Chunk | Event) -> None:
        """Follow what happens on the bus: a belt that walks, one that no longer does."""
        if not isinstance(item, Event) or item.device not in self._walks:
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
        """Hand a person's order to the device: {"device", "order", "value", "by"}."""
        device, give = self._device(request)
        value = request.get("value")
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int | float) or not -MOST < value < MOST
        ):
            raise Refused(f"{value!r} is no number", device)
        order = Order(clean(str(request.get("order", ""))), value, clean(str(request.get("by", ""))))
        give(order)
        return {"device": device, "order": order.name, "value": order.value}

    async def _walk(self, request: dict[str, Any]) -> dict[str, Any]:
        """Prepare a walk: {"device", "protocol", "max_grade", "limit", "by"}; the order `confirm` then starts it."""
        device, give = self._device(request)
        protocol = load_walk(str(request.get("protocol", "")), self._beside)
        walk = Walk(protocol, _number(request, "max_grade"), _number(request, "limit"))
        give(Order("prepare", by=clean(str(request.get("by", "")))))
        self._drop(device)
        self._walks[device] = _Walking(walk)
        self._say(device, "state", f"walk by protocol: {protocol.title}")
        return {"device": device, "protocol": protocol.title, "source": protocol.source}

    def _device(self, request: dict[str, Any]) -> tuple[str, Give]:
        named = request.get("device")
        if named is None and len(self._devices) == 1:
            (named,) = self._devices
        give = self._devices.get(str(named))
        if give is None:
            raise Refused(
                "no device under control is named" if named is None else f"{named!r} is no device under control",
                cause="its entry does not say control = true",
                remedy=f"--device with one of: {', '.join(self._devices)}"
                if self._devices
                else "see docs/treadmills.md",
            )
        return str(named), give

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
                self._devices[device](order)
            except Refused as refusal:
                log.warning("%s: %s", device, refusal)
                self._say(device, "warning", str(refusal))
        if self._walks.get(device) is walking:
            self._arm(device)

    def _drop(self, device: str) -> None:
        walking = self._walks.pop(device, None)
        if walking is not None and walking.timer is not None:
            walking.timer.cancel()


@dataclass(slots=True)
class _Walking:
    walk: Walk
    timer: asyncio.TimerHandle | None = None


def _number(request: dict[str, Any], key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MOST:
        raise Refused(f"{key} is {value!r}", remedy="a number above 0")
    return float(value)
