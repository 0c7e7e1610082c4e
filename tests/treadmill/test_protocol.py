"""Walking protocols: their published stages, and the orders that are due as a walk goes on."""

import pytest

from acquisition.config import resources
from acquisition.errors import ConfigurationError
from acquisition.treadmill.protocol import KIND, WalkProgress, load_walk

WALKS = ["walk-constant", "walk-constant-12", "walk-gs", "walk-hiatt", "walk-single-stage", "walk-slow"]


def orders(walk, until, step=1.0):
    """Everything ordered, as (second, name, value), when somebody looks every `step` seconds."""
    said, at = [], 0.0
    while at <= until:
        said += [(at, order.name, order.value) for order in walk.due(at)]
        at += step
    return said


def begun(name, **bounds):
    walk = WalkProgress(load_walk(name), **bounds)
    walk.begin(0.0)
    return walk


def test_all_walking_protocols_are_shipped_and_sound():
    assert set(WALKS) <= set(resources.names(KIND))
    for name in WALKS:
        assert load_walk(name).source


def test_gardner_skinner_climbs_two_per_cent_every_two_minutes():
    said = orders(begun("walk-gs"), 1300)
    assert said[:3] == [(0.0, "speed", 3.2), (0.0, "grade", 0.0), (120.0, "grade", 2.0)]
    assert [(at, value) for at, name, value in said if name == "grade"] == [(120.0 * i, 2.0 * i) for i in range(10)]
    assert said[-1] == (1200.0, "stop", None)


@pytest.mark.parametrize(
    ("name", "speed", "grade"),
    [("walk-constant", 3.2, 10.0), ("walk-constant-12", 3.0, 12.0), ("walk-slow", 2.0, 10.0)],
)
def test_constant_load_orders_once_and_stops(name, speed, grade):
    assert orders(begun(name), 1300) == [(0.0, "speed", speed), (0.0, "grade", grade), (1200.0, "stop", None)]


def test_the_laboratorys_own_bounds_hold():
    said = orders(begun("walk-gs", max_grade=5.0, limit=600.0), 1300)
    assert [value for _, name, value in said if name == "grade"] == [0.0, 2.0, 4.0, 5.0]
    assert said[-1] == (600.0, "stop", None)


def test_who_looks_late_gets_the_present_stage_only():
    walk = begun("walk-gs")
    assert [(order.name, order.value) for order in walk.due(250.0)] == [("speed", 3.2), ("grade", 4.0)]
    assert walk.stage == 2
    assert walk.deadline() == 360.0
    assert [order.name for order in walk.due(5000.0)] == ["stop"]
    assert walk.deadline() is None


def test_nothing_is_due_before_the_belt_runs_or_after_the_end():
    walk = WalkProgress(load_walk("walk-gs"))
    assert walk.due(1e9) == []
    walk.begin(10.0)
    assert walk.deadline() == 10.0
    walk.end()
    assert walk.due(1e9) == []


def test_an_unknown_protocol_names_the_known_ones():
    with pytest.raises(ConfigurationError, match="walk-gs"):
        load_walk("bruce")


@pytest.mark.parametrize("first", [5, 0])
def test_stages_out_of_order_are_refused(tmp_path, first):
    folder = tmp_path / "protocols" / "belt"
    folder.mkdir(parents=True)
    stages = "".join(f"[[stage]]\nafter = {after}\nspeed = 3\ngrade = 0\n" for after in (first, first))
    (folder / "odd.toml").write_text(f'kind = "treadmill"\ntitle = "t"\nsource = "s"\nlimit = 60\n{stages}')
    with pytest.raises(ConfigurationError, match="each later one after"):
        load_walk("odd", tmp_path)
