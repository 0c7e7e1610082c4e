"""Arrays as indices take them: float64 numbers, NaN where there are no data, and seconds; all else refused in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from acquisition.model import Flags, Floats

OVERLOAD = 9.9e37
"""SCPI instruments answer this for a reading that is over their range; it and more are no measurement."""
_KEY = 1 << 50
"""A whole number of seconds that large is 36 million years: a time key in nanoseconds."""


def numbers(values: ArrayLike, what: str = "values") -> Floats:
    """Return numbers of any shape as float64: NaN where masked or an overload code (|x| >= 9.9e37).

    TypeError names what is no real number: complex numbers, objects (None among them), text, dates.
    """
    hidden = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    raw = np.asarray(values)
    if raw.dtype.kind not in "fiub":
        raise TypeError(f"{what}: {_kind(raw)} are no measurements; real numbers are meant, NaN where one is missing")
    x = raw.astype(np.float64, copy=False)
    void = hidden if hidden is not None and hidden.any() else None
    if x.size and (np.fmax.reduce(x, None) >= OVERLOAD or np.fmin.reduce(x, None) <= -OVERLOAD):
        over = np.abs(x) >= OVERLOAD
        void = over if void is None else void | over
    return x if void is None else np.where(void, np.nan, x)


def seconds(time: ArrayLike) -> Floats:
    """Return times (n,) as float64 seconds: dates (datetime64) since 1970 UTC, spans (timedelta64) as they are.

    TypeError for what is no time, ValueError for nanosecond keys and for a row that is masked, missing or infinite.
    """
    raw = np.asarray(time)
    if raw.dtype.kind in "Mm":
        missing = np.isnat(raw)
        kind = "datetime64[ns]" if raw.dtype.kind == "M" else "timedelta64[ns]"
        x = np.where(missing, np.nan, raw.astype(kind).astype(np.int64) / 1e9)
    elif raw.dtype.kind in "iu" and raw.size and int(np.abs(raw).max()) >= _KEY:
        raise ValueError(f"time: {int(raw.flat[0])} is a key in nanoseconds; seconds are meant: use Trace.of_record")
    elif raw.dtype.kind not in "fiu":
        raise TypeError(f"time: {_kind(raw)} are no times; seconds are meant, or datetime64")
    else:
        x = raw.astype(np.float64, copy=False)
    if isinstance(time, np.ma.MaskedArray):
        x = np.where(np.ma.getmaskarray(time), np.nan, x)
    return x


def flags(quality: ArrayLike, like: Floats) -> Flags:
    """Return quality flags (n,) as uint8; TypeError or ValueError, with the row, for what is no flag."""
    raw = np.asarray(quality)
    if not raw.size and not like.size:
        return np.zeros(raw.shape, np.uint8)
    if raw.dtype.kind not in "iub":
        raise TypeError(f"quality: {_kind(raw)} are no flags; whole numbers of Quality are meant")
    if raw.dtype.kind != "b" and raw.size and (raw.min() < 0 or raw.max() > 255):
        row = int(np.flatnonzero((raw < 0) | (raw > 255))[0])
        raise ValueError(f"quality: row {row} is {raw.flat[row]}, which is no flag: 0 to 255 are meant")
    if isinstance(quality, np.ma.MaskedArray):
        raw = np.where(np.ma.getmaskarray(quality), 1, raw)
    return raw.astype(np.uint8)


def check_order(time: NDArray[np.float64]) -> None:
    """Refuse times (n,) s that are not finite and strictly increasing (ValueError, with the row)."""
    if not np.isfinite(time).all():
        row = int(np.flatnonzero(~np.isfinite(time))[0])
        raise ValueError(f"time: row {row} is {time[row]}; every sample needs its second")
    steps = np.diff(time) > 0
    if not steps.all():
        row = int(np.flatnonzero(~steps)[0]) + 1
        word = "repeats" if time[row] == time[row - 1] else "goes back behind"
        raise ValueError(
            f"time must increase strictly: row {row} ({time[row]:.9g} s) {word} row {row - 1} ({time[row - 1]:.9g} s)"
        )


def _kind(raw: NDArray[np.generic]) -> str:
    words = {"c": "complex numbers", "O": "objects", "S": "bytes", "U": "texts", "M": "dates", "m": "spans of time",
             "b": "truth values", "f": "fractions"}  # fmt: skip
    return f"{words.get(raw.dtype.kind, 'such values')} ({raw.dtype})"
