"""Means of a window, with what their noise and their artefacts do to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from acquisition.model import Floats
from acquisition.signals.result import Result, Trace, Window

POOR = 5.0
"""Per cent of a window that may be missing before its value is of low quality."""
USELESS = 20.0
"""Per cent of a window that may be missing before it has no value."""


def judged(result: Result) -> Result:
    """Return the result with the status that its share of artefacts allows."""
    if result.value is None or result.pct_artefact <= POOR:
        return result
    if result.pct_artefact > USELESS:
        return result.flagged("too_many_artefacts", type(result.status).NOT_COMPUTABLE)
    return result.flagged("artefacts")


def window_mean(
    trace: Trace, window: Window, name: str, unit: str, *, least: float = 0.0, block: float = 10.0, **details: Any
) -> Result:
    """Return the mean of the data in [start, stop).

    Fewer than `least` seconds of data make it of low quality, more than 20 per cent of artefacts
    not computable. The uncertainty is the standard error of means of `block` seconds, which keeps the
    slow waves of flux in.
    """
    start, stop = window
    if not start < stop:
        return Result.missing(name, unit, "empty_window", window=window, **details)
    good, artefacts = trace.count(start, stop)
    known = {"window": window, "n_valid": good, "pct_artefact": artefacts, **details}
    part = trace.between(start, stop)
    if good == 0:
        return Result.missing(name, unit, "no_data", **known)
    values = part.masked
    error = standard_error(part, block)
    result = Result.of(
        name, float(np.nanmean(values)), unit, uncertainty=error, uncertainty_of=("noise",) if error else (), **known
    )
    result = judged(result)
    if result.value is not None and len(trace) > 1 and good / trace.rate < least:
        result = result.flagged(f"less_than_{least:g}_s_of_data")
    return result


def block_means(trace: Trace, block: float) -> Floats:
    """Return the means of whole consecutive blocks of `block` seconds, without blocks that are half empty."""
    if len(trace) < 2:
        return np.empty(0)
    index = np.floor((trace.time - trace.time[0]) / block + 1e-9).astype(np.int64)
    good = trace.valid
    blocks = int((trace.span[1] - trace.time[0]) / block + 1e-6)
    if blocks < 1:
        return np.empty(0)
    use = good & (index < blocks)
    count = np.bincount(index[use], minlength=blocks)
    total = np.bincount(index[use], weights=trace.values[use], minlength=blocks)
    full = count >= 0.5 * block * trace.rate
    means: Floats = total[full] / count[full]
    return means


def standard_error(trace: Trace, block: float = 10.0) -> float | None:
    """Return the standard error of the mean from block means; None with fewer than two blocks."""
    means = block_means(trace, block)
    if len(means) < 2:
        return None
    return float(np.std(means, ddof=1) / math.sqrt(len(means)))
