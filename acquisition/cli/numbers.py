"""Numbers of the command line: finite ones, in a range; not-a-number passes every comparison that a range makes."""

from __future__ import annotations

import math
from typing import Any

import click


class Finite(click.FloatRange):
    """A finite number in a range; a usage error for nan, inf and anything beyond."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


SECONDS = Finite(min=0)
"""A span of time, s."""
EPOCH = Finite(min=0, max=9e9)
"""A moment, seconds since 1970 in UTC, as a time key can say it."""
