"""A remote's worker on a clock of the test's: how soon it begins anew, and what stands meanwhile."""

import itertools
import threading

from acquisition.remotes.health import Standing
from acquisition.remotes.worker import CAP, LONG, Worker


class Waits:
    """An event that is never set and waited for on a clock of its own."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        return False


def lives(lengths):
    """When each life began, where each lasts so many seconds."""
    clock, began, lengths = Waits(), [], list(lengths)

    def work():
        began.append(clock.now)
        if not lengths:
            return
        clock.now += lengths.pop(0)
        raise RuntimeError("died")

    standing = Standing("influx", lambda *_: None, monotonic=clock.monotonic)
    Worker(standing, work, stopping=clock, monotonic=clock.monotonic)._run()
    return began, standing


def test_three_starts_at_once_then_ever_later_up_to_a_minute():
    began, standing = lives([0.0] * 14)
    pauses = [b - a for a, b in itertools.pairwise(began)]
    assert pauses == [0, 0, 0, 1, 2, 4, 8, 16, 32, CAP, CAP, CAP, CAP, CAP]
    assert standing.word == "ended"


def test_a_death_after_a_long_life_is_the_first_of_its_row():
    began, _ = lives([0.0] * 6 + [LONG + 1, 0.0, 0.0])
    assert began[-1] - began[-2] == 0
    assert began[-3] - began[-4] == LONG + 1


def test_what_cannot_be_told_or_counted_does_not_keep_it_from_its_next_start():
    clock, begun = Waits(), []

    def say(*_):
        raise MemoryError

    def count():
        raise OSError("the disk is away")

    def work():
        begun.append(clock.now)
        if len(begun) < 3:
            raise MemoryError

    standing = Standing("influx", say, monotonic=clock.monotonic)
    left = []
    Worker(standing, work, stopping=clock, count=count, leave=lambda: left.append(1), monotonic=clock.monotonic)._run()
    assert len(begun) == 3
    assert left == [1]


def test_the_end_of_the_service_ends_a_pause():
    stopping, died = threading.Event(), threading.Semaphore(0)

    def work():
        died.release()
        raise RuntimeError

    worker = Worker(Standing("influx", lambda *_: None), work, stopping=stopping)
    worker.start()
    for _ in range(4):
        assert died.acquire(timeout=60)
    stopping.set()
    worker.join(20)
    assert not worker.alive


def test_a_count_ages_by_what_was_recorded_since():
    now, recorded = [0.0], [100]
    standing = Standing("influx", lambda *_: None, monotonic=lambda: now[0], recorded=lambda: recorded[0])
    assert standing.pending is None
    standing.behind(7)
    recorded[0] = 130
    assert standing.pending == 7
    now[0] = 6.0
    assert standing.pending == 37


def test_a_pause_that_was_announced_is_no_hang():
    now = [0.0]
    standing = Standing("influx", lambda *_: None, monotonic=lambda: now[0])
    standing.beat(30.0)
    now[0] = 39.0
    assert standing.describe()["state"] == "starting"
    now[0] = 41.0
    assert standing.describe() == {
        "name": "influx",
        "state": "hung",
        "reason": "it has made no progress for 11 s",
        "pending": None,
        "quiet_s": 11.0,
    }
    standing.fail("unreachable", "no route")
    assert standing.describe()["state"] == "unreachable"
    now[0] = 91.0
    assert standing.describe()["reason"] == "it has made no progress for 61 s; before: unreachable: no route"
