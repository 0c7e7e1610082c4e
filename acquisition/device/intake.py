"""Bytes of one device of which nothing came: counted over its connections, with a sample of them for a person."""

from __future__ import annotations

import math
from dataclasses import dataclass

from acquisition.text import clean

SHOWN = 40
"""Bytes that are shown to a person."""


@dataclass(slots=True)
class Intake:
    """`received` bytes since the last sample, the `latest` of them as one read brought them, `misfits` in no frame.

    `noise` bytes are not told yet, and were `noise_said` last at that second; `hinted`: line settings were suspected.
    """

    received: int = 0
    latest: bytes = b""
    misfits: int = 0
    noise: int = 0
    noise_said: float = -math.inf
    hinted: bool = False

    @property
    def shown(self) -> str:
        """The beginning of the latest bytes, escaped so that their ends are seen."""
        more = "…" if len(self.latest) > SHOWN else ""
        return clean(repr(self.latest[:SHOWN])[1:] + more)
