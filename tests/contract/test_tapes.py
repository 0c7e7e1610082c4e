"""A tape of every pair, played again, gives the samples that the service published, and asks what was asked."""

import asyncio

import numpy as np
import pytest

from acquisition.device.replay import Rows, compare, play, tapes
from tests.contract.pairs import PAIRS
from tests.contract.wire import Wire
from tests.virtual import run


@pytest.mark.parametrize("name", PAIRS)
def test_a_tape_of_two_connections_gives_every_sample_again(name, tmp_path):
    async def record(loop):
        wire = Wire(loop, name, tmp_path)
        task = asyncio.create_task(wire.supervisor.run())
        await asyncio.sleep(10.0)
        wire.mute = True
        await asyncio.sleep(20.0)
        wire.mute = False
        await asyncio.sleep(20.0)
        wire.supervisor.stop()
        await task
        return wire

    wire = run(record)
    recorded = tapes(tmp_path)
    assert len(recorded) > 1
    total = 0
    for tape in recorded:
        played = play(tape)
        assert played.ended
        assert not played.asked_differently
        for stream, rows in played.rows.items():
            published = published_by(wire, tape.label.connection, stream, rows.values.shape[1])
            verdict = compare(rows, published)
            assert not verdict.differ
            assert np.array_equal(rows.arrived, published.arrived)
            total += verdict.samples
    assert total == sum(map(len, wire.chunks)) > 0


def published_by(wire, connection, stream, channels):
    chunks = [c for c in wire.chunks if c.connection == connection and c.header.stream.name == stream]
    return Rows.join(
        [Rows(c.values, c.quality, np.full(len(c), c.arrived.monotonic, np.int64)) for c in chunks], channels
    )
