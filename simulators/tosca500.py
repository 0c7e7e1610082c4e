"""A TOSCA 500 that answers the record protocol's two known requests."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.driverkit.driver import Serial
from drivers.tosca500 import END, MMHG_PER_KPA, STATUS, VALUES, Record, State, Value
from simulators.simkit.instrument import Example, Instrument, Plan

BAUD = 9600


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`unit` of carbon dioxide; `temperature` that the sensor is set to, Cel; `second` letter of the state.

    `delay` s before an answer. Oxygen saturation (%), pulse rate (/min) and heating power (mW) stand still.
    """

    unit: Literal["mmHg", "kPa"] = "mmHg"
    temperature: Annotated[float, Meta(ge=30, le=45)] = 43.0
    second: Literal["", "C", "U", "O"] = ""
    spo2: Annotated[int, Meta(ge=0, le=999)] = 97
    pulse: Annotated[int, Meta(ge=0, le=999)] = 68
    heat: Annotated[int, Meta(ge=0, le=9999)] = 256
    delay: Annotated[float, Meta(ge=0)] = 0.05


class Tosca500(Instrument):
    """Carbon dioxide is the bench's `tcpco2_chest`. Faults: alarm, detached (no value), out-of-range."""

    names = ("tosca500",)
    Options = Options
    not_modelled = (
        "request 03",
        "the monitor's own alarm limits",
        "RTS and CTS, which a pseudo-terminal does not have",
    )

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """The line has no default: no document states it."""
        return Example({"baud": BAUD})

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self.serial = Serial(BAUD, handshake="rts-cts")
        self._faults: set[str] = set()
        self._heard = b""
        self._due: list[tuple[float, bytes]] = []

    def connect(self, at: float) -> None:
        """Forget half a request."""
        self._heard = b""
        self._due.clear()

    def receive(self, data: bytes, at: float) -> None:
        """Take requests, whatever stands before their CR LF; what is none is not answered."""
        *messages, self._heard = (self._heard + data).split(END)
        self._heard = self._heard[-8:]
        for message in messages:
            message = message[max(message.rfind(b"\r\n"), 0) :]
            for request in (STATUS, VALUES):
                if message + END == request.encode():
                    self._due.append((at + self._options.delay, self._answer(request == STATUS, at).encode()))

    def advance(self, at: float) -> None:
        """Send the answers that are due."""
        while self._due and self._due[0][0] <= at:
            self.send(self._due.pop(0)[1])

    def deadline(self) -> float | None:
        """When the next answer is due."""
        return self._due[0][0] if self._due else None

    def reset(self, at: float) -> None:
        """Lose power and come back."""
        self.connect(at)

    def fault(self, kind: str, on: bool) -> bool:
        """Switch alarm, detached or out-of-range."""
        if kind not in ("alarm", "detached", "out-of-range"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        return True

    def _answer(self, status: bool, at: float) -> Record:
        options, letter = self._options, "A" if "alarm" in self._faults else "N"
        if status:
            return Record((State(letter, options.second),))
        pco2 = float(self.plan.bench.values("tcpco2_chest", np.array([at]))[0])
        pco2 = 450.0 if "out-of-range" in self._faults else max(pco2, 0.0)
        shown = f"{pco2:03.0f}" if options.unit == "mmHg" else f"{pco2 / MMHG_PER_KPA:04.1f}"
        lines: tuple[Value, ...] = (
            Value("PCO2", 2, letter, shown, options.unit, letter, f"{options.temperature:.1f}"),
            Value("SPO2", 3, "N", f"{options.spo2:03d}", "PERCNT", "N"),
            Value("PR", 4, "N", f"{options.pulse:03d}", "BPM", "N"),
            Value("HPWR", 5, "N", f"{options.heat:04d}", "mW", "N"),
        )
        if "detached" in self._faults:
            lines = tuple(_missing(line) for line in lines)
        factor = MMHG_PER_KPA if options.unit == "kPa" else 1.0
        row = [line.value * (factor if line.name == "PCO2" else 1.0) for line in lines]
        values = [None if math.isnan(value) else value for value in row]
        self.plan.ledger({"stream": "monitor", "device_time": at, "values": values})
        return Record(lines)


def _missing(line: Value) -> Value:
    digits = "".join("." if each == "." else "E" for each in line.digits)
    return Value(line.name, line.number, line.state, digits, line.unit, line.limit, line.setting)
