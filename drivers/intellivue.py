"""Philips IntelliVue monitors over Data Export: transcutaneous oxygen and carbon dioxide, electrode by electrode."""

from __future__ import annotations

import binascii
import math
import re
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.driver import About, Driver, Serial, Setup
from acquisition.framing import Cutter, Skipped
from acquisition.model import Channel, Notice, Quality, Readings, Stream, TimeBase

GUIDE: Final = "Philips Data Export Interface Programming Guide 4535 642 59271"

# --- The serial frame -------------------------------------------------------------------------------------------------

BOF, EOF, ESCAPE = b"\xc0", b"\xc1", b"\x7d"
MTU_RECEIVE, MTU_SEND = 2500, 1000
FRAME_LIMIT = 2 * (MTU_RECEIVE + 6) + 2

_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_ESCAPED = {flag: ESCAPE + bytes([flag[0] ^ 0x20]) for flag in (BOF, EOF, ESCAPE)}


class Malformed(ValueError):
    """Bytes that are no message of this protocol."""


def fcs(data: bytes) -> int:
    """The frame check sequence: CRC-16/X-25 (RFC 1171), here from the library's mirrored CRC-CCITT."""
    crc = binascii.crc_hqx(data.translate(_MIRROR), 0xFFFF) ^ 0xFFFF
    return _MIRROR[crc >> 8] | _MIRROR[crc & 0xFF] << 8


def escape(data: bytes) -> bytes:
    """Hide flags: C0, C1 and 7D become 7D and the byte with bit 5 turned."""
    for flag in (ESCAPE, BOF, EOF):
        data = data.replace(flag, _ESCAPED[flag])
    return data


def frame(payload: bytes) -> bytes:
    """Put a message into a serial frame: flags, 11 01, length, message, check sequence low byte first."""
    body = struct.pack(">BBH", 0x11, 0x01, len(payload)) + payload
    return BOF + escape(body + struct.pack("<H", fcs(body))) + EOF


def unframe(data: bytes) -> bytes:
    """The message in a whole serial frame; Malformed where flags, escapes, header, length or check are wrong."""
    if len(data) < 8 or data[:1] != BOF or data[-1:] != EOF:
        raise Malformed("no frame")
    first, *others = data[1:-1].split(ESCAPE)
    if not all(other[:1] in (b"\xe0", b"\xe1", b"\x5d") for other in others):
        raise Malformed("a wrong escape")
    body = first + b"".join(bytes([other[0] ^ 0x20]) + other[1:] for other in others)
    head, payload, check = body[:4], body[4:-2], body[-2:]
    if head != struct.pack(">BBH", 0x11, 0x01, len(payload)) or struct.pack("<H", fcs(head + payload)) != check:
        raise Malformed("a wrong header or check sequence")
    return payload


def cut_frame(buffer: bytes) -> int:
    """For `Cutter`: the length of the frame at the start, 0 for more, -k for k bytes that begin none."""
    if buffer[:1] != BOF:
        return -(buffer.find(BOF) if BOF in buffer else len(buffer))
    end = buffer.find(EOF)
    again = buffer.find(BOF, 1)
    if again > 0 and (end < 0 or again < end):
        return -again
    if end < 0:
        return 0
    try:
        unframe(buffer[: end + 1])
    except Malformed:
        return -(end + 1)
    return end + 1


# --- Values -----------------------------------------------------------------------------------------------------------

Attributes: TypeAlias = tuple[tuple[int, bytes], ...]

NUMERICS, MDS = 0x0006, 0x0021
SYSTEM_IDENTIFICATION, SYSTEM_PRODUCTION = 0x080B, 0x080C
HANDLE, LABEL, LABEL_STRING = 0x0921, 0x0924, 0x0927
NUMERIC, COMPOUND_NUMERIC = 0x0950, 0x094B
MODEL, PRODUCTION, SYSTEM_ID = 0x0928, 0x092D, 0x0984
TIME_PERIOD = 0xF13E
NO_DATE = b"\xff" * 8

INVALID, QUESTIONABLE, UNAVAILABLE, CALIBRATING = 0x8000, 0x4000, 0x2000, 0x1000
TEST, DEMO, EARLY = 0x0800, 0x0400, 0x0040

TICK = 1 / 8000
"""Seconds of one step of the monitor's relative time (1/8 ms)."""


