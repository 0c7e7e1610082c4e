"""Steps that are due at a time, each at most once."""

from __future__ import annotations

import math
from collections.abc import Callable

Step = Callable[[float], None]


class Timers:
    """When each step is due (the `at` clock); setting one anew takes the place of what was set before."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._due: dict[Step, float] = {}

    def __contains__(self, step: Step) -> bool:
        return step in self._due

    def within(self, seconds: float, step: Step, at: float) -> None:
        """Take a step in so many seconds, which patience stretches."""
        self._due[step] = at + seconds * self._patience

    def at(self, when: float, step: Step) -> None:
        """Take a step at a time that patience does not stretch."""
        self._due[step] = when

    def clear(self, step: Step) -> None:
        """Do not take a step."""
        self._due.pop(step, None)

    def reset(self) -> None:
        """Take none."""
        self._due.clear()

    def run(self, at: float) -> None:
        """Take the steps that are due; one may clear or delay another."""
        for step in [step for step, due in self._due.items() if due <= at]:
            if self._due.get(step, math.inf) <= at:
                del self._due[step]
                step(at)

    def deadline(self) -> float | None:
        """When the next step is due."""
        return min(self._due.values(), default=None)
