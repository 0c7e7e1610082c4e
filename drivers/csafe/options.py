"""Options of a CSAFE treadmill's entry."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from acquisition.treadmill import BeltOptions


class Options(BeltOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`interval`: seconds of a poll. The rest is for control = "force".

    `unit`: what its console counts speed in; orders are sent in it, and a console that tells another one is not moved.
    """

    interval: Annotated[float, Meta(ge=0.2, le=1.0)] = 0.5
    unit: Literal["mph", "kmh"] | None = None
