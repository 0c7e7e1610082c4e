"""All that a server knows of a sample as one row of integers, from the record and from its answer alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from acquisition.model import Flags, Floats
from acquisition.remotes.line_protocol import field_name
from acquisition.remotes.readback import Columns
from acquisition.store.rows import Samples

Table = np.ndarray[Any, np.dtype[np.int64]]


def held(samples: Samples, wanted: np.ndarray[Any, np.dtype[np.bool_]]) -> Table:
    """(n, 3 + 2 c): time, run, all flags combined, each channel's value by its bits, each channel's flags."""
    time, values, quality = samples.time[wanted], samples.values[wanted], samples.quality[wanted]
    run = np.full(len(time), samples.run, np.int64)
    combined = np.bitwise_or.reduce(quality, axis=1).astype(np.int64)
    return _table(time, run, combined, values, quality)


def answered(columns: Columns, channels: Sequence[str]) -> tuple[Table, Table]:
    """The same from a server's columns, in order of the sequence numbers, which come first."""
    seq = np.array(columns.get("seq", ()), np.int64)
    if not len(seq):
        return seq, np.zeros((0, 3 + 2 * len(channels)), np.int64)
    none = (None,) * len(seq)
    names = [field_name(channel) for channel in channels]
    values = np.array([columns.get(name, none) for name in names], np.float64).T
    flags = [[0 if v is None else v for v in columns.get(f"{name}_quality", none)] for name in names]
    quality = np.array(flags, np.uint8).T
    time, run, combined = (np.array(columns[name], np.int64) for name in ("time", "run", "quality"))
    order = np.argsort(seq, kind="stable")
    return seq[order], _table(time, run, combined, values, quality)[order]


def _table(time: Table, run: Table, combined: Table, values: Floats, quality: Flags) -> Table:
    # Line protocol knows neither NaN nor infinity: both are a field that is not there.
    bits = np.where(np.isfinite(values), values, np.nan).view(np.int64)
    return np.ascontiguousarray(np.column_stack([time, run, combined, bits, quality.astype(np.int64)]))
