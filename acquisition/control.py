"""The daemon's local socket, `DIR/control.sock`: JSON lines in, JSON lines out, for this account only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from acquisition.errors import Refused

NAME = "control.sock"
LINE = 65536
DEADLINE = 5.0

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class ControlSocket:
    """Serves requests `{"do": "snapshot"}`; every answer is `{"ok": …}` or `{"error": …}` on one line."""

    def __init__(self, directory: Path, snapshot: Callable[[], Any]) -> None:
        self._directory = directory
        self._snapshot = snapshot
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ControlSocket:
        with _short(self._directory) as folder, contextlib.closing(_listener(folder / NAME)) as listener:
            self._server = await asyncio.start_unix_server(self._serve, sock=listener.dup(), limit=LINE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        (self._directory / NAME).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), DEADLINE):
                writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), DEADLINE)
        except (TimeoutError, ConnectionError, ValueError):
            pass  # a client that is slow, gone or sends an endless line
        finally:
            writer.close()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "no JSON"}
        if isinstance(request, dict) and request.get("do") == "snapshot":
            return {"ok": self._snapshot()}
        return {"error": 'unknown request; known: {"do": "snapshot"}'}


def ask(directory: Path, request: dict[str, Any], timeout: float = DEADLINE) -> Any:
    """Ask the daemon that writes `directory`; Refused where none runs."""
    with _short(directory) as folder, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout)
        try:
            link.connect(str(folder / NAME))
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except (OSError, ValueError) as error:
            raise Refused(
                "no daemon answers", str(directory / NAME), "none runs on this record", "perfusion run -c FILE"
            ) from error
    if "error" in answer:
        raise Refused(answer["error"], str(directory / NAME))
    return answer["ok"]


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


@contextlib.contextmanager
def _short(directory: Path) -> Iterator[Path]:
    """A name of the folder that fits a socket address (107 bytes), however long its path is."""
    if len(str(directory)) < 90:
        yield directory
        return
    fd = os.open(directory, os.O_DIRECTORY)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
