"""The live page: a small web server with a loop and thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acquisition.clock import Clock
from acquisition.live.board import Board
from acquisition.model import Chunk, Event


class Page:
    """Serves the live page on 127.0.0.1; a subscriber of the bus."""

    def __init__(
        self,
        board: Board,
        directory: Path,
        clock: Clock,
        key_now: Callable[[], int],
        *,
        port: int,
        site: str,
        station: str,
    ) -> None:
        raise NotImplementedError

    def start(self) -> str:
        """Start serving; answers the page's URL."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop serving."""
        raise NotImplementedError

    def put(self, item: Chunk | Event) -> None:
        """Take one item; on the acquisition loop."""
        raise NotImplementedError
