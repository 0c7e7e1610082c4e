"""Exponential back-off with jitter: longer before each try, and never in step with other stations."""

from __future__ import annotations

import random

from acquisition.remotes.delivery import RetryPace


class Backoff:
    """Exponential with jitter within a `RetryPace`."""

    def __init__(self, pace: RetryPace, rng: random.Random) -> None:
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
