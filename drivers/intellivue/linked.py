"""Whole results from their parts: what does not fit into one message comes in several."""

from __future__ import annotations

from dataclasses import replace

from drivers.intellivue.exchange import LAST_PART, PollResult


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
