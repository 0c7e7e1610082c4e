"""An instrument that sends the lines of any ASCII profile, made from the profile's own example."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from acquisition import ucum
from acquisition.config import resources, toml
from acquisition.errors import ConfigurationError
from acquisition.model import Floats
from drivers.ascii.profile import AsciiChannel, AsciiProfile, Grammar
from simulators.patient.physiology import UNITS
from simulators.simkit.instrument import Example, Instrument, Plan

SHIPPED = "example-two-electrodes"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`profile`: its name, looked up in the folder `ascii` of `beside` and among the shipped data.

    `signals`: channel -> signal of the bench, by default the signal of the channel's name; a channel without one keeps
    the value of the example. `delay` s before an answer.
    """

    profile: str = SHIPPED
    beside: str = "."
    signals: dict[str, str] = {}
    delay: Annotated[float, Meta(ge=0)] = 0.01


class Ascii(Instrument):
    """Sends the profile's first complete example with the bench's values in its fields, each as wide as it was there.

    Fault `detached`: every field is the first missing token, where the profile has one.
    """

    names = ("ascii",)
    Options = Options
    not_modelled = ("anything that the profile's example does not show", "status tokens other than the example's")

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """The shipped example."""
        return Example({"profile": SHIPPED})

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self._profile = _load(self._options)
        self._grammar = Grammar(self._profile)
        self._template = _template(self._profile)
        self._request = self._profile.question
        self.serial = self._profile.line
        self._detached = False
        self._heard = b""
        self._due: float | None = None

    def connect(self, at: float) -> None:
        """Forget half a request; a stream goes on at its next interval."""
        self._heard = b""
        step = self._profile.interval_s
        self._due = None if self._request is not None else math.ceil(at / step + 1e-9) * step

    def receive(self, data: bytes, at: float) -> None:
        """Take requests, each answered after the delay; another before that is not heard."""
        if self._request is None:
            return
        self._heard = (self._heard + data)[-len(self._request) :]
        if self._heard.endswith(self._request):
            self._heard = b""
            self._due = self._due or at + self._options.delay

    def advance(self, at: float) -> None:
        """Send the line that is due."""
        if self._due is None or at < self._due:
            return
        self._due = None if self._request is not None else self._due + self._profile.interval_s
        self.send(self._line(at) + self._profile.ending)

    def deadline(self) -> float | None:
        """When the next line is due."""
        return self._due

    def reset(self, at: float) -> None:
        """Lose power and come back."""
        self.connect(at)

    def fault(self, kind: str, on: bool) -> bool:
        """Let the electrodes fall off."""
        if kind != "detached" or not self._profile.missing:
            return False
        self._detached = on
        return True

    def _line(self, at: float) -> bytes:
        match = self._grammar.match(self._template)
        assert match is not None
        line, values = bytearray(self._template), {}
        for channel in sorted(self._profile.channels, key=lambda each: match.start(each.name), reverse=True):
            start, stop = match.span(channel.name)
            line[start:stop], values[channel.name] = self._field(channel, match[channel.name], at)
        ordered = [values[channel.name] for channel in self._profile.channels]
        self.plan.ledger({"stream": "line", "device_time": at, "values": ordered})
        return self._grammar.sign(bytes(line))

    def _field(self, channel: AsciiChannel, shown: bytes, at: float) -> tuple[bytes, float | None]:
        """The field and the value that it stands for."""
        if self._detached:
            return self._profile.missing[0].encode(), None
        signal = self._options.signals.get(channel.name, channel.name)
        if signal not in UNITS:
            return shown, float(shown) * channel.scale + channel.offset
        value = _in_unit(channel, signal, self.plan.bench.values(signal, np.array([at])))
        field = (value - channel.offset) / channel.scale
        decimals = len(shown.strip().partition(b".")[2])
        text = b"%.*f" % (decimals, field)
        text = text.rjust(len(shown)) if shown[:1] == b" " else text.zfill(len(shown))
        return text, float(text) * channel.scale + channel.offset


def _in_unit(channel: AsciiChannel, signal: str, values: Floats) -> float:
    """The bench's value in the unit of the channel; as it is where that measures another quantity."""
    into = ucum.conversion(UNITS[signal], channel.unit)
    return float((values if into is None else into(values))[0])


def _load(options: Options) -> AsciiProfile:
    found = resources.find(AsciiProfile.folder, options.profile, Path(options.beside))
    if found is None:
        known = ", ".join(resources.names(AsciiProfile.folder, Path(options.beside)))
        raise ConfigurationError(f"there is no profile {options.profile!r}", "--options", remedy=f"allowed: {known}")
    profile = toml.convert(toml.read(found), AsciiProfile, found)
    profile.check()
    return profile


def _template(profile: AsciiProfile) -> bytes:
    for example in profile.examples:
        if len(example.values) == len(profile.channels):
            return example.line.encode("latin-1")
    raise ConfigurationError("no example has a value for every channel", f"profile {profile.name}: examples")
