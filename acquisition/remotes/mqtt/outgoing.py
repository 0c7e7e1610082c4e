"""Messages of QoS 1 by the window: several under way at once, and one answer for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

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
    async with asyncio.TaskGroup() as group:
        for message in messages:
            group.create_task(link.publish(message.topic, message.payload, qos=1))
    if link.said >= REFUSED:
        raise NotTaken(f"the broker refuses the record (reason code 0x{link.said:02x}); check its access list")
    if heard and link.said == NO_SUBSCRIBER:
        raise NotTaken("nobody subscribes to the record's feed; it waits for a subscriber")
