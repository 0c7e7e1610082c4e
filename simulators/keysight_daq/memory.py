"""The readings that a digitiser keeps until they are fetched."""

from __future__ import annotations

import numpy as np

from acquisition.model import Floats


class Memory:
    """Readings (n, 3) volts, seconds, terminal, oldest first; where it is full the oldest are overwritten."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.overflowed = False
        self._blocks: list[Floats] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, table: Floats) -> None:
        """Store readings."""
        self._blocks.append(table)
        self._size += len(table)
        if self._size > self.depth:
            self.overflowed = True
            self.take(self._size - self.depth)

    def take(self, count: int) -> Floats:
        """Remove the oldest `count` readings, or as many as there are."""
        blocks = self._blocks or [np.empty((0, 3))]
        whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        self._blocks, taken = [whole[count:]], whole[:count]
        self._size -= len(taken)
        return taken

    def held(self) -> Floats:
        """All readings, which stay."""
        taken = self.take(self._size)
        self._blocks, self._size = [taken], len(taken)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._blocks, self._size, self.overflowed = [], 0, False
