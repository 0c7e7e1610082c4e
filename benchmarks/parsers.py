"""The baseline of the decoders: a straightforward parser in plain Python for each protocol, one frame after another.

What a lab would write from the same document: it trusts the bytes, knows no damage, and yields the values as floats.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import reduce
from operator import xor

MMHG = 7.50062


def di1100(data: bytes) -> Iterator[float]:
    """Scans of four items: 16 bits each, the digital bits of the first masked off."""
    for start in range(0, len(data) - 7, 8):
        for item, counts in enumerate(struct.unpack_from("<4h", data, start)):
            yield ((counts & ~3) if item == 0 else counts) * 10.0 / 32768 / 1e-3


def snuadc(data: bytes) -> Iterator[float]:
    """Frames of twelve bytes: eight counts of ten bits in four groups."""
    for start in range(0, len(data) - 11, 12):
        for group in range(start, start + 12, 3):
            high = data[group + 2]
            for counts in ((data[group] & 0x7F) | (high >> 4 & 7) << 7, data[group + 1] | (high >> 1 & 7) << 7):
                yield (counts - 512) / 51.2 / 1e-3


def scpi_block(data: bytes) -> Iterator[bytes]:
    """Payloads of definite blocks; other answers are left out."""
    position = 0
    while position < len(data):
        if data[position : position + 1] == b"#":
            digits = int(data[position + 1 : position + 2])
            begin = position + 2 + digits
            end = begin + int(data[position + 2 : begin] or b"0")
            yield data[begin:end]
            position = end + 1
        else:
            position = data.index(b"\n", position) + 1


def scan(data: bytes) -> Iterator[float]:
    """Value, time and channel, between commas."""
    for payload in scpi_block(data):
        fields = payload.decode().split(",")
        for start in range(0, len(fields) - 2, 3):
            if not fields[start].startswith("("):
                yield float(fields[start]) / 1e-3
                float(fields[start + 1])
                int(fields[start + 2])


def samples(data: bytes) -> Iterator[float]:
    """Numbers between commas."""
    for payload in scpi_block(data):
        if payload:
            for field in payload.decode().split(","):
                yield float(field) / 1e-3


def reals(payload: bytes) -> Iterator[float]:
    """Eight bytes each, big-endian."""
    if len(payload) % 8 == 0:
        for start in range(0, len(payload), 8):
            yield struct.unpack_from(">d", payload, start)[0] / 1e-3


def intellivue(data: bytes) -> Iterator[float]:
    """Unescape a frame byte by byte, check it, and look for its compound numeric values."""
    for raw in re.findall(rb"\xc0([^\xc0\xc1]*)\xc1", data):
        body = bytearray()
        escaped = False
        for byte in raw:
            if byte == 0x7D:
                escaped = True
            else:
                body.append(byte ^ 0x20 if escaped else byte)
                escaped = False
        crc = 0xFFFF
        for byte in body[:-2]:
            crc ^= byte
            for _ in range(8):
                crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
        if crc ^ 0xFFFF != body[-2] | body[-1] << 8:
            continue
        payload = bytes(body[4:-2])
        place = payload.find(b"\x09\x4b")
        while place >= 0:
            count = int.from_bytes(payload[place + 4 : place + 6], "big")
            for start in range(place + 8, place + 8 + 10 * count, 10):
                physio, state, _, exponent = struct.unpack_from(">HHHb", payload, start)
                mantissa = int.from_bytes(payload[start + 7 : start + 10], "big", signed=True)
                if physio in (0x50D0, 0x50CC, 0xF03E, 0xF03F, 0xF076) and not state & 0x8000:
                    yield mantissa * 10.0**exponent
            place = payload.find(b"\x09\x4b", place + 8 + 10 * count)


def trackmaster(data: bytes) -> Iterator[float]:
    """One code and its digits."""
    position = 0
    while position < len(data):
        code = data[position]
        digits = {0xD0: 1}.get(code, 4)
        number = int(data[position + 1 : position + 1 + digits])
        yield number / 10 * (1.609344 if code in (0xD1, 0xD3) else 1.0)
        position += 1 + digits


def woodway(data: bytes) -> Iterator[float]:
    """One code and what follows it."""
    position = 0
    while position < len(data):
        code = data[position]
        length = 1 if code == 0xD0 else 4
        if code == 0xD0:
            yield float(data[position + 1])
        elif code == 0xD1:
            yield int(data[position + 2 : position + 5]) / 10 * 1.609344 * (-1 if data[position + 1] == 51 else 1)
        elif code == 0xD2:
            yield int(data[position + 1 : position + 5]) / 10
        position += 1 + length


def csafe(data: bytes) -> Iterator[float]:
    """Unstuff, check, and read the blocks."""
    for raw in re.findall(rb"\xf1([^\xf1\xf2]*)\xf2", data):
        body, stuffed = bytearray(), False
        for byte in raw:
            if byte == 0xF3:
                stuffed = True
            else:
                body.append(0xF0 + byte if stuffed else byte)
                stuffed = False
        if reduce(xor, body, 0):
            continue
        position = 1
        while position + 1 < len(body) - 1:
            code, count = body[position], body[position + 1]
            block = body[position + 2 : position + 2 + count]
            if code == 0xA0 and count >= 3:
                yield block[0] * 3600.0 + block[1] * 60 + block[2]
            elif count >= 3:
                yield float(block[0] | block[1] << 8)
            position += 2 + count


def tosca500(data: bytes) -> Iterator[float]:
    """Records up to a dollar, values by a pattern."""
    for record in data.split(b"$"):
        for line in record.split(b"\r\n"):
            found = re.search(rb"=([0-9.]+)(mmHg|kPa|PERCNT|BPM|mW)", line)
            if found:
                yield float(found[1]) * (MMHG if found[2] == b"kPa" else 1.0)


def tosca500_csv(data: bytes) -> Iterator[float]:
    """Lines of fields between commas."""
    for line in re.split(rb"[\r\n]+", data):
        fields = line.decode("latin-1").split(",")
        for index in (1, 3, 5, 7, 8, 9):
            if len(fields) > 11:
                try:
                    yield float(fields[index])
                except ValueError:
                    continue


def ascii_lines(data: bytes) -> Iterator[float]:
    """Lines of the shipped example: fields between commas, and a checksum."""
    for line in data.split(b"\r\n"):
        fields = line.decode("latin-1").split(",")
        if len(fields) > 5 and reduce(xor, line[1:-2], 0) == int(fields[5], 16):
            yield float(fields[1])
            yield float(fields[3])
