"""HiSLIP, the LAN protocol of instruments (IVI-6.1), server side: the cable of a simulated VISA instrument."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from simulators.transports.lan import LanCable

HEADER = struct.Struct("!2sBBIQ")
MAX_MESSAGE = 1 << 20
VERSION = 0x0100
VENDOR = int.from_bytes(b"PF", "big")
MESSAGE_AVAILABLE = 16


class Kind(IntEnum):
    """Message types (IVI-6.1, table 4)."""

    INITIALIZE = 0
    INITIALIZE_RESPONSE = 1
    FATAL_ERROR = 2
    ERROR = 3
    ASYNC_LOCK = 4
    ASYNC_LOCK_RESPONSE = 5
    DATA = 6
    DATA_END = 7
    DEVICE_CLEAR_COMPLETE = 8
    DEVICE_CLEAR_ACKNOWLEDGE = 9
    ASYNC_REMOTE_LOCAL_CONTROL = 10
    ASYNC_REMOTE_LOCAL_RESPONSE = 11
    TRIGGER = 12
    ASYNC_MAX_MESSAGE_SIZE = 15
    ASYNC_MAX_MESSAGE_SIZE_RESPONSE = 16
    ASYNC_INITIALIZE = 17
    ASYNC_INITIALIZE_RESPONSE = 18
    ASYNC_DEVICE_CLEAR = 19
    ASYNC_STATUS_QUERY = 21
    ASYNC_STATUS_RESPONSE = 22
    ASYNC_DEVICE_CLEAR_ACKNOWLEDGE = 23
    ASYNC_LOCK_INFO = 24
    ASYNC_LOCK_INFO_RESPONSE = 25


@dataclass(frozen=True, slots=True)
class Message:
    """One HiSLIP message: `HS`, type, control code, parameter, length of the payload, payload."""

    kind: int
    control: int = 0
    parameter: int = 0
    payload: bytes = b""

    def encode(self) -> bytes:
        """Header and payload."""
        return HEADER.pack(b"HS", self.kind, self.control, self.parameter, len(self.payload)) + self.payload


class HislipCable(LanCable["_Session"]):
    """A HiSLIP server in synchronised mode.

    A message that does not end in LF goes out without END, as when an instrument stalls within an
    answer. Every lock is granted. Not modelled: overlap mode, encryption, service requests, and the
    status byte beyond `message available`.
    """

    kind = "hislip"

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(host, port)
        self._count = 0

    def _resource(self, host: str, port: int) -> str:
        return f"TCPIP0::{host}::hislip0,{port}::INSTR"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await _read(reader)
        if first.kind == Kind.INITIALIZE:
            session = self._open(writer)
            try:
                await self._serve(session, reader, self._on_message)
            finally:
                self._leave(session)
        elif first.kind == Kind.ASYNC_INITIALIZE and self._session is not None:
            writer.write(Message(Kind.ASYNC_INITIALIZE_RESPONSE, 0, VENDOR).encode())
            self._session.asynchronous = writer
            await self._serve(self._session, reader, self._on_asynchronous)
        else:
            writer.write(Message(Kind.FATAL_ERROR, 3, 0, b"Invalid initialization sequence").encode())

    def _open(self, writer: asyncio.StreamWriter) -> _Session:
        if self._session is not None:
            writer.write(Message(Kind.FATAL_ERROR, 4, 0, b"another host is connected").encode())
            raise ValueError("a second host")
        self._count = self._count % 0xFFFF + 1
        writer.write(Message(Kind.INITIALIZE_RESPONSE, 0, VERSION << 16 | self._count).encode())
        session = _Session(writer)
        self._enter(session)
        return session

    async def _serve(self, session: _Session, reader: asyncio.StreamReader, handle: Any) -> None:
        while session is self._session:
            handle(session, await _read(reader))

    def _on_message(self, session: _Session, message: Message) -> None:
        if message.kind in (Kind.DATA, Kind.DATA_END):
            session.incoming += message.payload
            session.number = message.parameter
            session.available = False
            if message.kind == Kind.DATA_END:
                whole, session.incoming = session.incoming, b""
                self._heard(whole if whole.endswith(b"\n") else whole + b"\n")
        elif message.kind == Kind.DEVICE_CLEAR_COMPLETE:
            session.write(Message(Kind.DEVICE_CLEAR_ACKNOWLEDGE))
        elif message.kind != Kind.TRIGGER:
            session.write(Message(Kind.ERROR, 1, 0, b"Unrecognized message type"))

    def _on_asynchronous(self, session: _Session, message: Message) -> None:
        writer = session.asynchronous
        if writer is None:
            return
        if message.kind == Kind.ASYNC_DEVICE_CLEAR:
            session.incoming, session.available = b"", False
        for reply in _asynchronous_replies(session, message):
            writer.write(reply.encode())


class _Session:
    """One host: its two channels, the number of its last message, and what it has sent of the next."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.asynchronous: asyncio.StreamWriter | None = None
        self.incoming = b""
        self.number = 0
        self.available = False
        self.limit = MAX_MESSAGE
        self._writer = writer

    def write(self, message: Message) -> None:
        self._writer.write(message.encode())

    def answer(self, message: bytes) -> None:
        """Send an answer in as many messages as the host's limit wants."""
        size = max(self.limit - HEADER.size, 1)
        pieces = [message[i : i + size] for i in range(0, len(message), size)]
        for piece in pieces[:-1]:
            self.write(Message(Kind.DATA, 0, self.number, piece))
        end = Kind.DATA_END if message.endswith(b"\n") else Kind.DATA
        self.write(Message(end, 0, self.number, pieces[-1]))
        self.available = True

    def close(self) -> None:
        """End the asynchronous channel too."""
        if self.asynchronous is not None:
            self.asynchronous.transport.abort()


def _asynchronous_replies(session: _Session, message: Message) -> Iterator[Message]:
    match message.kind:
        case Kind.ASYNC_MAX_MESSAGE_SIZE:
            session.limit = min(int.from_bytes(message.payload, "big") or MAX_MESSAGE, MAX_MESSAGE)
            yield Message(Kind.ASYNC_MAX_MESSAGE_SIZE_RESPONSE, 0, 0, MAX_MESSAGE.to_bytes(8, "big"))
        case Kind.ASYNC_STATUS_QUERY:
            yield Message(Kind.ASYNC_STATUS_RESPONSE, MESSAGE_AVAILABLE if session.available else 0)
        case Kind.ASYNC_DEVICE_CLEAR:
            yield Message(Kind.ASYNC_DEVICE_CLEAR_ACKNOWLEDGE)
        case Kind.ASYNC_LOCK:
            yield Message(Kind.ASYNC_LOCK_RESPONSE, 1)
        case Kind.ASYNC_LOCK_INFO:
            yield Message(Kind.ASYNC_LOCK_INFO_RESPONSE)
        case Kind.ASYNC_REMOTE_LOCAL_CONTROL:
            yield Message(Kind.ASYNC_REMOTE_LOCAL_RESPONSE)
        case _:
            yield Message(Kind.ERROR, 1, 0, b"Unrecognized message type")


async def _read(reader: asyncio.StreamReader) -> Message:
    """The next message; ValueError where it is none."""
    prologue, kind, control, parameter, length = HEADER.unpack(await reader.readexactly(HEADER.size))
    if prologue != b"HS" or length > MAX_MESSAGE:
        raise ValueError("no HiSLIP message")
    return Message(kind, control, parameter, await reader.readexactly(length))
