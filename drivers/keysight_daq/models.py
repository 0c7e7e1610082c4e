"""Models of the digitisers as data: integration times, ranges, and the cards in their slots."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

SCANNING = 16
"""Bit of STAT:OPER:COND? that stands while a scan is under way (INF)."""
TIMING_VIOLATED = 4
RANGES = (0.1, 1.0, 10.0, 100.0, 300.0)
MAINS = 50.0
"""Hz; where the mains have 60 Hz an integration is shorter than is reckoned with here."""

CARDS = {
    "34901A": "armature", "34908A": "armature", "DAQM901A": "armature", "DAQM908A": "armature",
    "34902A": "reed", "DAQM902A": "reed", "34921A": "armature", "34922A": "armature",
    "34923A": "reed", "34924A": "reed", "DAQM900A": "solid state", "34925A": "solid state",
}  # fmt: skip
"""What switches the channels, by the card's model."""
SPEEDS = {"solid state": 450.0, "reed": 250.0, "armature": 80.0}
"""Channels per second at 0.02 PLC, by what switches them (unconfirmed)."""
RELAY_LIFE = 1e8
"""Operations (INF)."""


_SCANNERS = (0.02, 0.2, 1.0, 2.0, 10.0, 20.0, 100.0, 200.0)
"""34970A/34972A User's Guide, p. 133; 34980A Mainframe User's Guide, p. 88."""
_TRUEVOLT = (0.02, 0.06, 0.2, 1.0, 10.0, 100.0)
"""Truevolt Series Operating and Service Guide, p. 329 (of direct current; that of direct voltage has the same)."""
_DIGITIZING = (0.001, 0.002, 0.006)
"""As _TRUEVOLT, with the option DIG."""
_COMMON = (0.02, 0.2, 1.0, 10.0, 100.0)
"""Which the guides of both older scanners and Truevolt have: a DAQ970A's own table is unconfirmed."""


@dataclass(frozen=True, slots=True)
class Model:
    """What differs between the instruments.

    `idn`: the models that `*IDN?` may name; `memory`: readings kept; `overflow`: its bit of
    STAT:QUES:COND?; `terminals`: what an input may be called; `slot`: from a terminal to its card;
    `scans`: False for one channel sampled steadily, without time stamps; `nplcs`: integration times, periods of the
    mains, ascending; `special`: others that only an entry asks for, since not every such instrument has them.
    """

    idn: tuple[str, ...]
    memory: int
    overflow: int
    terminals: re.Pattern[str]
    slot: Callable[[int], int] = lambda terminal: terminal // 100 * 100
    scans: bool = True
    nplcs: tuple[float, ...] = _SCANNERS
    special: tuple[float, ...] = ()


_THREE_SLOTS = re.compile(r"[1-3]\d\d")
MODELS = {
    "daq970a": Model(
        ("DAQ970A", "DAQ973A"), 100_000, 4096, _THREE_SLOTS, nplcs=_COMMON, special=(0.06, 2.0, 20.0, 200.0)
    ),
    "34970a": Model(("34970A",), 50_000, 4096, _THREE_SLOTS),
    "34972a": Model(("34972A",), 50_000, 4096, _THREE_SLOTS),
    "34980a": Model(("34980A",), 500_000, 4096, re.compile(r"[1-8]\d{3}"), lambda terminal: terminal // 1000),
    "34465a": Model(("34465A",), 50_000, 16384, re.compile(r"1"), scans=False, nplcs=_TRUEVOLT, special=_DIGITIZING),
}
