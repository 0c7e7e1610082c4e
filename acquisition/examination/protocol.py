"""Protocols of examinations as data: phases, marks and the signals that they need; read from TOML, strictly."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from acquisition.config import resources, toml
from acquisition.errors import ConfigurationError

KIND = "protocols"
BAROMETER = "barometer"
"""The check whose answer is the barometric pressure, mmHg."""
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Word = Annotated[str, Meta(pattern=r"^[a-z]{1,16}$")]
Key = Annotated[str, Meta(pattern=r"^[a-z0-9]?$")]
Seconds = Annotated[float, Meta(ge=0)]
Measures = Literal["porh", "heating", "flowmotion", "tcpo2", "oxygen", "walking", "entries"]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a protocol; keys that it does not name are errors."""


class Need(Table, frozen=True):
    """A signal that the examination is about: the channel's name and, where several have it, the stream's."""

    role: Name
    channel: Name
    stream: str = ""
    optional: bool = False
    many: bool = False
    """Every channel of that name which no other role has taken."""


class Phase(Table, frozen=True):
    """A part of the examination; `seconds` as planned, `least` before which going on needs a reason."""

    name: Name
    say: str
    seconds: Seconds | None = None
    least: Seconds = 0.0


class MarkRule(Table, frozen=True):
    """Something that happens at a moment: in which phases it may, and which phase it opens.

    `values`: what must be said with it, such as the reason of a stop. `again`: it may happen more than once.
    """

    name: Name
    say: str
    phases: tuple[Name, ...] = ()
    opens: Name | None = None
    values: tuple[str, ...] = ()
    key: Key = ""
    again: bool = False
    required: bool = False


class CheckRule(Table, frozen=True):
    """Something that a person looks at before the start; `say` asks for it.

    The answer is a number from `low` to `high` in `unit` (UCUM), a date at most `days` ago, or the word that it
    `wants`. Where `air` is given it is what every electrode reads in air, such as 151,153 mmHg: each within `air` per
    cent of 0.2095 (Pb - pH2O), with the answer to `barometer` and air that is saturated at `saturated_at` (Cel; dry
    without it). Where it `stops`, any other answer forbids the examination, and so
    does none.
    """

    name: Name
    say: str
    low: float | None = None
    high: float | None = None
    unit: str = ""
    days: Annotated[float, Meta(ge=0)] | None = None
    air: Annotated[float, Meta(gt=0)] | None = None
    saturated_at: float | None = None
    wants: Word = "yes"
    stops: bool = False


class Protocol(Table, frozen=True):
    """One protocol. `version` grows with every change that matters: results of different ones are not compared.

    `belt` names the treadmill's own protocol, a table of speeds and grades; `settings` go to the analysis and
    are stored with its results.
    """

    title: str
    version: Annotated[int, Meta(ge=1)]
    measures: Measures
    source: str
    phase: Annotated[tuple[Phase, ...], Meta(min_length=1)]
    need: tuple[Need, ...] = ()
    mark: tuple[MarkRule, ...] = ()
    check: tuple[CheckRule, ...] = ()
    belt: str | None = None
    position: str = "supine"
    settings: dict[str, bool | float | str] = {}

    def phase_named(self, name: str) -> Phase:
        """The phase of that name; KeyError where there is none."""
        return next(phase for phase in self.phase if phase.name == name)

    def after(self, name: str) -> Phase | None:
        """The phase that follows, None after the last."""
        names = [phase.name for phase in self.phase]
        following = names.index(name) + 1
        return self.phase[following] if following < len(self.phase) else None

    def marks_in(self, phase: str) -> tuple[MarkRule, ...]:
        """The marks that may be set during a phase."""
        return tuple(rule for rule in self.mark if not rule.phases or phase in rule.phases)


def load(name: str, beside: Path | None = None) -> Protocol:
    """Read the protocol of that name, beside a configuration or among the shipped ones; ConfigurationError else."""
    path = resources.find(KIND, name, beside)
    if path is None:
        raise ConfigurationError(
            f"there is no protocol {name!r}",
            str(beside or resources.shipped()),
            "a typing error",
            f"known: {', '.join(resources.names(KIND, beside)) or 'none'}",
        )
    return read(path)


def read(path: Path) -> Protocol:
    """Read and check one protocol; ConfigurationError names the key."""
    protocol = toml.convert(toml.read(path), Protocol, path)
    phases = [phase.name for phase in protocol.phase]
    _unique(path, "phase", phases)
    _unique(path, "mark", [rule.name for rule in protocol.mark])
    _unique(path, "need", [need.role for need in protocol.need])
    checks = [rule.name for rule in protocol.check]
    _unique(path, "check", checks)
    if any(rule.air is not None for rule in protocol.check) and BAROMETER not in checks:
        raise toml.fault(path, "$.check", "a reading in air is judged by the barometer", f"a check {BAROMETER!r}")
    _unique(path, "mark", [rule.key for rule in protocol.mark if rule.key], "key")
    for index, rule in enumerate(protocol.mark):
        for word in (*rule.phases, *([rule.opens] if rule.opens else [])):
            if word not in phases:
                raise toml.fault(path, f"$.mark[{index}]", f"no phase {word!r}", ", ".join(phases))
        if rule.opens and any(phases.index(phase) >= phases.index(rule.opens) for phase in rule.phases):
            raise toml.fault(path, f"$.mark[{index}].opens", "a mark opens a later phase only", value=rule.opens)
    for key, value in protocol.settings.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise toml.fault(path, f"$.settings.{key}", "no finite number", "a number", value)
    for index, phase in enumerate(protocol.phase):
        if phase.seconds is not None and phase.least > phase.seconds:
            raise toml.fault(path, f"$.phase[{index}].least", "longer than the phase", f"up to {phase.seconds:g}")
    return protocol


def _unique(path: Path, table: str, words: list[str], key: str = "name") -> None:
    for index, word in enumerate(words):
        if word in words[:index]:
            raise toml.fault(path, f"$.{table}[{index}]", f"the {key} {word!r} is taken", "each its own")