class Reader:
    """Reads big-endian numbers one after the other; Malformed where the bytes end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, n: int) -> bytes:
        """The next n bytes."""
        taken = self._data[self._at : self._at + n]
        if len(taken) < n:
            raise Malformed("the message ends too early")
        self._at += n
        return taken

    def u8(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def u16(self) -> int:
        """The next two bytes."""
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4), "big")

    def block(self) -> bytes:
        """The next block, which begins with its length (u16)."""
        return self.take(self.u16())

    def list(self) -> tuple[int, Reader]:
        """The next list: how many elements, and their bytes."""
        count = self.u16()
        return count, Reader(self.block())

    def attributes(self) -> Attributes:
        """The next attribute list."""
        count, body = self.list()
        return tuple((body.u16(), body.block()) for _ in range(count))


def pack_list(elements: Sequence[bytes]) -> bytes:
    """A list: count, length in bytes, elements."""
    body = b"".join(elements)
    return struct.pack(">HH", len(elements), len(body)) + body


def pack_attributes(attributes: Attributes) -> bytes:
    """An attribute list."""
    return pack_list([struct.pack(">HH", code, len(value)) + value for code, value in attributes])


def encode_float(value: float, decimals: int) -> int:
    """FLOAT with so many decimals: exponent (8 bits), mantissa (24 bits); NaN for what is not finite."""
    mantissa = round(value * 10**decimals) if math.isfinite(value) else 0x7FFFFF
    exponent = -decimals if math.isfinite(value) else 0
    return (exponent & 0xFF) << 24 | mantissa & 0xFFFFFF


def decode_float(raw: int) -> float:
    """FLOAT to a number; NaN, not at this resolution, the infinities and the reserved mantissa are all NaN."""
    exponent = (raw >> 24 ^ 0x80) - 0x80
    mantissa = (raw & 0xFFFFFF ^ 0x800000) - 0x800000
    if mantissa >= 0x7FFFFE or mantissa <= -0x7FFFFE:
        return math.nan
    return float(mantissa * 10**exponent) if exponent >= 0 else mantissa / 10**-exponent


@dataclass(frozen=True, slots=True)
class Numeric:
    """One numeric observed value: what it is, its state, its unit and the value as FLOAT."""

    physio: int
    state: int
    unit: int
    raw: int

    @property
    def value(self) -> float:
        """The number, NaN for none."""
        return decode_float(self.raw)

    def encode(self) -> bytes:
        """Ten bytes."""
        return struct.pack(">HHHI", self.physio, self.state, self.unit, self.raw)

    @classmethod
    def decode(cls, data: bytes) -> Numeric:
        """From ten bytes."""
        if len(data) != 10:
            raise Malformed("no numeric value")
        return cls(*struct.unpack(">HHHI", data))


@dataclass(frozen=True, slots=True)
class Observed:
    """One object of a poll reply: its handle within a context, and its attributes."""

    context: int
    handle: int
    attributes: Attributes

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """All numeric values of the object, from single and compound values."""
        found = []
        for code, value in self.attributes:
            if code == NUMERIC:
                found.append(Numeric.decode(value))
            elif code == COMPOUND_NUMERIC:
                count, body = Reader(value).list()
                found.extend(Numeric.decode(body.take(10)) for _ in range(count))
        return tuple(found)

    @property
    def label(self) -> str:
        """What the monitor's screen calls it, empty where it does not say."""
        for code, value in self.attributes:
            if code == LABEL_STRING and len(value) >= 2:
                return text(value[2:], "utf-16-be")
        return ""


def text(data: bytes, encoding: str = "ascii") -> str:
    """A string up to its first NUL."""
    return data.decode(encoding, "replace").split("\0", 1)[0].strip()


# --- Association ------------------------------------------------------------------------------------------------------

CLIENT, SERVER = 0x80000000, 0x00800000
HOT_START, WARM_START, COLD_START = 0x80000000, 0x40000000, 0x20000000
POLL_PROFILE, POLL_EXTENSION = 0x0001, 0xF001
EXTENDED_NUMERICS, EXTENDED_WAVES, EXTENDED_ENUMERATIONS = 0x80000000, 0x08000000, 0x04000000

_SESSION = bytes.fromhex("0508130100160102800014020002")
_REQUEST_HEADER = bytes.fromhex(
    "3180a0808001010000a280a003000001a480308002010106045201000130800602510100000000308002"
    "0102060c2a8648ce14020100000001013080060c2a8648ce140201000000020100000000000061803080"
    "020101a0806080a180060c2a8648ce14020100000003010000be802880060c2a8648ce14020100000001"
    "0102010281"
)
_ACCEPT_HEADER = bytes.fromhex(
    "3180a0808001010000a280a003000001a58030808001008102510100003080800100810c2a8648ce1402"
    "0100000002010000000061803080020101a0806180a180060c2a8648ce14020100000003010000a20302"
    "0100a305a103020100be80288002010281"
)
_HEADER_END = re.compile(rb"\xbe\x80\x28\x80(?:\x06\x0c.{12})?(?:\x02\x01\x02)?\x81", re.DOTALL)
_TRAILER = bytes(16)
_REFUSE = bytes.fromhex("0c03320100")
_ABORT = bytes.fromhex("192e110103c129a080a0803080020101060251010000000061803080020101a0806480800101") + bytes(10)
_RELEASE_REQUEST = bytes.fromhex("0918c11661803080020101a0806280800100") + bytes(8)
_RELEASE_RESPONSE = bytes.fromhex("0a18c11661803080020101a0806380800100") + bytes(8)


@dataclass(frozen=True, slots=True)
class UserInfo:
    """What each end says of itself in the association: its kind, its poll period (1/8 ms), sizes, extended polls."""

    system_type: int
    start_mode: int
    poll_period: int = 2500
    receive: int = MTU_RECEIVE
    send: int = MTU_SEND
    extensions: int = EXTENDED_NUMERICS | EXTENDED_WAVES | EXTENDED_ENUMERATIONS

    def encode(self) -> bytes:
        """72 bytes."""
        extension = pack_attributes(((POLL_EXTENSION, struct.pack(">II", self.extensions, 0)),))
        profile = struct.pack(
            ">IIIIII", 0x80000000, self.poll_period, self.receive, self.send, 0xFFFFFFFF, 0x60000000
        )  # revision, period, sizes, bandwidth, options
        head = struct.pack(">IIIII", 0x80000000, 0x40000000, 0, self.system_type, self.start_mode)
        return head + pack_attributes(()) + pack_attributes(((POLL_PROFILE, profile + extension),))

    @classmethod
    def decode(cls, data: bytes) -> UserInfo:
        """From the user information; what it leaves out is neither changed nor granted."""
        reader = Reader(data)
        _, _, _, system_type, start_mode = (reader.u32() for _ in range(5))
        reader.attributes()
        profile = dict(reader.attributes()).get(POLL_PROFILE)
        if profile is None:
            return cls(system_type, start_mode, extensions=0)
        reader = Reader(profile)
        _, period, receive, send, _, _ = (reader.u32() for _ in range(6))
        extension = dict(reader.attributes()).get(POLL_EXTENSION)
        extensions = Reader(extension).u32() if extension is not None else 0
        return cls(system_type, start_mode, period, receive, send, extensions)


