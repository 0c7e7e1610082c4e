"""The same over UDP, where datagrams come twice, late or never."""

import random

import numpy as np
import pytest

from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests import intellivue as known
from tests.drivers.intellivue.monitor import BOTH, CHEST, POLLS, Scripted, device_times, reader


@pytest.mark.parametrize("poll", POLLS)
def test_over_udp_messages_go_bare_and_nothing_is_lost(poll):
    monitor = Scripted(Monitor(others=12, mtu=300), datagrams=True)
    said = converse(reader(*BOTH, datagrams=True, poll=poll), monitor, 120.0)
    assert said.written[:2] == [known.ABORT, known.ASSOCIATION_REQUEST]
    assert said.written[-1] == known.RELEASE_REQUEST
    rows = [row["values"] for _, row in monitor.rows if row["stream"] == "chest"]
    assert len(rows) == pytest.approx(120, abs=1)
    assert np.array_equal(said.values("chest"), rows)


@pytest.mark.parametrize("poll", POLLS)
def test_datagrams_that_come_twice_or_never_are_stored_once_or_counted(poll):
    rng = random.Random(11)
    monitor = Scripted(datagrams=True)
    dropped = []

    def cut(message):
        """Double or drop measurements."""
        if b"\x50\xd0" not in message or not 3 < monitor.now < 290:
            return [message]
        fate = rng.random()
        if fate < 0.1:
            dropped.append(monitor.now)
            return []
        return [message] * (2 if fate < 0.4 else 1)

    said = converse(reader(*BOTH, datagrams=True, poll=poll), monitor, 300.0, cut=cut)
    rows = [row["values"] for at, row in monitor.rows if row["stream"] == "calf" and at not in dropped]
    assert len(dropped) > 20
    assert np.array_equal(said.values("calf"), rows)
    assert sum(r.lost for r in said.readings if r.stream == "calf") == len(dropped)


def test_a_datagram_that_was_overtaken_is_left_out():
    monitor = Scripted(datagrams=True)
    held = []

    def cut(message):
        if b"\x50\xd0" in message and 10 < monitor.now < 11:
            held.append(message)
            return []
        return [message, held.pop()] if held and b"\x50\xd0" in message else [message]

    said = converse(reader(CHEST, datagrams=True), monitor, 20.0, cut=cut)
    assert np.all(np.diff(device_times(said, "chest")) > 0)
    assert sum(r.lost for r in said.readings) == 1


@pytest.mark.parametrize("seed", range(3))
def test_stray_datagrams_are_noise(seed):
    rng = random.Random(seed)
    driver = reader(*BOTH, datagrams=True)
    driver.start(0.0)
    for size in (0, 1, 2, 8, 40, 400):
        for _ in range(50):
            assert {item.kind for item in driver.receive(rng.randbytes(size), 1.0)} <= {"noise"}
    (notice,) = driver.receive(known.POLL_FRAME, 1.0)
    assert notice.kind == "noise"


def test_bare_queries_match_bare_messages_alone():
    driver = reader(*BOTH, datagrams=True)
    allowed = [known.ABORT, known.ASSOCIATION_REQUEST, known.CREATE_RESULT, known.POLL_FRAME[5:-3]]
    forbidden = [known.POLL_FRAME, known.EXTENDED_POLL, known.ABORT + b"\x00", known.REPLY_FRAME[5:-3]]
    assert all(any(query.fullmatch(m) for query in driver.queries) for m in allowed)
    assert not any(query.fullmatch(m) for query in driver.queries for m in forbidden)
