"""Streams computed from an instrument's own, which must outlive its connections: the distance walked, for one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from acquisition.model import Chunk, Floats, Readings, Stream


class Derivation(ABC):
    """Turns chunks of the stream named `source` into readings of `stream`, one object per device and run."""

    source: str
    stream: Stream

    def resume(self, values: Floats) -> None:
        """Continue from the last recorded row, values (c,) in the order of the stream's channels."""

    @abstractmethod
    def feed(self, chunk: Chunk) -> Readings | None:
        """Take a chunk of the source; return rows of this stream, one for each sample of the chunk, or None."""
