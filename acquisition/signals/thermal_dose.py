"""Thermal dose of skin: minutes at 43 Cel or more, summed per site over all heated probes."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from acquisition.signals.kit.levels import POOR
from acquisition.signals.kit.plausible import HEATER, in_range, present
from acquisition.signals.result import Result, Trace

HOT = 43.0
"""Cel."""


@dataclass(frozen=True, slots=True)
class Heated:
    """One stay of a heated probe on one site of skin; temperature in Cel, empty where nobody recorded it."""

    site: str
    temperature: Trace


class ThermalDose:
    """Adds up minutes of one site of skin. An interval counts when either of its ends is hot or unknown after hot.

    Unknown counts as hot, because a heater goes on heating while its link is away: a foot without
    feeling does not say that it burns.
    """

    def __init__(self, site: str, limit: float | None = None, hot: float = HOT, before: float = 0.0) -> None:
        """Take the limit in minutes (the maker's) and the minutes that the site had before; ValueError for no minutes.

        A limit of NaN is none: an alarm that waits for it never comes, and the result says that no limit is known.
        """
        limit = present(limit)
        given = (("limit", limit), ("before", before), ("hot", hot))
        for word, number in given:
            if number is not None and not 0.0 <= number < math.inf:
                raise ValueError(f"{word}: {number} is no number of minutes or Cel")
        self.site = site
        self.limit = limit
        self.hot = hot
        self.minutes = before
        # Of this stay, and of all: samples, and how many of them are temperatures.
        self._stay, self._all = np.zeros(2, np.int64), np.zeros(2, np.int64)
        self._began = self._unseen_stay = False
        self._newest = -math.inf
        self._last: float | None = None
        self._was_hot = False

    def feed(self, temperature: Trace) -> float:
        """Take the samples that follow, Cel; answer the minutes so far. Where none ever comes the stay was not seen."""
        self._began = True
        use = in_range(temperature, HEATER).valid
        time, hot = temperature.time[use], temperature.values[use] >= self.hot
        self._stay += (len(temperature), len(time))
        self._all += (len(temperature), len(time))
        if len(temperature):
            self._newest = float(temperature.time[-1])
        if len(time):
            if self._last is not None:
                time, hot = np.append(self._last, time), np.append(self._was_hot, hot)
            counted = hot[:-1] | hot[1:]
            self.minutes += float(np.diff(time)[counted].sum()) / 60.0
            self._last, self._was_hot = float(time[-1]), bool(hot[-1])
        return self.minutes

    def lift(self) -> None:
        """The probe leaves the skin: what follows belongs to another stay."""
        self._unseen_stay |= self._began and self._stay[1] == 0
        self._began, self._stay[:] = False, 0
        self._last, self._was_hot, self._newest = None, False, -math.inf

    @property
    def alarm(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.minutes >= self.limit

    def result(self) -> Result:
        """Return the minutes; low_quality once the limit is reached, or where none is known.

        Not computable where not one temperature was seen: 0 is a heater that was seen to be cold.
        """
        settings = {"site": self.site, "hot": self.hot, "limit": self.limit}
        if not self._all[1]:
            return Result.missing("thermal_dose", "min", "heater_temperature_not_recorded", settings=settings)
        result = Result.of("thermal_dose", self.minutes, "min", settings=settings)
        for reason in self._doubts():
            result = result.flagged(reason)
        if self.limit is None:
            return result.flagged("limit_not_configured")
        return result.flagged("limit_reached") if self.alarm else result

    def _doubts(self) -> list[str]:
        """Return what was not seen of the heat: the true dose may be larger."""
        missing = 100.0 * (1.0 - self._all[1] / self._all[0])
        found = [f"heater_temperature_missing ({missing:.0f} %)"] if missing > POOR else []
        if self._was_hot and self._last is not None and self._newest > self._last:
            found.append(f"unseen_while_hot ({(self._newest - self._last) / 60.0:.1f} min)")
        unseen = self._unseen_stay or (self._began and self._stay[1] == 0)
        return [*found, "a_stay_without_a_temperature"] if unseen else found


def doses(stays: Iterable[Heated], limit: float | None = None, hot: float = HOT) -> dict[str, Result]:
    """Return the minutes at `hot` Cel or more of every site, over all of its stays; `limit` minutes."""
    found: dict[str, ThermalDose] = {}
    for stay in stays:
        dose = found.setdefault(stay.site, ThermalDose(stay.site, limit, hot))
        dose.lift()
        dose.feed(stay.temperature)
    return {site: dose.result() for site, dose in found.items()}
