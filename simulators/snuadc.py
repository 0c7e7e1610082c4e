"""A SNUADC digitiser, frame by frame."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from drivers.snuadc import CHANNELS, MIDDLE, PER_VOLT, RATE, Frames, SnuadcDriver
from simulators.bench.wiring import Terminal, Wiring, usual, wire
from simulators.simkit.instrument import Example, Instrument, Plan, no_ledger

RATE_COMMAND = re.compile(rb"sr(\d{1,4})\r")
BURST = 0.05
"""Seconds of frames that leave together (INF: USB hands over what has gathered)."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`terminals`: what is wired to the inputs 0 to 7, by default flux, backscatter and cuff pressure on 0, 1 and 2."""

    terminals: tuple[Terminal, ...] = ()


class SnuadcSimulator(Instrument):
    """Sends frames from the moment it has power, whether somebody listens or not; `sr<rate>` + CR sets their rate.

    The ledger gets one row for each input of each frame: its volts as counts say, scaled by its profile.
    """

    names = ("snuadc",)
    Options = Options
    not_modelled = ("the calibration print-out (`cp`)", "the event buttons", "noise of the converter")
    serial = SnuadcDriver.serial
    any_rate = True

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """What is wired to it by default, at a leisurely rate."""
        return Example({"rate": 20}, tuple(wire(each) for each in usual(0, 1, 2)))

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        options = plan.options if isinstance(plan.options, Options) else Options()
        self._wiring = Wiring(options.terminals or usual(0, 1, 2), plan.bench)
        self._rate = RATE
        self._began: float | None = None
        self._sent = 0
        self._row = 0
        self._heard = b""

    def connect(self, at: float) -> None:
        """Begin where nobody listened before; frames of before are gone."""
        self.reset(at)

    def receive(self, data: bytes, at: float) -> None:
        """Obey `sr<rate>`; what else is said is not understood."""
        self.advance(at)
        self._heard = (self._heard + data)[-16:]
        for match in RATE_COMMAND.finditer(self._heard):
            if 1 <= int(match[1]) <= 1000:
                self._rate = int(match[1])
                self._began, self._sent = at, 0
        self._heard = self._heard.rpartition(b"\r")[2]

    def advance(self, at: float) -> None:
        """Send the frames that are due, as one block."""
        if self._began is None:
            self._began = at
        due = int((at - self._began) * self._rate + 1e-9)
        count = due - self._sent
        if count <= 0:
            return
        seconds = self._began + np.arange(self._sent + 1, due + 1) / self._rate
        counts = np.full((count, CHANNELS), MIDDLE)
        for terminal in self._wiring.inputs:
            volts = self._wiring.volts(terminal, seconds, self._row)
            counts = counts[: len(volts)]
            counts[:, terminal] = np.rint(np.nan_to_num(volts[: len(counts)]) * PER_VOLT + MIDDLE)
        self._sent = due
        self._row += len(counts)
        frames = Frames(np.clip(counts, 0, 1023).astype(np.uint16), np.zeros((len(counts), 2), bool))
        if len(counts):
            self.send(frames.encode())
            self._enter(frames, seconds)

    def deadline(self) -> float | None:
        """When the next frames leave."""
        if self._began is None:
            return 0.0
        return self._began + (self._sent + max(round(BURST * self._rate), 1)) / self._rate

    def reset(self, at: float) -> None:
        """Lose power: the rate is the usual one again."""
        self._rate, self._began, self._sent, self._heard = RATE, at, 0, b""

    def fault(self, kind: str, on: bool) -> bool:
        """`detached` and `out-of-range` of what is wired to it."""
        if kind not in ("detached", "out-of-range"):
            return False
        (self._wiring.faults.add if on else self._wiring.faults.discard)(kind)
        return True

    def _enter(self, frames: Frames, seconds: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        if self.plan.ledger is no_ledger:
            return
        for terminal, each in self._wiring.inputs.items():
            values, _ = each.scale(frames.volts[:, terminal])
            for at, value in zip(seconds.tolist(), values.tolist(), strict=False):
                self.plan.ledger({"stream": each.name, "device_time": at, "values": [value]})
