"""The thread that tidies a record: chores every few seconds, each tried again after whatever it failed by."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import apsw

from acquisition.errors import PerfusionError
from acquisition.text import clean

log = logging.getLogger(__name__)

EVERY = 5.0
LASTS = 60.0
"""Seconds of failing after which a chore is a trouble that somebody must see."""

Chore = Callable[[threading.Event], object]


class Housekeeper:
    """Runs chores every few seconds on a thread of its own, until stopped; what fails is told and tried again.

    A failure is told once for its words, with a traceback where nobody expected it. Any thread may read `trouble`.
    """

    def __init__(
        self,
        chores: tuple[Chore, ...],
        every: float = EVERY,
        name: str = "store maintenance",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chores = chores
        self._every = every
        self._monotonic = monotonic
        self._failing: dict[int, tuple[float, str]] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def trouble(self) -> str | None:
        """What has failed for more than a minute, or that the thread has ended; None where all is well."""
        if self._thread.ident is not None and not self._thread.is_alive() and not self._stopped.is_set():
            return "its thread has ended"
        now = self._monotonic()
        return next((text for since, text in list(self._failing.values()) if now - since >= LASTS), None)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the step at hand and end."""
        self._stopped.set()

    def join(self, timeout: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _work(self) -> None:
        while not self._stopped.wait(self._every):
            for number, chore in enumerate(self._chores):
                self.do(number, chore)

    def do(self, number: int, chore: Chore) -> None:
        """Run one chore."""
        try:
            chore(self._stopped)
        except BaseException as error:
            # A record that is never tidied again fills its disk days after anybody looked, so nothing ends this thread.
            self._fail(number, error)
        else:
            if self._failing.pop(number, None):
                log.info("maintenance of the record goes again")

    def _fail(self, number: int, error: BaseException) -> None:
        text = clean(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 300)
        since, before = self._failing.get(number, (self._monotonic(), ""))
        self._failing[number] = since, text
        if text == before:
            log.debug("maintenance of the record failed again: %s", text)
        elif isinstance(error, apsw.Error | PerfusionError | ValueError):
            log.warning("maintenance of the record failed, to be tried again: %s", text)
        else:
            log.error("maintenance of the record failed by a bug, to be tried again", exc_info=error)
