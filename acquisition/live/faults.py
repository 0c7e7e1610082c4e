"""Faults in what the page is told: each is logged once and told while it lasts, and what comes after goes on."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator

CALM = 10.0
"""Seconds without a fault after which it counts as over."""
KINDS = 100
"""Different faults that are logged; more are only told."""

Trouble = Callable[[str | None], None]
"""Takes what the page cannot do, in words, and None once it can again; called on the page's thread."""

log = logging.getLogger(__name__)


class Faults:
    """Belongs to the page's loop."""

    def __init__(self, tell: Trouble = lambda _: None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._monotonic = monotonic
        self._logged: set[str] = set()
        self._last: float | None = None

    @contextlib.contextmanager
    def heeding(self, what: str) -> Iterator[None]:
        """Go on behind the block whatever is raised in it, and tell of it."""
        try:
            yield
        except Exception as error:
            text = f"{what} cannot be made ({type(error).__name__})"
            if text not in self._logged and len(self._logged) < KINDS:
                self._logged.add(text)
                log.exception("the live page: %s; the rest goes on", text)
            if self._last is None:
                self._tell(text)
            self._last = self._monotonic()

    def settle(self) -> None:
        """Say that it is over once nothing has failed for some time."""
        if self._last is not None and self._monotonic() - self._last > CALM:
            self._last = None
            self._tell(None)
