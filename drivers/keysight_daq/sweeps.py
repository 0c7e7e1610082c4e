"""From the readings of one scan to samples: sweeps judged whole, companions heeded, missing sweeps counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from acquisition.driverkit.analog import Input
from acquisition.model import Flags, Floats, Notice, Quality, Readings, TimeBase
from drivers.keysight_daq.answers import NOT_A_NUMBER, OVERLOAD


class Wired:
    """The inputs of a digitiser, ascending, and for each the one whose sentinel condemns it."""

    def __init__(self, inputs: Sequence[Input]) -> None:
        self.inputs = sorted(inputs, key=lambda each: int(each.terminal))
        self.terminals = [int(each.terminal) for each in self.inputs]
        self.companions = [_companion(each, self.inputs) for each in self.inputs]

    def __len__(self) -> int:
        return len(self.inputs)


class Sweeps:
    """What is known of one scan, from one INIT to the next; what it has to say goes to `said`.

    `interval` s between two readings of a channel as asked for, None where nobody asks for it again
    (steady sampling without stamps); `broken_off` the host's second of the last reading before the scan
    was set up anew on the same connection.
    """

    def __init__(
        self,
        wired: Wired,
        base: TimeBase,
        interval: float,
        said: list[Readings | Notice],
        *,
        stamped: bool = True,
        broken_off: float | None = None,
    ) -> None:
        self.base = base
        self.doubtful = False
        self._wired = wired
        self._asked = interval
        self._said = said
        self._stamped = stamped
        self._broken_off = broken_off
        self._sweep = interval
        self._last: dict[int, float] = {}
        self._held: Floats = np.empty((0, 3))
        self._index = 0
        self._status: dict[int, int] = {}
        self._least = float("inf")
        self._total = 0.0
        self._count = 0
        self._judged = False

    @property
    def until(self) -> float | None:
        """The host's second of the last reading; None where there was none, or the scan's beginning is not known."""
        if self.base.origin is None or not self._last:
            return None
        return self.base.origin + max(self._last.values())

    def stamp(self, volts: Floats) -> Floats:
        """Volts (n,) that carry no time of their own -> readings (n, 3), each one interval after the one before."""
        n = len(volts)
        index = np.arange(self._index, self._index + n)
        self._index += n
        return np.column_stack((volts, index * self._asked, np.full(n, self._wired.terminals[0])))

    def take(self, table: Floats, fresh: bool, at: float) -> bool:
        """Turn readings (n, 3), volts, seconds, terminal, into samples; False where their time runs backwards."""
        terminals, inputs = self._wired.terminals, self._wired.inputs
        rows = np.concatenate((self._held, table))
        times = rows[:, 1]
        newest = max(self._last.values(), default=-1.0)
        if times[0] < newest - self._sweep or bool((np.diff(times) < -0.001).any()):
            return False
        # A sweep is judged whole: the companion of a reading may come after it.
        last = np.flatnonzero(rows[:, 2] == terminals[-1])
        whole = int(last[-1]) + 1 if len(last) else 0
        if len(rows) - whole > 2 * len(terminals):
            whole = len(rows)
        self._held, rows = rows[whole:], rows[:whole]
        picked = [_of(terminal, rows) for terminal in terminals]
        strangers = len(rows) - sum(map(len, picked))
        if strangers:
            self._say("noise", f"{strangers} readings of channels that are not scanned", bytes=strangers)
        self._measure(picked[0][:, 1])
        status = [each.sentinel(rows[:, 0]) for each, rows in zip(inputs, picked, strict=True)]
        for k, (entry, readings) in enumerate(zip(inputs, picked, strict=True)):
            if len(readings):
                values, quality = _scaled(entry, readings[:, 0])
                other = self._wired.companions[k]
                if other is not None and len(picked[other]):
                    near = _condemned(readings[:, 1], picked[other][:, 1], status[other] >= 0, self._sweep)
                    values[near] = np.nan
                    quality[near] |= np.uint8(Quality.INVALID)
                self._report(entry, int(status[k][-1]))
                self._emit(entry, values, quality, readings[:, 1].copy(), fresh, at)
        return True

    def _emit(self, entry: Input, values: Floats, quality: Flags, times: Floats, fresh: bool, at: float) -> None:
        """Queue one channel's samples, cut where sweeps are missing."""
        terminal = int(entry.terminal)
        lost = np.zeros(len(times), dtype=np.int64)
        steps = np.rint(np.diff(times) / self._sweep).astype(np.int64)
        lost[1:] = np.maximum(steps - 1, 0)
        if terminal in self._last:
            lost[0] = max(round((times[0] - self._last[terminal]) / self._sweep) - 1, 0)
        elif self._broken_off is not None:
            since = (self.base.origin or at) + times[0] - self._broken_off
            lost[0] = max(round(since / self._sweep), 1)
        self._last[terminal] = float(times[-1])
        if self.doubtful:
            quality[np.isfinite(values)] |= np.uint8(Quality.QUESTIONABLE)
        cuts = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(times)]
        for begin, end in pairwise(cuts):
            self._said.append(
                Readings(
                    entry.name,
                    values[begin:end, np.newaxis],
                    quality[begin:end, np.newaxis],
                    times[begin:end] if self._stamped else None,
                    self.base if self._stamped else None,
                    int(lost[begin]),
                    fresh and end == len(times),
                )
            )

    def _measure(self, times: Floats) -> None:
        """Learn the sweep interval, and say once what it is beside what was asked: the instrument itself does not."""
        before = self._last.get(self._wired.terminals[0])
        steps = np.diff(times if before is None else np.append(before, times))
        steps = steps[steps > 0]
        if not len(steps) or not self._stamped:
            return
        # Missing sweeps only ever lengthen a step.
        least = float(steps.min())
        if least < self._least / 1.5:
            self._least, self._total, self._count = least, 0.0, 0
        whole = steps[steps < 1.5 * self._least]
        self._total += float(whole.sum())
        self._count += len(whole)
        self._sweep = self._total / self._count
        if self._count >= 20 and self._total >= 2.0 and not self._judged:
            self._judged = True
            self._judge()

    def _judge(self) -> None:
        details = {"asked": self._asked, "measured": self._sweep}
        if self._sweep > 1.01 * self._asked:
            self._say(
                "warning",
                f"a sweep takes {self._sweep:.4g} s and not the configured {self._asked:g} s: too many channels or too "
                "long an integration; raise options.interval, or leave out options.nplc or lower it",
                **details,
            )
        else:
            self._say("state", f"a sweep every {self._sweep:.4g} s, {self._asked:g} s asked for", **details)

    def _report(self, entry: Input, status: int) -> None:
        """Say when an input begins or ends to carry a status instead of a value."""
        terminal = int(entry.terminal)
        before = self._status.get(terminal, -1)
        self._status[terminal] = status
        if status != before:
            name = entry.signal.sentinels[max(status, before) if status < 0 else status].status
            active = status >= 0
            text = f"{entry.name}: {name}" if active else f"{entry.name}: a value again after {name}"
            self._say("alarm", text, channel=entry.name, status=name, active=active)

    def _say(self, kind: str, text: str, **details: object) -> None:
        self._said.append(Notice(kind, text, details))


