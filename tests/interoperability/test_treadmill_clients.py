"""PyPI `trackmaster` 0.1.1 and `pyWoodway` 0.2.4, hosts that others wrote, move the simulated belts."""

import contextlib
import json
import time
from importlib.metadata import version

import pytest
import trackmaster
from pywoodway import treadmill as woodway

from tests.service.bench import PATIENCE, Simulator

QUICK = json.dumps({"ramp": 8.0, "grade_ramp": 20.0})


@contextlib.contextmanager
def belt(name, folder):
    simulator = Simulator(name, folder, "--options", QUICK, link=("--pty",))
    try:
        yield simulator.address
    finally:
        simulator.end()


@pytest.fixture
def track(tmp_path):
    with belt("trackmaster", tmp_path) as port:
        host = trackmaster.Treadmill(port)
        try:
            yield host
        finally:
            host.device.close()


@pytest.fixture
def split(tmp_path):
    with belt("woodway", tmp_path) as port:
        host = woodway.Treadmill(port)
        host.comport.timeout = PATIENCE
        try:
            yield host
        finally:
            host.close()


def settled(read, value):
    end = time.monotonic() + PATIENCE
    while (seen := read()) != pytest.approx(value, abs=0.05):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def test_they_are_the_pinned_versions():
    assert (version("trackmaster"), version("pyWoodway")) == ("0.1.1", "0.2.4")


def test_trackmaster_sees_the_speeds_and_grades_that_it_set(track):
    assert (track.get_set_speed(), track.get_set_incline()) == (0.0, 0.0)
    assert not track.belt_running
    for speed, grade in ((2.0, 5.0), (3.5, 12.5), (0.7, 0.0)):
        track.speed, track.incline = speed, grade
        assert (track.get_set_speed(), track.get_set_incline()) == (speed, grade)
        assert settled(track.get_actual_speed, speed)
        assert settled(track.get_actual_elevation, grade) == grade
        assert track.belt_running
    track.stop_belt()
    assert settled(track.get_actual_speed, 0.0) == 0.0
    assert not track.belt_running


def test_what_a_trackmaster_refuses_is_an_error_there(track):
    with pytest.raises(trackmaster.raw.TreadmillError, match="Out of Range"):
        trackmaster.raw.command(track.device, "3", data="0999")
    with pytest.raises(trackmaster.raw.TreadmillError, match="not recognized"):
        trackmaster.raw.command(track.device, "E")
    assert track.get_set_speed() == 0.0


def test_woodway_sees_the_speeds_and_grades_that_it_set_backwards_too(split):
    assert split.test_treadmill()
    assert split.get_fw_rev() == 0x00010203
    assert split.start_belt(False)
    for speed, grade in ((2.0, 5.0), (12.5, 12.5), (-1.5, 0.0)):
        assert split.set_speed(speed)
        assert split.set_elevation(grade)
        assert settled(split.get_speed, speed)
        assert settled(split.get_elevation, grade) == grade
    assert split.stop_belt()
    assert settled(split.get_speed, 0.0) == 0.0


def test_a_watched_woodway_stops_when_its_host_falls_silent(split):
    assert split.set_speed(2.0)
    assert split.start_belt(True)
    assert settled(split.get_speed, 2.0)
    assert split.comport.read(1) == woodway.TreadmillReturns.MASTER_TIMEOUT
    assert settled(split.get_speed, 0.0) == 0.0
