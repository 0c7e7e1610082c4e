"""Health of a remote, and its announcement: at once if somebody must act, otherwise only if it lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from acquisition.text import clean

log = logging.getLogger(__name__)

Say = Callable[[str, str, Mapping[str, object]], None]
"""Takes what happens to a remote, as an event's kind, text and details; called from the remote's thread."""

PATIENCE = 5.0
HUNG, HUNG_ANYWAY = 10.0, 60.0
"""Seconds without progress after which a remote that is thought to deliver hangs, and one that is known not to."""
FRESH = 5.0
"""Seconds for which a count of what waits holds; after that what was recorded since is added."""


class Standing:
    """`word` is starting, delivering, unreachable, held, dead or ended; `reason` the newest, from server or network.

    An event and a line in the log at each change; a server that is away for less than `patience` seconds is
    no change. `recorded` tells how many samples the record has taken, of which this remote is to have each. What is
    read here may be read by any thread, and says the truth also where the remote's own thread does not get on.
    """

    def __init__(
        self,
        name: str,
        say: Say,
        patience: float = PATIENCE,
        monotonic: Callable[[], float] = time.monotonic,
        recorded: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = name
        self.word, self.reason = "starting", ""
        self.recorded = recorded
        self._say = say
        self._patience = patience
        self._monotonic = monotonic
        self._since: float | None = None
        self._told = ""
        self._counted: tuple[int, int, float] | None = None
        self._quiet_from = monotonic()

    @property
    def pending(self) -> int | None:
        """How many samples the remote is behind; None where nobody has been able to see yet."""
        counted = self._counted
        if counted is None:
            return None
        behind, recorded, at = counted
        return behind if self._monotonic() - at < FRESH else behind + max(self.recorded() - recorded, 0)

    @property
    def quiet(self) -> float:
        """Seconds that its thread has made no progress, apart from pauses that it takes."""
        return max(self._monotonic() - self._quiet_from, 0.0)

    def beat(self, pause: float = 0.0) -> None:
        """Note progress; `pause`: for so many seconds none is to be expected."""
        self._quiet_from = self._monotonic() + pause

    def behind(self, samples: int) -> None:
        """Note how many samples wait."""
        self._counted = samples, self.recorded(), self._monotonic()

    def lose_count(self) -> None:
        """Note that nobody sees now how many samples wait."""
        self._counted = None

    def describe(self) -> dict[str, Any]:
        """As plain values: `state`, `reason`, `pending` samples (None: unknown), `quiet_s` without progress."""
        word, reason, quiet = self.word, self.reason, self.quiet
        if word != "ended" and quiet > (HUNG if word in ("starting", "delivering") else HUNG_ANYWAY):
            before = f"; before: {word}: {reason}" if reason else ""
            word, reason = "hung", f"it has made no progress for {quiet:.0f} s{before}"
        return {
            "name": self.name,
            "state": word,
            "reason": reason,
            "pending": self.pending,
            "quiet_s": round(quiet, 1),
        }

    def fail(self, word: str, reason: str) -> None:
        """Note that it does not take anything now."""
        reason = clean(reason)
        self.word, self.reason = word, reason
        now = self._monotonic()
        if self._since is None:
            self._since = now
        if self._told == word or (word == "unreachable" and now - self._since < self._patience):
            log.debug("%s: %s: %s", self.name, word, reason)
            return
        self._told = word
        log.warning("%s: %s: %s; nothing is lost, the record keeps it", self.name, word, reason)
        self._say("remote", f"{self.name}: {word}: {reason}", {"remote": self.name, "status": word})

    def recover(self) -> None:
        """Note that it takes what is sent."""
        if self._told:
            log.info("%s: delivering again", self.name)
            self._say("remote", f"{self.name}: delivering again", {"remote": self.name, "status": "delivering"})
        self.word, self.reason = "delivering", ""
        self._since, self._told = None, ""

    def end(self) -> None:
        """Note that its thread has ended, with the service."""
        self.word, self.reason = "ended", self.reason

    def tell(self, kind: str, text: str, details: Mapping[str, object]) -> None:
        """Say something else of this remote."""
        self._say(kind, f"{self.name}: {text}", {"remote": self.name, **details})
