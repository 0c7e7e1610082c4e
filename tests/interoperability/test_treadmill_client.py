"""PyPI `trackmaster` 0.1.1, a host for treadmills that others wrote, moves the simulated belt."""

import json
import time
from importlib.metadata import version

import pytest
import trackmaster

from tests.service.bench import Simulator

QUICK = json.dumps({"ramp": 8.0, "grade_ramp": 20.0})


@pytest.fixture
def belt(tmp_path):
    simulator = Simulator("trackmaster", tmp_path, "--options", QUICK, link=("--pty",))
    try:
        yield simulator
    finally:
        simulator.end()


@pytest.fixture
def host(belt):
    treadmill = trackmaster.Treadmill(belt.address)
    try:
        yield treadmill
    finally:
        treadmill.device.close()


def settled(read, value):
    end = time.monotonic() + 10
    while (seen := read()) != pytest.approx(value, abs=0.05):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def test_it_is_the_pinned_version():
    assert version("trackmaster") == "0.1.1"


def test_it_sees_the_speeds_and_grades_that_it_set(host):
    assert (host.get_set_speed(), host.get_set_incline()) == (0.0, 0.0)
    assert not host.belt_running
    for speed, grade in ((2.0, 5.0), (3.5, 12.5), (0.7, 0.0)):
        host.speed, host.incline = speed, grade
        assert (host.get_set_speed(), host.get_set_incline()) == (speed, grade)
        assert settled(host.get_actual_speed, speed)
        assert settled(host.get_actual_elevation, grade) == grade
        assert host.belt_running
    host.stop_belt()
    assert settled(host.get_actual_speed, 0.0) == 0.0
    assert not host.belt_running


def test_what_the_treadmill_refuses_is_an_error_there(host):
    with pytest.raises(trackmaster.raw.TreadmillError, match="Out of Range"):
        trackmaster.raw.command(host.device, "3", data="0999")
    with pytest.raises(trackmaster.raw.TreadmillError, match="not recognized"):
        trackmaster.raw.command(host.device, "E")
    assert host.get_set_speed() == 0.0
