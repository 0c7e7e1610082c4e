"""Bytes of the Data Export protocol from its guide and from implementations of others, and a room to measure in."""

import random

import numpy as np

FCS_VECTORS = [("31 32 33 34 35 36 37 38 39", 0x906E), ("3A 71", 0x269B), ("3A 91", 0xC195)]
"""Data and check sequence; sent low byte first."""

REQUEST_HEADER = bytes.fromhex(
    "31 80 A0 80 80 01 01 00 00 A2 80 A0 03 00 00 01 A4 80 30 80 02 01 01 06 04 52 01 00 01 30 80 06 02 51 01 00 00 00"
    " 00 30 80 02 01 02 06 0C 2A 86 48 CE 14 02 01 00 00 00 01 01 30 80 06 0C 2A 86 48 CE 14 02 01 00 00 00 02 01 00 00"
    " 00 00 00 00 61 80 30 80 02 01 01 A0 80 60 80 A1 80 06 0C 2A 86 48 CE 14 02 01 00 00 00 03 01 00 00 BE 80 28 80 06"
    " 0C 2A 86 48 CE 14 02 01 00 00 00 01 01 02 01 02 81"
)
ACCEPT_HEADER = bytes.fromhex(
    "31 80 A0 80 80 01 01 00 00 A2 80 A0 03 00 00 01 A5 80 30 80 80 01 00 81 02 51 01 00 00 30 80 80 01 00 81 0C 2A 86"
    " 48 CE 14 02 01 00 00 00 02 01 00 00 00 00 61 80 30 80 02 01 01 A0 80 61 80 A1 80 06 0C 2A 86 48 CE 14 02 01 00 00"
    " 00 03 01 00 00 A2 03 02 01 00 A3 05 A1 03 02 01 00 BE 80 28 80 02 01 02 81"
)
ASSOCIATION_REQUEST = bytes.fromhex(
    "0D EC 05 08 13 01 00 16 01 02 80 00 14 02 00 02 C1 DC 31 80 A0 80 80 01 01 00 00 A2 80 A0 03 00 00 01 A4 80 30 80"
    " 02 01 01 06 04 52 01 00 01 30 80 06 02 51 01 00 00 00 00 30 80 02 01 02 06 0C 2A 86 48 CE 14 02 01 00 00 00 01 01"
    " 30 80 06 0C 2A 86 48 CE 14 02 01 00 00 00 02 01 00 00 00 00 00 00 61 80 30 80 02 01 01 A0 80 60 80 A1 80 06 0C 2A"
    " 86 48 CE 14 02 01 00 00 00 03 01 00 00 BE 80 28 80 06 0C 2A 86 48 CE 14 02 01 00 00 00 01 01 02 01 02 81 48 80 00"
    " 00 00 40 00 00 00 00 00 00 00 80 00 00 00 20 00 00 00 00 00 00 00 00 01 00 2C 00 01 00 28 80 00 00 00 00 00 09 C4"
    " 00 00 09 C4 00 00 03 E8 FF FF FF FF 60 00 00 00 00 01 00 0C F0 01 00 08 8C 00 00 00 00 00 00 00 00 00 00 00 00 00"
    " 00 00 00 00 00 00 00 00 00 00"
)
ABORT = bytes.fromhex(
    "19 2E 11 01 03 C1 29 A0 80 A0 80 30 80 02 01 01 06 02 51 01 00 00 00 00 61 80 30 80 02 01 01 A0 80 64 80 80 01 01"
    + "00" * 10
)
RELEASE_REQUEST = bytes.fromhex("09 18 C1 16 61 80 30 80 02 01 01 A0 80 62 80 80 01 00" + "00" * 8)
RELEASE_RESPONSE = bytes.fromhex("0A 18 C1 16 61 80 30 80 02 01 01 A0 80 63 80 80 01 00" + "00" * 8)
CREATE_RESULT = bytes.fromhex("E1 00 00 02 00 02 00 14 00 01 00 01 00 0E 00 21 00 00 00 00 00 0A BD 00 0D 06 00 00")

