"""The newest value and state of everything, for whoever asks."""

from __future__ import annotations

from typing import Any

from acquisition.model import Chunk, Event, Instant


class Board:
    """Keeps the newest of every channel and the state of every device; a subscriber of the bus."""

    def put(self, item: Chunk | Event) -> None:
        """Take note of one item; on the acquisition loop."""
        raise NotImplementedError

    def snapshot(self, now: Instant, key_now: int, speed: float) -> dict[str, Any]:
        """Describe everything as plain values for JSON."""
        raise NotImplementedError
