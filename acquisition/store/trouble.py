"""Trouble with the writing of a record, told once when it begins and once when it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable

LOSING = "the memory for what waits is full too: SAMPLES ARE BEING LOST"


class Trouble:
    """Tells `hear` of trouble, that samples begin to be dropped, and None when it is over. From any thread."""

    def __init__(self, hear: Callable[[str | None], None] | None) -> None:
        self.text: str | None = None
        self.losing = False
        self._hear = hear
        self._lock = threading.Lock()

    def told(self, dropped: int) -> str | None:
        """What is wrong now, with how many samples were dropped; None where nothing is."""
        text = self.text
        return f"{text}; {LOSING}, {dropped} so far" if text and self.losing else text

    def say(self, text: str | None, more: str = "") -> None:
        """Note what is wrong, None for nothing; `more` is told though something was wrong already."""
        with self._lock:
            changed = (text is None) != (self.text is None)
            self.text = text if text is None or changed or not more else self.text
            self.losing = self.losing and text is not None
        if (changed or more) and self._hear is not None:
            self._hear(f"{self.text}; {more}" if more else text)

    def lose(self) -> bool:
        """Note that samples begin to be dropped; False where that was told already."""
        if self.losing:
            return False
        self.losing = True
        self.say("the disk takes too little", LOSING)
        return True

    def die(self, error: BaseException) -> None:
        """Tell of the writer's end."""
        if self._hear is not None:
            self._hear(f"the writer died: {error}")
