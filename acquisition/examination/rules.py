"""Rules of a study for what is entered: the form of a participant's code, the visits, and protocols of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acquisition.config import Config
from acquisition.examination import participant

KEY = "study"
"""Under which name a run of the daemon keeps the rules in the record."""


@dataclass(frozen=True, slots=True)
class Rules:
    """`pattern` of codes, `visits` (none: any), and `beside`, the configuration's folder with protocols of its own."""

    pattern: str = participant.DEFAULT
    visits: tuple[str, ...] = ()
    beside: Path | None = None

    @classmethod
    def of(cls, config: Config) -> Rules:
        """The rules of a configuration."""
        study = config.tables.study
        return cls(study.participant or participant.DEFAULT, study.visits, config.path.parent)

    @classmethod
    def recorded(cls, runs: Iterable[Mapping[str, Any]]) -> Rules | None:
        """The rules of the latest of some runs that kept them, oldest first; None where none did."""
        kept = [run[KEY] for run in runs if KEY in run]
        if not kept:
            return None
        beside = kept[-1]["beside"]
        return cls(kept[-1]["pattern"], tuple(kept[-1]["visits"]), None if beside is None else Path(beside))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as a run keeps them."""
        beside = None if self.beside is None else str(self.beside)
        return {"pattern": self.pattern, "visits": list(self.visits), "beside": beside}
