"""The daemon's local socket, `DIR/control.sock`: JSON lines in, JSON lines out, for this account only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NoReturn

from acquisition.answers import mismatch
from acquisition.errors import ConfigurationError, LinkLost, PerfusionError, Refused
from acquisition.store.lock import held
from acquisition.text import clean, clean_details, to_json

log = logging.getLogger(__name__)

NAME = "control.sock"
LINE = 65536
"""Bytes that a request may have."""
ANSWER = 1 << 25
"""Bytes that an answer may have: the record of a day's examinations takes a fraction."""
DEADLINE = 5.0
LOOK = 1.0
"""Seconds between two looks at whether the socket is still there."""
AGAIN = "ask again; where it was to write something, look first whether it has: perfusion session show"

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


class NoDaemon(Refused):
    """Nobody holds the record or listens on its socket: no daemon runs."""


class Unanswered(Refused):
    """A daemon runs, or somebody else holds the record, and there was no answer that can be used: nothing is known."""


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


def ask(directory: Path, request: dict[str, Any], timeout: float = DEADLINE) -> Any:
    """Ask the daemon that writes `directory`; NoDaemon where none runs, Unanswered where its answer is none.

    Refused or its kin where the daemon will not. The answer is clean text, whatever version gave it.
    """
    where = str(directory / NAME)
    line = json.dumps(request).encode() + b"\n"
    if len(line) > LINE:  # the daemon would end the connection while it is still being sent
        raise Refused(
            f"a request has at most {LINE} bytes, this one {len(line)}", where, remedy="say it in fewer words"
        )
    until = time.monotonic() + timeout
    try:
        with _short(directory) as folder, socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout)
            _connect(link, folder / NAME, directory)
            link.sendall(line)
            line = _receive(link, until)
        answer = json.loads(line)
    except OSError as error:
        _explain(error, where, timeout)
    except (ValueError, RecursionError) as error:
        raise Unanswered(
            "the daemon's answer is broken", where, "another program, or another version of this one, has the socket",
            "use the version that records (perfusion --version)",
        ) from error  # fmt: skip
    if not isinstance(answer, dict) or ("error" not in answer and not isinstance(answer.get("ok"), dict)):
        raise _foreign(where, "")
    told = clean_details(answer, LINE)
    if "error" in told:
        raise _refusal(told, where)
    if differs := mismatch(str(request["do"]), told["ok"]):
        raise _foreign(where, f" ({differs})")
    return _Told.of(told["ok"], where)


class _Told(dict[str, Any]):
    """What a daemon told, with what is in it; to look for a field that is not there is Unanswered."""

    where = ""

    @classmethod
    def of(cls, value: Any, where: str) -> Any:
        if isinstance(value, list):
            return [cls.of(each, where) for each in value]
        if not isinstance(value, dict):
            return value
        told = cls((key, cls.of(each, where)) for key, each in value.items())
        told.where = where
        return told

    def __missing__(self, key: str) -> NoReturn:
        raise _foreign(self.where, f" (it has no {clean(key)!r})")


def _foreign(where: str, lacks: str) -> Unanswered:
    return Unanswered(
        f"the daemon's answer is none of this program{lacks}", where,
        "another version of it records, or another program has the socket", "use the version that records",
    )  # fmt: skip


def _connect(link: socket.socket, path: Path, directory: Path) -> None:
    try:
        link.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        where = str(directory / NAME)
        if held(directory):
            raise Unanswered(
                "the record is in use, but no daemon answers on its socket", where,
                "the daemon is starting or ending, or a command is writing", "ask again in some seconds",
            ) from error  # fmt: skip
        raise NoDaemon("no daemon answers", where, "none runs on this record", "perfusion run -c FILE") from error


def _receive(link: socket.socket, until: float) -> bytes:
    """One line, whole by a time of the monotonic clock; OSError where it is not, ValueError where it has no end."""
    pieces: list[bytes] = []
    size = 0
    while not pieces or not pieces[-1].endswith(b"\n"):
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        link.settimeout(left)
        piece = link.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        pieces.append(piece)
        size += len(piece)
        if size > ANSWER:
            raise ValueError(f"an answer of more than {ANSWER} bytes")
    return b"".join(pieces)


def _explain(error: OSError, where: str, timeout: float) -> NoReturn:
    """Say why there is no answer; only a connection that nobody takes means that no daemon runs."""
    match error:
        case PermissionError():
            raise Unanswered(
                "this account may not ask the daemon",
                where,
                "another account records",
                "ask as that account, by sudo -u",
            ) from error
        case FileNotFoundError() | NotADirectoryError():
            raise NoDaemon("no daemon answers", where, "there is no such folder", "perfusion run -c FILE") from error
        case TimeoutError() | BlockingIOError():
            raise Unanswered(
                f"the daemon did not answer within {timeout:g} s", where, "it, this computer or its disk is busy", AGAIN
            ) from error
    raise Unanswered(
        "the daemon ended the connection without an answer",
        where,
        f"it is ending ({error.strerror or 'closed'})",
        AGAIN,
    ) from error


def _refusal(answer: Mapping[str, Any], where: str) -> PerfusionError:
    words = (answer["error"], answer.get("where", where), answer.get("cause", ""), answer.get("remedy", ""))
    kinds = {kind.exit_code: kind for kind in (ConfigurationError, LinkLost, Refused)}
    code = answer.get("exit_code", Refused.exit_code)
    return kinds.get(code if isinstance(code, int) else 1, PerfusionError)(*(str(each) for each in words))


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
