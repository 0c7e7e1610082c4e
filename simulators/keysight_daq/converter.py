"""Converters of the simulated digitisers: integration times, steps, ranges and least times, from the manuals.

Nothing of it is the driver's: what both believed would never show as wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulators.transports.scpi import Complaint, number

MAINS = 50.0
"""Hz, as SYST:LFR? answers."""
RANGES = (0.1, 1.0, 10.0, 100.0, 300.0)


@dataclass(frozen=True, slots=True)
class Converter:
    """`steps`: for each integration time, in periods of the mains, the step over the range; `usual` after *RST.

    `overhead`: seconds beyond its integration that a reading takes at the least, where it is not switched.
    """

    steps: Mapping[float, float]
    usual: float
    overhead: float = 0.0

    @property
    def nplcs(self) -> tuple[float, ...]:
        """Integration times, ascending."""
        return tuple(sorted(self.steps))

    def chosen(self, text: str) -> float:
        """The integration time that a parameter names; Complaint -222 where the converter has none such."""
        nplcs = self.nplcs
        value = number(text, nplcs[0], nplcs[-1], self.usual)
        for each in nplcs:
            if abs(each - value) <= 1e-6 * each:
                return each
        raise Complaint(-222)

    def fine_enough(self, text: str, span: float) -> float:
        """The shortest integration whose step on the range `span`, V, is as small as what is asked for."""
        nplcs, steps = self.nplcs, self.steps
        wanted = number(text, span * steps[nplcs[-1]], span * steps[nplcs[0]], span * steps[self.usual])
        return next(nplc for nplc in nplcs if span * steps[nplc] <= wanted * (1 + 1e-9))


_SCANNERS = {0.02: 1e-4, 0.2: 1e-5, 1.0: 3e-6, 2.0: 2.2e-6, 10.0: 1e-6, 20.0: 8e-7, 100.0: 3e-7, 200.0: 2.2e-7}
"""34970A/34972A User's Guide, p. 133; of the 34980A, p. 88, which has the same integration times."""
_TRUEVOLT = {0.02: 3e-6, 0.06: 1.5e-6, 0.2: 7e-7, 1.0: 3e-7, 10.0: 1e-7, 100.0: 3e-8}
"""Integration times without the option DIG: Truevolt Series Operating and Service Guide, p. 329; the steps are those of
its predecessor (34410A/11A User's Guide, p. 51; INF)."""

CONVERTERS = {
    "34970a": Converter(_SCANNERS, 1.0),
    "34972a": Converter(_SCANNERS, 1.0),
    "34980a": Converter(_SCANNERS, 1.0),
    "daq970a": Converter(_SCANNERS, 1.0),
    "34465a": Converter(_TRUEVOLT, 10.0, overhead=2e-5),
}
"""Of the models; that of a DAQ970A is INF, as its predecessors' is, and so is the overhead of a 34465A."""
