"""Extended and single polls: renewal, refusal, keep-alive and pace."""

import numpy as np
import pytest

from acquisition.driverkit.driver import Setup
from drivers.intellivue import IntelliVue, Options, attributes, exchange, frames
from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests import intellivue as known
from tests.drivers.intellivue.monitor import BOTH, CHEST, Scripted, device_times, reader, texts


def requests(said):
    """All polls that the driver sent, decoded."""
    messages = [exchange.decode(frames.unframe(message)) for message in said.written]
    return [message for message in messages if isinstance(message, exchange.PollRequest)]


def test_an_extended_poll_is_renewed_before_it_ends_without_a_seam():
    monitor = Scripted()
    said = converse(reader(CHEST), monitor, 2400.0)
    extended = [request for request in requests(said) if request.period is not None]
    assert [request.period for request in extended] == [4_800_000] * 6
    times = device_times(said, "chest")
    assert len(times) == 2400
    assert np.diff(times) == pytest.approx(np.ones(len(times) - 1), abs=0.05)
    assert not any(r.lost for r in said.readings)


def test_an_extended_poll_whose_renewal_is_lost_is_renewed_again():
    class HardOfHearing(Scripted):
        def _answer_poll(self, request, at):
            if request.period is None or not 440 < at < 470:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), HardOfHearing(Monitor(others=0)), 700.0)
    assert len(said.values("chest")) >= 698


def test_an_association_with_an_extended_poll_is_kept_alive():
    monitor = Scripted()
    said = converse(reader(CHEST), monitor, 100.0)
    asked = [request for request in requests(said) if request.kind == attributes.MDS]
    assert len(requests(said)) == len(asked) + 1
    assert len(asked) == pytest.approx(30, abs=2)
    assert {request.group for request in asked[1:]} == {attributes.SYSTEM_PRODUCTION}
    assert len(said.values("chest")) == 100


def test_a_monitor_that_grants_no_extended_polls_is_polled_one_by_one():
    said = converse(reader(CHEST), Scripted(Monitor(extended=False)), 30.0)
    assert len(said.values("chest")) == 30
    assert not any(request.period for request in requests(said))


def test_a_monitor_that_grants_extended_polls_and_refuses_them_is_polled_one_by_one():
    class Fickle(Scripted):
        def _answer_poll(self, request, at):
            if request.period is not None:
                self._say(exchange.ErrorResult(request.invoke, 24))
            else:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), Fickle(), 30.0)
    assert len(said.values("chest")) == 30
    assert any("refused (invalid operation)" in text for text in texts(said, "state"))


def test_a_monitor_that_leaves_extended_polls_unanswered_is_polled_one_by_one():
    class Mute(Scripted):
        def _answer_poll(self, request, at):
            if request.period is None:
                super()._answer_poll(request, at)

    said = converse(reader(CHEST), Mute(), 30.0)
    assert len(said.values("chest")) == 29
    assert any("none came" in text for text in texts(said, "state"))


def test_rare_polls_are_bridged_by_keep_alives_and_the_association_holds():
    monitor = Scripted()
    said = converse(reader(*BOTH, poll="single", interval=30.0), monitor, 300.0)
    assert len(said.values("chest")) == 10
    assert len(texts(said, "state")) == 1
    times = [at for at, _ in monitor.received]
    assert max(np.diff(times[3:])) < 10.0


def test_no_more_than_four_frames_leave_in_128_ms():
    class Eager(Scripted):
        """Introduces itself again with everything that it hears."""

        def receive(self, data, at):
            super().receive(data, at)
            if self._associated and at < 5:
                for _ in range(6):
                    self._say(exchange.MdsCreate(7, 0, ()))

    monitor = Eager()
    converse(reader(*BOTH), monitor, 8.0)
    times = np.array([at for at, _ in monitor.received[:-1]])  # the last one is the farewell, which waits for nothing
    assert len(times) > 50
    assert np.all(times[4:] - times[:-4] >= 0.128 - 1e-9)


def test_patience_stretches_every_time_out():
    driver = IntelliVue(Setup("intellivue", Options(BOTH), patience=10.0))
    driver.start(0.0)
    assert driver.deadline() == pytest.approx(15.0)


def test_only_what_is_declared_matches_the_queries():
    driver = reader(*BOTH)
    allowed = [
        known.POLL_FRAME,
        frames.frame(exchange.PollRequest(4, 4, period=4_800_000).encode()),
        *map(frames.frame, [known.ABORT, known.ASSOCIATION_REQUEST, known.CREATE_RESULT]),
    ]
    forbidden = [
        known.REPLY_FRAME,
        known.POLL_FRAME + b"\x00",
        known.POLL_FRAME * 2,
        frames.frame(known.EXTENDED_POLL),
    ]
    forbidden.append(frames.frame(known.POLL_FRAME[5:-3].replace(b"\x00\x07\x00\x16", b"\x00\x05\x00\x16")))
    assert all(any(query.fullmatch(m) for query in driver.queries) for m in allowed)
    assert not any(query.fullmatch(m) for query in driver.queries for m in forbidden)
    for invoke in [*range(0, 0x10000, 37), *range(0xC000, 0xC200), *range(0x7D00, 0x7E00)]:
        message = frames.frame(exchange.PollRequest(invoke, invoke).encode())
        assert driver.queries[4].fullmatch(message), message.hex(" ")
