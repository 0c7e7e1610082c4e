"""Laser Doppler flux from its level: rhythms of the vessels, noise, artefacts, the instrument's filter and resolution.

Every rhythm is cos(phi) with phi' = 2 pi f exp(sf x - sf^2/2) and amplitude a exp(sa y - sa^2/2), x and y
Ornstein-Uhlenbeck. Centre frequencies are those of the six bands of the Stefanovska school; the amplitudes
were inverted from a published example spectrum, so that their order is right, not their size in a subject.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from acquisition.model import Floats
from simulators.patient.phenotypes import Flow
from simulators.patient.processes import Blocks, Grid, generator, recursion, wander

DT = 0.025
"""The instrument renews its output 40 times a second."""
SECONDS = 64
N = round(SECONDS / DT)
STEPS = 10
"""Of its resolution in one PU."""

#        f0     sf    a    sa   tau
BANDS = (
    (1.10, 0.04, 0.20, 0.25, 8.0),
    (0.25, 0.08, 0.06, 0.30, 20.0),
    (0.10, 0.15, 0.12, 0.45, 40.0),
    (0.035, 0.20, 0.21, 0.45, 90.0),
    (0.013, 0.20, 0.18, 0.40, 240.0),
    (0.0070, 0.20, 0.12, 0.40, 400.0),
)
_F, _SF, _A, _SA, _TAU = (np.array(column, dtype=np.float64)[:, None] for column in zip(*BANDS, strict=True))
_PINK_SLOW = np.array([1.6, 6.4, 25.6, 102.4])
_PINK_FAST = np.array([0.025, 0.1, 0.4])
_SLOW_TAU = np.concatenate([_TAU[:, 0], _TAU[:, 0], _PINK_SLOW])


@dataclass(frozen=True, slots=True)
class _State:
    slow: Floats
    """The slow processes at the block's first second: frequencies (6,), amplitudes (6,), pink (4,)."""
    phase: Floats
    fast: Floats
    filtered: float | None


def flux(level: Callable[[Floats], Floats], flow: Flow, seed: int, time_constant: float, artefacts: bool) -> Grid:
    """The flux that an instrument puts out; `level` is its noise-free curve of time, PU."""
    start = generator(seed, "flowmotion")
    slow, fast = start.standard_normal(len(_SLOW_TAU)), start.standard_normal(len(_PINK_FAST))
    first = _State(slow, start.uniform(0, 2 * np.pi, len(BANDS)), fast, None)
    factors = (flow.cardiac, flow.respiratory, flow.myogenic, flow.neurogenic, flow.endothelial, flow.endothelial)
    amplitudes = _A * np.array(factors)[:, None]
    decay = float(np.exp(-DT / time_constant))

    def step(index: int, state: _State) -> tuple[Floats, _State]:
        random = generator(seed, "flux", index)
        motion, slow, phase, fast = _motion(state, amplitudes, random)
        t = (index * N + np.arange(N, dtype=np.float64)) * DT
        x = flow.bz + np.maximum(level(t) - flow.bz, 0) * np.maximum(1 + motion, 0)
        x += 0.15 * np.sqrt(x) * random.standard_normal(N)
        if artefacts:
            x = np.maximum(x + flow.rf * movements(seed, index), 0)
        before = float(x[0]) if state.filtered is None else state.filtered
        y = recursion(np.array([decay]), (1 - decay) * x[None], np.array([before]))[0]
        return np.rint(y * STEPS) / STEPS, _State(slow, phase, fast, float(y[-1]))

    return Grid(DT, N, Blocks(first, step))


def movements(seed: int, index: int) -> Floats:
    """Motion artefacts of one block of a recording -> (N,) in multiples of the resting flow.

    0.3 a minute, 0.2 to 2 s, nine of ten upwards and one a drop.
    """
    moved = np.zeros(N)
    for block in (index - 1, index):
        random = generator(seed, "movement", block)
        for _ in range(random.poisson(0.3 * SECONDS / 60)):
            start, duration = random.uniform(0, SECONDS), random.uniform(0.2, 2.0)
            size = random.lognormal(1.5, 0.6) * (1.0 if random.random() < 0.9 else -1.0)
            first = round((start + (block - index) * SECONDS) / DT)
            last = first + max(round(duration / DT), 1)
            if block >= 0 and last > 0:
                moved[max(first, 0) : last] += size
    return moved


def _motion(state: _State, amplitudes: Floats, random: np.random.Generator) -> tuple[Floats, Floats, Floats, Floats]:
    """The relative change of flow in one block -> (N,), and the states at its end."""
    white = random.standard_normal((len(_SLOW_TAU), SECONDS))
    slow = np.concatenate([state.slow[:, None], wander(_SLOW_TAU, 1.0, white, state.slow)], axis=1)
    whole, part = np.divmod(np.arange(N), round(1 / DT))
    fine = slow[:, whole] + (slow[:, whole + 1] - slow[:, whole]) * (part * DT)
    k = len(BANDS)
    rate = 2 * np.pi * _F * np.exp(_SF * fine[:k] - _SF**2 / 2)
    phase = state.phase[:, None] + np.cumsum(rate, axis=1) * DT
    size = amplitudes * np.exp(_SA * fine[k : 2 * k] - _SA**2 / 2)
    motion = np.sum(size * np.cos(phase), axis=0)
    motion += 0.35 * size[0] * np.cos(2 * phase[0] - 0.9)
    fast = wander(_PINK_FAST, DT, random.standard_normal((len(_PINK_FAST), N)), state.fast)
    pink = (fine[2 * k :].sum(axis=0) + fast.sum(axis=0)) / np.sqrt(len(_PINK_SLOW) + len(_PINK_FAST))
    return motion + 0.05 * pink, slow[:, -1], np.mod(phase[:, -1], 2 * np.pi), fast[:, -1]
