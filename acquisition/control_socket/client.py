"""Client of the control socket: one request to the daemon, and its answer or why there is none."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from acquisition.control_socket.address import DEADLINE, LINE, NAME, short
from acquisition.control_socket.answers import mismatch
from acquisition.errors import ConfigurationError, LinkLost, PerfusionError, Refused
from acquisition.store.lock import held
from acquisition.text import clean, clean_details

ANSWER = 1 << 25
"""Bytes that an answer may have: the record of a day's examinations takes a fraction."""
AGAIN = "ask again; where it was to write something, look first whether it has: perfusion session show"


class NoDaemon(Refused):
    """Nobody holds the record or listens on its socket: no daemon runs."""


class Unanswered(Refused):
    """A daemon runs, or somebody else holds the record, and there was no answer that can be used: nothing is known."""


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
        with short(directory) as folder, socket.socket(socket.AF_UNIX) as link:
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
