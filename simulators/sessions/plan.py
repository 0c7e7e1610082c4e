"""The request for one simulated examination: who is examined, by which protocol, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """One examination of a simulated participant; equal plans make equal samples.

    `start` is its first instant, ns UTC. `kind` is the participant's class and `seed` who it is; `conditions`
    are what a technician says of probe and monitor; `entries` are further observations, as `perfusion observe` has
    them, entered at the end.
    """

    protocol: str
    kind: str
    seed: int
    start: int
    subject: str = "03-117"
    visit: str = "baseline"
    limb: str = "left"
    by: str = "simulated technician"
    conditions: dict[str, Any] = field(default_factory=lambda: {"probe": "457", "calibration": "motility-standard"})
    entries: tuple[dict[str, Any], ...] = ()
