"""A TOSCA 500 that streams its CSV form: a heading at the beginning and now and then, and a line each second."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.driverkit.driver import Serial
from drivers.tosca500_csv import MMHG_PER_KPA, Heading, Row
from simulators.simkit.instrument import Example, Instrument, Plan

BAUD = 9600


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`unit` of carbon dioxide, `temperature` that the sensor is set to (Cel), `mode` letter.

    Every `interval` s a line, every `heading` lines a heading. Saturation (%), pulse rate (/min), heating power (mW)
    and perfusion index (%) stand still.
    """

    unit: Literal["mmHg", "kPa"] = "mmHg"
    temperature: Annotated[float, Meta(ge=30, le=45)] = 42.0
    mode: Literal["C", "R", "P", "M", "?"] = "M"
    interval: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0
    heading: Annotated[int, Meta(ge=1)] = 30
    spo2: Annotated[int, Meta(ge=0, le=999)] = 97
    pulse: Annotated[int, Meta(ge=0, le=999)] = 68
    heat: Annotated[int, Meta(ge=0, le=999)] = 252
    index: Annotated[float, Meta(ge=0, le=99)] = 12.3


class Tosca500Csv(Instrument):
    """Carbon dioxide is the bench's `tcpco2_chest`. Faults: alarm, detached (no values), out-of-range."""

    names = ("tosca500-csv",)
    Options = Options
    not_modelled = ("how the real one formats time, tcPCO2 and SpO2 (columns 1 to 5)", "when it repeats its heading")

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """Line and unit have no default: no document states them."""
        return Example({"baud": BAUD, "unit": "mmHg"})

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self.serial = Serial(BAUD)
        self._faults: set[str] = set()
        self._lines = 0
        self._due = 0.0

    def connect(self, at: float) -> None:
        """Go on at the next interval."""
        self._due = math.ceil(at / self._options.interval + 1e-9) * self._options.interval

    def receive(self, data: bytes, at: float) -> None:
        """Hear nothing."""

    def advance(self, at: float) -> None:
        """Send the line that is due, after a heading where one is."""
        if at < self._due:
            return
        if self._lines % self._options.heading == 0:
            self.send(self._heading().encode() + b"\r\n")
        self._lines += 1
        self.send(self._row(at).encode() + b"\r\n")
        self._due += self._options.interval

    def deadline(self) -> float | None:
        """When the next line is due."""
        return self._due

    def reset(self, at: float) -> None:
        """Lose power and come back."""
        self._lines = 0
        self.connect(at)

    def fault(self, kind: str, on: bool) -> bool:
        """Switch alarm, detached or out-of-range."""
        if kind not in ("alarm", "detached", "out-of-range"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        return True

    def _heading(self) -> Heading:
        options = self._options
        return Heading((
            "Time", f"PCO2[{options.unit}]" + ("030:060" if options.unit == "mmHg" else "04.0:08.0"), "PCO2s",
            "SpO2[%]085:100", "SpO2s", "PR[bpm]050:150", "PRs", "HPWR[mW]256", "Perf.Index[%]",
            f"Temp[C]{options.temperature:.1f}", "Timer", "Mode",
        ))  # fmt: skip

    def _row(self, at: float) -> Row:
        options = self._options
        pco2 = float(self.plan.bench.values("tcpco2_chest", np.array([at]))[0])
        pco2 = 450.0 if "out-of-range" in self._faults else max(pco2, 0.0)
        factor = MMHG_PER_KPA if options.unit == "kPa" else 1.0
        shown = f"{pco2:03.0f}" if options.unit == "mmHg" else f"{pco2 / factor:04.1f}"
        left = 480 - int(at // 60) % 480
        numbers = [shown, f"{options.spo2:03d}", f"{options.pulse:03d}", f"{options.heat:03d}",
                   f"{options.index:04.1f}", f"{options.temperature:04.1f}"]  # fmt: skip
        if "detached" in self._faults:
            numbers = ["".join("." if each == "." else "-" for each in digits) for digits in numbers]
        known = [None if "-" in digits else float(digits) for digits in numbers]
        if known[0] is not None:
            known[0] *= factor
        self.plan.ledger({"stream": "monitor", "device_time": at, "values": [*known, float(left)]})
        clock = f"{int(at // 3600) % 24:02d}:{int(at // 60) % 60:02d}:{int(at) % 60:02d}"
        letter = "A" if "alarm" in self._faults else "N"
        return Row(
            clock, numbers[0], letter, numbers[1], "N", numbers[2], "N", numbers[3], numbers[4], numbers[5],
            f"{left // 60:02d}:{left % 60:02d}", options.mode,
        )  # fmt: skip