# The guide's rules applied to one numerics poll and its reply, tcpO2 = 68 mmHg, as serial frames.
POLL_FRAME = bytes.fromhex(
    "C0 11 01 00 24 E1 00 00 02 00 01 00 1C 00 00 00 07 00 16 00 21 00 00 00 00 00 00 00 00 0C 16 00 08 00 01 00 01 00"
    " 06 00 00 8E 95 C1"
)
REPLY_FRAME = bytes.fromhex(
    "C0 11 01 00 58 E1 00 00 02 00 02 00 50 00 00 00 07 00 4A 00 21 00 00 00 00 0C 16 00 40 00 01 00 0A BD 00 20 26 01"
    " 01 12 00 00 00 00 01 00 06 00 00 00 01 00 28 00 00 00 01 00 22 01 01 00 03 00 1C 09 21 00 02 01 01 09 24 00 04 00"
    " 02 50 D0 09 50 00 0A 50 D0 00 00 0F 20 00 00 00 44 7A BD C1"
)

# An extended poll (of waves, for 600 s), as a public host for these monitors sends it.
EXTENDED_POLL = bytes.fromhex(
    "E1 00 00 02 00 01 00 28 00 04 00 07 00 22 00 21 00 00 00 00 00 00 00 00 F1 3B 00 14 00 03 00 01 00 09 00 00 00 01"
    " 00 08 F1 3E 00 04 00 49 3E 00"
)

# Connect indication of an X2 (866062), captured on a network: the UDP payload published in Koshsky/Intellivue-api.
CONNECT_INDICATION = bytes.fromhex(
    "0000 0100 0001 019a 0000 0000 0194 0023 0000 0000 0009 457f 0d17 0186 0010 0182 0920 0004 0003 0000 0986 0004"
    " 0001 114d 0937 0008 0608 0608 000f 000b f136 0004 2000 0000 f27c 001a 0001 8000 0001 0012 f100 000e 0009 fb88"
    " c1bd c0a8 f765 ffff 0000 f135 0022 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000"
    " 0000 0000 f100 000e 0009 fb88 c1bd c0a8 f765 ffff 0000 f101 002c 0005 0028 0001 0003 5dc0 4000 0002 0003 5dc0"
    " 4000 0001 0001 5e29 0000 0005 0001 5e29 0000 000a 0001 5dcc 0000 f35e 0010 fe80 0000 0000 0000 0209 fbff fe88"
    " c1bd 0984 000a 0008 0009 fbff ff88 c1bd 0928 0014 0008 5068 696c 6970 7300 0008 3836 3630 3632 0000 092d 0068"
    " 0006 0064 0001 0008 000c 4445 3335 3141 3430 3631 0009 0002 0008 000e 3836 3630 3632 0000 0000 0000 0000 0003"
    " 0008 0008 2041 2e30 302e 3330 0005 0078 0008 2d2d 2d2d 2d2d 2d2d 0002 0058 000e 532d 4d38 3030 332d 3134 3032"
    " 4100 0004 0058 0008 4c2e 3031 2e31 380a f12e 0012 0001 000e 0002 000a 0001 0006 0051 0000 00c1 f45b 0004 0000"
    " 0000 f39c 0008 0800 0020 0800 0009 f15a 0004 0000 0002"
)


LEVELS = {"tcpo2_chest": 70.0, "tcpco2_chest": 40.0, "tcpo2_calf": 30.0, "tcpco2_calf": 45.0}


class Room:
    """A participant whose four signals differ and rise by 0.01 a second; `missing` have no value."""

    def __init__(self, *missing):
        self.missing = missing

    def values(self, signal, t):
        return LEVELS[signal] + np.asarray(t) * (np.nan if signal in self.missing else 0.01)


def one_by_one(message):
    return [message[i : i + 1] for i in range(len(message))]


def randomly(seed):
    rng = random.Random(seed)

    def cut(message):
        pieces = []
        while message:
            n = rng.randint(1, len(message))
            pieces.append(message[:n])
            message = message[n:]
        return pieces

    return cut