@dataclass(frozen=True, slots=True)
class AssociationRequest:
    """AARQ: the host asks to talk."""

    info: UserInfo = UserInfo(CLIENT, COLD_START)

    def encode(self) -> bytes:
        """238 bytes."""
        return _associate(0x0D, _REQUEST_HEADER, self.info)


@dataclass(frozen=True, slots=True)
class AssociationAccept:
    """AARE: the monitor agrees and says its terms."""

    info: UserInfo = UserInfo(SERVER, HOT_START)

    def encode(self) -> bytes:
        """208 bytes."""
        return _associate(0x0E, _ACCEPT_HEADER, self.info)


@dataclass(frozen=True, slots=True)
class Refuse:
    """The monitor does not agree: it talks to another host, or believes that it still talks to this one."""

    def encode(self) -> bytes:
        """The session header alone."""
        return _REFUSE


@dataclass(frozen=True, slots=True)
class Abort:
    """Either end gives up the association at once."""

    def encode(self) -> bytes:
        """48 bytes."""
        return _ABORT


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """The host ends the association in order."""

    def encode(self) -> bytes:
        """26 bytes."""
        return _RELEASE_REQUEST


@dataclass(frozen=True, slots=True)
class ReleaseResponse:
    """The monitor takes note of the end."""

    def encode(self) -> bytes:
        """26 bytes."""
        return _RELEASE_RESPONSE


def _length(n: int) -> bytes:
    return bytes([n]) if n < 255 else b"\xff" + struct.pack(">H", n)


def _associate(kind: int, header: bytes, info: UserInfo) -> bytes:
    user = info.encode()
    presentation = header + bytes([len(user)]) + user + _TRAILER
    body = _SESSION + b"\xc1" + _length(len(presentation)) + presentation
    return bytes([kind]) + _length(len(body)) + body


def _decode_session(payload: bytes) -> Message:
    reader = Reader(payload)
    kind, length = reader.u8(), reader.u8()
    body = reader.take(reader.u16() if length == 0xFF else length)
    if len(body) < 2 or len(body) + (4 if length == 0xFF else 2) != len(payload):
        raise Malformed("a session message of a wrong length")
    if kind in (0x0D, 0x0E):
        end = _HEADER_END.search(body)
        if end is None:
            raise Malformed("an association without a presentation header")
        reader = Reader(body[end.end() :])
        length = reader.u8()
        info = UserInfo.decode(
            reader.take(length if length < 0x80 else int.from_bytes(reader.take(length & 0x7F), "big"))
        )
        return AssociationRequest(info) if kind == 0x0D else AssociationAccept(info)
    if kind == 0x0C:
        return Refuse()
    if kind == 0x19:
        return Abort()
    return ReleaseRequest() if kind == 0x09 else ReleaseResponse()


# --- Data exchange ----------------------------------------------------------------------------------------------------

INVOKE, RESULT, ERROR, LINKED = 1, 2, 3, 5
EVENT_REPORT, CONFIRMED_EVENT, CONFIRMED_ACTION = 0, 1, 7
SINGLE_POLL, EXTENDED_POLL = 0x0C16, 0xF13B
FIRST_PART, MIDDLE_PART, LAST_PART = 1, 2, 3
MDS_CREATED, CONNECT_INDICATED = 0x0D06, 0x0D17
_MDS_OBJECT = struct.pack(">HHH", MDS, 0, 0)
_CONNECT_OBJECT = struct.pack(">HHH", 0x0023, 0, 0)

STATUS = {
    2: "access denied",
    5: "no such attribute",
    6: "invalid value",
    24: "invalid operation",
    25: "invalid operator",
}


def _remote(kind: int, invoke: int, command: int, body: bytes, link: tuple[int, int] | None = None) -> bytes:
    inner = struct.pack(">HHH", invoke, command, len(body)) + body
    if link is not None:
        inner = struct.pack(">BB", *link) + inner
    return struct.pack(">HHHH", 0xE100, 2, kind, len(inner)) + inner


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
        listed = dict(self.attributes).get(0xF101)
        if listed is None:
            return None
        count, body = Reader(listed).list()
        entries = [(body.u16(), body.u16(), body.u16(), body.u16()) for _ in range(count)]
        return next((port for application, transport, port, _ in entries if (application, transport) == (5, 1)), None)

    @property
    def address(self) -> str | None:
        """The monitor's IP address, None where it does not say."""
        network = dict(self.attributes).get(0xF100)
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
    AssociationRequest
    | AssociationAccept
    | Refuse
    | Abort
    | ReleaseRequest
    | ReleaseResponse
    | MdsCreate
    | MdsCreateResult
    | ConnectIndication
    | PollRequest
    | PollResult
    | ErrorResult
)


def decode(payload: bytes) -> Message:
    """A message from its bytes, without the serial frame; Malformed for everything else."""
    if payload[:1] in (b"\x0c", b"\x0d", b"\x0e", b"\x09", b"\x0a", b"\x19"):
        return _decode_session(payload)
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


# --- What the host makes of it ----------------------------------------------------------------------------------------

MMHG, KPA, MINUTES, CELSIUS, MILLIWATT = 0x0F20, 0x0F03, 0x08A0, 0x17A0, 0x0FD2
TCPO2, TCPCO2, SITE_TIME, SENSOR_TEMPERATURE, HEATING_POWER = 0x50D0, 0x50CC, 0xF03E, 0xF03F, 0xF076
MMHG_PER_KPA = 7.50062


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an electrode delivers under one code: the monitor's label, the channel, and a factor for each unit taken."""

    label: str
    channel: Channel
    factors: dict[int, float]


