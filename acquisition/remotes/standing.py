"""How a remote stands, and when that is worth telling: at once where somebody must act, else only what lasts."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from acquisition.text import clean

log = logging.getLogger(__name__)

Say = Callable[[str, str, Mapping[str, object]], None]
"""Takes what happens to a remote, as an event's kind, text and details; called from the remote's thread."""

PATIENCE = 5.0


class Standing:
    """`word` is starting, delivering, unreachable, held or failed; `reason` the newest, from server or network.

    An event and a line in the log at each change; a server that is away for less than `patience` seconds is
    no change. `word` and `reason` may be read by any thread.
    """

    def __init__(
        self, name: str, say: Say, patience: float = PATIENCE, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.word, self.reason = "starting", ""
        self._name = name
        self._say = say
        self._patience = patience
        self._monotonic = monotonic
        self._since: float | None = None
        self._told = ""

    def fail(self, word: str, reason: str) -> None:
        """Note that it does not take anything now."""
        reason = clean(reason)
        self.word, self.reason = word, reason
        now = self._monotonic()
        if self._since is None:
            self._since = now
        if self._told == word or (word == "unreachable" and now - self._since < self._patience):
            log.debug("%s: %s: %s", self._name, word, reason)
            return
        self._told = word
        if word == "failed":
            log.critical("%s: failed: %s; the record stays whole and is sent after a restart", self._name, reason)
        else:
            log.warning("%s: %s: %s; nothing is lost, the record keeps it", self._name, word, reason)
        self._say("remote", f"{self._name}: {word}: {reason}", {"remote": self._name, "status": word})

    def recover(self) -> None:
        """Note that it takes what is sent."""
        if self._told:
            log.info("%s: delivering again", self._name)
            self._say("remote", f"{self._name}: delivering again", {"remote": self._name, "status": "delivering"})
        self.word, self.reason = "delivering", ""
        self._since, self._told = None, ""

    def tell(self, kind: str, text: str, details: Mapping[str, object]) -> None:
        """Say something else of this remote."""
        self._say(kind, f"{self._name}: {text}", {"remote": self._name, **details})
