"""Status of the record while it is written: recording or not, its size, and the age of the last commit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from acquisition.model import Instant
from acquisition.store import schema
from acquisition.store.writer import Stats


class RecordStatus:
    """Describes the record in `directory` from the writer's `stats` alone: a disk that stands still delays nobody."""

    def __init__(self, directory: Path, stats: Callable[[], Stats]) -> None:
        self._directory = directory
        self._stats = stats

    def describe(self, now: Instant, speed: float) -> dict[str, Any]:
        """Plain values for JSON; `commit_age_s` in seconds on the wall."""
        stats = self._stats()
        commit = stats.last_commit
        return {
            "recording": stats.trouble is None,
            "path": str(self._directory / schema.FILE),
            "bytes": stats.size,
            "commits": stats.commits,
            "samples": stats.samples,
            "queued": stats.queued,
            "dropped": stats.dropped,
            "commit_age_s": None if commit is None else max(now.monotonic - commit.monotonic, 0) / 1e9 / speed,
            "trouble": stats.trouble,
            "upkeep": stats.maintenance,
        }
