"""A remote's thread, begun anew after whatever ended it, and shown as dead until it delivers again."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable

from acquisition.remotes.health import Standing
from acquisition.text import clean

log = logging.getLogger(__name__)

AT_ONCE = 3
"""Starts in a row that do not wait."""
LONG = 60.0
"""Seconds of a life after which a death is the first of its row."""
FIRST, CAP = 1.0, 60.0
"""Seconds before a further start: doubled each time, up to a cap."""
LOOK = 2.0
"""Seconds between two counts of what waits, while it is dead."""


class Worker:
    """Runs `work` on a thread of its own until it returns; where it raises, whatever that is, again.

    `count` sees how much waits while nothing works on it; `leave` is called at the end. Once `stopping` is set it is
    not begun again.
    """

    def __init__(
        self,
        standing: Standing,
        work: Callable[[], None],
        *,
        stopping: threading.Event,
        count: Callable[[], None] = lambda: None,
        leave: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.deaths = 0
        self._standing = standing
        self._work = work
        self._stopping = stopping
        self._count = count
        self._leave = leave
        self._monotonic = monotonic
        self._row = 0
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name=f"remote-{standing.name}", daemon=True)

    @property
    def alive(self) -> bool:
        """Whether its thread runs, be it between a death and the next start."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the end."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._one_life():
                pass
        finally:
            self._standing.end()
            self._leave()

    def _one_life(self) -> bool:
        """Work until it returns or raises; whether that was the end."""
        born = self._monotonic()
        try:
            self._work()
            return True
        except BaseException as error:
            # Also what is no Exception: a library's sys.exit in this thread would end it without a word.
            return self._mourn(error, self._monotonic() - born)

    def _mourn(self, error: BaseException, lived: float) -> bool:
        """Tell of a death and wait; whether it was the last one."""
        self.deaths += 1
        self._row = 1 if lived > LONG else self._row + 1
        pause = 0.0 if self._row <= AT_ONCE else min(FIRST * 2 ** min(self._row - AT_ONCE - 1, 16), CAP)
        try:
            self._tell(error, pause)
        except BaseException as another:  # memory may be short; the next start must not depend on words
            self._standing.word, self._standing.reason = "dead", type(another).__name__
        return self._wait(pause)

    def _tell(self, error: BaseException, wait: float) -> None:
        """Say it in the standing, and in the log with a traceback once for each place in the code."""
        first = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        reason = clean(f"{type(first).__name__}: {first}" if str(first) else type(first).__name__, 300)
        place = traceback.extract_tb(first.__traceback__, limit=-1)
        key = f"{type(first).__name__} {place[-1].filename}:{place[-1].lineno}" if place else type(first).__name__
        known = key in self._told
        self._told.add(key)
        log.critical(
            "%s: its worker died (%s) and is started again%s",
            self._standing.name, reason, f" in {wait:.0f} s" if wait else "", exc_info=None if known else error,
        )  # fmt: skip
        self._standing.fail("dead", f"its worker died ({reason}); it is started again by itself")

    def _wait(self, seconds: float) -> bool:
        """Pause, and count what waits meanwhile; whether the service ends."""
        end = self._monotonic() + seconds
        while True:
            left = end - self._monotonic()
            try:
                self._standing.beat(LOOK)
                self._count()
            except BaseException as error:
                log.debug("%s: what waits cannot be counted: %s", self._standing.name, error)
            if self._stopping.wait(min(max(left, 0.0), LOOK)):
                return True
            if left <= LOOK:
                return False
