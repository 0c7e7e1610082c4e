"""Steps of maintenance of a record: prepared elsewhere, carried out by the writing thread between two batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

import apsw

from acquisition.store.journal import Journal


class Step:
    """One transaction of maintenance; `wait` answers whether it was committed.

    What was prepared from what one record holds names that `record`, and is not done to another in its place.
    """

    def __init__(self, run: Callable[[apsw.Connection, Journal], None], record: str = "") -> None:
        self.run = run
        self.record = record
        self.cancelled = False
        self._finished = threading.Event()
        self._done = False

    def finish(self, done: bool) -> None:
        """Tell who waits."""
        self._done = done
        self._finished.set()

    def wait(self, timeout: float) -> bool:
        """Wait for the commit; False where it failed, or takes longer and is called off."""
        self.cancelled = not self._finished.wait(timeout)
        return self._done
