"""A moment as people and programs name it, in nanoseconds."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from typing import SupportsIndex

import numpy as np

When = SupportsIndex | date | np.datetime64 | str
"""A time key (ns); or a time of the wall clock: Python's, numpy's, or ISO 8601 text, UTC where it names no zone.

A date is its midnight.
"""

FIRST, LAST = -(2**63), 2**63 - 1
"""The keys that there can be: from 1677 to 2262."""
SECOND = 1_000_000_000


def key(when: When) -> int:
    """Nanoseconds of the clock that is meant, held between FIRST and LAST.

    ValueError for what is no time, TypeError for another kind.
    """
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when.upper())
        except ValueError:
            raise ValueError(f"{when!r} is no ISO 8601 time, such as 2026-11-30T09:30:00Z") from None
    if isinstance(when, np.datetime64):
        return _of_numpy(when)
    if isinstance(when, date) and not isinstance(when, datetime):
        when = datetime.combine(when, time())
    if isinstance(when, datetime):
        moment = when if when.tzinfo else when.replace(tzinfo=UTC)
        return _held(int(moment.timestamp() // 1) * SECOND + moment.microsecond * 1000)
    try:
        return _held(int(when.__index__()))
    except AttributeError:
        if isinstance(when, float):
            return _of_float(when)
        raise TypeError(
            f"{when!r} is no time: whole nanoseconds since 1970, a datetime, a date, numpy.datetime64 or ISO 8601 text"
        ) from None


def _of_numpy(when: np.datetime64) -> int:
    if np.isnat(when):
        raise ValueError("NaT is no time")
    seconds = int(when.astype("datetime64[s]").astype(np.int64))
    if not FIRST // SECOND < seconds < LAST // SECOND:
        return _held(seconds * SECOND)
    return int(when.astype("datetime64[ns]").astype(np.int64))


def _of_float(when: float) -> int:
    if not math.isfinite(when):
        raise ValueError(f"{when} is no time")
    return _held(int(when))


def _held(when: int) -> int:
    return min(max(when, FIRST), LAST)


def named(when: When | None) -> bool:
    """Whether it is a time of the wall clock and no time key."""
    return isinstance(when, str | date | np.datetime64)
