"""Soundness of a record that another program wrote into: whether a reader still finds all of it."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import apsw

from acquisition.errors import PerfusionError
from acquisition.store import schema

log = logging.getLogger(__name__)

LOOK_INSIDE = 10.0
"""Seconds after which the rest of a large record is not looked through."""


def is_whole(file: Path, record: str, head: tuple[int, bytes], *, vfs: str = "") -> bool:
    """Whether a reader finds all of a record by its path, its pages sound and its events as far as number and hash.

    Looks for `LOOK_INSIDE` seconds at most; what is not refuted by then passes.
    """
    connection = None
    try:
        connection = schema.open_reader(file, vfs=vfs)
        if schema.name(connection) != record:
            return False
        end = next(iter(connection.execute("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1")), (0, b""))
        if (end[0], bytes(end[1])) != head:
            return False
        until = time.monotonic() + LOOK_INSIDE
        connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)
        return [text for (text,) in connection.execute("PRAGMA quick_check(1)")] == ["ok"]
    except apsw.InterruptError:
        log.warning("%s is too large to be looked through now; `perfusion verify` does", file)
        return True
    except (PerfusionError, apsw.Error, ValueError, TypeError):
        return False
    finally:
        if connection is not None:
            connection.close(True)
