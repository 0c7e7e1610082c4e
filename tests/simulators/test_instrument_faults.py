"""Faults that only the instrument itself can show, as its host sees them."""

import pytest

from acquisition.driverkit.driver import Setup
from acquisition.model import Quality
from drivers.csafe import Csafe, Options
from drivers.trackmaster import Options as TrackmasterOptions
from drivers.trackmaster import Trackmaster
from drivers.woodway import Options as WoodwayOptions
from drivers.woodway import Woodway
from simulators.bench.registry import simulators
from simulators.csafe import Csafe as Console
from simulators.csafe import Options as Habits
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from simulators.trackmaster import Options as TrackmasterHabits
from simulators.trackmaster import Trackmaster as TrackmasterBelt
from simulators.woodway import Woodway as WoodwayBelt
from tests.digitiser import driver, simulator
from tests.treadmill.belt import Belt

WALK = Belt((0, 0, 0), (2, 3.2, 5), (600, 3.2, 5))


def console(kind, **options):
    found = Console(Plan("csafe", WALK, Habits(**options)))
    return with_fault(found, kind)


def with_fault(instrument, kind):
    assert instrument.fault(kind, True)
    return instrument


def texts(said, kind):
    return [notice.text for notice in said.notices if notice.kind == kind]


def test_a_console_in_error_is_an_alarm():
    said = converse(Csafe(Setup("csafe", Options())), console("alarm"), 5.0)
    assert texts(said, "alarm") == ["the equipment's state is error"]


def test_another_console_answers_with_another_serial_number():
    said = converse(Csafe(Setup("csafe", Options())), console("wrong-identity"), 5.0)
    (identity,) = [notice.details["serial"] for notice in said.notices if notice.kind == "identity"]
    assert identity == "SIM999999"


def test_a_console_whose_speed_is_out_of_range_is_marked():
    said = converse(Csafe(Setup("csafe", Options())), console("out-of-range"), 5.0)
    belt = [reading for reading in said.readings if reading.stream == "belt"]
    assert all(reading.quality[0, 0] == Quality.RANGE for reading in belt)


def test_the_distance_of_a_console_begins_again_at_0():
    instrument = Console(Plan("csafe", WALK, Habits()))
    converse(Csafe(Setup("csafe", Options())), instrument, 5.0)
    said = converse(Csafe(Setup("csafe", Options())), with_fault(instrument, "counter-wrap"), 20.0, start=5.0)
    metres = said.values("console")[:, 0]
    assert metres[0] > 65_000
    assert metres[-1] < 20


@pytest.mark.parametrize(("kind", "quality"), [("alarm", Quality.INVALID), ("out-of-range", Quality.RANGE)])
def test_a_trackmaster_reports_a_fault_or_a_speed_that_cannot_be(kind, quality):
    belt = with_fault(TrackmasterBelt(Plan("trackmaster", WALK, TrackmasterHabits())), kind)
    said = converse(Trackmaster(Setup("trackmaster", TrackmasterOptions(unit="mph"))), belt, 5.0)
    assert all(reading.quality[0, 0] == quality for reading in said.readings)
    assert any("999.9" in text for text in texts(said, "alarm")) == (kind == "alarm")


def test_the_distance_of_a_trackmaster_wraps_where_it_counts():
    assert not TrackmasterBelt(Plan("trackmaster", WALK, TrackmasterHabits())).fault("counter-wrap", True)
    belt = with_fault(TrackmasterBelt(Plan("trackmaster", WALK, TrackmasterHabits(counters="jas"))), "counter-wrap")
    belt.receive(b"\xc7", 0.0)
    belt.advance(1.0)
    assert belt.to_send() == [b"\xd79990"]


def test_a_woodway_misses_its_host_or_is_no_woodway():
    read = Woodway(Setup("woodway", WoodwayOptions()))
    said = converse(read, with_fault(WoodwayBelt(Plan("woodway", WALK)), "alarm"), 5.0)
    assert any("missed its host" in text for text in texts(said, "alarm"))
    read = Woodway(Setup("woodway", WoodwayOptions()))
    said = converse(read, with_fault(WoodwayBelt(Plan("woodway", WALK)), "wrong-identity"), 5.0)
    assert any("this is a Trackmaster" in text for text in texts(said, "alarm"))
    assert said.readings == []
    read = Woodway(Setup("woodway", WoodwayOptions()))
    said = converse(read, with_fault(WoodwayBelt(Plan("woodway", WALK)), "out-of-range"), 5.0)
    assert all(reading.quality[0, 0] & Quality.RANGE for reading in said.readings)


def test_another_digitiser_is_left_alone():
    said = converse(driver(), with_fault(simulator(), "wrong-model"), 5.0)
    assert said.readings == []
    assert any("a 34972A answers" in text for text in texts(said, "warning"))


def test_a_digitiser_whose_memory_runs_over_says_so_and_goes_on_when_it_is_over():
    instrument = with_fault(simulator(), "memory-overflow")
    said = converse(driver(), instrument, 30.0)
    assert len(texts(said, "overflow")) == 1
    lost = sum(reading.lost for reading in said.readings if reading.stream == "flux")
    got = sum(len(reading.values) for reading in said.readings if reading.stream == "flux")
    assert lost > 100
    assert got + lost == pytest.approx(600, abs=12)
    instrument.fault("memory-overflow", False)
    said = converse(driver(), instrument, 10.0, start=40.0)
    assert not any([reading.lost for reading in said.readings if reading.stream == "flux"][5:])


@pytest.mark.parametrize("name", sorted(simulators()))
def test_a_fault_that_an_instrument_cannot_have_is_refused(name):
    plan = Plan(name, WALK, simulators()[name].Options())
    assert simulators()[name](plan).fault("no-such-fault", True) is False
