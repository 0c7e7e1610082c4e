"""Send rate of a host: at most four frames in 128 ms (the guide's limit for the serial port)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator


class Pace:
    """Holds messages back until the pace allows them; a time s seconds long takes s * `patience`."""

    FRAMES = 4
    WINDOW = 0.128

    def __init__(self, patience: float) -> None:
        self._window = self.WINDOW * patience
        self._waiting: deque[bytes] = deque()
        self._sent: deque[float] = deque(maxlen=self.FRAMES)

    def put(self, message: bytes) -> None:
        """Take a message."""
        self._waiting.append(message)

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

    def release(self, at: float) -> Iterator[bytes]:
        """Hand over what may be sent by now."""
        while self._waiting and self.permitted() <= at:
            self._sent.append(at)
            yield self._waiting.popleft()

    def permitted(self) -> float:
        """From when on the next message may be sent (the `at` clock)."""
        return -math.inf if len(self._sent) < self.FRAMES else self._sent[0] + self._window

    def deadline(self) -> float | None:
        """When the next waiting message may be sent, None where none waits."""
        return self.permitted() if self._waiting else None
