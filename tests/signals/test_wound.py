"""Areas of circles, ellipses and polygons, and what an outline may not be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.spatial import ConvexHull

from acquisition.signals.result import Result, Status
from acquisition.signals.wound import (
    area_by_outline,
    area_by_ruler,
    area_reduction,
    crosses_itself,
    ellipse_perimeter,
    healed,
    healing_advance,
    shoelace,
)


def ellipse(a, b, n=720):
    angle = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
    return np.column_stack([a * np.cos(angle), b * np.sin(angle)])


def test_an_ellipse_by_the_ruler():
    result = area_by_ruler(32.0, 18.0)
    assert result.value == pytest.approx(math.pi / 4 * 3.2 * 1.8)
    assert result.uncertainty == pytest.approx(math.pi / 400 * math.hypot(32, 18))
    assert area_by_ruler(32.0, 18.0, "rectangle").value == pytest.approx(5.76)
    assert area_by_ruler(32.0, 18.0, "kundin").value == pytest.approx(0.73 * 5.76)
    assert area_by_ruler(0.0, 0.0).value == 0.0


@pytest.mark.parametrize(
    ("length", "width", "reason"),
    [(18.0, 32.0, "width_exceeds_length"), (-1.0, 0.0, "length_or_width_impossible"),
     (math.nan, 1.0, "length_or_width_impossible"), (10.0, 0.0, "one_extent_is_zero")],
)  # fmt: skip
def test_impossible_extents_give_no_area(length, width, reason):
    assert area_by_ruler(length, width).reason == reason


def test_a_traced_circle_has_its_area_and_perimeter():
    area, perimeter = area_by_outline(ellipse(100.0, 100.0) + 5000.0, 0.1)
    assert area.value == pytest.approx(math.pi, rel=1e-4)
    assert perimeter.value == pytest.approx(2 * math.pi, rel=1e-4)
    assert (area.status, area.uncertainty) == (Status.OK, 0.0)


def test_the_shoelace_agrees_with_an_independent_hull():
    points = np.random.default_rng(4).standard_normal((60, 2))
    hull = ConvexHull(points)
    assert shoelace(points[hull.vertices]) == pytest.approx(hull.volume, rel=1e-12)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(0, 6.3), st.floats(-1e5, 1e5), st.booleans())
def test_an_area_turns_shifts_and_scales_as_an_area_does(a, b, angle, shift, backwards):
    points = ellipse(a, b, 64)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = (points @ turn.T + shift)[:: -1 if backwards else 1]
    assert shoelace(moved) == pytest.approx(shoelace(points), rel=1e-5)
    assert shoelace(3.0 * points) == pytest.approx(9.0 * shoelace(points), rel=1e-9)


def test_an_outline_may_end_where_it_began_or_just_before_but_not_elsewhere():
    circle = ellipse(50.0, 50.0, 200)
    closed = np.vstack([circle, circle[:1], circle[:1]])
    assert area_by_outline(closed, 1.0)[0].value == area_by_outline(circle, 1.0)[0].value
    assert area_by_outline(circle[:150], 1.0)[0].reason == "outline_not_closed"


def test_a_figure_of_eight_is_refused():
    eight = [[0, 0], [2, 2], [2, 0], [0, 2]]
    assert crosses_itself(np.array(eight, float))
    assert area_by_outline(eight, 1.0)[0].reason == "outline_crosses_itself"
    assert crosses_itself(np.array([[0, 0], [4, 0], [4, 4], [2, 0], [0, 4]], float)), "touching counts"
    assert not crosses_itself(np.array([[0, 0], [4, 0], [4, 4], [2, 1], [0, 4]], float))


def test_two_rulers_that_differ_show_a_tilted_camera():
    area, _ = area_by_outline(ellipse(100.0, 100.0), [0.1, 0.108])
    assert (area.status, area.reason) == (Status.LOW_QUALITY, "camera_tilted")
    fine, _ = area_by_outline(ellipse(100.0, 100.0), [0.1, 0.102])
    assert fine.status is Status.OK
    assert fine.uncertainty == pytest.approx(2 * (0.002 / 0.101) / math.sqrt(2) * fine.value)


@pytest.mark.parametrize(
    ("outline", "scale", "reason"),
    [([[0, 0], [1, 1]], 1.0, "outline_has_fewer_than_3_points"), ([[0, 0], [1, 1], [1, 1]], 1.0,
     "outline_has_fewer_than_3_points"), ([[0, 0], [1, 0], [0, 1]], 0.0, "scale_missing")],
)  # fmt: skip
def test_an_outline_needs_points_and_a_scale(outline, scale, reason):
    assert area_by_outline(outline, scale)[0].reason == reason


@pytest.mark.parametrize(("length", "width"), [(10.0, 10.0), (32.0, 18.0), (40.0, 4.0)])
def test_the_perimeter_of_an_ellipse_is_that_of_the_elliptic_integral(length, width):
    a, b = length / 2, width / 2
    truth = 4 * quad(lambda t: math.hypot(a * math.sin(t), b * math.cos(t)), 0, math.pi / 2)[0]
    assert ellipse_perimeter(length, width) == pytest.approx(truth, rel=1e-4)
    assert ellipse_perimeter(0.0, 0.0) == 0.0


def test_reduction_is_per_cent_of_the_baseline():
    before, after = area_by_ruler(32.0, 18.0), area_by_ruler(16.0, 9.0)
    result = area_reduction(before, after)
    assert (result.value, result.status) == (75.0, Status.OK)
    assert area_reduction(before, area_by_ruler(0.0, 0.0)).value == 100.0
    assert area_reduction(area_by_ruler(3.0, 3.0), after).reason == "ulcer_too_small_at_baseline"
    assert area_reduction(before, area_by_ruler(16.0, 9.0, "rectangle")).reason == "not_comparable(method)"
    assert area_reduction(before, area_by_ruler(1.0, 9.0)).reason == "area_missing"


def test_the_error_of_a_reduction_is_that_of_both_areas():
    before, after = (Result.of("ulcer_area", area, "cm2", uncertainty=sd) for area, sd in ((4.0, 0.2), (1.0, 0.1)))
    assert area_reduction(before, after).uncertainty == pytest.approx(100 * math.hypot(0.1 / 4, 0.2 * 1 / 16))
    unknown = Result.of("ulcer_area", 4.0, "cm2")
    assert area_reduction(unknown, after).uncertainty is None
    assert area_reduction(before, unknown).uncertainty is None


def test_healed_needs_two_weeks_of_epithelium():
    nothing, open_ulcer = area_by_ruler(0.0, 0.0), area_by_ruler(5.0, 4.0)
    assert (healed(nothing, 14.0).value, healed(nothing, 14.0).status) == (1.0, Status.OK)
    assert healed(nothing, 7.0).reason == "not_yet_confirmed_for_2_weeks"
    assert healed(nothing, None).reason == "epithelialisation_not_stated"
    assert healed(open_ulcer, None).value == 0.0
    assert healed(Result.missing("ulcer_area", "cm2", "not_done"), 20.0).reason == "area_missing (not_done)"


def test_a_shrinking_circle_advances_by_the_fall_of_its_radius():
    before = Result.of("ulcer_area", math.pi * 2.0**2, "cm2")
    after = Result.of("ulcer_area", math.pi * 1.0**2, "cm2")
    result = healing_advance(before, after, 2 * math.pi * 2.0, 2 * math.pi * 1.0, 4.0)
    assert result.value == pytest.approx(1.0 / 4.0)
    assert healing_advance(before, after, None, 6.0, 4.0).reason == "perimeter_missing"
    assert healing_advance(before, after, 6.0, 6.0, 0.0).reason == "no_time_between"
