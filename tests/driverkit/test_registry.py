"""Drivers are found by name, from the package and from entry points; a name that exists twice is an error."""

from importlib.metadata import EntryPoint

import pytest

from acquisition.driverkit import registry
from acquisition.driverkit.driver import About
from acquisition.errors import ConfigurationError
from tests.virtual import Counter


class Foreign(Counter):
    about = About({"foreign-box": "a box from elsewhere"}, "counter", ("serial",), "inferred", "made for these tests")


@pytest.fixture
def points(monkeypatch):
    found = []
    monkeypatch.setattr(registry, "entry_points", lambda group: [p for p in found if p.group == group])
    registry.drivers.cache_clear()
    yield found
    registry.drivers.cache_clear()


def point(value, group=registry.GROUP):
    return EntryPoint("x", value, group)


def test_a_class_from_an_entry_point_is_found(points):
    points.append(
        type("Point", (), {"group": registry.GROUP, "name": "x", "value": "x", "load": lambda self: Foreign})()
    )
    assert registry.drivers()["foreign-box"] is Foreign


def test_a_name_twice_names_both_places(points):
    class Other(Foreign):
        pass

    for each in (Foreign, Other):
        points.append(
            type("P", (), {"group": registry.GROUP, "name": "x", "value": "x", "load": lambda _, e=each: e})()
        )
    with pytest.raises(ConfigurationError, match=r"'foreign-box' exists twice: .*Foreign and .*Other"):
        registry.drivers()


def test_an_entry_point_that_is_no_driver_is_an_error(points):
    points.append(point("math:pi"))
    with pytest.raises(ConfigurationError, match="neither a driver nor a module of drivers"):
        registry.drivers()
