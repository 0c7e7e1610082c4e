"""VISA sessions by pyvisa-py, each owned by one thread, which asks and hands over whole answers."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import queue
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import pyvisa
from pyvisa import constants

from acquisition.driverkit.driver import Serial
from acquisition.errors import LinkLost
from acquisition.model import Instant
from acquisition.ports import Receiver
from acquisition.timing.clock import Clock

T = TypeVar("T")

SLICE = 0.5
"""Seconds of one VISA operation: no other way ends one, and a link that is closed is let go within it.

VXI-11 and GPIB have twice that: there nobody can tell whether a time-out threw a part of the answer away, so that the
first one is the last.
"""
ANSWER = 2.0
"""Seconds in which an answer must begin."""
HELD_UP = 1.0
"""Seconds by which a slice takes too long, so that this computer was paused: an answer may lie there unread."""
WHOLE = 60.0
"""Seconds in which an answer that has begun must end: 57 kB at 9600 baud."""
GRACE = 2.0
"""Seconds that a session which was closed may take for its farewell, before its sockets are cut off."""
HANDOVER = 5.0
"""Seconds that the next session waits for the last one of the same resource to have ended."""
LEAVE = 1.0
"""Seconds that a program's end waits for farewells to go out."""
MESSAGE = 1 << 16
LONGEST = 1 << 24
"""Bytes after which an answer of a byte stream has lost its end; 100 000 readings with their times are some 5 MB."""
SERIAL_PIECE = 32
"""Bytes asked for at once of a serial line, which even at 1200 baud come within `SLICE`: a time-out would lose them."""

# pyvisa-py logs each failed attempt with its traceback; the error that follows says it once.
logging.getLogger("pyvisa").setLevel(logging.CRITICAL)
log = logging.getLogger(__name__)

_manager_lock = threading.Lock()
_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_leaving: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
"""Threads whose ports were closed."""


