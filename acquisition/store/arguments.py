"""Arguments of the reading side: what a caller hands over wrongly is a TypeError or a ValueError, never damage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acquisition.store.timestamps import FIRST, LAST


def text(value: Any, name: str) -> str:
    """The text; TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not a name")
    return value


def optional(value: Any, name: str) -> str | None:
    """The text, or None; TypeError for anything else."""
    return None if value is None else text(value, name)


def whole(value: Any, name: str) -> int:
    """The whole number, as a record can hold it; TypeError for another kind, ValueError beyond 64 bits."""
    try:
        number = int(value.__index__())
    except AttributeError:
        raise TypeError(f"{name} is {value!r}, not a whole number") from None
    if not FIRST <= number <= LAST:
        raise ValueError(f"{name} is {number}, beyond 64 bits")
    return number


def chosen(channels: Any) -> Sequence[str] | str | None:
    """The names of channels: one, several, or None for all; TypeError or ValueError else."""
    if channels is None or isinstance(channels, str):
        return channels
    try:
        names = list(channels)
    except TypeError:
        raise TypeError(f"channels is {channels!r}, not a name or several") from None
    if not names:
        raise ValueError("no channel is named")
    return [text(name, "a channel") for name in names]
