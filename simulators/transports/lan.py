"""LAN of an instrument: a listening port, one host's session, and a plug to pull."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from abc import abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from acquisition.errors import PerfusionError
from simulators.transports.cables import Cable, Line


class Session(Protocol):
    """One host's conversation."""

    def answer(self, message: bytes) -> None:
        """Send or hold an answer to the host's last message."""

    def close(self) -> None:
        """Give back what the session holds beside its connection."""


S = TypeVar("S", bound=Session)


class LanCable(Cable, Generic[S]):
    """A server of one LAN protocol for one host at a time; port 0 takes a free one and keeps it."""

    kind: str

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._host = host
        self._port = port
        self._line: Line | None = None
        self._server: asyncio.Server | None = None
        self._session: S | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @abstractmethod
    def _resource(self, host: str, port: int) -> str:
        """The VISA resource by which a host reaches this server."""

    @abstractmethod
    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends, by any error of reading or parsing."""

    async def plug(self, line: Line) -> dict[str, Any]:
        """Listen; PerfusionError where the address cannot be had."""
        self._line = line
        await self._listen()
        resource = self._resource(self._host, self._port)
        return {"kind": self.kind, "host": self._host, "port": self._port, "resource": resource}

    def send(self, message: bytes) -> None:
        """Answer the host's last message."""
        if self._session is not None:
            self._session.answer(message)

    def unplug(self) -> None:
        """Reset every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        self._leave(self._session)

    async def replug(self) -> None:
        """Listen again on the same port."""
        if self._server is None:
            await self._listen()

    async def close(self) -> None:
        """Unplug for good."""
        self.unplug()

    def _enter(self, session: S) -> bool:
        """Let `session` be the host's, unless another host is there."""
        if self._session is not None:
            return False
        self._session = session
        if self._line is not None:
            self._line.connected()
        return True

    def _leave(self, session: S | None) -> None:
        if session is None or session is not self._session:
            return
        self._session = None
        session.close()
        if self._line is not None:
            self._line.disconnected()

    def _heard(self, message: bytes) -> None:
        if self._line is not None:
            self._line.data(message)

    async def _listen(self) -> None:
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port)
        except OSError as error:
            raise PerfusionError(
                f"cannot listen ({error.strerror or error})",
                f"{self._host}:{self._port}",
                "another program has the port, or the address is not this computer's",
                "choose another one; port 0 takes a free one",
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, struct.error):
            pass
        finally:
            self._writers.discard(writer)
            with contextlib.suppress(ConnectionError):
                writer.close()
