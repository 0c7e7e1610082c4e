"""Comparison of a stream's samples with the host's clock: whether as many come as its rate says."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice

WINDOW, SAMPLES = 10.0, 20
"""Seconds on the wall, and samples, within which a wrong rate is told: whichever takes longer."""
LATE, LOST = 0.05, 1.5
"""Share of the window by which samples may be late at its end, and how many of them: crystals are within two per cent,
and one lost sample is no other rate."""
EARLY, GAINED = 0.08, 1.9
"""The same for samples that are early: where reads are as far apart as samples, how early one is found is chance."""
BUCKET, PROOF = 0.5, 2.1
"""Seconds on the wall over which the least delay is taken, and for which samples must be late: a host that stalls for
two reads what waited, and its last sample is in time again."""
YOUNG = 5.0
"""Seconds on the wall before samples are called too many: a host that begins to read late catches up."""
STEADY = 0.3
"""Each third of the window must have this share of what samples gain in two: one step, such as a burst, is no rate."""
STILL = 0.6
"""Share of what makes a rate wrong under which it is right again."""
COARSE = 2.5
"""Factor within which the interval of a stream that is stamped as it arrives may be wrong: its times are right."""


@dataclass(frozen=True, slots=True)
class Low:
    """The least delay (s) of one bucket, and when (s) that sample came."""

    at: float
    delay: float


class RateCheck:
    """Counts samples against the host's clock; `wrong` while they come at another rate than the nominal one.

    A sample's delay is its arrival less its number times the period. How long bytes wait for the host only ever adds to
    it, so that the least delay of a while is compared with that of earlier ones: it rises where samples are missing or
    slow, and falls where they are too many or fast; jitter, blocks, stalls and bursts leave it where it is. `patience`
    is how many times as fast the clock runs; `coarse` leaves the rate a factor of `COARSE`.
    """

    def __init__(self, rate: float, patience: float = 1.0, coarse: bool = False) -> None:
        self.wrong = False
        self.rate = rate
        self.measured = rate
        """Samples a second over the latest window."""
        self._period = 1.0 / rate
        self._window = max(WINDOW * patience, SAMPLES * self._period)
        self._bucket = max(BUCKET * patience, self._period)
        self._proof = PROOF * patience
        self._young = max(YOUNG * patience, SAMPLES / 2 * self._period)
        self._late_limit = max(LATE * self._window, LOST * self._period)
        self._early_limit = max(EARLY * self._window, GAINED * self._period)
        self._slow, self._fast = (1 - 1 / COARSE, COARSE - 1) if coarse else (0.0, 0.0)
        self._lows: deque[Low] = deque()
        self.restart()

    def restart(self) -> None:
        """Forget what was counted: the link or this computer was away. A wrong rate stays so until it is right."""
        self._count = 0
        self._lows.clear()
        self._least: Low | None = None
        self._closes: float | None = None

    def count(self, n: int, at: float, fresh: bool = True) -> bool:
        """Take `n` samples, lost ones included, of which the last came at `at` s; True where `wrong` changes.

        Where later ones wait already (not `fresh`) the arrival says nothing.
        """
        self._count += n
        if not fresh:
            return False
        changed = False
        if self._closes is None:
            self._closes = at + self._bucket
        elif at >= self._closes:
            if self._least is not None:
                self._lows.append(self._least)
                changed = self._judge()
            self._least, self._closes = None, at + self._bucket
        delay = at - self._count * self._period
        if self._least is None or delay < self._least.delay:
            self._least = Low(at, delay)
        return changed

    @property
    def text(self) -> str:
        """What is wrong and why that may be, or that it is right again."""
        nominal = f"{_short(self.rate)} Hz"
        if not self.wrong:
            return f"comes at the configured {nominal} again"
        why = (
            "the instrument integrates longer than asked or is set to a slower rate, or samples are lost"
            if self.measured < self.rate
            else "the instrument is set to a faster rate, or samples come twice"
        )
        factor = f"a factor of {self.measured / self.rate:.2g}"
        return (
            f"comes at {_short(self.measured)} Hz, {nominal} was configured ({factor}): "
            f"{why}; its samples are questionable until both agree"
        )

    def _judge(self) -> bool:
        lows = self._lows
        newest = lows[-1].at
        while len(lows) > 4 and newest - lows[0].at > self._window:
            lows.popleft()
        span = newest - lows[0].at
        if not span:
            return False
        self.measured = max(self.rate * (1 - (lows[-1].delay - lows[0].delay) / span), 0.0)
        before = self.wrong
        off = max(self._late() / self._late_limit, self._early(steadily=not before) / self._early_limit)
        if not before:
            self.wrong = off > 1.0
        elif span >= 0.8 * self._window:
            self.wrong = off > STILL
        return self.wrong is not before

    def _late(self) -> float:
        """By how many seconds even the quickest of the latest samples are later than earlier ones."""
        lows, first = self._lows, len(self._lows) - 1
        newest = lows[-1].at
        while first > 1 and (lows[first - 1].at >= newest - self._proof or newest - lows[first].at < self._proof / 2):
            first -= 1
        if first < 1 or newest - lows[first].at < self._proof / 2:
            return 0.0
        latest = min(islice(lows, first, None), key=_delay)
        earlier = min(islice(lows, first), key=_delay)
        late = latest.delay - earlier.delay
        return late if late >= self._ease * self._slow * (latest.at - earlier.at) else 0.0

    def _early(self, steadily: bool) -> float:
        """By how many seconds samples gain on the clock over the window, by its first and last third."""
        lows, began = self._lows, self._lows[0].at
        third = (lows[-1].at - began) / 3
        if 3 * third < self._young:
            return 0.0
        parts: list[list[Low]] = [[], [], []]
        for low in lows:
            parts[min(int((low.at - began) / third), 2)].append(low)
        if not all(parts):
            return 0.0
        one, two, three = (min(part, key=_delay) for part in parts)
        gained = one.delay - three.delay
        if steadily and min(one.delay - two.delay, two.delay - three.delay) < STEADY * gained:
            return 0.0
        return 1.5 * gained if gained >= self._ease * self._fast * (three.at - one.at) else 0.0

    @property
    def _ease(self) -> float:
        """By how much less a rate that is wrong already must be off to stay so: it would change at every look."""
        return STILL if self.wrong else 1.0


def _short(rate: float) -> str:
    return f"{rate:.3g}" if rate < 1000 else f"{rate:.0f}"


def _delay(low: Low) -> float:
    return low.delay
