"""Messages of an association, and `decode` for every message that either end sends."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TypeAlias

from drivers.intellivue.association import Association, decode_association
from drivers.intellivue.attributes import (
    MDS,
    NUMERICS,
    TIME_PERIOD,
    Attributes,
    Observed,
    Reader,
    pack_attributes,
    pack_list,
)
from drivers.intellivue.frames import Malformed

INVOKE, RESULT, ERROR, LINKED = 1, 2, 3, 5
EVENT_REPORT, CONFIRMED_EVENT, CONFIRMED_ACTION = 0, 1, 7
SINGLE_POLL, EXTENDED_POLL = 0x0C16, 0xF13B
FIRST_PART, MIDDLE_PART, LAST_PART = 1, 2, 3
MDS_CREATED, CONNECT_INDICATED = 0x0D06, 0x0D17
NETWORK, PROTOCOLS = 0xF100, 0xF101
_MDS_OBJECT = struct.pack(">HHH", MDS, 0, 0)
_CONNECT_OBJECT = struct.pack(">HHH", 0x0023, 0, 0)

STATUS = {
    2: "access denied",
    5: "no such attribute",
    6: "invalid value",
    24: "invalid operation",
    25: "invalid operator",
}


@dataclass(frozen=True, slots=True)
class MdsCreate:
    """The monitor introduces itself after the association; it wants a `MdsCreateResult`."""

    invoke: int
    time: int
    attributes: Attributes

    def encode(self) -> bytes:
        """A confirmed event report."""
        info = _MDS_OBJECT + pack_attributes(self.attributes)
        event = _MDS_OBJECT + struct.pack(">IHH", self.time, MDS_CREATED, len(info)) + info
        return _remote(INVOKE, self.invoke, CONFIRMED_EVENT, event)


@dataclass(frozen=True, slots=True)
class MdsCreateResult:
    """The host has taken note of the introduction."""

    invoke: int
    time: int

    def encode(self) -> bytes:
        """28 bytes."""
        event = _MDS_OBJECT + struct.pack(">IHH", self.time, MDS_CREATED, 0)
        return _remote(RESULT, self.invoke, CONFIRMED_EVENT, event)


@dataclass(frozen=True, slots=True)
class ConnectIndication:
    """Where and what a monitor on the network is; broadcast by it to UDP port 24005 while nobody is associated."""

    time: int
    attributes: Attributes

    def encode(self) -> bytes:
        """An event report, on UDP without any header."""
        listed = pack_attributes(self.attributes)
        event = _CONNECT_OBJECT + struct.pack(">IHH", self.time, CONNECT_INDICATED, len(listed)) + listed
        inner = struct.pack(">HHH", 0, EVENT_REPORT, len(event)) + event
        return struct.pack(">HHHH", 0, 0x0100, INVOKE, len(inner)) + inner

    @property
    def port(self) -> int | None:
        """The UDP port that takes associations (protocol entry 5, transport 1), None where it names none."""
        listed = dict(self.attributes).get(PROTOCOLS)
        if listed is None:
            return None
        count, body = Reader(listed).list()
        entries = [(body.u16(), body.u16(), body.u16(), body.u16()) for _ in range(count)]
        return next((port for application, transport, port, _ in entries if (application, transport) == (5, 1)), None)

    @property
    def address(self) -> str | None:
        """The monitor's IP address, None where it does not say."""
        network = dict(self.attributes).get(NETWORK)
        return ".".join(map(str, network[6:10])) if network is not None and len(network) >= 10 else None


