"""Messages of QoS 1 by the window: several under way at once, and one answer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from acquisition.remotes.mqtt.link import NO_SUBSCRIBER, REFUSED, Link


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and its topic."""

    topic: str
    payload: bytes


class NotTaken(Exception):
    """The broker answered, but has not taken the messages: nobody subscribes, or it refuses them."""


async def publish(link: Link, messages: Sequence[Outgoing], *, heard: bool) -> None:
    """Publish in order and wait until each is acknowledged; NotTaken where the broker says that it was for nothing.

    `heard`: somebody must subscribe, or else an acknowledged message is gone (brokers of MQTT 5 say so).
    """
    link.said = 0
    await _together(link.publish(each.topic, each.payload, qos=1) for each in messages)
    if link.said >= REFUSED:
        raise NotTaken(f"the broker refuses the record (reason code 0x{link.said:02x}); check its access list")
    if heard and link.said == NO_SUBSCRIBER:
        raise NotTaken("nobody subscribes to the record's feed; it waits for a subscriber")


async def _together(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all, or end all with the first that fails.

    `asyncio.TaskGroup` of Python 3.11 leaves its task marked as cancelled where a child fails after the body has ended.
    """
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
