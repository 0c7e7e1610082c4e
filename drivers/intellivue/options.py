"""Options of a monitor's entry and of its electrodes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

EXTENDED_INTERVAL = 1.0
"""Seconds between the results of an extended poll."""


class Electrode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One electrode: its stream's name, the handle of its object, and `also` those of its further objects."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    handle: Annotated[int, Meta(ge=0, le=0xFFFF)]
    also: tuple[Annotated[int, Meta(ge=0, le=0xFFFF)], ...] = ()


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which electrodes are recorded, and how the monitor is polled.

    `poll`: extended, the monitor sends by itself once a second, where it grants that; or single, it is
    asked every `interval` seconds.
    """

    electrodes: tuple[Electrode, ...] = ()
    poll: Literal["extended", "single"] = "extended"
    interval: Annotated[float, Meta(ge=0.3125, le=60)] = 1.0


def check(options: Options) -> None:
    """ValueError where the options contradict each other."""
    electrodes = options.electrodes
    names = [electrode.name for electrode in electrodes]
    handles = [handle for electrode in electrodes for handle in (electrode.handle, *electrode.also)]
    if len(set(names)) < len(names):
        raise ValueError("two electrodes have the same name; each needs one of its own")
    if len(set(handles)) < len(handles):
        raise ValueError("two electrodes have the same handle; each needs its own, or their values would be mixed")
    if options.poll == "extended" and options.interval != EXTENDED_INTERVAL:
        raise ValueError(f'an extended poll comes every {EXTENDED_INTERVAL:g} s; interval goes with poll = "single"')
