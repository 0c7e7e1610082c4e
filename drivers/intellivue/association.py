"""Messages by which host and monitor begin and end an association."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TypeAlias

from drivers.intellivue.attributes import Reader, pack_attributes
from drivers.intellivue.frames import MTU_RECEIVE, MTU_SEND, Malformed

CLIENT, SERVER = 0x80000000, 0x00800000
HOT_START, WARM_START, COLD_START = 0x80000000, 0x40000000, 0x20000000
POLL_PROFILE, POLL_EXTENSION = 0x0001, 0xF001
EXTENDED_NUMERICS, EXTENDED_WAVES, EXTENDED_ENUMERATIONS = 0x80000000, 0x08000000, 0x04000000

SESSION = bytes.fromhex("0508130100160102800014020002")
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


Association: TypeAlias = AssociationRequest | AssociationAccept | Refuse | Abort | ReleaseRequest | ReleaseResponse


def decode_association(payload: bytes) -> Association:
    """A message from its bytes; Malformed for everything else."""
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


def association_timeout(poll_period: float) -> float:
    """Seconds without traffic after which the monitor drops the association, from the negotiated poll period (s)."""
    if poll_period <= 3.3:
        return 10.0
    return 3 * poll_period if poll_period <= 43 else 130.0


def _length(n: int) -> bytes:
    return bytes([n]) if n < 255 else b"\xff" + struct.pack(">H", n)


def _associate(kind: int, header: bytes, info: UserInfo) -> bytes:
    user = info.encode()
    presentation = header + bytes([len(user)]) + user + _TRAILER
    body = SESSION + b"\xc1" + _length(len(presentation)) + presentation
    return bytes([kind]) + _length(len(body)) + body
