"""Ulcer area from length and width or from a traced outline, and how it shrinks."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.plausible import (
    AREA,
    DAYS,
    EXTENT,
    NOT_NEGATIVE,
    PERIMETER,
    POSITIVE,
    WEEKS,
    impossible,
    impossible_value,
    present,
)
from acquisition.signals.result import Result

UNIT = "cm2"
LEAST = 0.1
"""A smaller ulcer at baseline gives no per cent reduction (cm2)."""
CONFIRMED = 14.0
"""Days for which an ulcer must stay epithelialised to count as healed."""
FACTORS = {"ellipse": math.pi / 4.0, "rectangle": 1.0, "kundin": 0.73}
"""Area over length times width. The rectangle overestimates by 41 % on average (PMID 20663440)."""

PAIRS = 2_000_000
"""Pairs of edges that are compared at once."""
THIN = 1e-4
"""Of the square of its perimeter: an outline with a smaller area is a line."""

Method = Literal["ellipse", "rectangle", "kundin"]


def area_by_ruler(length: float, width: float, method: Method = "ellipse", reading: float = 1.0) -> Result:
    """Return the area in cm2 from the longest extent and the longest across it, mm; `reading` mm is their SD."""
    settings = {"method": method, "length_mm": length, "width_mm": width, "reading_mm": reading}
    name = "ulcer_area"
    if not (EXTENT.holds(length) and EXTENT.holds(width)):
        return Result.missing(name, UNIT, "length_or_width_impossible", settings=settings)
    if not EXTENT.holds(reading):
        return Result.missing(name, UNIT, "error_of_reading_impossible", settings=settings)
    if width > length:
        return Result.missing(name, UNIT, "width_exceeds_length", settings=settings)
    if (length == 0.0) != (width == 0.0):
        return Result.missing(name, UNIT, "one_extent_is_zero", settings=settings)
    factor = FACTORS[method] / 100.0
    return Result.of(
        name,
        factor * length * width,
        UNIT,
        uncertainty=factor * reading * math.hypot(length, width),
        uncertainty_of=("reading",),
        settings=settings,
    )


def area_by_outline(outline: ArrayLike, mm_per_pixel: ArrayLike, traced_to: float = 3.0) -> list[Result]:
    """Return area (cm2) and perimeter (cm) of a traced outline, points (n, 2) in pixels.

    `mm_per_pixel`: one scale, or one for each of two rulers in the picture; where these differ by more than
    5 % the camera was tilted (low_quality). `traced_to`: greatest distance in pixels between the first and the last
    point, as a multiple of the median step, for which the outline counts as closed.
    """
    points = numbers(outline, "outline")
    scales = np.atleast_1d(numbers(mm_per_pixel, "mm_per_pixel"))
    settings: dict[str, Any] = {"method": "planimetry", "points": len(points), "mm_per_pixel": scales.tolist()}
    names = (("ulcer_area", UNIT), ("ulcer_perimeter", "cm"))

    def nothing(reason: str) -> list[Result]:
        return [Result.missing(name, unit, reason, settings=settings) for name, unit in names]

    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
        return nothing("outline_has_fewer_than_3_points")
    if not len(scales) or not np.isfinite(scales).all() or np.any(scales <= 0.0):
        return nothing("scale_missing")
    if reason := impossible(("scale", float(scales.max()), POSITIVE)):
        return nothing(reason)
    if not NOT_NEGATIVE.holds(traced_to):
        return nothing("closing_distance_impossible")
    points = points[np.append(True, np.any(np.diff(points, axis=0) != 0.0, axis=1))]
    if len(points) > 1 and np.array_equal(points[0], points[-1]):
        points = points[:-1]
    if len(points) < 3:
        return nothing("outline_has_fewer_than_3_points")
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    opening = float(np.linalg.norm(points[0] - points[-1]))
    if len(points) > 8 and opening > traced_to * float(np.median(steps)):
        return nothing("outline_not_closed")
    if crosses_itself(points):
        return nothing("outline_crosses_itself")
    scale = float(scales.mean()) / 10.0
    spread = float(np.ptp(scales)) / float(scales.mean())
    area, perimeter = shoelace(points) * scale**2, (float(steps.sum()) + opening) * scale
    if not area > THIN * perimeter**2:
        return nothing("outline_without_an_area")
    # Two rulers differ by sqrt(2) of one ruler's SD; an area takes twice the scale's relative error.
    relative = spread / math.sqrt(2.0)
    found = [
        Result.of(name, value, unit, uncertainty=k * relative * value, uncertainty_of=("scale",), settings=settings)
        for k, value, (name, unit) in zip((2.0, 1.0), (area, perimeter), names, strict=True)
    ]
    return [each.flagged("camera_tilted") for each in found] if spread > 0.05 else found


def shoelace(points: Floats) -> float:
    """Return the area inside a polygon, points (n, 2), in their unit squared; the last joins the first."""
    # Coordinates from their mean: large offsets would cancel digits.
    x, y = (points - points.mean(axis=0)).T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def crosses_itself(points: Floats) -> bool:
    """Return whether any two edges of a closed polygon (n, 2), not neighbours, cross or touch."""
    n = len(points)
    # A band of rows at a time: all pairs at once of an outline of 12 000 points would take 20 GB.
    band = max(1, PAIRS // n)
    return any(_crosses(points, first, min(first + band, n)) for first in range(0, n - 2, band))


def _crosses(points: Floats, first: int, stop: int) -> bool:
    """Return whether an edge of [first, stop) meets a later one that is no neighbour, of which no box lies apart."""
    a, b, n = points, np.roll(points, -1, axis=0), len(points)
    low, high = np.minimum(a, b), np.maximum(a, b)
    i, j = np.arange(first, stop)[:, None], np.arange(first + 2, n)[None, :]
    near = (j >= i + 2) & ~((i == 0) & (j == n - 1))
    for axis in (0, 1):
        near &= low[i, axis] <= high[j, axis]
        near &= low[j, axis] <= high[i, axis]
    rows, columns = np.nonzero(near)
    if not len(rows):
        return False
    i, j = rows + first, columns + first + 2
    side_a, side_b = _side(a[i], b[i], a[j]), _side(a[i], b[i], b[j])
    side_c, side_d = _side(a[j], b[j], a[i]), _side(a[j], b[j], b[i])
    proper = (side_a * side_b < 0) & (side_c * side_d < 0)
    touch = np.zeros(len(i), bool)
    for side, start, end, point in (
        (side_a, a[i], b[i], a[j]),
        (side_b, a[i], b[i], b[j]),
        (side_c, a[j], b[j], a[i]),
        (side_d, a[j], b[j], b[i]),
    ):
        inside = (np.minimum(start, end) <= point) & (point <= np.maximum(start, end))
        touch |= (side == 0) & np.all(inside, axis=1)
    return bool(np.any(proper | touch))


def ellipse_perimeter(length: float, width: float) -> float:
    """Return the perimeter of an ellipse of these axes, in their unit (Ramanujan 1914, second form)."""
    if length + width == 0.0:
        return 0.0
    h = ((length - width) / (length + width)) ** 2
    return math.pi / 2.0 * (length + width) * (1.0 + 3.0 * h / (10.0 + math.sqrt(4.0 - 3.0 * h)))


def area_reduction(before: Result, after: Result) -> Result:
    """Return 100 (A0 - At) / A0 in per cent; both areas by one method."""
    name = "ulcer_area_reduction"
    settings = {"least_cm2": LEAST, "before": dict(before.settings), "after": dict(after.settings)}
    if before.value is None or after.value is None:
        return Result.missing(name, "%", "area_missing", settings=settings)
    if reason := _no_areas(before, after):
        return Result.missing(name, "%", reason, settings=settings)
    if before.settings.get("method") != after.settings.get("method"):
        return Result.missing(name, "%", "not_comparable(method)", settings=settings)
    if before.value < LEAST:
        return Result.missing(name, "%", "ulcer_too_small_at_baseline", settings=settings)
    ratio = after.value / before.value
    parts = [each.uncertainty for each in (before, after)]
    error = (
        None
        if parts[0] is None or parts[1] is None
        else 100.0 * math.hypot(parts[1] / before.value, ratio * parts[0] / before.value)
    )
    result = Result.of(
        name, 100.0 * (1.0 - ratio), "%", uncertainty=error,
        uncertainty_of=("area",) if error is not None else (), settings=settings,
    )  # fmt: skip
    for word, each in (("before", before), ("after", after)):
        result = result.flagged(f"{word}: {each.reason}") if each.reason else result
    return result


def healed(area: Result, epithelialised_days: float | None) -> Result:
    """Return 1 for healed, 0 for open: area 0 and epithelialised for 2 weeks; a shorter time is low_quality."""
    epithelialised_days = present(epithelialised_days)
    name, settings = "ulcer_healed", {"confirmed_days": CONFIRMED, "epithelialised_days": epithelialised_days}
    if area.value is None:
        return Result.missing(name, "1", f"area_missing ({area.reason})", settings=settings)
    if reason := impossible_value("area", area, AREA) or impossible(("epithelialised_days", epithelialised_days, DAYS)):
        return Result.missing(name, "1", reason, settings=settings)
    if area.value > 0.0:
        return Result.of(name, 0.0, "1", settings=settings)
    if epithelialised_days is None:
        return Result.missing(name, "1", "epithelialisation_not_stated", settings=settings)
    result = Result.of(name, 1.0, "1", settings=settings)
    return result.flagged("not_yet_confirmed_for_2_weeks") if epithelialised_days < CONFIRMED else result


def healing_advance(
    before: Result, after: Result, perimeter_before: float | None, perimeter_after: float | None, weeks: float
) -> Result:
    """Return how far the edge advanced, cm/week: (A0 - At) / ((P0 + Pt) / 2) per week (Gilman 1990).

    Perimeters in cm: they must have been measured, an area alone does not give them.
    """
    name, unit, settings = "ulcer_healing_advance", "cm/wk", {"weeks": weeks}
    if before.value is None or after.value is None:
        return Result.missing(name, unit, "area_missing", settings=settings)
    perimeter_before, perimeter_after = present(perimeter_before), present(perimeter_after)
    if perimeter_before is None or perimeter_after is None:
        return Result.missing(name, unit, "perimeter_missing", settings=settings)
    if not weeks > 0.0:
        return Result.missing(name, unit, "no_time_between", settings=settings)
    reason = _no_areas(before, after) or impossible(
        ("perimeter_before", perimeter_before, PERIMETER), ("perimeter_after", perimeter_after, PERIMETER),
        ("weeks", weeks, WEEKS),
    )  # fmt: skip
    if reason:
        return Result.missing(name, unit, reason, settings=settings)
    mean = (perimeter_before + perimeter_after) / 2.0
    if not mean > 0.0:
        return Result.missing(name, unit, "perimeter_is_zero", settings=settings)
    return Result.of(name, (before.value - after.value) / mean / weeks, unit, settings=settings)


def _no_areas(before: Result, after: Result) -> str:
    """Return why two results are not areas that can be held against each other, "" where they are."""
    if (before.unit, after.unit) != (UNIT, UNIT):
        return f"not_comparable(unit: {before.unit}, {after.unit})"
    return impossible_value("area_before", before, AREA) or impossible_value("area_after", after, AREA)


def _side(a: Floats, b: Floats, point: Floats) -> Floats:
    ab, ap = b - a, point - a
    sides: Floats = ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]
    return sides
