"""Every driver with its simulator under the service's supervisor: silence is LOST, a return is one gap."""

import asyncio

import pytest

from tests.contract.pairs import PAIRS
from tests.contract.wire import Wire
from tests.virtual import run

QUIET_FROM, QUIET_FOR = 20.0, 30.0


@pytest.mark.parametrize("name", PAIRS)
def test_a_silent_instrument_is_lost_its_last_value_not_repeated_and_its_return_is_one_gap(name):
    async def play(loop):
        wire = Wire(loop, name)
        task = asyncio.create_task(wire.supervisor.run())
        await asyncio.sleep(QUIET_FROM)
        wire.mute = True
        await asyncio.sleep(QUIET_FOR)
        wire.mute = False
        await asyncio.sleep(40.0)
        wire.supervisor.stop()
        await task
        return wire

    wire = run(play)
    back = QUIET_FROM + QUIET_FOR
    names = [state for _, state in wire.states]
    assert names[:3] == ["CONNECTING", "NEGOTIATING", "STREAMING"]
    assert names[3] == "LOST"
    assert names[-1] == "STREAMING"
    lost_at, streaming_at = wire.states[3][0], wire.states[-1][0]
    assert QUIET_FROM < lost_at < QUIET_FROM + 1.3 * wire.driver.silence + 1.0
    assert back < streaming_at < back + wire.driver.silence + 5.0
    for stream in wire.context:
        chunks = [chunk for chunk in wire.chunks if chunk.header.stream.name == stream]
        assert not [c for c in chunks if QUIET_FROM + 0.1 < c.arrived.seconds < back]
        (gap,) = [c.gap for c in chunks if c.gap is not None]
        assert "silent" in gap.cause
        assert gap.stop > gap.start
