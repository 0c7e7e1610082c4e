"""A simulated IntelliVue monitor: the monitor's side of the Data Export interface, with transcutaneous electrodes."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.driverkit.driver import Serial
from acquisition.driverkit.framing import Cutter, Skipped
from drivers.intellivue.association import (
    EXTENDED_NUMERICS,
    HOT_START,
    SERVER,
    Abort,
    AssociationAccept,
    AssociationRequest,
    Refuse,
    ReleaseRequest,
    ReleaseResponse,
    UserInfo,
    association_timeout,
)
from drivers.intellivue.attributes import (
    CALIBRATING,
    COMPOUND_NUMERIC,
    DEMO,
    HANDLE,
    LABEL,
    LABEL_STRING,
    MDS,
    MODEL,
    NO_DATE,
    NUMERIC,
    NUMERICS,
    PRODUCTION,
    SYSTEM_ID,
    SYSTEM_IDENTIFICATION,
    SYSTEM_PRODUCTION,
    TEST,
    TICK,
    UNAVAILABLE,
    Attributes,
    Numeric,
    Observed,
    encode_float,
    pack_list,
)
from drivers.intellivue.electrodes import (
    CELSIUS,
    HEATING_POWER,
    KPA,
    MILLIWATT,
    MINUTES,
    MMHG,
    MMHG_PER_KPA,
    SENSOR_TEMPERATURE,
    SITE_TIME,
    TCPCO2,
    TCPO2,
)
from drivers.intellivue.exchange import (
    FIRST_PART,
    LAST_PART,
    MIDDLE_PART,
    NETWORK,
    PROTOCOLS,
    ConnectIndication,
    ErrorResult,
    MdsCreate,
    MdsCreateResult,
    Message,
    PollRequest,
    PollResult,
    decode,
)
from drivers.intellivue.frames import FRAME_LIMIT, Malformed, cut_frame, frame, unframe
from simulators.simkit.instrument import Example, Instrument, Plan

GAS_GROUP, HEART_RATE, PER_MINUTE = 0xF051, 0x4182, 0x0AA0
STATES = {"normal": 0, "demo": DEMO, "test": TEST, "calibrating": CALIBRATING}


WAVES, PATIENT, ALERT_MONITOR = 0x0009, 0x002A, 0x0036
NOTHING_TO_TELL = (WAVES, PATIENT, ALERT_MONITOR)
"""Objects that a real monitor has much to tell of: polls of them are answered, and empty."""
OBSERVED_VALUE, DYNAMIC, STATIC = 0x0803, 0x0810, 0x0811
GROUPS: dict[int, frozenset[int]] = {
    0: frozenset({HANDLE, LABEL, LABEL_STRING, NUMERIC, COMPOUND_NUMERIC}),
    OBSERVED_VALUE: frozenset({NUMERIC, COMPOUND_NUMERIC}),
    DYNAMIC: frozenset({LABEL, LABEL_STRING}),
    STATIC: frozenset({HANDLE}),
}
"""Which attributes of a numeric belong to which group; group 0 is all of them (the parting is INF)."""


class Electrode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One electrode: it measures the bench's tcpo2_<name> and tcpco2_<name>."""

    name: str
    handle: Annotated[int, Meta(ge=0, le=0xFFFF)]
    temperature: float = 44.0


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the monitor is set up.

    `objects`: whether an electrode's five values come in one compound object or in one object each, with
    handles that follow on; `others`: numerics of other modules; `mtu`: the longest message, beyond which
    results are linked; `uptime`: seconds that it has been running; `extended`: whether it grants extended polls.
    """

    electrodes: tuple[Electrode, ...] = (Electrode("chest", 257), Electrode("calf", 258))
    unit: Literal["mmHg", "kPa"] = "mmHg"
    state: Literal["normal", "demo", "test", "calibrating"] = "normal"
    objects: Literal["compound", "single"] = "compound"
    others: Annotated[int, Meta(ge=0, le=60)] = 2
    mtu: Annotated[int, Meta(ge=300, le=1400)] = 1000
    uptime: Annotated[float, Meta(ge=0)] = 3600.0
    extended: bool = True
    introduces: bool = True
    model: str = "SIM-IntelliVue"
    system_id: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")] = "53494d0000000001"


class IntelliVueMonitor(Instrument):
    """Accepts one association, introduces itself, and answers polls until the host is silent for too long."""

    names: ClassVar[tuple[str, ...]] = ("intellivue",)
    Options: ClassVar[type[msgspec.Struct]] = Options
    serial = Serial(115200)
    not_modelled = (
        "waves, alarms, patient data and settings",
        "the autospeed variant of the serial protocol",
        "the delay with which a real monitor answers",
    )

    @classmethod
    def example(cls, name: str) -> Example:  # noqa: ARG003
        """Two electrodes."""
        return Example({"electrodes": [{"name": "chest", "handle": 257}, {"name": "calf", "handle": 258}]})

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._options: Options = plan.options if isinstance(plan.options, Options) else Options()
        self._handles = {each.name: each.handle for each in self._options.electrodes}
        self._booted = -self._options.uptime
        self._applied = {each.name: -self._options.uptime for each in self._options.electrodes}
        self._faults: set[str] = set()
        self._invoke = 0
        self._cutter = Cutter(cut_frame, FRAME_LIMIT)
        self._poll: PollRequest | None = None
        self._next = self._until = self._heard = 0.0
        self._timeout = math.inf
        self._associated = self._introduced = False
        self._sequence = 0

    def connect(self, at: float) -> None:
        """A serial line shows no plug: an association outlives it until it times out."""
        self._cutter = Cutter(cut_frame, FRAME_LIMIT)

    def receive(self, data: bytes, at: float) -> None:
        """Answer the host's messages; damaged ones are passed over."""
        self.advance(at)
        for item in (data,) if self.plan.datagrams else self._cutter.feed(data):
            if isinstance(item, Skipped):
                continue
            try:
                message = decode(item if self.plan.datagrams else unframe(item))
            except Malformed:
                continue
            self._answer(message, at)

    def advance(self, at: float) -> None:
        """Drop an association that the host has left; send what an extended poll asked for."""
        while self._poll is not None and self._next <= min(at, self._until):
            self._report(self._poll, self._next)
            self._next += 1.0
        if self._poll is not None and self._next > self._until:
            self._poll = None
        if self._associated and at >= self._heard + self._timeout:
            self._forget()

    def deadline(self) -> float | None:
        """The next result of an extended poll, or the end of the host's time."""
        due = [self._next] if self._poll is not None else []
        if self._associated:
            due.append(self._heard + self._timeout)
        return min(due, default=None)

    def reset(self, at: float) -> None:
        """Restart: the association is gone and the relative time begins at zero."""
        self._booted = at
        self._forget()

    def announcement(self, at: float, host: str, port: int) -> bytes | None:
        """A connect indication while no host is associated."""
        if self._associated:
            return None
        network = bytes(6) + socket.inet_aton(host) + b"\xff\xff\xff\x00"
        # Association and data export, each by UDP.
        protocols = pack_list([struct.pack(">HHHH", kind, 1, port, 0) for kind in (1, 5)])
        known = ((NETWORK, network), (PROTOCOLS, protocols), *self._identity())
        return ConnectIndication(self._ticks(at), known).encode()

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: wrong-identity, detached (the first electrode), out-of-range, alarm, counter-wrap (within 5 s)."""
        if kind == "counter-wrap":
            if on:
                self._booted = self._booted_before_wrap()
            return True
        if kind not in ("wrong-identity", "detached", "out-of-range", "alarm"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        return True

    def swap(self) -> None:
        """Exchange the handles of the first two electrodes, as replugging them the other way round does."""
        first, second, *_ = self._handles
        self._handles[first], self._handles[second] = self._handles[second], self._handles[first]

    def _forget(self) -> None:
        self._associated = self._introduced = False
        self._poll = None

    def _booted_before_wrap(self) -> float:
        return self._heard + 5.0 - 2**32 * TICK

    # The dialogue.

    def _say(self, message: Message) -> None:
        self.send(message.encode() if self.plan.datagrams else frame(message.encode()))

    def _answer(self, message: Message, at: float) -> None:
        if self._associated:
            self._heard = at
        match message:
            case AssociationRequest(info):
                self._associate(info, at)
            case Abort():
                self._forget()
            case ReleaseRequest() if self._associated:
                self._forget()
                self._say(ReleaseResponse())
            case MdsCreateResult() if self._associated:
                self._introduced = True
            case PollRequest() if self._introduced:
                self._answer_poll(message, at)

    def _associate(self, info: UserInfo, at: float) -> None:
        if self._associated:
            self._say(Refuse())
            return
        self._associated, self._heard = True, at
        self._timeout = association_timeout(info.poll_period * TICK) * self.plan.patience
        extensions = info.extensions & EXTENDED_NUMERICS if self._options.extended else 0
        self._say(AssociationAccept(UserInfo(SERVER, HOT_START, info.poll_period, 1000, 1000, extensions)))
        self._invoke = self._invoke % 0xFFFF + 1
        self._say(MdsCreate(self._invoke, self._ticks(at), self._identity() if self._options.introduces else ()))

    def _answer_poll(self, request: PollRequest, at: float) -> None:
        if request.kind == MDS:
            self._describe(request, at)
        elif request.kind in NOTHING_TO_TELL:
            self._say(self._result(request, at, ()))
        elif request.kind != NUMERICS:
            self._say(ErrorResult(request.invoke, 6))
        elif request.group not in GROUPS:
            self._say(ErrorResult(request.invoke, 5))
        elif request.period is None:
            self._report(request, at)
        elif not self._options.extended:
            self._say(ErrorResult(request.invoke, 24))
        else:
            if self._poll is None:
                self._next = at
            self._poll, self._sequence = request, 0
            self._until = at + request.period * TICK
            self.advance(at)

    def _describe(self, request: PollRequest, at: float) -> None:
        production = ((PRODUCTION, pack_list([struct.pack(">HHH", 1, 8, 4) + b"SIM1"])),)
        found = {
            0: self._identity() + production,
            SYSTEM_IDENTIFICATION: self._identity(),
            SYSTEM_PRODUCTION: production,
        }
        attributes = found.get(request.group)
        if attributes is None:
            self._say(ErrorResult(request.invoke, 5))
            return
        self._say(self._result(request, at, (Observed(0, 0, attributes),)))

    def _identity(self) -> Attributes:
        model = "OTHER" if "wrong-identity" in self._faults else self._options.model
        return (
            (MODEL, _label("Simulated") + _label(model)),
            (SYSTEM_ID, struct.pack(">H", 8) + bytes.fromhex(self._options.system_id)),
        )

    # Measurements.

    def _report(self, request: PollRequest, at: float) -> None:
        objects = [*self._others(), *(each for e in self._options.electrodes for each in self._measure(e, at))]
        wanted = GROUPS[request.group]
        parts = list(self._split([replace(each, attributes=_only(each.attributes, wanted)) for each in objects]))
        self._sequence += 1
        if len(parts) == 1:
            self._say(self._result(request, at, parts[0]))
            return
        for count, part in enumerate(parts, 1):
            state = FIRST_PART if count == 1 else LAST_PART if count == len(parts) else MIDDLE_PART
            self._say(self._result(request, at, part, (state, count)))
        self._say(self._result(request, at, ()))

    def _result(
        self, request: PollRequest, at: float, objects: tuple[Observed, ...], link: tuple[int, int] | None = None
    ) -> PollResult:
        sequence = None if request.period is None else self._sequence & 0xFFFF
        date = _date(at) if request.period is None else NO_DATE
        return PollResult(
            request.invoke, request.number, sequence, self._ticks(at), date, request.kind, request.group, objects, link
        )

    def _split(self, objects: list[Observed]) -> Iterator[tuple[Observed, ...]]:
        part: list[Observed] = []
        room = self._options.mtu - 80
        size = 0
        for each in objects:
            needed = 6 + sum(4 + len(value) for _, value in each.attributes)
            if part and size + needed > room:
                yield tuple(part)
                part, size = [], 0
            part.append(each)
            size += needed
        yield tuple(part)

    def _others(self) -> Iterator[Observed]:
        for index in range(self._options.others):
            beat = Numeric(HEART_RATE + index, 0, PER_MINUTE, encode_float(60 + index, 0))
            yield _observed(10 + index, 0x20000 | HEART_RATE + index, "HR", (beat,))

    def _measure(self, electrode: Electrode, at: float) -> Iterator[Observed]:
        first = electrode is self._options.electrodes[0]
        if first and "detached" in self._faults:
            return
        numerics = self._numerics(electrode, at, out_of_range=first and "out-of-range" in self._faults)
        handle = self._handles[electrode.name]
        if self._options.objects == "compound":
            yield _observed(handle, 0x20000 | GAS_GROUP, f"tcGas {electrode.name}", numerics)
        else:
            for offset, numeric in enumerate(numerics):
                yield _observed(handle + 256 * offset, 0x20000 | numeric.physio, f"tcGas {electrode.name}", (numeric,))
        values = [each.value * (MMHG_PER_KPA if each.unit == KPA else 1.0) for each in numerics]
        self.plan.ledger({"stream": electrode.name, "device_time": self._ticks(at) * TICK, "values": values})

    def _numerics(self, electrode: Electrode, at: float, out_of_range: bool) -> tuple[Numeric, ...]:
        state = STATES[self._options.state] | (0x0002 if "alarm" in self._faults else 0)
        oxygen = 950.0 if out_of_range else self._signal(f"tcpo2_{electrode.name}", at)
        carbon = self._signal(f"tcpco2_{electrode.name}", at)
        # The heater replaces what the skin's blood carries away: more where perfusion is better.
        power = 180 + 1.5 * oxygen if math.isfinite(oxygen) else math.nan
        minutes = math.floor((at - self._applied[electrode.name]) / 60)
        return (
            self._gas(TCPO2, oxygen, state),
            self._gas(TCPCO2, carbon, state),
            _numeric(SITE_TIME, minutes, 0, MINUTES, state),
            _numeric(SENSOR_TEMPERATURE, electrode.temperature, 1, CELSIUS, state),
            _numeric(HEATING_POWER, power, 0, MILLIWATT, state),
        )

    def _gas(self, physio: int, value: float, state: int) -> Numeric:
        if self._options.unit == "kPa":
            return _numeric(physio, value / MMHG_PER_KPA, 2, KPA, state)
        return _numeric(physio, value, 1, MMHG, state)

    def _signal(self, name: str, at: float) -> float:
        return float(self.plan.bench.values(name, np.array([at]))[0])

    def _ticks(self, at: float) -> int:
        return round((at - self._booted) / TICK) & 0xFFFFFFFF


def _numeric(physio: int, value: float, decimals: int, unit: int, state: int) -> Numeric:
    if not math.isfinite(value):
        state |= UNAVAILABLE
    return Numeric(physio, state, unit, encode_float(value, decimals))


def _observed(handle: int, label: int, text: str, numerics: tuple[Numeric, ...]) -> Observed:
    encoded = [each.encode() for each in numerics]
    value = (NUMERIC, encoded[0]) if len(encoded) == 1 else (COMPOUND_NUMERIC, pack_list(encoded))
    string = text.encode("utf-16-be") + b"\0\0"
    return Observed(
        0,
        handle,
        (
            (HANDLE, struct.pack(">H", handle)),
            (LABEL, struct.pack(">I", label)),
            (LABEL_STRING, struct.pack(">H", len(string)) + string),
            value,
        ),
    )


def _only(attributes: Attributes, wanted: frozenset[int]) -> Attributes:
    return tuple((key, value) for key, value in attributes if key in wanted)


def _label(text: str) -> bytes:
    """A string as the monitor writes it: length, characters, at least one NUL, an even number of bytes."""
    data = text.encode() + b"\0"
    data += b"\0" * (len(data) % 2)
    return struct.pack(">H", len(data)) + data


def _date(at: float) -> bytes:
    """Absolute time as BCD, `at` seconds after midnight of 1 January 2026."""
    moment = np.datetime64("2026-01-01T00:00:00.00") + np.timedelta64(round(at * 100) * 10, "ms")
    digits = str(moment.astype("datetime64[ms]"))
    return bytes.fromhex("".join(c for c in digits if c.isdigit())[:16])
