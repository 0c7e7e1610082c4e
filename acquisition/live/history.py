"""History of the live page before it was opened: min/max columns and gaps from the record, read in a thread."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from acquisition.errors import StoreError
from acquisition.live import frames
from acquisition.model import Header
from acquisition.store import Store
from acquisition.store.views import Columns

GRAIN = 1024
"""Column widths are multiples of this many ns: their edges are then exact in float64 too."""
KEPT = 16


@dataclass(frozen=True, slots=True)
class Window:
    """What a viewer shows: `seconds` up to now, in `points` columns."""

    seconds: float = 600.0
    points: int = 900

    @property
    def width(self) -> int:
        """The width of a column, ns."""
        return max(round(self.seconds * 1e9 / self.points / GRAIN), 1) * GRAIN

    def span(self, key_now: int) -> tuple[int, int]:
        """Start and stop (time keys, ns) on the grid of columns; the last column holds `key_now`."""
        stop = (key_now // self.width + 1) * self.width
        return stop - self.points * self.width, stop


@dataclass(frozen=True, slots=True)
class Past:
    """The shown past: the columns as a binary message, and per stream its gaps as (from ms, to ms, cause)."""

    start: float
    width: float
    gaps: dict[int, list[tuple[float, float, str]]]
    columns: bytes


class History:
    """Reads the record in one thread of its own; what many viewers ask for at once is read once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = ThreadPoolExecutor(1, "page history")
        self._kept: OrderedDict[tuple[Window, int, int], Past] = OrderedDict()

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def past(self, window: Window, key_now: int, speed: float, headers: Sequence[Header]) -> Past:
        """The columns of every stream; up to a second old."""
        loop = asyncio.get_running_loop()
        moment = int(key_now / 1e9 / speed)
        return await loop.run_in_executor(self._thread, self._past, window, key_now, moment, tuple(headers))

    async def columns(self, device: str, stream: str, channel: str, start: int, stop: int, points: int) -> Columns:
        """The columns of one channel over any span."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._columns, device, stream, channel, start, stop, points)

    def _past(self, window: Window, key_now: int, moment: int, headers: tuple[Header, ...]) -> Past:
        key = (window, moment, len(headers))
        past = self._kept.get(key)
        if past is None:
            past = self._kept[key] = self._read(window, key_now, headers)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return past

    def _read(self, window: Window, key_now: int, headers: tuple[Header, ...]) -> Past:
        start, stop = window.span(key_now)
        records, gaps = [], {}
        with _reading(self._directory) as store:
            for index, header in enumerate(headers):
                device, name = header.key
                channels = [channel.name for channel in header.stream.channels]
                drawn = store.overview(device, channels, start, stop, window.points, name)
                for number in range(len(channels)):
                    trace = Columns(drawn.edges, drawn.low[:, number], drawn.high[:, number])
                    records.append(frames.columns(index, number, trace))
                gaps[index] = [
                    (gap.start / 1e6, gap.stop / 1e6, gap.cause)
                    for gap in store.gaps(device, name)
                    if gap.stop >= start and gap.start < stop
                ]
        return Past(start / 1e6, window.width / 1e6, gaps, b"".join(records))

    def _columns(self, device: str, stream: str, channel: str, start: int, stop: int, points: int) -> Columns:
        with _reading(self._directory) as store:
            return store.columns(device, stream, channel, start, stop, points)


@contextmanager
def _reading(directory: Path) -> Iterator[Store]:
    try:
        with Store(directory) as store:
            yield store
    except apsw.Error as error:
        raise StoreError(f"the record cannot be read ({error})", str(directory)) from error
