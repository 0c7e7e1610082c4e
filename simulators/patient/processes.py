"""Random processes on fixed grids: the same value at an instant, however often and in whatever order one asks."""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np

from acquisition.model import Floats

S = TypeVar("S")
_RUN = 64
_KEPT_BLOCKS = 8
_STATE_EVERY = 64


def generator(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """The random numbers of one block of one named process: the same in every program."""
    return np.random.Generator(np.random.PCG64([seed & 0xFFFF_FFFF_FFFF_FFFF, zlib.crc32(name.encode()), block + 1]))


def recursion(a: Floats, drive: Floats, before: Floats) -> Floats:
    """y[i] = a y[i-1] + drive[i] for c processes at once; a (c,), drive (c, n), before = y[-1] (c,) -> (c, n)."""
    c, n = drive.shape
    runs = -(-n // _RUN)
    padded = np.zeros((c, runs * _RUN))
    padded[:, :n] = drive
    power = np.arange(_RUN)
    lower = np.tril(a[:, None, None] ** np.maximum(power[:, None] - power, 0))
    y: Floats = np.matmul(padded.reshape(c, runs, _RUN), lower.transpose(0, 2, 1))
    carry = a[:, None] ** (power + 1)
    last = before
    for run in range(runs):
        y[:, run] += carry * last[:, None]
        last = y[:, run, -1]
    return y.reshape(c, runs * _RUN)[:, :n]


def wander(tau: Floats, dt: float, white: Floats, before: Floats) -> Floats:
    """Ornstein-Uhlenbeck processes of unit variance as exact AR(1); tau (c,) s, white (c, n), before (c,) -> (c, n)."""
    a: Floats = np.exp(-dt / tau)
    return recursion(a, np.sqrt(1 - a * a)[:, None] * white, before)


class Blocks(Generic[S]):
    """A process that is computed block after block, at any block in any order.

    `step(index, state)` answers the block's values and the state at its end. A few blocks and every
    64th state are kept, so memory stays small and going back is cheap.
    """

    def __init__(self, start: S, step: Callable[[int, S], tuple[Floats, S]]) -> None:
        self._step = step
        self._states = {0: start}
        self._newest = (0, start)
        self._blocks: OrderedDict[int, Floats] = OrderedDict()

    def __getitem__(self, index: int) -> Floats:
        block = self._blocks.get(index)
        if block is not None:
            self._blocks.move_to_end(index)
            return block
        at, state = self._newest
        if index < at:
            at = max(known for known in self._states if known <= index)
            state = self._states[at]
        while True:
            block, state = self._step(at, state)
            at += 1
            if at % _STATE_EVERY == 0:
                self._states[at] = state
            if at > self._newest[0]:
                self._newest = (at, state)
            if at > index:
                break
        self._blocks[index] = block
        if len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block


class Grid:
    """Reads a process that was computed in blocks of n samples, dt apart; a sample holds until the next one."""

    def __init__(self, dt: float, n: int, blocks: Blocks[S]) -> None:
        self._dt = dt
        self._n = n
        self._blocks = blocks

    def __call__(self, t: Floats) -> Floats:
        """The values at t (n,) s; before 0 the first value."""
        # A hair more, or 3 * 0.1 would still be the sample before.
        sample = np.maximum(np.floor(t / self._dt + 1e-6), 0).astype(np.int64)
        index, within = np.divmod(sample, self._n)
        if len(t) and (index == index[0]).all():
            return self._blocks[int(index[0])][within]
        values = np.empty(len(t))
        for block in np.unique(index):
            chosen = index == block
            values[chosen] = self._blocks[int(block)][within[chosen]]
        return values
