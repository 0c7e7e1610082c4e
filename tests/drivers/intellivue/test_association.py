"""Associations that the monitor refuses or ends."""

import numpy as np

from drivers.intellivue import association, exchange, frames
from simulators.simkit.conversation import converse
from tests.drivers.intellivue.monitor import BOTH, Scripted, arrivals, reader, texts


def test_a_refused_association_is_reported_once_and_tried_again():
    said = converse(reader(*BOTH), Refusing(), 10.0)
    assert len(texts(said, "warning")) == 1
    assert "refuses the association" in texts(said, "warning")[0]
    assert not said.readings
    requests = [m for m in said.written if exchange.decode(frames.unframe(m)) == association.AssociationRequest()]
    assert 8 <= len(requests) <= 10


class Refusing(Scripted):
    def _associate(self, info, at):
        self.send(frames.frame(association.Refuse().encode()))


def test_an_abort_by_the_monitor_is_followed_by_a_new_association():
    def abort(monitor):
        monitor._forget()
        monitor.send(frames.frame(association.Abort().encode()))

    said = converse(reader(*BOTH), Scripted(events=[(10.5, abort)]), 20.0)
    assert "the monitor ended the association" in texts(said, "state")
    assert max(np.diff(arrivals(said, "chest"))) < 2.5
    assert len(texts(said, "state")) == 3