QUANTITIES = {
    TCPO2: Quantity("tcpO2", Channel("tcpo2", "mm[Hg]", 0, 800), {MMHG: 1.0, KPA: MMHG_PER_KPA}),
    TCPCO2: Quantity("tcpCO2", Channel("tcpco2", "mm[Hg]", 0, 200), {MMHG: 1.0, KPA: MMHG_PER_KPA}),
    SITE_TIME: Quantity("SitTim", Channel("site_time", "min", 0), {MINUTES: 1.0}),
    SENSOR_TEMPERATURE: Quantity("SensrT", Channel("sensor_temperature", "Cel", 0, 50), {CELSIUS: 1.0}),
    HEATING_POWER: Quantity("HeatPw", Channel("heating_power", "mW", 0), {MILLIWATT: 1.0}),
}
CHANNELS = tuple(quantity.channel for quantity in QUANTITIES.values())

ASSOCIATION_TIME, ANSWER_TIME, RETRY = 1.5, 1.0, 1.0
MISSES = 2
"""Unanswered polls after which the association counts as lost."""
EXTENDED_INTERVAL, EXTENDED_PERIOD = 1.0, 600.0
"""Seconds between the results of an extended poll, and for how long it is asked for."""
RENEWAL, RENEWAL_RETRY = 450.0, 5.0
PACE_FRAMES, PACE_WINDOW = 4, 0.128
OLD, CLOCK_SET, RESTARTED = 10.0, 3600.0, 2.0
SITE_TIME_JUMP = 2.0
"""Minutes by which site time and host time may part between two samples of an electrode that stayed in place."""

Source: TypeAlias = tuple[int, int]
"""A measured object of the monitor: context and handle."""


