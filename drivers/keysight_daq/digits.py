"""ASCII numbers as numpy reads them fastest: rows of equal shape, column by column of digits.

The instruments print every reading with as many digits (`+8.11900000E-03,00000000.370,101`), so that a block is a
table of characters. A block of any other shape is read number by number.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from acquisition.model import Floats

_NUMBER = re.compile(rb"([+-]?)(\d+)(?:\.(\d+))?(?:E([+-])(\d+))?")
_EXACT = 22
"""The highest power of ten that a float holds exactly: up to it one multiplication or division rounds once."""
_DIGITS = 15
"""So many digits at most are a whole number that a float holds exactly."""
_POWERS = 10.0 ** np.arange(_EXACT + 1)


def numbers(payload: bytes, fields: int) -> Floats:
    """ASCII numbers between commas -> (n, fields); ValueError where one is none or missing."""
    if not payload:
        return np.empty((0, fields))
    table = _as_table(payload, fields)
    if table is None:
        table = np.array(list(map(float, payload.split(b",")))).reshape(-1, fields)
    return table


def _as_table(payload: bytes, fields: int) -> Floats | None:
    """The same by columns, bit for bit what `float` makes of each number; None where the rows differ in shape."""
    first = payload.split(b",", fields)[:fields]
    width = sum(map(len, first)) + len(first)
    raw = np.frombuffer(payload + b",", np.uint8)
    if len(first) < fields or len(raw) % width:
        return None
    rows = raw.reshape(-1, width)
    columns = []
    start = 0
    for text in first:
        found = _NUMBER.fullmatch(text)
        column = _column(rows[:, start : start + len(text) + 1], found) if found else None
        if column is None:
            return None
        columns.append(column)
        start += len(text) + 1
    return np.column_stack(columns)


def _column(cells: NDArray[np.uint8], shape: re.Match[bytes]) -> Floats | None:
    """One number of each row, cells (n, width with its comma) -> (n,); None where a row's number has another shape."""
    sign, whole, fraction, _, exponent = (shape.span(group) for group in range(1, 6))
    fixed = np.frombuffer(shape[0] + b",", np.uint8)
    marks = [k for k in range(len(fixed)) if chr(fixed[k]) in ".E,"]
    places = [*range(*whole), *range(*fraction)]
    digits = cells[:, places] - np.uint8(48)
    if len(places) > _DIGITS or (cells[:, marks] != fixed[marks]).any() or (digits > 9).any():
        return None
    values: Floats = digits @ _weights(len(places))
    if exponent[0] >= 0:
        power = cells[:, range(*exponent)] - np.uint8(48)
        minus = _negative(cells[:, exponent[0] - 1])
        if minus is None or (power > 9).any():
            return None
        by = (power @ _weights(power.shape[1])).astype(np.int64)
        by = np.where(minus, -by, by) - (fraction[1] - fraction[0])
        if (np.abs(by) > _EXACT).any():
            return None
        factor = _POWERS[np.abs(by)]
        values = np.where(by < 0, values / factor, values * factor)
    elif fraction[0] >= 0:
        values /= _POWERS[fraction[1] - fraction[0]]
    if sign[0] < sign[1]:
        minus = _negative(cells[:, sign[0]])
        if minus is None:
            return None
        np.negative(values, out=values, where=minus)
    return values


def _negative(signs: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Which signs (n,) are minus; None where one is neither plus nor minus."""
    minus: NDArray[np.bool_] = signs == ord("-")
    return minus if bool((minus | (signs == ord("+"))).all()) else None


@cache
def _weights(n: int) -> Floats:
    weights: Floats = 10.0 ** np.arange(n - 1, -1, -1, dtype=np.float64)
    return weights
