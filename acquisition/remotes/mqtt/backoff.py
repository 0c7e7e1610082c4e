"""How long to wait before the next try: longer each time, and never in step with other stations."""

from __future__ import annotations

import random

from acquisition.remotes.delivery import Pace


class Backoff:
    """Exponential with jitter within a `Pace`."""

    def __init__(self, pace: Pace, rng: random.Random) -> None:
        self._pace = pace
        self._rng = rng
        self._failures = 0

    def next(self, *, held: bool = False) -> float:
        """Seconds to wait after one more failure; `held`: somebody must act first."""
        self._failures += 1
        pace = self._pace
        longest = pace.held if held else min(pace.first * 2 ** min(self._failures - 1, 16), pace.cap)
        return longest * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._failures = 0
