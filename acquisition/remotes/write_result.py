"""Write results: a server's verdict on a batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from acquisition.text import clean


class WriteVerdict(Enum):
    """What is to be done with a batch after the remote's answer."""

    ACCEPTED = "accepted"
    KEEP = "keep"
    """Not now: down, overloaded, or gone before it answered. Sent again; a point that was stored stays one."""
    SLOW = "slow"
    """No answer in time. Sent again, in smaller pieces."""
    HOLD = "hold"
    """Not at all until somebody acts: a wrong token, organisation or bucket, or no such server. Sent again, rarely."""
    REJECT = "reject"
    """Something in the batch is wrong: it is halved until the wrong line stands alone."""
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, the server's reason, how many seconds it asked to be left alone, how many lines it says it dropped."""

    verdict: WriteVerdict
    reason: str = ""
    wait: float | None = None
    dropped: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reason", clean(self.reason))


class Remote(Protocol):
    """Takes a batch of lines and says what became of it."""

    def send(self, text: str) -> Answer:
        """Send lines; never raises for what a server or network may do."""

    def close(self) -> None:
        """Let go of the connection."""
