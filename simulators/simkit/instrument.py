"""The device side of the contract: an instrument that answers bytes with bytes as simulated time goes by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import msgspec

from acquisition.driverkit.analog import Input
from acquisition.driverkit.driver import NoOptions, Peer, Serial
from acquisition.model import Floats


class Bench(Protocol):
    """The participant and the room: what every signal is worth at each simulated second."""

    def values(self, signal: str, t: Floats) -> Floats:
        """The signal at t (n,) s since the scenario began -> (n,) in the signal's unit; KeyError for an unknown one."""


Ledger = Callable[[Mapping[str, Any]], None]
"""Takes one row for every sample put on the wire: `stream` and `values` (c,) as the driver names and orders them, in
its units, None where none was sent; `device_time` s. What a record holds is compared with it."""


def no_ledger(_: Mapping[str, Any]) -> None:
    """Keep no ledger."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a simulated instrument is built from; `patience` and `datagrams` are as in a driver's Setup."""

    name: str
    bench: Bench
    options: Any = field(default_factory=NoOptions)
    seed: int = 0
    patience: float = 1.0
    ledger: Ledger = field(default=no_ledger)
    datagrams: bool = False


@dataclass(frozen=True, slots=True)
class Example:
    """Options of driver and simulator that fit each other, as `options` of a device's entry and `--options` say them.

    `inputs`: the analog inputs of a digitiser.
    """

    driver: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    simulator: Mapping[str, Any] = field(default_factory=dict)


class Instrument(Peer, ABC):
    """One simulated instrument, advanced by simulated seconds `at` since the scenario began; it owns no clock.

    `names` are the configuration names of the drivers that it is the other end of; `not_modelled`
    says what the real one does beyond this.
    """

    names: ClassVar[tuple[str, ...]]
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    not_modelled: ClassVar[tuple[str, ...]] = ()
    serial: Serial | None = None
    any_rate: bool = False
    """True where a host's baud rate is a mere name, as on USB's own serial ports, or where no document states one."""

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """A driver and this simulator under one of its `names` that understand each other; what tests run."""
        return Example()

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def connect(self, at: float) -> None:
        """Notice that a host opened the link."""

    @abstractmethod
    def receive(self, data: bytes, at: float) -> None:
        """Take bytes from the host, cut anywhere; queue answers."""

    def advance(self, at: float) -> None:
        """Let time pass up to `at`; queue what the instrument sends by itself."""

    def deadline(self) -> float | None:
        """When `advance` is wanted at the latest, None for never."""
        return None

    def reset(self, at: float) -> None:
        """Lose power and come back."""

    def announcement(self, at: float, host: str, port: int) -> bytes | None:
        """What it tells the network while nobody talks to it, being reached at `host` and `port`; None for nothing."""
        return None

    def fault(self, kind: str, on: bool) -> bool:
        """Switch a fault of the device itself on or off; False where this instrument has none of that kind.

        Kinds: counter-wrap, wrong-identity, wrong-model, memory-overflow, alarm, detached, out-of-range.
        """
        return False
