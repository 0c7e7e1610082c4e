"""A moment as people and programs name it, as the record's time key."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import SupportsInt

import numpy as np

When = SupportsInt | datetime | np.datetime64 | str
"""Nanoseconds since 1970 in UTC, a time of Python's or numpy's, or ISO 8601 text; UTC where it names no zone."""

FIRST, LAST = -(2**63), 2**63 - 1
"""The keys that there can be: from 1677 to 2262."""


def key(when: When) -> int:
    """The time key, ns, held between FIRST and LAST; ValueError for text that is no ISO 8601 time."""
    if isinstance(when, np.datetime64):
        return int(when.astype("datetime64[ns]").astype(np.int64))
    if isinstance(when, str):
        when = datetime.fromisoformat(when.upper())
    if isinstance(when, datetime):
        moment = when if when.tzinfo else when.replace(tzinfo=UTC)
        when = int(moment.timestamp() // 1) * 1_000_000_000 + moment.microsecond * 1000
    return min(max(int(when), FIRST), LAST)
