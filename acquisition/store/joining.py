"""Joining of samples: parts of a stream into one block, columns of several runs, overlapping spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from acquisition.model import Floats, Nanoseconds, Quality
from acquisition.store.views import SampleBlock

MOST = 1 << 24
"""Samples that memory is made ready for at first, however many a damaged file says there are."""


def mean_of_both(mean: Floats, count: Nanoseconds, more: Floats, added: Nanoseconds) -> Floats:
    """The mean of `count` values and those `added`; of a part that is empty nothing is taken."""
    with np.errstate(invalid="ignore"):
        joined = mean + (more - mean) * (added / np.maximum(count + added, 1))
    found: Floats = np.where(count == 0, more, np.where(added == 0, mean, joined))
    return found


def touching(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for begin, end in spans:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def index(held: Sequence[str], channel: str) -> int:
    """Return where a channel stands, -1 if it is not held."""
    return held.index(channel) if channel in held else -1


def places(held: Sequence[bool]) -> list[int]:
    """Numbers for what is held, -1 for what is not."""
    return [sum(held[:index]) if each else -1 for index, each in enumerate(held)]


def pick(array: Any, columns: Sequence[int], missing: float) -> Any:
    """The columns of an array in that order; -1 stands for a column of `missing`."""
    picked = array[:, columns]
    picked[:, [index for index, column in enumerate(columns) if column < 0]] = missing
    return picked


def join(channels: Sequence[str], blocks: Iterable[SampleBlock], expected: int) -> SampleBlock:
    """All samples in one block; each piece is let go of as soon as it is copied."""
    time, values = np.empty(expected, np.int64), np.empty((expected, len(channels)))
    quality = np.empty(values.shape, np.uint8)
    times: list[Floats] = []
    n = pieces = 0
    for block in blocks:
        place = slice(n, n := n + len(block))
        if n > len(time):
            time, values, quality = (_larger(each, 2 * n) for each in (time, values, quality))
        time[place], values[place], quality[place] = block.time, block.values, block.quality
        times += [] if block.device_time is None else [block.device_time]
        pieces += 1
    device_time = np.concatenate(times) if times and len(times) == pieces else None
    return SampleBlock(tuple(channels), time[:n], values[:n], quality[:n], device_time)


def _larger(array: Any, n: int) -> Any:
    larger = np.empty((n, *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def merge(parts: Sequence[SampleBlock], wanted: Sequence[str]) -> SampleBlock:
    """Return the samples of several streams of one device in one order of time, NaN where a stream has no channel."""
    if len(parts) == 1 and list(parts[0].channels) == list(wanted):
        return parts[0]
    time = np.concatenate([part.time for part in parts])
    values = np.full((len(time), len(wanted)), np.nan)
    quality = np.full((len(time), len(wanted)), int(Quality.INVALID), np.uint8)
    row = 0
    for part in parts:
        for index, name in enumerate(part.channels):
            if name in wanted:
                column = list(wanted).index(name)
                values[row : row + len(part), column] = part.values[:, index]
                quality[row : row + len(part), column] = part.quality[:, index]
        row += len(part)
    order = np.argsort(time, kind="stable")
    return SampleBlock(tuple(wanted), time[order], values[order], quality[order])