class VisaPort:
    """One VISA session: `write` sends a message, and where it asks (`?`) its one complete answer is handed over.

    A session is not safe between threads and cannot be interrupted, so a thread of its own opens, uses and
    closes it. Any exception poisons it: an answer that came late would be taken for the next one's, for ever.
    A resource has one thread that is on its way out at most: the next session waits for it, or is refused.
    `line`: how a serial line (ASRL) is set, where the driver says it.
    """

    def __init__(self, resource: str, clock: Clock, line: Serial | None = None) -> None:
        self.name = resource
        self._serial = line
        self._clock = clock
        self._receiver: Receiver | None = None
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._session: _Session | None = None
        self._thread: threading.Thread | None = None

    async def open(self, receiver: Receiver) -> None:
        """Open the session in its thread; LinkLost where that fails, or an earlier session does not end."""
        self._loop = asyncio.get_running_loop()
        await self._await_earlier()
        self._receiver = receiver
        opened: asyncio.Future[None] = self._loop.create_future()
        thread = threading.Thread(target=self._own, args=(opened,), name=f"visa {self.name}", daemon=True)
        self._thread = thread
        _threads.add(thread)
        thread.start()
        try:
            await opened
        except BaseException:
            self.close()
            raise

    def write(self, message: bytes) -> None:
        """Queue one whole message; the thread sends it when the answers before it have come."""
        self._messages.put(message)

    def close(self) -> None:
        """Let go of the session: the thread sends what is queued and asks nothing, closes it and ends."""
        self._receiver = None
        self._closed.set()
        self._messages.put(None)
        if self._thread is not None and self._thread.is_alive() and self._thread not in _leaving:
            _leaving.add(self._thread)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_later(GRACE, self._cut)

    async def _await_earlier(self) -> None:
        """Wait for closed sessions of the same resource: the instrument may serve one host, and threads are bounded."""
        end = self._loop.time() + HANDOVER
        while any(each.is_alive() and each.name == f"visa {self.name}" for each in list(_leaving)):
            if self._loop.time() >= end:
                raise LinkLost(
                    "an earlier session has not ended", self.name,
                    "the instrument, or the library for its kind of link, keeps it waiting",
                    "switch the instrument off and on; where that does not help, start the service anew",
                )  # fmt: skip
            await asyncio.sleep(0.05)

    def _cut(self) -> None:
        """End what the library waits for, where the thread has not ended by itself."""
        if self._session is not None and self._thread is not None and self._thread.is_alive():
            log.warning("%s: its session does not end by itself and is cut off", self.name)
            self._session.cut()

    def _own(self, opened: asyncio.Future[None]) -> None:
        """Run the session from its opening to its close."""
        try:
            with contextlib.closing(_session(self.name, self._serial)) as session:
                self._session = session
                self._tell(_settle, opened, None)
                while (message := self._messages.get()) is not None:
                    asks = b"?" in message
                    if asks and self._closed.is_set():
                        continue
                    session.look()
                    session.write(message)
                    if asks:
                        answer = session.answer(self._closed.is_set)
                        self._tell(self._deliver, answer, self._clock.now())
        except Exception as error:  # pyvisa-py raises whatever its sockets, parsers and serial ports raise
            lost = _explain(error, self.name)
            self._tell(_settle, opened, lost)
            self._tell(self._lose, lost)

    def _tell(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(call, *arguments)

    def _deliver(self, answer: bytes, arrived: Instant) -> None:
        if self._receiver is not None:
            self._receiver.data(answer, arrived)

    def _lose(self, error: LinkLost) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost(error)


class _Session:
    """A VISA session that carries messages and keeps their ends: HiSLIP, VXI-11, GPIB."""

    def __init__(self, resource: Any) -> None:
        self._resource = resource
        inner = resource.visalib.sessions[resource.session].interface
        found = [inner, *(getattr(inner, name, None) for name in ("sock", "_sync", "_async"))]
        self._sockets = [each for each in found if isinstance(each, socket.socket)]
        own = inner if isinstance(inner, socket.socket) else getattr(inner, "sock", None)
        self._socket: socket.socket | None = own

    def close(self) -> None:
        """Close the session; a farewell to a peer that is gone would take VXI-11 five busy seconds."""
        if self._socket is not None and _gone(self._socket):
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            self._resource.close()

    def cut(self) -> None:
        """Make every read end now, from another thread.

        What waits in a socket is woken by its shutdown. A number that is no socket any longer then ends loops that take
        an end for nothing yet; it stays this session's until that closes it.
        """
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                if each.fileno() >= 0:
                    os.dup2(nothing, each.fileno(), inheritable=False)
        finally:
            os.close(nothing)

    def look(self, wait: float = 0.0) -> None:
        """See whether the peer has closed; VISA would spin until its time-out and then call it one."""
        if self._socket is not None and _gone(self._socket, wait):
            raise ConnectionResetError("the instrument closed the connection")

    def write(self, message: bytes) -> None:
        self._resource.write_raw(message)

    def answer(self, given_up: Callable[[], bool]) -> bytes:
        """Read one complete answer with its LF; TimeoutError where none begins, or it does not end."""
        answer = bytearray()
        status = constants.StatusCode.success_max_count_read
        self._begin(given_up)
        while status == constants.StatusCode.success_max_count_read:
            data, status = self._wait(self._read_part, given_up) if not answer else self._read_part()
            answer += data
            self._check(len(answer))
        if not _complete(bytes(answer)):
            raise EOFError(f"an answer was cut short after {len(answer)} bytes")
        return bytes(answer)

    def _begin(self, given_up: Callable[[], bool]) -> None:
        self._given_up, self._hurried = given_up, False
        self._begun_at = time.monotonic()
        self._end = self._begun_at + ANSWER + WHOLE

    def _check(self, count: int) -> None:
        """Raise where an answer is too long or takes too long; one that nobody waits for has half of `GRACE` to end."""
        if count > LONGEST:
            raise EOFError(f"an answer has no end after {count} bytes")
        now = time.monotonic()
        if not self._hurried and self._given_up():
            self._hurried, self._end = True, min(self._end, now + GRACE / 2)
        if now >= self._end:
            raise TimeoutError(f"an answer had not ended after {count} bytes and {now - self._begun_at:.0f} s")

    def _read_part(self) -> tuple[bytes, constants.StatusCode]:
        with self._resource.ignore_warning(
            constants.StatusCode.success_device_not_present, constants.StatusCode.success_max_count_read
        ):
            data, status = self._resource.visalib.read(self._resource.session, MESSAGE)
        return bytes(data), status

    def _begun(self) -> bool:
        """Whether a part of the answer has come and is lost with the time-out, or may be."""
        inner = getattr(self._resource.visalib.sessions[self._resource.session], "interface", None)
        return getattr(inner, "_msg_type", None) != ""

    def _wait(self, read: Callable[[], T], given_up: Callable[[], bool]) -> T:
        """Read again while nothing comes, until `ANSWER` is over; anew where this computer stood still meanwhile."""
        end = time.monotonic() + ANSWER
        piece = self._resource.timeout / 1000
        while True:
            began = time.monotonic()
            try:
                return read()
            except pyvisa.VisaIOError as error:
                if error.error_code != constants.StatusCode.error_timeout:
                    raise
                if time.monotonic() - began > piece + HELD_UP:
                    end = time.monotonic() + ANSWER
                if given_up() or self._begun() or time.monotonic() >= end:
                    raise TimeoutError(f"no answer within {ANSWER:g} s") from error


class _Bytes(_Session):
    """A VISA session that is a stream of bytes, where an answer's end must be found in it: SOCKET, ASRL."""

    def __init__(self, resource: Any) -> None:
        super().__init__(resource)
        self._piece = MESSAGE
        resource.set_visa_attribute(constants.ResourceAttribute.termchar_enabled, False)
        if isinstance(resource, pyvisa.resources.SerialInstrument):
            self._piece = SERIAL_PIECE
            resource.set_visa_attribute(constants.ResourceAttribute.asrl_end_in, constants.SerialTermination.none)
        if self._socket is not None:
            # Opening succeeds where nobody listens.
            if number := self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.close()
                raise ConnectionRefusedError(number, "connection refused")
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def answer(self, given_up: Callable[[], bool]) -> bytes:
        """Read one complete answer with its LF: a block by its length, else to the LF."""
        self._begin(given_up)
        first = self._wait(lambda: self._read(1), given_up)
        if first != b"#":
            return first if first == b"\n" else first + self._line()
        digits = self._exactly(1)
        if digits not in b"123456789":
            return first + digits + self._line()
        length = self._exactly(int(digits))
        if not length.isdigit() or int(length) > LONGEST:
            raise EOFError(f"an answer announces {length!r} bytes")
        return first + digits + length + self._exactly(int(length) + 1)

    def _begun(self) -> bool:
        return False

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            line += self._exactly(1)
            self._check(len(line))
        return bytes(line)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            data += self._read(min(count - len(data), self._piece))
            self._check(len(data))
        return bytes(data)

    def _read(self, count: int) -> bytes:
        if not getattr(self._resource.visalib.sessions[self._resource.session], "_pending_buffer", b""):
            self.look(SLICE)
        with self._resource.ignore_warning(constants.StatusCode.success_max_count_read):
            data, _ = self._resource.visalib.read(self._resource.session, count)
        return bytes(data)


def _manager() -> pyvisa.ResourceManager:
    return pyvisa.ResourceManager("@py")


def _session(name: str, line: Serial | None = None) -> _Session:
    """Open a resource; whatever pyvisa-py raises where that fails."""
    # There is one manager for all in a process, and closing it would close every session: so it stays.
    # Where another program part has closed it, this makes a new one.
    with _manager_lock:
        manager = _manager()
    resource: Any = manager.open_resource(name, open_timeout=int(ANSWER * 1000), timeout=int(SLICE * 1000))
    stream = name.upper().startswith("ASRL") or name.upper().endswith("SOCKET")
    if not stream and "HISLIP" not in name.upper():
        resource.timeout = int(2000 * SLICE)
    if line is not None and isinstance(resource, pyvisa.resources.SerialInstrument):
        resource.baud_rate, resource.data_bits = line.baud, line.bits
        resource.parity, resource.stop_bits = _PARITY[line.parity], _STOP_BITS[line.stop]
    return _Bytes(resource) if stream else _Session(resource)


_PARITY = {"N": constants.Parity.none, "E": constants.Parity.even, "O": constants.Parity.odd}
_STOP_BITS = {1: constants.StopBits.one, 2: constants.StopBits.two}


def _gone(link: socket.socket, wait: float = 0.0) -> bool:
    """Whether the peer has closed the connection, as far as `wait` seconds show."""
    try:
        return bool(select.select([link], [], [], wait)[0]) and not link.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


def _complete(answer: bytes) -> bool:
    """Whether an answer has the bytes that it announces, and its LF."""
    if answer[:1] == b"#" and answer[1:2].isdigit() and answer[1:2] != b"0":
        header = 2 + int(answer[1:2])
        length = answer[2:header]
        return length.isdigit() and len(answer) > header + int(length) and answer.endswith(b"\n")
    return answer.endswith(b"\n")


def _settle(opened: asyncio.Future[None], error: LinkLost | None) -> None:
    if opened.done():
        return
    if error is None:
        opened.set_result(None)
    else:
        opened.set_exception(error)


def _explain(error: Exception, name: str) -> LinkLost:
    """Say what went wrong with a session, and what to do."""
    text = str(error) or type(error).__name__
    if isinstance(error, TimeoutError) or "VI_ERROR_TMO" in text:
        return LinkLost(
            text if isinstance(error, TimeoutError) and "answer" in text else f"no answer within {ANSWER:g} s", name,
            "the instrument is busy, hangs, or its answer was cut short",
            "look at the instrument; the session is opened again by itself",
        )  # fmt: skip
    if isinstance(error, ConnectionRefusedError) or "VI_ERROR_SYSTEM" in text or "VI_ERROR_RSRC" in text:
        return LinkLost(
            f"the session cannot be opened ({text})", name,
            "the instrument is off or starting, its LAN service is disabled, or the resource is misspelt",
            "check its power, its address and that this kind of session is enabled on it",
        )  # fmt: skip
    broken = "VI_ERROR_IO" in text or "VI_ERROR_CONN_LOST" in text
    if broken or isinstance(error, (ConnectionError, EOFError, RuntimeError, OSError)):
        return LinkLost(
            f"the session broke ({text})", name,
            "the network or the instrument's power was interrupted, or another host took the instrument",
            "check cable and power; the session is opened again by itself",
        )  # fmt: skip
    return LinkLost(
        f"the session failed ({type(error).__name__}: {text})", name,
        "the resource name is wrong, or the link was interrupted",
        "check the resource's spelling; the session is opened again by itself",
    )  # fmt: skip


def _leave() -> None:
    """At the program's end, give farewells that are still queued a moment."""
    end = time.monotonic() + LEAVE
    for thread in list(_threads):
        thread.join(max(end - time.monotonic(), 0.0))


atexit.register(_leave)
