"""Ranges of what a remote has yet to receive: live goes on, the backlog drains, the low-water mark never lies."""

from hypothesis import given
from hypothesis import strategies as st

from acquisition.remotes.outbox import RANGES, Outbox


def test_live_goes_on_while_the_backlog_drains():
    outbox = Outbox({1: 10})
    outbox.split({1: 100})
    assert outbox.live.positions == {1: 100}
    outbox.live.positions[1] = 120
    assert outbox.acknowledged({1: 130}) == {1: 10}
    assert outbox.pending({1: 130}) == 90 + 10
    backlog = outbox.backlog({1: 130})
    backlog.positions[1] = 100
    assert outbox.backlog({1: 130}) is None
    assert outbox.acknowledged({1: 130}) == {1: 120}


def test_many_outages_do_not_pile_up_ranges():
    outbox = Outbox({})
    for n in range(100):
        outbox.split({1: n * 10})
        outbox.live.positions[1] += n == 70
    assert len(outbox.ranges) == RANGES
    assert outbox.ranges[0].positions == {}
    # Where nothing was delivered in between, joining costs nothing.
    assert outbox.pending({1: 1000}) == 999


@given(st.lists(st.tuples(st.sampled_from(["grow", "split", "live", "backlog"]), st.integers(1, 50)), max_size=60))
def test_everything_below_the_mark_was_delivered_and_each_stretch_in_order(steps):
    ends, delivered, outbox = {1: 0, 2: 0}, {1: set(), 2: set()}, Outbox({})
    for step, amount in steps:
        stream = 1 + amount % 2
        if step == "grow":
            ends[stream] += amount
        elif step == "split":
            outbox.split(ends)
        else:
            part = outbox.live if step == "live" else outbox.backlog(ends)
            if part is None:
                continue
            position = part.positions.get(stream, 0)
            stop = min(position + amount, part.end(stream, ends))
            delivered[stream] |= set(range(position, stop))
            part.positions[stream] = max(stop, position)
        for each, mark in outbox.acknowledged(ends).items():
            assert set(range(mark)) <= delivered[each]
    for _ in range(1000):
        part = outbox.backlog(ends) or outbox.live
        if not outbox.pending(ends):
            break
        for each in ends:
            delivered[each] |= set(range(part.positions.get(each, 0), part.end(each, ends)))
            part.positions[each] = max(part.end(each, ends), part.positions.get(each, 0))
    assert delivered == {each: set(range(end)) for each, end in ends.items()}
    assert outbox.acknowledged(ends) == ends
