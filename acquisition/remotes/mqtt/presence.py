"""Retained states with a last will: what a broker says of a station and its devices, also after they vanished."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiomqtt

from acquisition.remotes.mqtt import link, payloads
from acquisition.remotes.mqtt.credentials import Account
from acquisition.remotes.mqtt.link import Link

FAREWELL = 0.5
VANISHED = "the service's connection was lost"
STOPPED = "the service was stopped"


@contextlib.asynccontextmanager
async def presence(account: Account, identifier: str, topic: str, ended: Callable[[], bool]) -> AsyncIterator[Link]:
    """A link that leaves OFFLINE behind at `topic`: by its will where it breaks, itself where it is closed."""
    will = link.Will(topic, _offline(VANISHED), qos=1, retain=True)
    async with link.connect(account, identifier, will) as client:
        try:
            yield client
        finally:
            with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
                cause = STOPPED if ended() else VANISHED
                async with asyncio.timeout(FAREWELL):
                    await client.keep(topic, _offline(cause))


class DeviceStates:
    """The state of each device as the bus tells it, with a signal for who publishes it.

    `take` belongs to the acquisition loop; the rest to the remote's, which has `listen` called once it runs.
    """

    def __init__(self, devices: dict[str, bool], key_now: Callable[[], int]) -> None:
        now = key_now()
        self.states: dict[str, dict[str, Any]] = {
            name: {"state": "CONNECTING", "cause": "", "since": now, "simulated": simulated}
            for name, simulated in devices.items()
        }
        self.changed: dict[str, asyncio.Event] = {}

    def listen(self) -> None:
        """Have signals that belong to the loop that runs."""
        self.changed = {name: asyncio.Event() for name in self.states}

    def take(self, device: str, state: str, cause: str, since: int) -> None:
        """Note a change of state."""
        if device in self.states:
            self.states[device] = {**self.states[device], "state": state, "cause": cause, "since": since}

    def signal(self, device: str) -> None:
        """Have the state of a device published."""
        if device in self.changed:
            self.changed[device].set()

    async def publish(self, device: str, client: Link, topic: str) -> None:
        """Publish one device's state now and at each change."""
        while True:
            self.changed[device].clear()
            await client.keep(topic, payloads.encode(self.states[device]))
            await self.changed[device].wait()


def _offline(cause: str) -> bytes:
    return payloads.encode({"state": "OFFLINE", "cause": cause})
