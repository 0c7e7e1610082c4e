"""Server of the control socket: JSON lines in, JSON lines out, for this account only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from acquisition.control_socket.address import DEADLINE, LINE, NAME, short
from acquisition.errors import PerfusionError
from acquisition.text import to_json

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at whether the socket is still there."""

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class ControlSocket:
    """Serves requests `{"do": "snapshot"}`; every answer is `{"ok": …}` or `{"error": …}` on one line.

    `answers` are further requests by the word in `do`; what they raise as a PerfusionError is told to whoever
    asked, and stops nothing.
    """

    def __init__(
        self, directory: Path, snapshot: Callable[[], Any], answers: Mapping[str, Answer] = MappingProxyType({})
    ) -> None:
        self._directory = directory
        self._snapshot = snapshot
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._bound: tuple[int, int] | None = None

    async def __aenter__(self) -> ControlSocket:
        (self._directory / NAME).unlink(missing_ok=True)
        await self._listen()
        self._keeper = asyncio.create_task(self._keep(), name="control socket")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        if self._server is not None:
            self._server.close()
        if self._bound == _identity(self._directory / NAME):  # another daemon's is not ours to remove
            (self._directory / NAME).unlink(missing_ok=True)

    async def _listen(self) -> None:
        with short(self._directory) as folder, contextlib.closing(_listener(folder / NAME)) as listener:
            self._bound = _identity(folder / NAME)
            self._server = await asyncio.start_unix_server(self._serve, sock=listener.dup(), limit=LINE)

    async def _keep(self) -> None:
        """Listen at the path again where the socket there was removed, alone or with its folder."""
        while True:
            await asyncio.sleep(LOOK)
            with contextlib.suppress(OSError):  # the folder is away, or somebody else's socket stands there
                if await asyncio.to_thread(_identity, self._directory / NAME) is None:
                    before = self._server
                    await self._listen()
                    log.warning("the control socket was removed; it listens again at %s", self._directory / NAME)
                    if before is not None:
                        before.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), DEADLINE):
                writer.write(to_json(await self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), DEADLINE)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # a client that is slow or gone, or the daemon ends: asyncio would log a cancelled one as a fault
        except ValueError:
            writer.write(to_json({"error": f"a request has at most {LINE} bytes"}) + b"\n")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "this is no JSON in UTF-8, or nested too deep"}
        word = request.get("do") if isinstance(request, dict) else None
        if not isinstance(word, str) or word not in ("snapshot", *self._answers):
            known = ", ".join(f'{{"do": "{each}"}}' for each in ("snapshot", *self._answers))
            return {"error": f"unknown request; known: {known}"}
        try:
            return {"ok": self._snapshot() if word == "snapshot" else await self._answers[word](request)}
        except PerfusionError as error:
            return {"error": error.what, "where": error.where, "cause": error.cause, "remedy": error.remedy,
                    "exit_code": error.exit_code}  # fmt: skip
        except Exception as error:
            # A fault in one answer must not end the recording, nor leave whoever asked without one.
            log.exception("the request %s failed", word)
            what = PerfusionError(f"unexpected: {type(error).__name__}: {error}").what
            return {"error": what, "remedy": "its log has the whole of it", "exit_code": PerfusionError.exit_code}


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before it listens, so that nobody else ever gets through
    except BaseException:
        listener.close()
        raise
    return listener


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what stands at a path, None where nothing does."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        found = path.lstat()
        return found.st_dev, found.st_ino
    return None
