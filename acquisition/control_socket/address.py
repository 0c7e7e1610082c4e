"""Address of the control socket: its name in the folder of a record, and a path that fits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

NAME = "control.sock"
LINE = 65536
"""Bytes that a request may have."""
DEADLINE = 5.0
"""Seconds that one side waits for the other."""


@contextlib.contextmanager
def short(directory: Path) -> Iterator[Path]:
    """A name of the folder that fits a socket address (107 bytes), however long its path is."""
    if len(str(directory)) < 90:
        yield directory
        return
    fd = os.open(directory, os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
