"""One batch to a remote: sent until it has taken each line, or refused it for good."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from acquisition.remotes.batch import Batch, RefusedSamples, group
from acquisition.remotes.health import Standing
from acquisition.remotes.write_result import Answer, Remote, WriteVerdict

LARGEST = 5000
"""Lines in a batch; measured: larger ones gain nothing."""
SMALLEST = 50
LOOK = 2.0
"""Seconds between two words on how things stand, while it waits."""


@dataclass(frozen=True, slots=True)
class RetryPace:
    """Seconds before the second try, at most between two, while held, and at most when the server asks for a time."""

    first: float = 0.2
    cap: float = 15.0
    held: float = 30.0
    asked: float = 300.0


class Delivery:
    """Sends batches for one thread; `limit` is how many lines the remote bears at a time.

    A line is refused for good only when the server refuses it alone, twice, and takes a line that is known to be
    right in between: a server that refuses everything is not believed but held. `waiting` is called every
    now and then while nothing is taken.
    """

    def __init__(
        self,
        remote: Remote,
        standing: Standing,
        probe: Callable[[], str],
        stopping: threading.Event,
        pace: RetryPace,
        rng: random.Random,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.limit = LARGEST
        self._remote = remote
        self._standing = standing
        self._probe = probe
        self._stopping = stopping
        self._pace = pace
        self._rng = rng
        self._waiting = waiting
        self._failures = 0

    def deliver(self, batch: Batch) -> list[RefusedSamples] | None:
        """What was refused for good, mostly nothing; None where the service ends before all was taken."""
        answer = self._send(batch.text)
        if answer.verdict is WriteVerdict.ACCEPTED:
            self._accepted(batch.size)
            return []
        return self._insist(batch, batch.text.split("\n"), answer)

    def _insist(self, batch: Batch, lines: list[str], answer: Answer) -> list[RefusedSamples] | None:
        refused: list[tuple[int, str]] = []
        waiting: list[tuple[int, int]] = []
        start, stop = 0, len(lines)
        while True:
            count = stop - start
            match answer.verdict:
                case WriteVerdict.ACCEPTED:
                    self._accepted(count)
                case WriteVerdict.REJECT if count > 1 and answer.dropped == count:
                    refused += [(index, answer.reason) for index in range(start, stop)]
                case WriteVerdict.REJECT if count == 1:
                    sure = self._make_sure(lines[start])
                    if sure is None:
                        return None
                    if sure.verdict is WriteVerdict.REJECT:
                        refused.append((start, sure.reason))
                case WriteVerdict.REJECT:
                    _halve(waiting, start, stop)
                case WriteVerdict.TOO_LARGE | WriteVerdict.SLOW if count > 1:
                    self.limit = max(count // 2, SMALLEST)
                    _halve(waiting, start, stop)
                    if answer.verdict is WriteVerdict.SLOW and not self._wait(answer):
                        return None
                case _:
                    waiting.append((start, stop))
                    if not self._wait(answer):
                        return None
            if not waiting:
                return group(batch, lines, refused)
            start, stop = waiting.pop()
            answer = self._send("\n".join(lines[start:stop]))

    def _send(self, text: str) -> Answer:
        """Send lines; an answer is progress, whatever it says."""
        answer = self._remote.send(text)
        self._standing.beat()
        return answer

    def _make_sure(self, line: str) -> Answer | None:
        """Whether a line that was refused alone is: ACCEPTED or REJECT; None where the service ends."""
        text, judged = self._probe(), False
        while True:
            answer = self._send(line if judged else text)
            if answer.verdict is WriteVerdict.ACCEPTED and not judged:
                self._recovered()
                judged = True
                continue
            if judged and answer.verdict in (WriteVerdict.ACCEPTED, WriteVerdict.REJECT):
                return answer
            if answer.verdict is WriteVerdict.REJECT:
                answer = Answer(WriteVerdict.HOLD, f"everything is refused: {answer.reason}", answer.wait)
            if not self._wait(answer):
                return None

    def _wait(self, answer: Answer) -> bool:
        """Wait before the next try; False where the service ends meanwhile."""
        self._failures += 1
        held = answer.verdict in (WriteVerdict.HOLD, WriteVerdict.TOO_LARGE)
        self._standing.fail("held" if held else "unreachable", answer.reason)
        longest = self._pace.held if held else min(self._pace.first * 2 ** min(self._failures - 1, 16), self._pace.cap)
        asked = min(answer.wait or 0.0, self._pace.asked)
        left = max(asked, longest * self._rng.uniform(0.5, 1.0))
        while left > 0:
            self._waiting()
            self._standing.beat(LOOK)
            if self._stopping.wait(min(left, LOOK)):
                return False
            left -= LOOK
        return True

    def _accepted(self, count: int) -> None:
        self._recovered()
        if count >= self.limit:
            self.limit = min(2 * self.limit, LARGEST)

    def _recovered(self) -> None:
        self._failures = 0
        self._standing.recover()


def _halve(waiting: list[tuple[int, int]], start: int, stop: int) -> None:
    middle = (start + stop) // 2
    waiting += [(middle, stop), (start, middle)]
