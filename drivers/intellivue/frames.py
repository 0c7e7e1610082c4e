"""The serial frame of Data Export: flags, escapes, length and check sequence (guide, MIB/RS232 interface)."""

from __future__ import annotations

import binascii
import struct

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
