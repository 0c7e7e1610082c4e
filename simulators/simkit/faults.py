"""Faults of line, device and link: `KIND@START:DURATION:p=PROBABILITY`, seeded, for every instrument alike."""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NoReturn

import numpy as np

from acquisition.errors import ConfigurationError
from acquisition.model import Floats
from simulators.simkit.instrument import Bench

Family = Literal["byte", "message", "line", "device", "instrument", "link"]
Action = tuple[Literal["unplug", "replug", "reset", "on", "off"], str]

KINDS: Mapping[str, tuple[Family, str]] = MappingProxyType(
    {
        "drop": ("byte", "bytes are lost (p per byte, 0.05 unless told)"),
        "insert": ("byte", "random bytes come between (p per byte)"),
        "garble": ("byte", "bytes are changed (p per byte)"),
        "duplicate": ("message", "messages come twice (p per message, 1 unless told)"),
        "reorder": ("message", "a message comes after the next one"),
        "delay": ("message", "messages come late (by=1s)"),
        "split": ("message", "a message comes in two pieces (by=50ms apart)"),
        "merge": ("message", "messages come together (every by=500ms)"),
        "truncate": ("message", "the end of a message is missing"),
        "wrong-baud": ("line", "all bytes arrive as at another baud rate"),
        "silence": ("line", "the instrument hears but is not heard"),
        "half-open": ("line", "nothing passes either way, and the link stays up"),
        "stuck": ("device", "the measured values stay as they were at the start"),
        "reset": ("device", "the instrument loses power and comes back at the end"),
        "counter-wrap": ("instrument", "the instrument's counter is about to wrap"),
        "wrong-identity": ("instrument", "another serial number answers, or another kind of instrument"),
        "wrong-model": ("instrument", "another model answers"),
        "memory-overflow": (
            "instrument",
            "the memory is full after two sweeps, and the oldest readings are overwritten",
        ),
        "alarm": ("instrument", "the instrument reports an alarm"),
        "detached": ("instrument", "probe or electrode is off the skin"),
        "out-of-range": ("instrument", "the instrument reports values out of range"),
        "unplug": ("link", "the link goes away; a pseudo-terminal returns under another number and the same --link"),
        "replug": ("link", "the link goes away and is back at once, a pseudo-terminal under another number"),
        "refuse": ("link", "connections are refused"),
        "drop-connection": ("link", "the connection is cut and may be made again at once"),
    }
)
ALSO: Mapping[str, str] = MappingProxyType(
    {
        "late-answer": "delay",
        "cut-answer": "truncate",
        "reboot": "reset",
        "stuck-value": "stuck",
        "sensor-detached": "detached",
    }
)
"""Other names of kinds."""
_BY: Mapping[str, float] = MappingProxyType({"delay": 1.0, "split": 0.05, "merge": 0.5})
_PER_BYTE = 0.05
_POINT = ("drop-connection", "replug", "reset")
"""Kinds that need no duration."""
_TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: active from `start` for `duration` s since the scenario began, again after each `every` s."""

    kind: str
    start: float = 0.0
    duration: float = FOREVER
    p: float = 1.0
    by: float = 0.0
    every: float | None = None

    @property
    def family(self) -> Family:
        """What it acts on."""
        return KINDS[self.kind][0]

    def active(self, at: float) -> bool:
        """Whether it acts at `at` s."""
        since = at - self.start
        if since < 0:
            return False
        return (since % self.every if self.every else since) < self.duration

    def actions(self, begin: float) -> Iterator[tuple[float, Action]]:
        """What it does to device and link, with the second; what was over before `begin` never happened."""
        start = self.start
        while self.family in ("link", "instrument") or self.kind == "reset":
            end = start + self.duration
            if end > begin or start >= begin:
                yield from self._actions(start, end)
            if self.every is None:
                return
            start += self.every

    def held(self, t: Floats) -> Floats:
        """Times (n,) s, those within the fault set to its start -> (n,)."""
        since = t - self.start
        within = np.mod(since, self.every) if self.every else since
        return np.where((since >= 0) & (within < self.duration), t - within, t)

    def _actions(self, start: float, end: float) -> Iterator[tuple[float, Action]]:
        match self.family:
            case "link":
                yield start, ("unplug", self.kind)
                yield end, ("replug", self.kind)
            case "instrument":
                yield start, ("on", self.kind)
                yield end, ("off", self.kind)
            case _:
                yield end, ("reset", self.kind)


def parse(spec: str) -> Fault:
    """Read `garble@10s:2s:p=0.2`; ConfigurationError names what is wrong and what is allowed."""
    kind, at, rest = spec.partition("@")
    kind = ALSO.get(kind, kind)
    if kind not in KINDS:
        _refuse(spec, f"unknown kind of fault {kind!r}", ", ".join(KINDS))
    family = KINDS[kind][0]
    times: list[float] = []
    named: dict[str, float] = {}
    for part in rest.split(":") if at else []:
        name, equals, value = part.partition("=")
        if not equals:
            if named or len(times) == 2:
                _refuse(spec, f"{part!r} is one part too many", "KIND@START:DURATION:p=P:by=TIME:every=TIME")
            times.append(_seconds(spec, part))
        elif name == "p":
            named["p"] = _probability(spec, value)
        elif name in ("by", "every"):
            named[name] = _seconds(spec, value)
        else:
            _refuse(spec, f"unknown part {part!r}", "p=PROBABILITY, by=TIME, every=TIME")
    if "p" in named and family not in ("byte", "message"):
        _refuse(spec, f"{kind} has no probability", "a start and a duration")
    if "by" in named and kind not in _BY:
        _refuse(spec, f"{kind} has no by=", f"by= with {', '.join(_BY)}")
    if not times and family in ("device", "instrument", "link"):
        _refuse(spec, f"{kind} needs a start", f"{kind}@60s:5s")
    if kind in ("unplug", "refuse") and len(times) < 2:
        _refuse(spec, f"{kind} needs a duration", f"{kind}@60s:5s")
    start = times[0] if times else 0.0
    duration = times[1] if len(times) == 2 else 0.0 if kind in _POINT else FOREVER
    every = named.get("every")
    if every is not None and not duration < every:
        _refuse(spec, "every= is not longer than the duration", f"{kind}@10s:2s:every=30s")
    probability = named.get("p", _PER_BYTE if family == "byte" else 1.0)
    return Fault(kind, start, duration, probability, named.get("by", _BY.get(kind, 0.0)), every)


class Faults:
    """All faults of one instrument from `begin` s on: they damage what it says and tell what happens to its link."""

    def __init__(self, faults: Sequence[Fault] = (), seed: int = 0, begin: float = 0.0) -> None:
        self._faults: tuple[Fault, ...] = ()
        self._line: list[Fault] = []
        self._random = random.Random(seed)
        self._held: bytes | None = None
        self._coming: list[tuple[float, int, Action]] = []
        self._more: list[Iterator[tuple[float, Action]]] = []
        for each in faults:
            self.add(each, begin)

    def add(self, fault: Fault, begin: float) -> None:
        """Let one more fault happen; what was over before `begin` s never happened."""
        self._faults += (fault,)
        if fault.family in ("byte", "message", "line"):
            self._line.append(fault)
        self._more.append(fault.actions(begin))
        self._fetch(len(self._more) - 1)

    def bench(self, bench: Bench) -> Bench:
        """The bench as the instrument's sensors see it: its values stand still where they are stuck."""
        stuck = tuple(each for each in self._faults if each.kind == "stuck")
        return Stuck(bench, stuck) if stuck else bench

    @property
    def instrument_kinds(self) -> tuple[str, ...]:
        """The kinds that only the instrument itself can show."""
        return tuple(dict.fromkeys(each.kind for each in self._faults if each.family == "instrument"))

    def deaf(self, at: float) -> bool:
        """Whether the instrument hears nothing."""
        return self._acting(("half-open", "reset"), at)

    def outward(self, message: bytes, at: float) -> list[tuple[float, bytes]]:
        """What becomes of a message of the instrument: pieces, each with the second at which it leaves."""
        if not self._line and not self._acting(("reset",), at):
            return [(at, message)]
        if self._acting(("silence", "half-open", "reset"), at):
            return []
        pieces = [(at, message)]
        for each in self._line:
            if each.active(at):
                pieces = [piece for release, data in pieces for piece in self._damaged(each, release, data)]
        if self._held is not None and not self._acting(("reorder",), at):
            pieces.append((at, self._released()))
        return [(release, data) for release, data in pieces if data]

    def deadline(self) -> float | None:
        """When `due` is wanted, None for never."""
        return self._coming[0][0] if self._coming else None

    def due(self, at: float) -> list[Action]:
        """What happens to device and link up to `at`, in order."""
        happened = []
        while self._coming and self._coming[0][0] <= at:
            _, index, action = heapq.heappop(self._coming)
            happened.append(action)
            self._fetch(index)
        return happened

    def _fetch(self, index: int) -> None:
        entry = next(self._more[index], None)
        if entry is not None and entry[0] != FOREVER:
            heapq.heappush(self._coming, (entry[0], index, entry[1]))

    def _acting(self, kinds: tuple[str, ...], at: float) -> bool:
        return any(each.kind in kinds and each.active(at) for each in self._faults)

    def _damaged(self, fault: Fault, at: float, data: bytes) -> list[tuple[float, bytes]]:
        if not data:
            return []
        if fault.family == "byte":
            return [(at, _damage(fault, data, self._random))]
        if fault.kind == "reorder" and self._held is not None:
            return [(at, data), (at, self._released())]
        if self._random.random() >= fault.p:
            return [(at, data)]
        match fault.kind:
            case "wrong-baud":
                return [(at, bytes(self._random.choice((0x00, 0x80, 0xF8, self._random.randrange(256))) for _ in data))]
            case "truncate":
                return [(at, data[: self._random.randrange(len(data))])]
            case "duplicate":
                return [(at, data), (at, data)]
            case "delay":
                return [(at + fault.by, data)]
            case "split":
                cut = self._random.randrange(1, len(data)) if len(data) > 1 else 1
                return [(at, data[:cut]), (at + fault.by, data[cut:])]
            case "merge":
                return [((at // fault.by + 1) * fault.by, data)]
            case "reorder":
                self._held = data
                return []
        return [(at, data)]

    def _released(self) -> bytes:
        held, self._held = self._held or b"", None
        return held


class Stuck:
    """A bench whose signals stay, while a fault acts, as they were at its start."""

    def __init__(self, bench: Bench, faults: Sequence[Fault]) -> None:
        self._bench = bench
        self._faults = faults

    def values(self, signal: str, t: Floats) -> Floats:
        """The signal at t (n,) s -> (n,)."""
        for fault in self._faults:
            t = fault.held(t)
        return self._bench.values(signal, t)


def _damage(fault: Fault, data: bytes, chance: random.Random) -> bytes:
    match fault.kind:
        case "drop":
            return bytes(byte for byte in data if chance.random() >= fault.p)
        case "insert":
            mixed = bytearray()
            for byte in data:
                mixed.append(byte)
                if chance.random() < fault.p:
                    mixed.append(chance.randrange(256))
            return bytes(mixed)
    return bytes(byte ^ chance.randrange(1, 256) if chance.random() < fault.p else byte for byte in data)


def _seconds(spec: str, text: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        _refuse(spec, f"{text!r} is no time", "a number with ms, s, min or h, such as 60s")
    return float(match[1]) * _SECONDS[match[2]]


def _probability(spec: str, text: str) -> float:
    try:
        p = float(text)
    except ValueError:
        p = -1.0
    if not 0 < p <= 1:
        _refuse(spec, f"{text!r} is no probability", "a number over 0, at most 1")
    return p


def _refuse(spec: str, what: str, allowed: str) -> NoReturn:
    raise ConfigurationError(what, f"--fault {spec}", remedy=f"allowed: {allowed}")
