"""Announcements that an instrument broadcasts to its network while nobody talks to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import Any

from simulators.simkit.instrument import Instrument


class Announcing:
    """Sends an instrument's announcement every ten seconds of the scenario to one address, from `begin` on."""

    EVERY = 10.0

    def __init__(self, instrument: Instrument, target: tuple[str, int], now: Callable[[], float], speed: float) -> None:
        self._instrument = instrument
        self._target = target
        self._now = now
        self._pause = self.EVERY / speed
        self._where = ("", 0)

    def begin(self, listen: Mapping[str, Any]) -> None:
        """Announce where the instrument listens, at once and then again and again."""
        self._where = (listen["host"], listen["port"])
        self._link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._link.setblocking(False)
        self._link.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self._repeat()

    def _repeat(self) -> None:
        message = self._instrument.announcement(self._now(), *self._where)
        if message is not None:
            # A network that is away hears it the next time.
            with contextlib.suppress(OSError):
                self._link.sendto(message, self._target)
        asyncio.get_running_loop().call_later(self._pause, self._repeat)