@dataclass(frozen=True, slots=True)
class PollRequest:
    """Asks for all objects of a kind, once, or with `period` (1/8 ms) again and again for that long."""

    invoke: int
    number: int
    kind: int = NUMERICS
    group: int = 0
    period: int | None = None

    def encode(self) -> bytes:
        """A confirmed action."""
        argument = struct.pack(">HHHH", self.number, 1, self.kind, self.group)
        action = SINGLE_POLL
        if self.period is not None:
            action = EXTENDED_POLL
            argument += pack_attributes(((TIME_PERIOD, struct.pack(">I", self.period)),))
        body = _MDS_OBJECT + struct.pack(">IHH", 0, action, len(argument)) + argument
        return _remote(INVOKE, self.invoke, CONFIRMED_ACTION, body)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a poll found; `sequence` only in extended polls, `link` (state, count) in all parts but the closing one."""

    invoke: int
    number: int
    sequence: int | None
    time: int
    date: bytes
    kind: int
    group: int
    objects: tuple[Observed, ...]
    link: tuple[int, int] | None = None

    def encode(self) -> bytes:
        """A result, or a linked result."""
        contexts: dict[int, list[bytes]] = {}
        for each in self.objects:
            observed = struct.pack(">H", each.handle) + pack_attributes(each.attributes)
            contexts.setdefault(each.context, []).append(observed)
        listed = pack_list([struct.pack(">H", context) + pack_list(found) for context, found in contexts.items()])
        number = struct.pack(">H", self.number)
        if self.sequence is not None:
            number += struct.pack(">H", self.sequence)
        found = number + struct.pack(">I8sHHH", self.time, self.date, 1, self.kind, self.group) + listed
        action = SINGLE_POLL if self.sequence is None else EXTENDED_POLL
        body = _MDS_OBJECT + struct.pack(">HH", action, len(found)) + found
        return _remote(RESULT if self.link is None else LINKED, self.invoke, CONFIRMED_ACTION, body, self.link)


@dataclass(frozen=True, slots=True)
class ErrorResult:
    """The monitor does not do what it was asked."""

    invoke: int
    status: int

    def encode(self) -> bytes:
        """A remote error without further particulars."""
        return struct.pack(">HHHHHHH", 0xE100, 2, ERROR, 6, self.invoke, self.status, 0)


Message: TypeAlias = (
    Association | MdsCreate | MdsCreateResult | ConnectIndication | PollRequest | PollResult | ErrorResult
)


def decode(payload: bytes) -> Message:
    """A message from its bytes, without the serial frame; Malformed for everything else."""
    if payload[:1] in (b"\x0c", b"\x0d", b"\x0e", b"\x09", b"\x0a", b"\x19"):
        return decode_association(payload)
    reader = Reader(payload)
    session, kind = reader.u32(), reader.u16()
    reader = Reader(reader.block())
    if session == 0x00000100 and kind == INVOKE:
        return _decode_indication(reader)
    if session != 0xE1000002:
        raise Malformed("no message of this protocol")
    if kind == ERROR:
        return ErrorResult(reader.u16(), reader.u16())
    link = (reader.u8(), reader.u8()) if kind == LINKED else None
    invoke, command = reader.u16(), reader.u16()
    reader = Reader(reader.block())
    if reader.take(6)[:2] != _MDS_OBJECT[:2]:
        raise Malformed("a message about an unknown object")
    if command == CONFIRMED_EVENT and kind in (INVOKE, RESULT):
        return _decode_event(reader, kind, invoke)
    if command == CONFIRMED_ACTION and kind == INVOKE:
        return _decode_request(reader, invoke)
    if command == CONFIRMED_ACTION and kind in (RESULT, LINKED):
        return _decode_result(reader, invoke, link)
    raise Malformed("an unknown operation")


def _decode_indication(reader: Reader) -> ConnectIndication:
    reader.take(4)
    reader = Reader(reader.block())
    if reader.take(6) != _CONNECT_OBJECT:
        raise Malformed("an indication of an unknown object")
    time, event = reader.u32(), reader.u16()
    if event != CONNECT_INDICATED:
        raise Malformed("an unknown indication")
    return ConnectIndication(time, Reader(reader.block()).attributes())


def _decode_event(reader: Reader, kind: int, invoke: int) -> MdsCreate | MdsCreateResult:
    time, event = reader.u32(), reader.u16()
    if event != MDS_CREATED:
        raise Malformed("an unknown event")
    info = Reader(reader.block())
    if kind == RESULT:
        return MdsCreateResult(invoke, time)
    info.take(6)
    return MdsCreate(invoke, time, info.attributes())


def _decode_request(reader: Reader, invoke: int) -> PollRequest:
    reader.take(4)
    action = reader.u16()
    argument = Reader(reader.block())
    number, _, kind, group = (argument.u16() for _ in range(4))
    if action == SINGLE_POLL:
        return PollRequest(invoke, number, kind, group)
    if action != EXTENDED_POLL:
        raise Malformed("an unknown action")
    period = dict(argument.attributes()).get(TIME_PERIOD)
    return PollRequest(invoke, number, kind, group, Reader(period).u32() if period is not None else 0)


def _decode_result(reader: Reader, invoke: int, link: tuple[int, int] | None) -> PollResult:
    action = reader.u16()
    if action not in (SINGLE_POLL, EXTENDED_POLL):
        raise Malformed("the result of an unknown action")
    found = Reader(reader.block())
    number = found.u16()
    sequence = found.u16() if action == EXTENDED_POLL else None
    time, date = found.u32(), found.take(8)
    _, kind, group = found.u16(), found.u16(), found.u16()
    objects: list[Observed] = []
    contexts, listed = found.list()
    for _ in range(contexts):
        context = listed.u16()
        count, observed = listed.list()
        objects.extend(Observed(context, observed.u16(), observed.attributes()) for _ in range(count))
    return PollResult(invoke, number, sequence, time, date, kind, group, tuple(objects), link)


def _remote(kind: int, invoke: int, command: int, body: bytes, link: tuple[int, int] | None = None) -> bytes:
    inner = struct.pack(">HHH", invoke, command, len(body)) + body
    if link is not None:
        inner = struct.pack(">BB", *link) + inner
    return struct.pack(">HHHH", 0xE100, 2, kind, len(inner)) + inner
