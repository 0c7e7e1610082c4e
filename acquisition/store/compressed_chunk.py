"""Chunks that wait long for the disk, merged and compressed: a fraction of the memory, bit for bit the same samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acquisition.model import Chunk, Event, Gap, Header
from acquisition.store import compressed_block, rows
from acquisition.store.rows import Samples

FULL = 1024
"""Samples after which a chunk is compressed and the next one begins."""


class CompressedChunk:
    """Chunks of one stream that follow one another, in place of themselves in what waits.

    `puts` is how many chunks they were, `raw` the bytes of their arrays, `size` the bytes held. Once `full` they are
    compressed, where they come back bit for bit, and nothing is added any more.
    """

    __slots__ = ("_last", "_packed", "_samples", "first", "full", "gap", "header", "puts", "raw", "size")

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.header: Header = chunks[0].header
        self.gap: Gap | None = chunks[0].gap
        self.first = chunks[0].first
        self.full = False
        self.puts = self.raw = self.size = 0
        self._packed: compressed_block.BlockRow | None = None
        self._take(chunks, rows.gather(chunks))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def samples(self) -> Samples:
        """The samples, as they came."""
        samples = self._samples if self._packed is None else compressed_block.unpack(self._packed)
        assert samples is not None
        return samples

    def continues(self, chunk: Chunk) -> bool:
        """Whether a chunk may be added: it follows, and there is room."""
        return not self.full and rows.follows(self._last, chunk)

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Take more chunks, of which the first one continues it."""
        self._take(chunks, rows.join([self.samples, rows.gather(chunks)]))

    def _take(self, chunks: Sequence[Chunk], samples: Samples) -> None:
        self._samples: Samples | None = samples
        self._last = chunks[-1]
        self.puts += len(chunks)
        self.raw = self.size = rows.nbytes(samples)
        self.full = len(samples) >= FULL
        if self.full:
            packed = compressed_block.pack(0, samples)
            again = compressed_block.unpack(packed)
            if again is not None and compressed_block.same(samples, again):
                self._samples, self._packed, self.size = None, packed, len(packed[7])


Item = Chunk | CompressedChunk | Event
"""What waits for the disk."""


def account(batch: Iterable[Item]) -> list[tuple[str, str, int, int]]:
    """The (device, stream, first, n) of whatever in a batch holds samples."""
    return [(*item.header.key, item.first, len(item)) for item in batch if not isinstance(item, Event)]
