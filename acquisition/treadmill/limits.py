"""Limits of a site's belt: what must be configured before it is moved, and the bounds that follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from acquisition.errors import ConfigurationError

Positive = Annotated[float, Meta(gt=0)]


class BeltOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a site must say before its belt is moved.

    `unit_check`: km/h measured on the belt, by a person, while the console showed 2.0; it must fit the treadmill's
    unit. `max_speed` km/h, `max_grade` %, `max_step` km/h by which the set speed may change at once (less than the
    1.6 km/h at which a belt counts as running away), `min_speed` km/h of a start. `stop_within` s: how long the belt
    may take to stand.
    """

    unit_check: Positive | None = None
    max_speed: Positive | None = None
    max_grade: Annotated[float, Meta(ge=0, le=25)] | None = None
    max_step: Annotated[float, Meta(gt=0, le=1.5)] | None = None
    min_speed: Positive = 0.4
    stop_within: Annotated[float, Meta(gt=0, le=60)] = 20.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What the belt may do: speeds in km/h, grade in %, `stop_within` s of standing.

    `kmh` for one unit of speed; `grade_step`: tenths of a per cent by which a grade can be set; `watch` s after which
    the treadmill stops the belt of a silent host, None where it never does; `start_within` s: how long after the start
    the belt may take to be seen running.
    """

    kmh: float
    min_speed: float
    max_speed: float
    max_grade: float
    max_step: float
    stop_within: float
    watch: float | None
    grade_step: int = 1
    start_within: float = 1.0

    @classmethod
    def of(
        cls,
        options: BeltOptions,
        unit: str,
        kmh: float,
        watch: float | None,
        grade_step: int = 1,
        start_within: float = 1.0,
    ) -> Limits:
        """The limits of a belt under control; ConfigurationError where one is missing or the unit is doubtful."""
        found: dict[str, float] = {}
        for name in ("unit_check", "max_speed", "max_grade", "max_step"):
            value: float | None = getattr(options, name)
            if value is None:
                raise ConfigurationError(
                    f"a treadmill is not controlled without {name}",
                    f"options.{name}",
                    remedy="a number; see the driver's options, or set control = false",
                )
            found[name] = value
        expected = 2.0 * kmh
        if abs(found["unit_check"] - expected) > 0.1 * expected:
            raise ConfigurationError(
                f"{found['unit_check']:g} km/h measured with the console at 2.0 is not {unit}",
                "options.unit_check",
                remedy=f"about {expected:.2g} km/h, or the other unit",
            )
        if options.min_speed > found["max_speed"]:
            raise ConfigurationError(
                "the least speed is above the limit", "options.min_speed", remedy="at most max_speed"
            )
        return cls(
            kmh,
            options.min_speed,
            found["max_speed"],
            found["max_grade"],
            found["max_step"],
            options.stop_within,
            watch,
            grade_step,
            start_within,
        )
