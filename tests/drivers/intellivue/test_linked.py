"""Results in several linked parts."""

import numpy as np
import pytest

from acquisition.model import Readings
from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests.drivers.intellivue.monitor import BOTH, POLLS, Scripted, reader
from tests.drivers.intellivue.replies import gas, talk


@pytest.mark.parametrize("poll", POLLS)
def test_linked_results_are_joined(poll):
    simulated = Scripted(Monitor(others=12, mtu=300))
    said = converse(reader(*BOTH, poll=poll), simulated, 20.0)
    linked = [m for m in said.sent if m[9:11] == b"\x00\x05" or m[5:11].endswith(b"\x00\x05")]
    assert len(linked) > 60
    rows = [row["values"] for _, row in simulated.rows if row["stream"] == "calf"]
    assert np.array_equal(said.values("calf"), rows)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_result_with_a_missing_part_is_left_out_and_counted(missing):
    driver = reader(*BOTH)
    talk(driver, gas(257), gas(258))
    parts = [((gas(257),), (1, 1)), ((gas(300),), (2, 2)), ((gas(258),), (3, 3)), ((), None)]
    items = []
    driver.poll(driver.deadline())
    for index, (objects, link) in enumerate(parts):
        if index != missing:
            items += talk(driver, *objects, link=link)
    assert not [i for i in items if isinstance(i, Readings)]
    items = talk(driver, gas(257), gas(258))
    assert [i.lost for i in items if isinstance(i, Readings)] == [1, 1]
