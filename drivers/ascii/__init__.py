"""Any instrument that sends ASCII lines, by a profile that the site supplies; the project vouches for none.

Monitors whose grammar is not public, but which their owner has a document of, are read so. What the bytes mean
stands in the profile alone, `ascii/NAME.toml` beside the configuration file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import msgspec
import numpy as np

from acquisition.driverkit.driver import About, Driver, Setup
from acquisition.driverkit.framing import Cutter, Skipped
from acquisition.model import Notice, Quality, Readings, Stream
from drivers.ascii.profile import AsciiProfile, Grammar, Sample, channels_of


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`profile`: the name of the profile, a file in the folder `ascii`."""

    profile: str


class Ascii(Driver):
    """Takes a line as a whole or not at all; asks for each where the profile has a request.

    A stamp marks the arrival of the line's end. What a stream says before the first end of a line may be half of
    one and is not taken. One request, one line: a second answer is noise, and a request without one counts as a
    sample lost when the next is due. For `LATE` seconds after either a line may be the answer to an earlier request,
    so that its values are QUESTIONABLE.
    """

    about = About(
        {"ascii": "an instrument that sends ASCII lines, by the site's own profile"},
        "monitor",
        ("serial", "tcp"),
        "inferred",
        "the site's profile",
        (
            "all of it: what the bytes mean stands in the profile, which the project cannot confirm",
            "without a checksum in the profile a digit that changes on the line is read as another value",
            "no identity on the wire: a simulator cannot be told from a real instrument",
        ),
    )
    Options = Options
    enquiry = "what it sends and how it is asked is the site's own profile"
    LATE = 3.0
    documents = {"profile": AsciiProfile}  # noqa: RUF012

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        profile = setup.documents["profile"]
        assert isinstance(profile, AsciiProfile)
        self._grammar = Grammar(profile)
        self._ending = profile.ending
        self._request = profile.question
        self._interval = profile.interval_s
        self._longest = profile.longest + len(self._ending)
        self._cutter = Cutter(self._cut, self._longest)
        self._joined = self._request is not None
        self._due: float | None = None
        self._waiting = False
        self._lost = 0
        self._doubtful_until = -math.inf
        self.serial = profile.line
        self.silence = max(3.0, 3.0 * profile.interval_s)
        self.queries = () if self._request is None else (re.compile(re.escape(self._request)),)
        self.streams = (Stream("line", channels_of(profile), interval=profile.interval_s),)

    def start(self, at: float) -> None:
        """Ask for the first line, where lines are asked for."""
        self.poll(at)

    def poll(self, at: float) -> None:
        """Ask for the next line."""
        if self._request is None:
            return
        self._lost += self._waiting
        if self._waiting:
            self._doubtful_until = at + self.LATE * self.setup.patience
        self._waiting = True
        self._due = at + self._interval
        self.send(self._request)

    def deadline(self) -> float | None:
        """When the next line is to be asked for."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take lines."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, Skipped):
                yield Notice("noise", "bytes without an end of line", {"bytes": len(piece.data)})
            elif self._joined:
                yield self._take(piece, at)
            else:
                self._joined = True

    def _take(self, piece: bytes, at: float) -> Readings | Notice:
        sample = self._grammar.read(piece.removesuffix(self._ending))
        if isinstance(sample, Sample) and (self._waiting or self._request is None):
            values, quality = np.array([sample.values]), np.array([sample.quality], np.uint8)
            if at < self._doubtful_until:
                quality[np.isfinite(values)] |= np.uint8(Quality.QUESTIONABLE)
            lost, self._lost = self._lost, 0
            self._waiting = False
            return Readings("line", values, quality, lost=lost)
        if isinstance(sample, Sample):
            self._doubtful_until = at + self.LATE * self.setup.patience
        reason = sample if isinstance(sample, str) else "nobody asked for it"
        return Notice("noise", f"a line that is not taken: {reason}", {"bytes": len(piece)})

    def _cut(self, buffer: bytes) -> int:
        end = buffer.find(self._ending)
        if end < 0:
            return 0 if len(buffer) < self._longest else -(len(buffer) - len(self._ending) + 1)
        size = end + len(self._ending)
        return size if size <= self._longest else -size
