"""Listens for what instruments on the network say of themselves, without asking any of them."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from acquisition.errors import PerfusionError

LONGEST = 65_536


@dataclass(frozen=True, slots=True)
class Channel:
    """Where instruments of a kind make themselves heard: a UDP port, and a multicast group or none."""

    port: int
    group: str = ""


def listen(channels: Iterable[Channel], seconds: float, on: str = "") -> Iterator[tuple[Channel, bytes]]:
    """Every datagram that comes within so many seconds, to the address `on` (default: any of this computer's).

    PerfusionError where a port cannot be had.
    """
    links: dict[socket.socket, Channel] = {}
    try:
        for channel in channels:
            link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            links[link] = channel
            _open(link, channel, on)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for link in select.select([*links], [], [], left)[0]:
                yield links[link], link.recv(LONGEST)
    finally:
        for link in links:
            link.close()


def _open(link: socket.socket, channel: Channel, on: str) -> None:
    link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        link.bind((on, channel.port))
    except OSError as error:
        elsewhere = error.errno == errno.EADDRNOTAVAIL
        raise PerfusionError(
            f"cannot listen for instruments ({error.strerror or error})",
            f"UDP {on or '0.0.0.0'}:{channel.port}",
            f"{on} is no address of this computer" if elsewhere else "another program has the port",
            "leave out --on, or name one that `ip address` shows" if elsewhere else "end it, or leave out --listen",
        ) from error
    if channel.group:
        # Without a network there is no group to join; broadcasts are heard all the same.
        with contextlib.suppress(OSError):
            member = socket.inet_aton(channel.group) + socket.inet_aton(on or "0.0.0.0")
            link.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
