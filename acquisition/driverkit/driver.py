"""The driver contract: what an instrument's protocol must offer so that the service can run it."""

from __future__ import annotations

import random
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import msgspec

from acquisition.driverkit.analog import Input
from acquisition.driverkit.derived import Derivation
from acquisition.errors import Refused
from acquisition.model import Notice, Readings, Stream

Link = Literal["serial", "tcp", "udp", "hislip", "socket", "vxi11", "asrl", "gpib"]
Confidence = Literal["documented", "partly documented", "one implementation", "inferred"]


class Peer:
    """One end of a conversation: it queues whole messages and never touches a port."""

    def __init__(self) -> None:
        self._outgoing: list[bytes] = []

    def send(self, message: bytes) -> None:
        """Queue one whole message."""
        self._outgoing.append(message)

    def to_send(self) -> list[bytes]:
        """Hand over the queued messages, oldest first."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing


@dataclass(frozen=True, slots=True)
class Serial:
    """Line settings of a serial instrument."""

    baud: int
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop: Literal[1, 2] = 1
    handshake: Literal["none", "rts-cts", "xon-xoff"] = "none"


@dataclass(frozen=True, slots=True)
class About:
    """What `perfusion devices` and the record say of a driver.

    `names` are those of the configuration, with the model each stands for; `confidence` is the
    standing of the protocol's facts and `source` the document behind them; `unconfirmed` says what
    in it nobody has confirmed.
    """

    names: Mapping[str, str]
    kind: str
    links: tuple[Link, ...]
    confidence: Confidence
    source: str
    unconfirmed: tuple[str, ...] = ()


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of a driver that has none."""


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of data that an option names: `folder`/NAME.toml beside the configuration file, else as shipped.

    `citation`: where its facts come from; it stands in the record with the name.
    """

    folder: ClassVar[str]

    name: str
    citation: str

    def check(self) -> None:
        """Find what types cannot say; ConfigurationError whose `where` is the offending key, such as `pattern`."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What an instrument said of itself to the whole network: `port` as a device's entry names it, and its identity."""

    port: str
    model: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Recognised:
    """Who answered an enquiry: `driver` is the name to configure, empty where none fits; `text` says how sure it is."""

    driver: str
    model: str = ""
    serial: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Enquiry:
    """How a port is asked whether a driver's instrument is there; nothing else is written for it.

    `questions`, each among the driver's `queries`, go out one after another; all that comes within `within` s is the
    answer, and the first that has none ends the enquiry. `recognise` reads the answers, one for each question; None
    where they are another instrument's. `farewell` follows where there was any answer. `line` sets a serial line.
    `reserved` says why it is kept for ports that a person named for this driver; empty where no other instrument
    would obey it, at whatever line rate that one listens.
    """

    questions: tuple[bytes, ...]
    recognise: Callable[[tuple[bytes, ...]], Recognised | None]
    line: Serial | None = None
    farewell: tuple[bytes, ...] = ()
    within: float = 0.5
    reserved: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What a person or a protocol wants of an instrument that the service controls; `by` is who, and why."""

    name: str
    value: float | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """All that a driver is built from.

    `name`: which of its names the configuration used; `options`: an instance of the driver's Options;
    `inputs`: the analog inputs of a digitiser. `patience` stretches time-outs where the clock is
    accelerated: a reply time-out of s seconds is due after s * patience. `control`: whether the
    configuration lets the driver write its `commands`. `datagrams`: whether the link carries whole
    messages (UDP) and no stream of bytes. `documents`: what its options name, by option.
    `random` began with `seed`.
    """

    name: str
    options: Any = field(default_factory=NoOptions)
    inputs: tuple[Input, ...] = ()
    patience: float = 1.0
    control: bool = False
    datagrams: bool = False
    documents: Mapping[str, Document] = field(default_factory=dict)
    seed: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(0))


class Driver(Peer, ABC):
    """The host side of one instrument protocol.

    One connection, one driver object: no parser state survives a cable pull. `at` is the host's
    monotonic clock in seconds, handed in; a driver owns no clock, port or thread.

    Built from a `Setup`, an instance has: `streams`, what it will yield; `silence`, seconds without a
    sample after which the instrument counts as lost; `serial`, line settings or None; `queries`, the
    full-match patterns of every message that it may ever write; `derivations`, streams computed from
    its own that must survive a reconnection. `commands` are patterns of what it may write beside where
    the configuration says control = true; a driver without any only reads.
    """

    about: ClassVar[About]
    Options: ClassVar[type[msgspec.Struct]] = NoOptions
    documents: ClassVar[Mapping[str, type[Document]]] = {}
    """Options whose value is the name of a document, with the kind of document."""

    framed: ClassVar[bool] = True
    """False where the protocol has nothing by which damaged bytes could be told from samples."""

    counted: ClassVar[bool] = True
    """False where the protocol has nothing by which the number of missing samples could be told."""

    force: ClassVar[str] = ""
    """What a site must accept, by control = "force", before this driver may write its commands; "" for nothing."""

    announced_on: ClassVar[tuple[int, str] | None] = None
    """UDP port and multicast group (empty for none) where such instruments make themselves known unasked."""

    enquiry: ClassVar[Enquiry | str] = "its driver declares no identity query"
    """How a port is asked for this instrument, or why none is."""

    streams: tuple[Stream, ...]
    silence: float
    serial: Serial | None = None
    queries: tuple[re.Pattern[bytes], ...] = ()
    commands: tuple[re.Pattern[bytes], ...] = ()

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup
        self._saying: list[Notice] = []

    @classmethod
    def announced(cls, data: bytes) -> Announced | None:  # noqa: ARG003
        """What a datagram of `announced_on` says; None where it is none of this driver's."""
        return None

    @property
    def writable(self) -> tuple[re.Pattern[bytes], ...]:
        """Patterns of all that it may write as it is set up."""
        return self.queries + (self.commands if self.setup.control else ())

    def start(self, at: float) -> None:
        """Queue what opens the conversation."""

    def poll(self, at: float) -> None:
        """Queue what is due; called at `deadline()`."""

    def stop(self, at: float) -> None:
        """Queue what closes the conversation."""

    @abstractmethod
    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes, cut anywhere; yield samples and notices. Noise is a notice, never an exception."""

    def paused(self, seconds: float, at: float) -> None:
        """Take note that this computer stood still for so many seconds until `at`, before anything else is told.

        What came meanwhile is handed over next, and `poll` waits for that, except under control: a deadline that passed
        in a pause says nothing of the instrument.
        """

    def deadline(self) -> float | None:
        """When `poll` is wanted at the latest (the `at` clock), None for never."""
        return None

    def order(self, order: Order, at: float) -> None:  # noqa: ARG002
        """Do what a person or a protocol wants; Refused where the configuration or the moment forbids it."""
        raise Refused(
            f"the order {order.name!r} cannot be given: {self.setup.name} is only read",
            cause="the device's entry does not say control = true, or its driver has no commands",
        )

    def say(self, notice: Notice) -> None:
        """Keep a notice that does not come from received bytes."""
        self._saying.append(notice)

    def to_say(self) -> list[Notice]:
        """Hand over the kept notices, oldest first; called after each of the other calls."""
        saying, self._saying = self._saying, []
        return saying

    def derivations(self) -> tuple[Derivation, ...]:
        """Streams computed from this driver's, new objects at each call; they outlive connections."""
        return ()
