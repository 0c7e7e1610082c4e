"""Links of one device that do not last: how many there were, and what is said of them instead of each one."""

from __future__ import annotations

LASTED = 10.0
"""Seconds with samples after which a link counts as good."""
TOLD = 3
"""Brief links that are told one by one."""
FIRST, LONGEST = 10.0, 600.0
"""Seconds until a summary of the others; twice as many each time, up to the longest."""
QUICK, CAP = 1.0, 5.0
"""Seconds below which a link was hardly one, and the longest wait for another after some of that kind."""
KEPT = 100
"""Notices that are remembered, so that not each link records them anew."""


class Reminder:
    """When to say the same thing again: `FIRST` seconds after `since`, then ever more seldom."""

    def __init__(self, since: float) -> None:
        self.since = since
        self._wait = FIRST

    def due(self, at: float) -> bool:
        """Whether to say it now; the next time is then counted from now on."""
        if at - self.since < self._wait:
            return False
        self.since, self._wait = at, min(2 * self._wait, LONGEST)
        return True


class Flapping:
    """Counts brief links until one lasts; all times are seconds on the wall.

    `brief`: links in a row that brought samples and did not last.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew: a link has lasted."""
        self.brief = self._quick = self._opened = self._ended = self._most = 0
        self._reminder: Reminder | None = None
        self._heard: dict[tuple[str, str], int] = {}

    @property
    def hold(self) -> float:
        """Seconds that a link must last until it is told: 0 at first, more after each brief one."""
        return 0.0 if self.brief < TOLD else min(2.0 ** (self.brief - TOLD), LASTED)

    @property
    def cap(self) -> float:
        """Seconds up to which the back-off may grow at least: 0 unless each link ends as soon as it is there."""
        return CAP if self._quick > TOLD else 0.0

    def opened(self) -> None:
        """Count a link that was opened."""
        self._opened += 1

    def ended(self, samples: int, at: float, lasted: float) -> None:
        """Count a link that ended before it had lasted, after so many samples and seconds."""
        self.brief += samples > 0
        self._quick = self._quick + 1 if lasted < QUICK else 0
        self._ended += 1
        self._most = max(self._most, samples)
        self._reminder = self._reminder or Reminder(at)

    def summary(self, at: float) -> str | None:
        """What is to be said by now of all links since the last summary; None where nothing is."""
        reminder = self._reminder
        if reminder is None or self._ended <= TOLD:
            return None
        since = reminder.since
        if not reminder.due(at):
            return None
        after = {0: "without a sample", 1: "after one sample"}.get(self._most, f"after at most {self._most} samples")
        text = f"connected {self._ended} times in the last {at - since:.0f} s, each link ended {after}"
        self._ended = self._most = 0
        return text

    def repeats(self, kind: str, text: str) -> bool:
        """Whether a notice says no more than an earlier one of so many links did."""
        before = self._heard.get((kind, text))
        if before is not None or len(self._heard) < KEPT:
            self._heard[kind, text] = self._opened
        return before is not None and before < self._opened and self._opened > TOLD
