"""Several electrodes of one monitor: bound by handle, never mixed, replugs noticed."""

import math

import numpy as np
import pytest

from acquisition.model import Readings
from drivers.intellivue import Electrode, electrodes
from simulators.intellivue import Options as Monitor
from simulators.simkit.conversation import converse
from tests.drivers.intellivue.monitor import BOTH, CHEST, TCPCO2, TCPO2, Scripted, reader, texts
from tests.drivers.intellivue.replies import gas, one, talk


def test_each_electrode_has_its_handle_and_nothing_is_mixed():
    items = talk(reader(*BOTH), gas(258, 30.0), gas(257, 70.0))
    values = {i.stream: i.values[0, TCPO2] for i in items if isinstance(i, Readings)}
    assert values == {"chest": 70.0, "calf": 30.0}


def test_one_object_for_each_value_is_joined_by_further_handles():
    monitor = Monitor(objects="single")
    also = {base: tuple(base + 256 * i for i in range(1, 5)) for base in (257, 258)}
    driver = reader(Electrode("chest", 257, also[257]), Electrode("calf", 258, also[258]))
    simulated = Scripted(monitor)
    said = converse(driver, simulated, 20.0)
    rows = [row["values"] for _, row in simulated.rows if row["stream"] == "calf"]
    assert np.array_equal(said.values("calf"), rows)
    assert not texts(said, "warning")


def test_without_configured_electrodes_the_first_is_bound_and_a_second_reported_once():
    driver = reader()
    items = talk(driver, gas(300, 70.0), gas(301, 30.0)) + talk(driver, gas(301, 31.0), gas(300, 71.0))
    assert [i.values[0, TCPO2] for i in items if isinstance(i, Readings)] == [70.0, 71.0]
    assert [i.stream for i in items if isinstance(i, Readings)] == ["electrode"] * 2
    warnings = [i.text for i in items if not isinstance(i, Readings)]
    assert len(warnings) == 1
    assert "handle 301" in warnings[0]


def test_values_of_two_electrodes_in_objects_of_their_own_are_not_guessed_together():
    co2 = [gas(310, 40.0, physio=electrodes.TCPCO2), gas(311, 45.0, physio=electrodes.TCPCO2)]
    items = talk(reader(), gas(300, 70.0), gas(301, 30.0), *co2)
    assert math.isnan(one(items).values[0, TCPCO2])
    assert len([i for i in items if not isinstance(i, Readings)]) == 3


def test_the_same_handle_in_another_context_is_another_electrode():
    driver = reader(CHEST)
    items = talk(driver, gas(257, 70.0, context=1), gas(257, 30.0, context=2))
    assert one(items).values[0, TCPO2] == 70
    assert any("context 2" in i.text for i in items if not isinstance(i, Readings))


def test_an_electrode_that_is_replugged_is_reported_and_its_hole_counted():
    monitor = Scripted(
        events=[(10.0, lambda m: m.fault("detached", True)), (20.0, lambda m: m.fault("detached", False))]
    )
    said = converse(reader(*BOTH), monitor, 30.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert "does not deliver the electrode chest (handle 257)" in warnings[0]
    assert "handle 258" in warnings[0]
    assert "chest (handle 257) is back: check" in warnings[1]
    lost = [r.lost for r in said.readings if r.stream == "chest" and r.lost]
    assert lost == [pytest.approx(10, abs=1)]
    assert len(said.values("calf")) == pytest.approx(30, abs=1)


def test_swapped_handles_are_noticed_by_the_site_time():
    options = Monitor()
    monitor = Scripted(options, events=[(60.0, lambda m: m.swap())])
    monitor._applied["calf"] = -7200.0
    said = converse(reader(*BOTH), monitor, 120.0)
    warnings = texts(said, "warning")
    assert len(warnings) == 2
    assert all("moved, replugged or swapped" in text for text in warnings)


def test_electrodes_on_new_handles_are_not_recorded_under_old_names():
    monitor = Scripted(events=[(10.0, lambda m: m._handles.update(chest=400, calf=401))])
    said = converse(reader(*BOTH), monitor, 20.0)
    assert len(said.values("chest")) == pytest.approx(10, abs=1)
    assert any("handle 400" in text for text in texts(said, "warning"))
