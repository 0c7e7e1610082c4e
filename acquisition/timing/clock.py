"""Time: both host clocks, the axis of the record, and from an instrument's own time to the host's."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from acquisition.model import Instant

monotonic_ns: Callable[[], int] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns
)
"""Nanoseconds that only grow, also while the computer is suspended: Linux's CLOCK_MONOTONIC stands still then."""

TOGETHER, TRIES = 1_000_000, 8
"""Nanoseconds between the readings of the two clocks: where the host is busy they are read again, so many times."""

MICROSECOND = 1000
"""Nanoseconds that instants and offsets are rounded down to: how long bytes wait for the host varies by 0.1 to 16 ms
(adapters, scheduling), so finer digits are noise, and the record would keep every bit of it."""

STEADY = 5 * MICROSECOND
"""Nanoseconds by which UTC - monotonic may seem to change without being followed: as long as reading the two takes."""


class Clock:
    """Reads the monotonic and the wall clock together, `speed` times as fast as they run since `origin`.

    Instants are whole microseconds. UTC keeps its distance to the monotonic clock until it is off by more than
    `STEADY`: each step of the wall clock beyond that shows at once and in full, a slower drift as soon as it adds up.
    A speed other than 1 is for simulated benches only: the stored times are then the participant's.
    Simulators that are given the same UTC origin run on the same axis.
    """

    def __init__(
        self,
        speed: float = 1.0,
        origin: int | None = None,
        monotonic: Callable[[], int] = monotonic_ns,
        utc: Callable[[], int] = time.time_ns,
    ) -> None:
        self.speed = speed
        self._monotonic = monotonic
        self._utc = utc
        began, now = self._together()
        self._began_apart = self._apart = now - began
        self._monotonic_origin = began if origin is None else origin - self._apart

    def now(self) -> Instant:
        """Read both clocks, ns: multiples of `MICROSECOND`."""
        monotonic, utc = self._together()
        apart = self._apart
        if abs(utc - monotonic - apart) > STEADY:
            self._apart = apart = utc - monotonic
        if self.speed != 1.0:
            monotonic = self._monotonic_origin + int((monotonic - self._monotonic_origin) * self.speed)
            apart = self._began_apart + int((apart - self._began_apart) * self.speed)
        monotonic = _whole(monotonic)
        return Instant(monotonic, monotonic + _whole(apart))

    def _together(self) -> tuple[int, int]:
        """Monotonic and UTC, ns, of one moment: what lay between them would pass for a step of the wall clock."""
        for _ in range(TRIES):
            monotonic, utc = self._monotonic(), self._utc()
            if self._monotonic() - monotonic <= TOGETHER:
                break
        return monotonic, utc

    def real(self, seconds: float) -> float:
        """How long the given seconds of this clock take on the wall."""
        return seconds / self.speed


def _whole(ns: int) -> int:
    return ns - ns % MICROSECOND


@dataclass(frozen=True, slots=True)
class Timeline:
    """The axis of time keys in one run: key = anchor + (monotonic - started), ns.

    `anchor` is UTC at the start, or later where the record has later keys already: a clock step between runs can
    neither reuse a key nor turn the order, and one within a run does not show at all.
    """

    run: int
    started: int
    anchor: int

    def key(self, monotonic: int) -> int:
        """The time key of a monotonic instant, ns."""
        return self.anchor + monotonic - self.started


class SampleClock:
    """Maps a source's own steady time, in seconds, to the host's monotonic clock, in seconds.

    Bytes arrive after the sample was taken and never before, so the smallest (arrival - source time) is
    the nearest to the truth: the offset follows the lower convex hull of the smallest residual of each
    `block` seconds (Zhang, Liu, Xia: Clock synchronization algorithms for network measurements, INFOCOM
    2002). The map never runs ahead of an arrival and otherwise moves by at most `slew` seconds per
    second, so that intervals between samples stay the source's own.

    An index divided by the rate serves as the source's time where it has no clock; there the nominal
    rate is only roughly true and `slew` must be wider.
    """

    BLOCKS = 64
    JUMP = 0.25

    def __init__(
        self, origin: float | None = None, slew: float = 5e-4, block: float = 10.0, jump: float = JUMP
    ) -> None:
        self._jump = jump
        self._offset = origin
        self._slew = slew
        self._block = block
        self._last: float | None = None
        self._block_start = 0.0
        self._least: tuple[float, float] | None = None
        self._minima: list[tuple[float, float]] = []
        self._line: tuple[float, float, float] | None = None

    def offset(self, source: float, arrived: float) -> float:
        """Take the newest sample's source time and arrival (s); answer what to add to source times."""
        residual = arrived - source
        offset = self._offset
        if offset is None or residual < offset:
            offset = residual
        elif self._last is not None:
            room = self._slew * max(source - self._last, 0.0)
            offset += min(max(self._target(source) - offset, -room), room)
        self._offset, self._last = offset, source
        self._note(source, residual)
        return offset

    def present(self, source: float, arrived: float) -> float:
        """What to add to source times as far as is known, learning nothing: for samples that were held back."""
        return arrived - source if self._offset is None else self._offset

    def _target(self, source: float) -> float:
        if self._line is None:
            return self._offset or 0.0
        x, y, slope = self._line
        return y + slope * (source - x)

    def _note(self, source: float, residual: float) -> None:
        least = self._least
        if least is None:
            self._least, self._block_start = (source, residual), source
            return
        if residual < least[1]:
            self._least = (source, residual)
        if source - self._block_start >= self._block:
            self._minima.append(self._least or least)
            del self._minima[: -self.BLOCKS]
            self._least, self._block_start = None, source
            self._fit()

    def _fit(self) -> None:
        recent = [y for _, y in self._minima[-3:]]
        if len(recent) < 3:
            return
        if self._offset is not None and min(recent) - self._offset > self._jump and self._line is not None:
            # Three blocks that are all late: the source skipped samples without saying so, or was set.
            del self._minima[:-3]
            self._offset, self._line = min(recent), None
            return
        hull = _lower_hull(self._minima)
        if len(hull) < 2:
            return
        middle = (self._minima[0][0] + self._minima[-1][0]) / 2
        right = min(max(bisect_left([x for x, _ in hull], middle), 1), len(hull) - 1)
        (x0, y0), (x1, y1) = hull[right - 1], hull[right]
        slope = (y1 - y0) / (x1 - x0)
        self._line = (x0, y0, min(max(slope, -self._slew), self._slew))


def _lower_hull(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    hull: list[tuple[float, float]] = []
    for x, y in points:
        while len(hull) >= 2:
            (x0, y0), (x1, y1) = hull[-2], hull[-1]
            if (y1 - y0) * (x - x0) < (y - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((x, y))
    return hull
