"""The ledger: what a simulator put on the wire, written at once, so that a record can be compared with it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from acquisition.errors import ConfigurationError


class LedgerFile:
    """Appends one JSON line per row, with a running number `n` per stream from 0; survives a kill of the process."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise ConfigurationError(f"the ledger cannot be written ({error.strerror})", str(path)) from error
        self._numbers: Counter[str] = Counter()

    def __call__(self, row: Mapping[str, Any]) -> None:
        """Write one row: stream, device_time, values."""
        stream = str(row.get("stream", ""))
        line = json.dumps({**row, "n": self._numbers[stream]}, default=_plain, separators=(",", ":"))
        self._numbers[stream] += 1
        os.write(self._fd, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"a ledger row cannot hold {value!r}")
