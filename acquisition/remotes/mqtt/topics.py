"""Topics of a station in a broker's tree, by kind of message (docs/mqtt.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

PREFIX = "perfusion/v1"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one station. Names of devices begin with a letter, so that `_record` and its like are none."""

    site: str
    station: str

    @property
    def root(self) -> str:
        """Under which all of this station stands."""
        return f"{PREFIX}/{self.site}/{self.station}"

    @property
    def status(self) -> str:
        """Retained: whether the service is there."""
        return f"{self.root}/status"

    @property
    def events(self) -> str:
        """The durable feed of events."""
        return f"{self.root}/_record/events"

    @property
    def requests(self) -> str:
        """What may be asked of the record: a filter, the last level is the id of the request."""
        return f"{self.root}/_request/+"

    def answer(self, request: str) -> str:
        """Where the request with this id is answered."""
        return f"{self.root}/_answer/{request}"

    def device(self, device: str) -> str:
        """Retained: the state of a device."""
        return f"{self.root}/{device}/status"

    def header(self, device: str, stream: str) -> str:
        """Retained: what a stream is."""
        return f"{self.root}/{device}/{_level(stream)}/header"

    def data(self, device: str, stream: str) -> str:
        """Live samples."""
        return f"{self.root}/{device}/{_level(stream)}/data"

    def record(self, device: str, stream: str) -> str:
        """The durable feed of a stream."""
        return f"{self.root}/{device}/{_level(stream)}/record"


def _level(name: str) -> str:
    """A name as one level of a topic."""
    return _UNSAFE.sub("_", name)