def _of(terminal: int, rows: Floats) -> Floats:
    mine = rows[:, 2] == terminal
    return rows if mine.all() else rows[mine]


def _companion(entry: Input, inputs: Sequence[Input]) -> int | None:
    """Which input carries the signal that condemns this one: of the same profile, the next one round."""
    here = int(entry.terminal)
    found = [
        k for k, each in enumerate(inputs)
        if each.profile == entry.profile and each.signal.signal == entry.signal.companion
    ]  # fmt: skip
    return min(found, key=lambda k: (int(inputs[k].terminal) < here, abs(int(inputs[k].terminal) - here)), default=None)


def _scaled(entry: Input, volts: Floats) -> tuple[Floats, Flags]:
    """Volts (n,) as the instrument sends them -> values and quality (n,); 9.9E37 is overload, 9.91E37 no number."""
    none = np.abs(volts) >= OVERLOAD
    values, quality = entry.scale(np.where(none, np.nan, volts))
    quality[none & (np.abs(volts) < (OVERLOAD + NOT_A_NUMBER) / 2)] |= np.uint8(Quality.RANGE)
    return values, quality


def _condemned(times: Floats, others: Floats, bad: NDArray[np.bool_], within: float) -> NDArray[np.bool_]:
    """Which of times (n,) have their nearest of others (m,) at most `within` s away and bad (m,)."""
    right = np.clip(np.searchsorted(others, times), 0, len(others) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(times - others[left] < np.abs(others[right] - times), left, right)
    found: NDArray[np.bool_] = bad[nearest] & (np.abs(others[nearest] - times) <= within)
    return found
