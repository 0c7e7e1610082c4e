"""The live readings on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def show(snapshots: Iterator[Any]) -> None:
    """Show snapshots as they come, in place."""
    raise NotImplementedError
