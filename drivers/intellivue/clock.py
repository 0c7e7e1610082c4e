"""The monitor's relative time as a time line that outlives wraps and shows restarts."""

from __future__ import annotations

from datetime import datetime

from acquisition.model import TimeBase
from drivers.intellivue.attributes import TICK

OLD, CLOCK_SET, RESTARTED = 10.0, 3600.0, 2.0


class MonitorClock:
    """The monitor's relative time as one rising line of seconds, over its wrap after 6.2 days."""

    def __init__(self) -> None:
        self._ticks = 0
        self._at = 0.0
        self._booted: float | None = None
        self._base: TimeBase | None = None
        self._starts = 0

    def date(self, ticks: int, date: bytes) -> None:
        """Learn from relative time and calendar when the monitor was switched on: that names its time base."""
        now = _date_seconds(date)
        self._booted = None if now is None else now - ticks * TICK

    def read(self, ticks: int, at: float, fresh: bool) -> tuple[float, TimeBase] | None:
        """Seconds and their base; None for what is not later than the last. `fresh`: first after an association.

        A new base begins where the monitor's time and the host's part for good: the monitor was restarted.
        """
        if self._base is None:
            return self._begin(ticks, at)
        delta = ((ticks - self._ticks + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        gone = delta * TICK
        parted = gone - (at - self._at)
        if (fresh and abs(parted) > RESTARTED + 1e-3 * abs(gone)) or parted > CLOCK_SET or gone < -OLD:
            return self._begin(ticks, at)
        if gone <= 0:
            return None
        self._ticks, self._at = self._ticks + delta, at
        return self._ticks * TICK, self._base

    def _begin(self, ticks: int, at: float) -> tuple[float, TimeBase]:
        origin = f"connected {at:.3f}" if self._booted is None else f"switched on {round(self._booted / 5) * 5}"
        self._base = TimeBase(f"{origin}, {self._starts}" if self._starts else origin)
        self._starts += 1
        self._ticks, self._at = ticks, at
        return ticks * TICK, self._base


def _date_seconds(date: bytes) -> float | None:
    """Absolute time (8 bytes BCD: century, year, month, day, hour, minute, second, 1/100 s) in s, None for none."""
    try:
        century, year, month, day, hour, minute, second, hundredth = (int(f"{byte:02x}") for byte in date)
        moment = datetime(century * 100 + year, month, day, hour, minute, second) - datetime(2000, 1, 1)
    except ValueError:
        return None
    return moment.total_seconds() + hundredth / 100
