"""Index: the one definition of a perfusion index, from which units, comparison, endpoints and documents follow."""

from __future__ import annotations

from dataclasses import dataclass

FLUX = ("model", "probe", "time_constant", "calibration", "sensor_temperature", "site", "position", "protocol")
TCPO2 = ("model", "probe", "calibration", "sensor_temperature", "site", "position", "protocol")
WALKING = ("model", "protocol", "handrail")
PRESSURE = ("method", "position")
ULCER = ("ulcer", "method", "debrided")
PAIN = ("scale", "question", "context", "recall")
STAGES = ("rule", "measure")
LIMB = ("limb",)


@dataclass(frozen=True, slots=True)
class Detectable:
    """The smallest change that is not chance in 95 of 100: absolute in the index's unit, or per cent."""

    value: float
    percent: bool
    source: str


@dataclass(frozen=True, slots=True)
class Index:
    """One index: `unit` in UCUM, and what it is called at length.

    `needs` are the roles of an examination that it is measured from, or `entry` for what a person enters.
    `comparable` are the conditions that must agree between two visits, none for what is not compared. `detectable` is
    of a published population. `ordinal` grades have no distances. `synonyms` are words by which people name the
    measurement, `endpoint` and `endpoint_protocol` what it is by default in a study. `decides` are the kinds of
    examination of which an attempt is valid if this has a value. `source` is where it is defined.
    """

    name: str
    unit: str
    long_name: str
    needs: tuple[str, ...]
    comparable: tuple[str, ...] = ()
    detectable: Detectable | None = None
    ordinal: bool = False
    synonyms: tuple[str, ...] = ()
    endpoint: str = ""
    endpoint_protocol: str = ""
    decides: tuple[str, ...] = ()
    source: str = ""
