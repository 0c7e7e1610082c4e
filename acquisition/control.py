"""The daemon's local socket, `DIR/control.sock`: JSON lines in, JSON lines out, for this account only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import msgspec

from acquisition.errors import ConfigurationError, LinkLost, PerfusionError, Refused

log = logging.getLogger(__name__)

NAME = "control.sock"
LINE = 65536
DEADLINE = 5.0
LOOK = 1.0
"""Seconds between two looks at whether the socket is still there."""

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class NoDaemon(Refused):
    """Nobody answers on the socket: no daemon runs on this record, or one of another account."""


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
        with _short(self._directory) as folder, contextlib.closing(_listener(folder / NAME)) as listener:
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
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), DEADLINE)
        except (TimeoutError, ConnectionError, ValueError):
            pass  # a client that is slow, gone or sends an endless line
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            return {"error": "no JSON"}
        word = request.get("do") if isinstance(request, dict) else None
        if word == "snapshot":
            return {"ok": self._snapshot()}
        if not isinstance(word, str) or word not in self._answers:
            known = ", ".join(f'{{"do": "{each}"}}' for each in ("snapshot", *self._answers))
            return {"error": f"unknown request; known: {known}"}
        try:
            return {"ok": await self._answers[word](request)}
        except PerfusionError as error:
            return {"error": error.what, "where": error.where, "cause": error.cause, "remedy": error.remedy,
                    "exit_code": error.exit_code}  # fmt: skip
        except Exception as error:
            # A fault in one answer must not end the recording, nor leave whoever asked without one.
            log.exception("the request %s failed", word)
            return {"error": f"unexpected: {error}", "exit_code": PerfusionError.exit_code}


def ask(directory: Path, request: dict[str, Any], timeout: float = DEADLINE) -> Any:
    """Ask the daemon that writes `directory`; NoDaemon where none runs, Refused or its kin where it will not."""
    with _short(directory) as folder, socket.socket(socket.AF_UNIX) as link:
        link.settimeout(timeout)
        try:
            link.connect(str(folder / NAME))
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except PermissionError as error:
            raise NoDaemon(
                "this account may not ask the daemon", str(directory / NAME), "another account records",
                "ask as that account, by sudo -u",
            ) from error  # fmt: skip
        except (OSError, ValueError) as error:
            raise NoDaemon(
                "no daemon answers", str(directory / NAME), "none runs on this record", "perfusion run -c FILE"
            ) from error
    if "error" in answer:
        raise _refusal(answer, str(directory / NAME))
    return answer["ok"]


def _refusal(answer: Mapping[str, Any], where: str) -> PerfusionError:
    words = (answer["error"], answer.get("where", where), answer.get("cause", ""), answer.get("remedy", ""))
    kinds = {kind.exit_code: kind for kind in (ConfigurationError, LinkLost, Refused)}
    return kinds.get(answer.get("exit_code", Refused.exit_code), PerfusionError)(*words)


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
