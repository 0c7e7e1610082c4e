"""Which parts make a whole result, and which results are missing between two."""

from __future__ import annotations

from dataclasses import replace

from acquisition.model import TimeBase
from drivers.intellivue.exchange import LAST_PART, PollResult
from drivers.intellivue.options import EXTENDED_INTERVAL


class Joiner:
    """Joins the parts of linked results: numbered from 1, the last one marked, and a closing one without a number."""

    def __init__(self) -> None:
        self._parts: list[PollResult] = []
        self._torn = False

    def add(self, part: PollResult, count: int) -> None:
        """Take a part that is not the closing one."""
        if count == 1:
            self._parts, self._torn = [part], False
        elif count == len(self._parts) + 1:
            self._parts.append(part)
        elif count != len(self._parts):
            self._torn = True

    def close(self, result: PollResult) -> PollResult | None:
        """The whole of which this is the closing part; None where a part is missing."""
        parts, torn = self._parts, self._torn
        self._parts, self._torn = [], False
        if torn or (len(parts) > 1 and parts[-1].link is not None and parts[-1].link[0] != LAST_PART):
            return None
        return replace(result, objects=tuple(each for part in (*parts, result) for each in part.objects))


class Sequence:
    """Counts what an extended poll left out: by the times of its results, and within one request by their numbers."""

    def __init__(self) -> None:
        self._last: tuple[int, int, float, TimeBase] | None = None

    @property
    def begun(self) -> bool:
        """Whether any result came yet."""
        return self._last is not None

    def missing(self, number: int, sequence: int, seconds: float, base: TimeBase) -> int:
        """How many results are missing before this one, at least one where the monitor's clock began anew."""
        last, self._last = self._last, (number, sequence, seconds, base)
        if last is None:
            return 0
        if last[3] is not base:
            return 1
        missing = round((seconds - last[2]) / EXTENDED_INTERVAL) - 1
        if last[0] == number:
            missing = min(missing, (sequence - last[1] - 1) & 0xFFFF)
        return max(missing, 0)
