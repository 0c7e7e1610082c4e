"""Lines on their way to a remote, and which sample each of them is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a run of lines comes from: sequence numbers of a stream from `first` on; device "" are events."""

    device: str
    stream: str
    first: int


@dataclass(frozen=True, slots=True)
class RefusedSamples:
    """Samples from `origin.first` to before `following` that the remote will never take; `line` is the first's."""

    origin: Origin
    following: int
    reason: str
    line: str


@dataclass(slots=True)
class Batch:
    """Lines in order; joined when sent, told apart only when something is wrong with one of them."""

    texts: list[str] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    size: int = 0

    def add(self, origin: Origin, text: str, count: int) -> None:
        """Append `count` lines, joined by line breaks, of consecutive samples."""
        self.texts.append(text)
        self.origins.append(origin)
        self.starts.append(self.size)
        self.size += count

    @property
    def text(self) -> str:
        """All lines."""
        return self.texts[0] if len(self.texts) == 1 else "\n".join(self.texts)

    def origin(self, index: int) -> Origin:
        """Which sample the line at `index` is."""
        part = bisect_right(self.starts, index) - 1
        found = self.origins[part]
        return replace(found, first=found.first + index - self.starts[part])


def group(batch: Batch, lines: Sequence[str], refused: Iterable[tuple[int, str]]) -> list[RefusedSamples]:
    """Refused lines (index, reason) by runs of consecutive samples with one reason."""
    found: list[RefusedSamples] = []
    for index, reason in sorted(refused):
        origin = batch.origin(index)
        last = found[-1] if found else None
        if (
            last is not None
            and (last.origin.device, last.origin.stream, last.following, last.reason)
            == (origin.device, origin.stream, origin.first, reason)
        ):  # fmt: skip
            found[-1] = replace(last, following=origin.first + 1)
        else:
            found.append(RefusedSamples(origin, origin.first + 1, reason, lines[index]))
    return found
