"""Walking tests on a treadmill: the stages of a protocol, and the orders that are due as the walk goes on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from acquisition.config import resources, toml
from acquisition.driverkit.driver import Order
from acquisition.errors import ConfigurationError
from acquisition.signals.walking_protocols import BeltStage

KIND = "protocols/belt"


class WalkProtocol(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A walking test as published in `source`; it ends after `limit` s at the latest."""

    kind: Literal["treadmill"]
    title: str
    source: str
    limit: Annotated[float, Meta(gt=0)]
    stage: Annotated[tuple[BeltStage, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse stages out of order: the first is at 0 s, each later one after the one before."""
        times = [stage.after for stage in self.stage]
        if times[0] != 0.0 or any(b <= a for a, b in pairwise(times)):
            raise ValueError("the first stage begins at 0 s and each later one after the one before")


def load_walk(name: str, beside: Path | None = None) -> WalkProtocol:
    """The walking protocol of that name, beside a configuration file or shipped; ConfigurationError without one."""
    path = resources.find(KIND, name, beside)
    if path is None:
        known = ", ".join(resources.names(KIND, beside))
        raise ConfigurationError(f"there is no protocol {name!r}", remedy=f"one of {known}")
    return toml.convert(toml.read(path), WalkProtocol, path)


class WalkProgress:
    """One walk by a protocol: what to order of the belt, and when.

    `max_grade` (%) and `limit` (s) are the laboratory's own bounds: a steeper stage is walked at
    `max_grade`, and the walk ends after the smaller limit. Time counts from `begin`, the moment at which
    the belt was first seen running; what happens to the patient is not decided here.
    """

    def __init__(self, protocol: WalkProtocol, max_grade: float | None = None, limit: float | None = None) -> None:
        self.protocol = protocol
        self._max_grade = max_grade
        self._limit = protocol.limit if limit is None else min(limit, protocol.limit)
        self._began: float | None = None
        self._next = 0
        self._over = False
        self._last: tuple[float | None, float | None] = (None, None)

    def begin(self, at: float) -> None:
        """Start the clock of the walk."""
        self._began = at

    def end(self) -> None:
        """Order nothing any more: the patient stopped, or the belt did."""
        self._over = True

    @property
    def stage(self) -> int | None:
        """The number of the present stage, from 0; None before the first."""
        return self._next - 1 if self._next else None

    def deadline(self) -> float | None:
        """When `due` has something to order, None for never."""
        if self._began is None or self._over:
            return None
        upcoming = self.protocol.stage[self._next :]
        return self._began + min(upcoming[0].after if upcoming else self._limit, self._limit)

    def due(self, at: float) -> list[Order]:
        """The orders whose time has come: new speeds and grades, or the stop at the limit."""
        before = self._next
        while (deadline := self.deadline()) is not None and deadline <= at:
            if self._began is not None and deadline >= self._began + self._limit:
                self.end()
                return [Order("stop", by=f"the end of the protocol after {self._limit:g} s")]
            self._next += 1
        return self._orders(self.protocol.stage[self._next - 1]) if self._next > before else []

    def _orders(self, stage: BeltStage) -> list[Order]:
        grade = stage.grade if self._max_grade is None else min(stage.grade, self._max_grade)
        by = f"stage {self._next} of {self.protocol.title}"
        speed_before, grade_before = self._last
        self._last = (stage.speed, grade)
        orders = [Order("speed", stage.speed, by)] if stage.speed != speed_before else []
        return orders + ([Order("grade", grade, by)] if grade != grade_before else [])
