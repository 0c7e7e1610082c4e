"""VXI-11, an older LAN protocol of instruments over ONC RPC, server side: a cable of simulated VISA instruments."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from enum import IntEnum

from simulators.transports.lan import LanCable

CORE, VERSION = 395183, 1
"""Program and version of the core channel (VXI-11, table B.1)."""
LAST_FRAGMENT = 1 << 31
RECORD = 1 << 22
MAX_WRITE = 1 << 20
LINK = 1
SUCCESS, BAD_PROGRAM, BAD_PROCEDURE = 0, 1, 3
NO_ERROR, INVALID_LINK, UNSUPPORTED, NO_RESOURCES, IO_TIMEOUT = 0, 4, 8, 9, 15
COUNT_REACHED, END = 1, 4
END_FLAG = 8
MESSAGE_AVAILABLE = 16


class Procedure(IntEnum):
    """Procedures of the core channel (VXI-11, table B.2)."""

    CREATE_LINK = 10
    DEVICE_WRITE = 11
    DEVICE_READ = 12
    DEVICE_READSTB = 13
    DEVICE_TRIGGER = 14
    DEVICE_CLEAR = 15
    DEVICE_REMOTE = 16
    DEVICE_LOCAL = 17
    DEVICE_LOCK = 18
    DEVICE_UNLOCK = 19
    DEVICE_ENABLE_SRQ = 20
    DEVICE_DOCMD = 22
    DESTROY_LINK = 23
    CREATE_INTR_CHAN = 25
    DESTROY_INTR_CHAN = 26


class Vxi11Cable(LanCable["_Session"]):
    """A VXI-11 server at a port that the host is told; an answer waits until the host reads it.

    Not modelled: portmapper, abort channel, interrupts, locks (every one is granted) and the status
    byte beyond `message available`.
    """

    kind = "vxi11"

    def _resource(self, host: str, port: int) -> str:
        return f"TCPIP0::{host},{port}::inst0::INSTR"

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self._enter, self._leave, self._heard)
        try:
            while True:
                reply = await session.reply(await _record(reader))
                writer.write(struct.pack("!I", LAST_FRAGMENT | len(reply)) + reply)
        finally:
            self._leave(session)


class _Session:
    """One connection: the calls of one host, and the answer that it has not read yet."""

    def __init__(
        self,
        enter: Callable[[_Session], bool],
        leave: Callable[[_Session], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._enter = enter
        self._leave = leave
        self._heard = heard
        self._linked = False
        self._incoming = b""
        self._waiting = b""
        self._something = asyncio.Event()
        self._procedures: dict[int, Callable[[_Reader], Awaitable[bytes]]] = {
            Procedure.CREATE_LINK: self._create_link,
            Procedure.DEVICE_WRITE: self._write,
            Procedure.DEVICE_READ: self._read,
            Procedure.DEVICE_READSTB: self._status,
            Procedure.DEVICE_CLEAR: self._clear,
            Procedure.DESTROY_LINK: self._destroy_link,
        }

    def answer(self, message: bytes) -> None:
        self._waiting += message
        self._something.set()

    def close(self) -> None:
        """Nothing but the connection is held."""

    async def reply(self, record: bytes) -> bytes:
        """Serve one call (RFC 5531); ValueError or struct.error where it is none."""
        call = _Reader(record)
        number, kind, _, program, version, procedure = (call.integer() for _ in range(6))
        for _ in ("credentials", "verifier"):
            call.integer()
            call.opaque()
        if kind != 0:
            raise ValueError("no call")
        state, results = SUCCESS, b""
        if (program, version) != (CORE, VERSION):
            state = BAD_PROGRAM
        elif procedure in self._procedures:
            results = await self._procedures[procedure](call)
        elif procedure in tuple(Procedure):
            known = procedure not in (Procedure.DEVICE_DOCMD, Procedure.CREATE_INTR_CHAN, Procedure.DESTROY_INTR_CHAN)
            results = struct.pack("!i", NO_ERROR if known else UNSUPPORTED)
        else:
            state = BAD_PROCEDURE
        return struct.pack("!IIIIII", number, 1, 0, 0, 0, state) + results

    async def _create_link(self, call: _Reader) -> bytes:
        self._linked = self._linked or self._enter(self)
        error = NO_ERROR if self._linked else NO_RESOURCES
        return struct.pack("!iiII", error, LINK, 0, MAX_WRITE)

    async def _destroy_link(self, call: _Reader) -> bytes:
        self._linked = False
        self._leave(self)
        return struct.pack("!i", NO_ERROR)

    async def _write(self, call: _Reader) -> bytes:
        link, _, _, flags = (call.integer() for _ in range(4))
        data = call.opaque()
        if not self._linked or link != LINK:
            return struct.pack("!iI", INVALID_LINK, 0)
        self._incoming += data
        self._forget()
        if flags & END_FLAG:
            whole, self._incoming = self._incoming, b""
            self._heard(whole if whole.endswith(b"\n") else whole + b"\n")
        return struct.pack("!iI", NO_ERROR, len(data))

    async def _read(self, call: _Reader) -> bytes:
        link, size, patience = (call.integer() for _ in range(3))
        if not self._linked or link != LINK:
            return struct.pack("!iiI", INVALID_LINK, 0, 0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience / 1000):
                await self._something.wait()
        data, self._waiting = self._waiting[:size], self._waiting[size:]
        if not data:
            return struct.pack("!iiI", IO_TIMEOUT, 0, 0)
        reason = COUNT_REACHED if len(data) == size else 0
        if not self._waiting:
            self._something.clear()
            # An answer without its LF goes on, or never ends.
            reason |= END if data.endswith(b"\n") else 0
        return struct.pack("!ii", NO_ERROR, reason) + _opaque(data)

    async def _status(self, call: _Reader) -> bytes:
        return struct.pack("!iI", NO_ERROR, MESSAGE_AVAILABLE if self._waiting else 0)

    async def _clear(self, call: _Reader) -> bytes:
        self._incoming = b""
        self._forget()
        return struct.pack("!i", NO_ERROR)

    def _forget(self) -> None:
        self._waiting = b""
        self._something.clear()


class _Reader:
    """Takes XDR values (RFC 4506) from a record, in order; ValueError or struct.error where they end."""

    def __init__(self, record: bytes) -> None:
        self._record = record
        self._position = 0

    def integer(self) -> int:
        (value,) = struct.unpack_from("!I", self._record, self._position)
        self._position += 4
        return int(value)

    def opaque(self) -> bytes:
        length = self.integer()
        start, self._position = self._position, self._position + length + -length % 4
        if self._position > len(self._record):
            raise ValueError("the record ends within a value")
        return self._record[start : start + length]


def _opaque(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data + bytes(-len(data) % 4)


async def _record(reader: asyncio.StreamReader) -> bytes:
    """The next record, from its fragments (RFC 5531, section 11)."""
    record = b""
    while True:
        (mark,) = struct.unpack("!I", await reader.readexactly(4))
        length = mark & ~LAST_FRAGMENT
        if len(record) + length > RECORD:
            raise ValueError("a record too long")
        record += await reader.readexactly(length)
        if mark & LAST_FRAGMENT:
            return record
