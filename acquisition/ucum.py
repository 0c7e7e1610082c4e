"""Units of recorded channels in UCUM: which are known, how else they are written, and how numbers pass between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from acquisition.model import Floats

NONE = "1"
"""A number of which no unit is said."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: in the base of its kind a number is `factor` times as much, plus `offset`."""

    kind: str
    factor: float = 1.0
    offset: float = 0.0


UNITS: Mapping[str, Unit] = {
    NONE: Unit("number"),
    # Perfusion units are relative to instrument and probe: no factor makes them anything else.
    "[arb'U]": Unit("perfusion"),
    "mm[Hg]": Unit("pressure"),
    # Pascal: UCUM, and Table 8 of the SI brochure for the conventional mmHg.
    "Pa": Unit("pressure", 1.0 / 133.322387415),
    "hPa": Unit("pressure", 100.0 / 133.322387415),
    "kPa": Unit("pressure", 1000.0 / 133.322387415),
    "mbar": Unit("pressure", 100.0 / 133.322387415),
    "bar": Unit("pressure", 100_000.0 / 133.322387415),
    "cm[H2O]": Unit("pressure", 98.0665 / 133.322387415),
    "[psi]": Unit("pressure", 6894.757293168 / 133.322387415),
    "km/h": Unit("speed"),
    "m/s": Unit("speed", 3.6),
    "m/min": Unit("speed", 0.06),
    "[mi_i]/h": Unit("speed", 1.609344),
    "Cel": Unit("temperature"),
    "K": Unit("temperature", 1.0, -273.15),
    "[degF]": Unit("temperature", 5.0 / 9.0, -160.0 / 9.0),
    "m": Unit("length"),
    "mm": Unit("length", 0.001),
    "cm": Unit("length", 0.01),
    "km": Unit("length", 1000.0),
    "[ft_i]": Unit("length", 0.3048),
    "[mi_i]": Unit("length", 1609.344),
    "%": Unit("share"),
    "s": Unit("time"),
    "ms": Unit("time", 0.001),
    "min": Unit("time", 60.0),
    "h": Unit("time", 3600.0),
    "Hz": Unit("frequency"),
    "kHz": Unit("frequency", 1000.0),
    "/min": Unit("frequency", 1.0 / 60.0),
    "V": Unit("voltage"),
    "mV": Unit("voltage", 1e-3),
    "uV": Unit("voltage", 1e-6),
    "A": Unit("current"),
    "mA": Unit("current", 1e-3),
    "uA": Unit("current", 1e-6),
    "Ohm": Unit("resistance"),
    "kOhm": Unit("resistance", 1000.0),
    "W": Unit("power"),
    "mW": Unit("power", 1e-3),
    "J": Unit("energy"),
    "N": Unit("force"),
    "kg": Unit("mass"),
    "g": Unit("mass", 1e-3),
    "deg": Unit("angle"),
    "L/min": Unit("flow"),
    "mL/min": Unit("flow", 1e-3),
    "mm/s": Unit("velocity"),
    "cm/s": Unit("velocity", 10.0),
    "mmol/L": Unit("substance"),
    "umol/L": Unit("substance", 1e-3),
    "g/dL": Unit("concentration"),
    "dB": Unit("level"),
    "lx": Unit("illuminance"),
}
"""By their code, each with what makes it the base of its kind (the first of the kind)."""

WRITTEN: Mapping[str, str] = {
    "mmHg": "mm[Hg]", "mm Hg": "mm[Hg]", "Torr": "mm[Hg]", "cmH2O": "cm[H2O]", "psi": "[psi]", "PU": "[arb'U]",
    "BPU": "[arb'U]", "TPU": "[arb'U]", "arb'U": "[arb'U]", "kmh": "km/h", "kph": "km/h", "mph": "[mi_i]/h",
    "mi/h": "[mi_i]/h", "[mi_us]/h": "[mi_i]/h", "degC": "Cel", "C": "Cel", "degF": "[degF]", "F": "[degF]",
    "ft": "[ft_i]", "mi": "[mi_i]", "percent": "%", "bpm": "/min", "1/min": "/min", "{beats}/min": "/min", "sec": "s",
    "ohm": "Ohm", "Ω": "Ohm", "l/min": "L/min", "ml/min": "mL/min", "°C": "Cel", "°F": "[degF]", "µV": "uV",
}  # fmt: skip
"""How else a unit is written: what is read from a file may say so."""


def code(unit: str) -> str | None:
    """The UCUM code of a unit as somebody wrote it; None where it is not known."""
    text = unit.strip()
    found = WRITTEN.get(text, text)
    return found if found in UNITS else None


def allowed() -> str:
    """The known units in words."""
    return "one of " + ", ".join(UNITS)


@dataclass(frozen=True, slots=True)
class Conversion:
    """From one unit to another: value = recorded * factor + offset."""

    factor: float
    offset: float = 0.0

    @property
    def same(self) -> bool:
        """Whether every number stays what it is."""
        return self.factor == 1.0 and self.offset == 0.0

    def __call__(self, values: Floats) -> Floats:
        """Convert numbers of any shape."""
        return values if self.same else values * self.factor + self.offset


def conversion(recorded: str, wanted: str) -> Conversion | None:
    """How numbers in `recorded` become numbers in `wanted`; None where they are of another kind, or not known."""
    left, right = code(recorded), code(wanted)
    if left is None or right is None:
        return None
    if left == right:
        return Conversion(1.0)
    source, target = UNITS[left], UNITS[right]
    if source.kind != target.kind:
        return None
    return Conversion(source.factor / target.factor, (source.offset - target.offset) / target.factor)
