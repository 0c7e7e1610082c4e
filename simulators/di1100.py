"""A DATAQ DI-1100, command by command and scan by scan."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from acquisition.model import Floats
from drivers.di1100 import BASE, CHANNELS, VOLTS_PER_COUNT, Di1100Driver, Scans
from simulators.bench.wiring import Terminal, Wiring, usual, wire
from simulators.simkit.instrument import Example, Instrument, Plan, no_ledger

SLIST = re.compile(rb"slist (\d+) (\d+)")
SRATE = re.compile(rb"srate (\d+)")
BURST = 0.05
"""Seconds of scans that leave together (INF: USB hands over what has gathered)."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the simulated instrument is made.

    `terminals`: what is wired to the inputs 0 to 3, by default flux, backscatter and cuff pressure on 0, 1 and 2;
    `echo_start`: whether `start` is echoed like the other commands, which the manufacturer does not state.
    """

    terminals: tuple[Terminal, ...] = ()
    echo_start: bool = False


class Di1100Simulator(Instrument):
    """Echoes commands while idle; from `start` to `stop` it sends scans and echoes nothing but `stop`.

    The ledger gets one row for each item of each scan: its volts as counts say, scaled by its profile.
    """

    names = ("di1100",)
    Options = Options
    not_modelled = ("digital inputs", "ASCII encoding", "packet sizes", "counters and rate inputs", "noise")
    serial = Di1100Driver.serial
    any_rate = True

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """One of the inputs that are wired by default, at the slowest rate."""
        return Example({"rate": 916.0}, tuple(wire(each) for each in usual(0)))

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options = plan.options if isinstance(plan.options, Options) else Options()
        self._wiring = Wiring(self._options.terminals or usual(0, 1, 2), plan.bench)
        self._row = 0
        self._list: dict[int, int] = {0: 0}
        self._divisor = 60_000
        self._began: float | None = None
        self._sent = 0
        self._heard = b""

    def receive(self, data: bytes, at: float) -> None:
        """Take commands, each ended by CR."""
        self.advance(at)
        *commands, self._heard = (self._heard + data).split(b"\r")
        self._heard = self._heard[-64:]
        for command in commands:
            self._obey(command, at)

    def advance(self, at: float) -> None:
        """Send the scans that are due, as one block."""
        if self._began is None:
            return
        due = int((at - self._began) * BASE / self._divisor + 1e-9)
        count = due - self._sent
        if count <= 0:
            return
        seconds: Floats = self._began + np.arange(self._sent + 1, due + 1) * self._divisor / BASE
        volts = [self._wiring.volts(channel, seconds, self._row) for _, channel in sorted(self._list.items())]
        n = min(map(len, volts))
        self._sent = due
        self._row += n
        if n:
            table = np.nan_to_num(np.column_stack([each[:n] for each in volts]))
            scans = Scans(np.clip(np.rint(table / VOLTS_PER_COUNT), -32768, 32767).astype(np.int16))
            self.send(scans.encode())
            self._enter(scans, seconds)

    def deadline(self) -> float | None:
        """When the next scans leave."""
        if self._began is None:
            return None
        period = self._divisor / BASE
        return self._began + (self._sent + max(round(BURST / period), 1)) * period

    def reset(self, at: float) -> None:
        """Lose power: idle, with a scan list of the first input."""
        self._list, self._divisor = {0: 0}, 60_000
        self._began, self._sent, self._heard = None, 0, b""

    def fault(self, kind: str, on: bool) -> bool:
        """`detached` and `out-of-range` of what is wired to it."""
        if kind not in ("detached", "out-of-range"):
            return False
        (self._wiring.faults.add if on else self._wiring.faults.discard)(kind)
        return True

    def _obey(self, command: bytes, at: float) -> None:
        if command == b"start":
            self._began, self._sent = at, 0
            if self._options.echo_start:
                self.send(b"start\r")
            return
        if self._began is not None and command != b"stop":
            return
        if command == b"stop":
            self._began = None
        elif match := SLIST.fullmatch(command):
            position, channel = int(match[1]), int(match[2])
            if position == 0:
                self._list = {}
            if channel < CHANNELS:
                self._list[position] = channel
        elif match := SRATE.fullmatch(command):
            self._divisor = min(max(int(match[1]), 1500), 65535)
        self.send(command + b"\r")

    def _enter(self, scans: Scans, seconds: Floats) -> None:
        if self.plan.ledger is no_ledger:
            return
        for column, (_, channel) in enumerate(sorted(self._list.items())):
            each = self._wiring.inputs.get(channel)
            if each is None:
                continue
            values, _ = each.scale(scans.volts[:, column])
            for at, value in zip(seconds.tolist(), values.tolist(), strict=False):
                self.plan.ledger({"stream": each.name, "device_time": at, "values": [value]})