class Electrode(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One electrode: its stream's name, the handle of its object, and `also` those of its further objects."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    handle: Annotated[int, Meta(ge=0, le=0xFFFF)]
    also: tuple[Annotated[int, Meta(ge=0, le=0xFFFF)], ...] = ()


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which electrodes are recorded, and how the monitor is polled.

    `poll`: extended, the monitor sends by itself once a second, where it grants that; or single, it is
    asked every `interval` seconds.
    """

    electrodes: tuple[Electrode, ...] = ()
    poll: Literal["extended", "single"] = "extended"
    interval: Annotated[float, Meta(ge=0.3125, le=60)] = 1.0


def association_timeout(poll_period: float) -> float:
    """Seconds without traffic after which the monitor drops the association, from the negotiated poll period (s)."""
    if poll_period <= 3.3:
        return 10.0
    return 3 * poll_period if poll_period <= 43 else 130.0


def quality_of(state: int) -> Quality:
    """What a numeric's state bits say against its value; alarm states are about the patient and say nothing."""
    quality = Quality.GOOD
    for bits, flag in (
        (INVALID | UNAVAILABLE, Quality.INVALID),
        (QUESTIONABLE | EARLY, Quality.QUESTIONABLE),
        (CALIBRATING, Quality.CALIBRATING),
        (TEST | DEMO, Quality.DEMO),
    ):
        if state & bits:
            quality |= flag
    return quality


def identity_of(attributes: Attributes) -> dict[str, str]:
    """Model, manufacturer and serial (the system id in hexadecimal) as far as the attributes hold them."""
    found = {}
    for code, value in attributes:
        if code == MODEL:
            reader = Reader(value)
            found["manufacturer"], found["model"] = text(reader.block()), text(reader.block())
        elif code == SYSTEM_ID:
            found["serial"] = Reader(value).block().hex()
    return found


class MonitorClock:
    """The monitor's relative time as one rising line of seconds, over its wrap after 6.2 days."""

    def __init__(self) -> None:
        self._ticks = 0
        self._at = 0.0
        self._booted: float | None = None
        self._base: TimeBase | None = None
        self._starts = 0

    def date(self, ticks: int, date: bytes) -> None:
        """Learn from relative time and calendar when the monitor was switched on: that names its time base."""
        now = _date_seconds(date)
        self._booted = None if now is None else now - ticks * TICK

    def read(self, ticks: int, at: float, fresh: bool) -> tuple[float, TimeBase] | None:
        """Seconds and their base; None for what is not later than the last. `fresh`: first after an association.

        A new base begins where the monitor's time and the host's part for good: the monitor was restarted.
        """
        if self._base is None:
            return self._begin(ticks, at)
        delta = ((ticks - self._ticks + 0x80000000) & 0xFFFFFFFF) - 0x80000000
        gone = delta * TICK
        parted = gone - (at - self._at)
        if (fresh and abs(parted) > RESTARTED + 1e-3 * abs(gone)) or parted > CLOCK_SET or gone < -OLD:
            return self._begin(ticks, at)
        if gone <= 0:
            return None
        self._ticks, self._at = self._ticks + delta, at
        return self._ticks * TICK, self._base

    def _begin(self, ticks: int, at: float) -> tuple[float, TimeBase]:
        origin = f"connected {at:.3f}" if self._booted is None else f"switched on {round(self._booted / 5) * 5}"
        self._base = TimeBase(f"{origin}, {self._starts}" if self._starts else origin)
        self._starts += 1
        self._ticks, self._at = ticks, at
        return ticks * TICK, self._base


def _date_seconds(date: bytes) -> float | None:
    """Absolute time (8 bytes BCD: century, year, month, day, hour, minute, second, 1/100 s) in s, None for none."""
    try:
        century, year, month, day, hour, minute, second, hundredth = (int(f"{byte:02x}") for byte in date)
        moment = datetime(century * 100 + year, month, day, hour, minute, second) - datetime(2000, 1, 1)
    except ValueError:
        return None
    return moment.total_seconds() + hundredth / 100


class Announcer:
    """Collects notices until bytes come in; a warning is said once in a connection."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._warned: set[tuple[object, ...]] = set()

    def add(self, notice: Notice) -> None:
        """Add a notice."""
        self._notices.append(notice)

    def say(self, kind: str, text: str) -> None:
        """Add a notice without details."""
        self.add(Notice(kind, text))

    def warn_once(self, key: tuple[object, ...], text: str) -> None:
        """Add a warning unless one of this key was there already."""
        if key not in self._warned:
            self._warned.add(key)
            self.say("warning", text)

    def said(self) -> list[Notice]:
        """Hand over the notices."""
        notices, self._notices = self._notices, []
        return notices


class Site:
    """One electrode at work: which objects are its own, and what is known of its last sample."""

    def __init__(self, name: str, handles: Iterable[int], rate: float) -> None:
        self.stream = Stream(name, CHANNELS, rate)
        self.seen = False
        self.absent = 0
        self.lost = 0
        self.site_time: tuple[float, float] | None = None
        self._handles = frozenset(handles)
        self._sources: dict[int, Source] = {}

    def __str__(self) -> str:
        handles = ", ".join(map(str, sorted(self._handles))) or "any"
        return f"{self.stream.name} (handle {handles})"

    def choose(self, physio: int, offers: Mapping[Source, Numeric]) -> Numeric | None:
        """This electrode's value among those under one code; the first choice binds for good."""
        bound = self._sources.get(physio)
        if bound is None:
            bound = self._first_choice(physio, [s for s in offers if not self._handles or s[1] in self._handles])
            if bound is not None:
                self._sources[physio] = bound
        return offers.get(bound) if bound is not None else None

    def has(self, physio: int, source: Source) -> bool:
        """Whether this electrode takes its value under a code from that object."""
        return self._sources.get(physio) == source

    def _first_choice(self, physio: int, offered: list[Source]) -> Source | None:
        """An object that it knows already, else the only one; among several tcpO2 the first, others are no guess."""
        known = [source for source in offered if source in self._sources.values()]
        if known or len(offered) == 1 or physio == TCPO2:
            return next(iter(known or offered), None)
        return None


class Electrodes:
    """Turns the objects of poll results into one reading for each electrode."""

    def __init__(self, options: Options, announcer: Announcer) -> None:
        rate = 1 / options.interval
        self._sites = [Site(each.name, (each.handle, *each.also), rate) for each in options.electrodes]
        self._sites = self._sites or [Site("electrode", (), rate)]
        self._announcer = announcer

    @property
    def streams(self) -> tuple[Stream, ...]:
        """One for each electrode."""
        return tuple(site.stream for site in self._sites)

    def lose(self, samples: int) -> None:
        """Note that results are missing: so many samples of every electrode that was there."""
        for site in self._sites:
            site.lost += samples * site.seen

    def read(self, objects: Iterable[Observed], seconds: float, base: TimeBase) -> Iterator[Readings]:
        """The readings in one whole result, at `seconds` of the monitor's time."""
        offers: dict[int, dict[Source, Numeric]] = {}
        labels: dict[Source, str] = {}
        for each in objects:
            source = each.context, each.handle
            try:
                numerics = each.numerics
            except Malformed:
                self._announcer.warn_once((source,), f"the values of handle {each.handle} cannot be read")
                continue
            for numeric in numerics:
                if numeric.physio in QUANTITIES:
                    offers.setdefault(numeric.physio, {})[source] = numeric
                    labels[source] = each.label
        for site in self._sites:
            chosen = {physio: site.choose(physio, offers.get(physio, {})) for physio in QUANTITIES}
            if not any(chosen.values()):
                self._note_absence(site, labels)
                continue
            self._note_presence(site)
            values = np.full((1, len(CHANNELS)), np.nan)
            quality = np.full((1, len(CHANNELS)), Quality.INVALID, dtype=np.uint8)
            for column, (physio, found) in enumerate(chosen.items()):
                if found is not None:
                    values[0, column], quality[0, column] = self._value(site, QUANTITIES[physio], found)
            self._check_site_time(site, float(values[0, CHANNELS.index(QUANTITIES[SITE_TIME].channel)]), seconds)
            lost, site.lost = site.lost, 0
            yield Readings(site.stream.name, values, quality, np.array([seconds]), base, lost)
        self._warn_of_strangers(offers, labels)

    def _value(self, site: Site, quantity: Quantity, numeric: Numeric) -> tuple[float, Quality]:
        quality = quality_of(numeric.state)
        value = numeric.value
        if quality & Quality.INVALID or math.isnan(value):
            return math.nan, quality | Quality.INVALID
        factor = quantity.factors.get(numeric.unit)
        what = f"{site.stream.name}: {quantity.label}"
        if factor is None:
            self._announcer.warn_once(
                (site, quantity.label, numeric.unit),
                f"{what} comes in the unit {numeric.unit:04X}, which is not {quantity.channel.unit}: refused",
            )
            return math.nan, quality | Quality.INVALID
        if numeric.unit == KPA:
            self._announcer.warn_once(
                (site, quantity.label, KPA), f"{what} comes in kPa and is recorded in mmHg, times {factor}"
            )
        value *= factor
        low, high = quantity.channel.low, quantity.channel.high
        if (low is not None and value < low) or (high is not None and value > high):
            quality |= Quality.RANGE
        return value, quality

    def _check_site_time(self, site: Site, minutes: float, seconds: float) -> None:
        if math.isnan(minutes):
            return
        before, site.site_time = site.site_time, (minutes, seconds)
        if before is not None and abs(minutes - before[0]) > SITE_TIME_JUMP + abs(seconds - before[1]) / 60:
            self._announcer.say(
                "warning",
                f"{site}: its site time jumped from {before[0]:g} to {minutes:g} min: moved, replugged or swapped? "
                "Check that it is still where its name says",
            )

    def _note_absence(self, site: Site, labels: Mapping[Source, str]) -> None:
        site.absent += 1
        site.lost += site.seen
        if site.absent == MISSES:
            there = ", ".join(f"handle {source[1]} {labels[source]}".strip() for source in sorted(labels)) or "none"
            self._announcer.say("warning", f"the monitor does not deliver the electrode {site}; it delivers: {there}")

    def _note_presence(self, site: Site) -> None:
        if site.seen and site.absent >= MISSES:
            self._announcer.say("warning", f"the electrode {site} is back: check that it is still where its name says")
        site.seen, site.absent = True, 0

    def _warn_of_strangers(self, offers: Mapping[int, Mapping[Source, Numeric]], labels: Mapping[Source, str]) -> None:
        for physio, sources in offers.items():
            for source in sources:
                if not any(site.has(physio, source) for site in self._sites):
                    name = f"{QUANTITIES[physio].label} {labels[source]}".strip()
                    self._announcer.warn_once(
                        (physio, source),
                        f"{name} also comes from handle {source[1]} (context {source[0]}) and is not recorded: "
                        "name each electrode with its handle in options.electrodes",
                    )


class Joiner:
    """Joins the parts of linked results: numbered from 1, the last one marked, and a closing one without a number."""

    def __init__(self) -> None:
        self._parts: list[PollResult] = []
        self._torn = False

    def add(self, part: PollResult, count: int) -> None:
        """Take a part that is not the closing one."""
        if count == 1:
            self._parts, self._torn = [part], False
        elif count == len(self._parts) + 1:
            self._parts.append(part)
        elif count != len(self._parts):
            self._torn = True

    def close(self, result: PollResult) -> PollResult | None:
        """The whole of which this is the closing part; None where a part is missing."""
        parts, torn = self._parts, self._torn
        self._parts, self._torn = [], False
        if torn or (len(parts) > 1 and parts[-1].link is not None and parts[-1].link[0] != LAST_PART):
            return None
        return replace(result, objects=tuple(each for part in (*parts, result) for each in part.objects))


class IntelliVue(Driver):
    """Associates, answers the monitor's introduction, asks who it is, and polls its numerics.

    Each electrode is a stream of its own. It is bound by the handle of the measured object, because two
    electrodes share their codes; without `electrodes` in the options the first one seen is recorded and
    a second is reported, never mixed in. kPa is converted to mm[Hg]; a value in any other unlike unit is
    refused. A sample's time is the monitor's relative time in its result.
    """

    about: ClassVar[About] = About(
        {"intellivue": "Philips IntelliVue X2, MP and MX monitors with a transcutaneous gas measurement"},
        "TcPO2 monitor",
        ("serial", "tcp", "udp"),
        "documented",
        GUIDE,
        (
            "whether a module delivers the five values of an electrode in one object or in one each",
            "the valid ranges of the channels",
        ),
    )
    Options = Options

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options: Options = setup.options if isinstance(setup.options, Options) else Options()
        _check(options)
        self._interval = options.interval
        self._announcer = Announcer()
        self._electrodes = Electrodes(options, self._announcer)
        self.streams = self._electrodes.streams
        self.silence = max(10.0, 5 * options.interval)
        self.serial = Serial(115200)
        self._framed = not setup.datagrams
        self.queries = _queries(self._framed)
        self._cutter = Cutter(cut_frame, FRAME_LIMIT)
        self._clock = MonitorClock()
        self._timers: dict[Callable[[float], None], float] = {}
        self._waiting: deque[bytes] = deque()
        self._sent: deque[float] = deque(maxlen=PACE_FRAMES)
        self._number = setup.random.randrange(0x10000)
        self._extended = options.poll == "extended"
        self._last: tuple[int, int, float, TimeBase] | None = None
        self._reset()

    def start(self, at: float) -> None:
        """Clear away what the monitor may still hold of an earlier association, and ask for a new one."""
        self._associate(at)

    def poll(self, at: float) -> None:
        """Take the steps that are due, and send what the pace held back."""
        for step in [step for step, due in self._timers.items() if due <= at]:
            if self._timers.get(step, math.inf) <= at:
                del self._timers[step]
                step(at)
        self._release(at)

    def stop(self, at: float) -> None:
        """End the association in order."""
        farewell = ReleaseRequest() if self._associated else Abort()
        self._reset()
        self.send(self._wrap(farewell))

    def deadline(self) -> float | None:
        """The nearest step, or when the pace allows the next frame."""
        due = [*self._timers.values()]
        if self._waiting:
            due.append(self._permitted())
        return min(due, default=None)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take bytes; yield one reading for each electrode and result."""
        yield from self._announcer.said()
        for item in self._cutter.feed(data) if self._framed else (data,):
            if isinstance(item, Skipped):
                yield _noise("bytes outside of frames", item.data)
                continue
            try:
                yield from self._take(decode(unframe(item) if self._framed else item), at)
            except Malformed as error:
                yield _noise(str(error), item)
            yield from self._announcer.said()
        self._release(at)

    def _take(self, message: Message, at: float) -> Iterator[Readings | Notice]:
        match message:
            case AssociationAccept(info):
                yield from self._accepted(info, at)
            case Refuse():
                self._put_off(at)
                self._announcer.warn_once(
                    ("refused",), "the monitor refuses the association: does another host talk to it?"
                )
            case Abort() | ReleaseResponse():
                if self._associated:
                    self._put_off(at)
                    yield Notice("state", "the monitor ended the association")
            case MdsCreate():
                self._introduced(message, at)
            case PollResult():
                yield from self._answered(message, at)
            case ErrorResult(invoke, status):
                self._refused(invoke, status, at)
            case ConnectIndication():
                pass
            case _:
                self._announcer.warn_once(
                    ("echo",), "a host's messages arrive here: the line echoes, or a second host is on it"
                )

    # Sending: at most four frames in 128 ms.

    def _wrap(self, message: Message) -> bytes:
        return frame(message.encode()) if self._framed else message.encode()

    def _put(self, message: Message, at: float) -> None:
        self._waiting.append(self._wrap(message))
        self._release(at)

    def _release(self, at: float) -> None:
        while self._waiting and self._permitted() <= at:
            self._sent.append(at)
            self.send(self._waiting.popleft())
            self._within(self._quiet, self._keep_alive, at)

    def _permitted(self) -> float:
        if len(self._sent) < PACE_FRAMES:
            return -math.inf
        return self._sent[0] + PACE_WINDOW * self.setup.patience

    def _within(self, seconds: float, step: Callable[[float], None], at: float) -> None:
        """Take a step in so many seconds, unless its timer is cleared or set anew before."""
        self._timers[step] = at + seconds * self.setup.patience

    def _clear(self, step: Callable[[float], None]) -> None:
        self._timers.pop(step, None)

    # Association.

    def _reset(self) -> None:
        """Forget everything that ends with an association."""
        self._timers.clear()
        self._waiting.clear()
        self._associated = self._streaming = False
        self._fresh = True
        self._granted = False
        self._quiet = association_timeout(0.0) / 3
        self._identity: dict[str, str] = {}
        self._pending: PollRequest | None = None
        self._asked = 0.0
        self._joiner = Joiner()
        self._standing: list[int] = []
        self._unanswered: int | None = None
        self._misses = 0

    def _associate(self, at: float) -> None:
        self._reset()
        self._put(Abort(), at)
        self._put(AssociationRequest(), at)
        self._within(ASSOCIATION_TIME, self._associate, at)

    def _put_off(self, at: float) -> None:
        self._reset()
        self._within(RETRY, self._associate, at)

    def _accepted(self, info: UserInfo, at: float) -> Iterator[Notice]:
        self._reset()
        self._associated = True
        self._granted = bool(info.extensions & EXTENDED_NUMERICS)
        period = info.poll_period * TICK
        self._quiet = association_timeout(period) / 3
        self._within(ASSOCIATION_TIME, self._ask_identity, at)
        yield Notice("state", f"associated; shortest poll period {period:g} s", {"poll_period": period})

    def _introduced(self, message: MdsCreate, at: float) -> None:
        if not self._associated:
            # Its acceptance went missing on the line.
            self._reset()
            self._associated = True
        self._put(MdsCreateResult(message.invoke, message.time), at)
        if not self._streaming:
            self._clear(self._ask_identity)
            self._identity |= identity_of(message.attributes)
            self._ask_identity(at)

    def _ask_identity(self, at: float) -> None:
        self._ask(PollRequest(self._next(), 0, MDS, SYSTEM_IDENTIFICATION), at)
        self._within(ANSWER_TIME, self._miss_identity, at)

    def _miss_identity(self, at: float) -> None:
        self._misses += 1
        if self._misses < MISSES:
            self._ask_identity(at)
        else:
            self._begin_streaming(at)

    def _read_identity(self, result: PollResult, at: float) -> None:
        self._clock.date(result.time, result.date)
        for each in result.objects:
            self._identity |= identity_of(each.attributes)
        self._begin_streaming(at)

    def _identify(self) -> Notice:
        model, serial = self._identity.get("model", ""), self._identity.get("serial", "")
        if not model and not serial:
            return Notice("warning", "the monitor says neither model nor system id; nobody can check which one it is")
        maker = self._identity.get("manufacturer", "")
        details = {"model": model, "serial": serial, "manufacturer": maker}
        return Notice("identity", f"{maker} {model}, system id {serial}".strip(), details)

    def _keep_alive(self, at: float) -> None:
        if self._associated:
            self._put(PollRequest(self._next(), 0, MDS, SYSTEM_PRODUCTION), at)

    # Polling.

    def _begin_streaming(self, at: float) -> None:
        self._clear(self._miss_identity)
        self._pending = None
        self._streaming = True
        self._misses = 0
        self._announcer.add(self._identify())
        self._ask_numerics(at)

    def _ask_numerics(self, at: float) -> None:
        number = self._next()
        if self._extended and self._granted:
            self._standing.append(number)
            self._unanswered = number
            self._put(PollRequest(number, number, period=round(EXTENDED_PERIOD / TICK)), at)
            self._within(RENEWAL_RETRY, self._ask_numerics, at)
            if len(self._standing) > 1:
                return
        else:
            self._ask(PollRequest(number, number), at)
        self._within(ANSWER_TIME, self._miss_answer, at)

    def _miss_answer(self, at: float) -> None:
        self._misses += 1
        if not self._standing:
            self._electrodes.lose(1)
        elif self._last is None:
            self._give_up_extended("none came")
        if self._misses >= MISSES:
            self._announcer.say("state", "the monitor does not answer; associating anew")
            self._associate(at)
        else:
            self._standing = []
            self._ask_numerics(at)

    def _give_up_extended(self, why: str) -> None:
        self._extended = False
        self._standing = []
        self._clear(self._ask_numerics)
        self._announcer.say("state", f"results of an extended poll were asked for and {why}: polling one by one")

    def _refused(self, invoke: int, status: int, at: float) -> None:
        what = STATUS.get(status, f"status {status}")
        if invoke in self._standing:
            self._give_up_extended(f"refused ({what})")
            self._ask_numerics(at)
        elif self._pending is not None and self._pending.invoke == invoke:
            kind, self._pending = self._pending.kind, None
            self._announcer.warn_once(("error", kind, status), f"the monitor answers a poll with an error: {what}")
            if kind == MDS:
                self._begin_streaming(at)
            else:
                self._clear(self._miss_answer)
                self._within(RETRY, self._ask_numerics, at)

    def _ask(self, request: PollRequest, at: float) -> None:
        self._pending, self._asked, self._joiner = request, max(at, self._permitted()), Joiner()
        self._put(request, at)

    def _next(self) -> int:
        self._number = (self._number + 1) & 0xFFFF
        return self._number

    def _answered(self, result: PollResult, at: float) -> Iterator[Readings | Notice]:
        if result.sequence is not None:
            if result.number not in self._standing:
                return
            self._note_standing(result.number, at)
        elif self._pending is None or self._pending.invoke != result.invoke:
            return
        if result.link is not None:
            self._joiner.add(result, result.link[1])
            self._prolong(at)
            return
        whole = self._joiner.close(result)
        if result.sequence is None:
            self._pending = None
            if result.kind == MDS:
                self._read_identity(whole or result, at)
                return
            self._clear(self._miss_answer)
            self._timers[self._ask_numerics] = max(self._asked + self._interval, at)
        self._misses = 0
        if whole is None:
            yield Notice("noise", "a part of a result is missing", {"bytes": 0})
            if result.sequence is None:
                self._electrodes.lose(1)
        else:
            yield from self._samples(whole, at)

    def _note_standing(self, number: int, at: float) -> None:
        """Once a renewed poll gives results, those of earlier ones are no longer taken."""
        self._timers[self._miss_answer] = at + 1.5 * EXTENDED_INTERVAL + ANSWER_TIME * self.setup.patience
        del self._standing[: self._standing.index(number)]
        if self._unanswered == number:
            self._unanswered = None
            self._timers[self._ask_numerics] = at + RENEWAL

    def _prolong(self, at: float) -> None:
        for step in (self._miss_answer, self._miss_identity):
            if step in self._timers:
                self._within(ANSWER_TIME, step, at)

    def _samples(self, result: PollResult, at: float) -> Iterator[Readings]:
        fresh, self._fresh = self._fresh, False
        if result.date != NO_DATE:
            self._clock.date(result.time, result.date)
        read = self._clock.read(result.time, at, fresh)
        if read is None:
            return
        if result.sequence is not None:
            self._count_missing(result.number, result.sequence, *read)
        yield from self._electrodes.read(result.objects, *read)

    def _count_missing(self, number: int, sequence: int, seconds: float, base: TimeBase) -> None:
        """Count what an extended poll left out: by its times, and within one request by its numbers too."""
        last, self._last = self._last, (number, sequence, seconds, base)
        if last is None:
            return
        if last[3] is not base:
            self._electrodes.lose(1)
            return
        missing = round((seconds - last[2]) / EXTENDED_INTERVAL) - 1
        if last[0] == number:
            missing = min(missing, (sequence - last[1] - 1) & 0xFFFF)
        self._electrodes.lose(max(missing, 0))


def _check(options: Options) -> None:
    electrodes = options.electrodes
    names = [electrode.name for electrode in electrodes]
    handles = [handle for electrode in electrodes for handle in (electrode.handle, *electrode.also)]
    if len(set(names)) < len(names):
        raise ValueError("two electrodes have the same name; each needs one of its own")
    if len(set(handles)) < len(handles):
        raise ValueError("two electrodes have the same handle; each needs its own, or their values would be mixed")
    if options.poll == "extended" and options.interval != EXTENDED_INTERVAL:
        raise ValueError(f'an extended poll comes every {EXTENDED_INTERVAL:g} s; interval goes with poll = "single"')


def _noise(text: str, data: bytes) -> Notice:
    return Notice("noise", text, {"bytes": len(data)})


_INVOKE_ID, _POLL_NUMBER, _EVENT_TIME = (8, 9), (28, 29), (20, 21, 22, 23)
_WRITTEN: tuple[tuple[Message, tuple[int, ...]], ...] = (
    (AssociationRequest(), ()),
    (Abort(), ()),
    (ReleaseRequest(), ()),
    (MdsCreateResult(0, 0), _INVOKE_ID + _EVENT_TIME),
    (PollRequest(0, 0), _INVOKE_ID + _POLL_NUMBER),
    (PollRequest(0, 0, period=round(EXTENDED_PERIOD / TICK)), _INVOKE_ID + _POLL_NUMBER),
    (PollRequest(0, 0, MDS, SYSTEM_IDENTIFICATION), _INVOKE_ID),
    (PollRequest(0, 0, MDS, SYSTEM_PRODUCTION), _INVOKE_ID),
)
"""Every message that is ever written, and which of its bytes vary."""


@cache
def _queries(framed: bool) -> tuple[re.Pattern[bytes], ...]:
    """Patterns of `_WRITTEN` as they go out; in a frame the check sequence varies too, and flags are escaped."""
    patterns = []
    for message, free in _WRITTEN:
        payload = message.encode()
        anything = rb"(?:[^\x7d\xc0\xc1]|\x7d[\xe0\xe1\x5d])" if framed else b"."
        bytewise = [escape(payload[i : i + 1]) if framed else payload[i : i + 1] for i in range(len(payload))]
        body = b"".join(anything if i in free else re.escape(each) for i, each in enumerate(bytewise))
        if framed:
            head = escape(struct.pack(">BBH", 0x11, 0x01, len(payload)))
            body = BOF + re.escape(head) + body + anything * 2 + EOF
        patterns.append(re.compile(body, re.DOTALL))
    return tuple(patterns)
