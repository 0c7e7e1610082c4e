"""HTTP exchanges with a budget: one request, one answer, bounded in bytes and in time whatever the server does."""

from __future__ import annotations

import http.client
import io
import logging
import socket
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as NoAnswer

from acquisition.text import clean

KB = 1024
PIECE = 16 * KB
"""Bytes that are sent under one time-out: a peer that takes a byte a second is given up all the same."""
LENGTH = 20
"""Digits of a length that is one."""

# It tells of headers that it cannot parse with a traceback, and quotes them: the verdict says it once.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one whole exchange may take: bytes of the answer, on the wire and unpacked, and seconds from its begin."""

    size: int = 64 * KB
    seconds: float = 30.0


class OverBudget(HTTPError):
    """An answer had begun and was longer, or took longer, than its budget; the connection is closed."""


@dataclass(slots=True)
class Reply:
    """A whole answer; `data` is unpacked."""

    status: int
    reason: str
    data: bytes
    headers: Mapping[str, str]


class Exchange:
    """Asks a server by its own connections, from one thread at a time; no redirect and no proxy is followed.

    `timeout` bounds the connecting and each wait for further bytes, s.
    """

    def __init__(
        self,
        timeout: float,
        budget: Budget | None = None,
        ca_file: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._budget = budget or Budget()
        self._meter = _Meter(timeout, monotonic)
        self._pools = urllib3.PoolManager(ca_certs=ca_file, cert_reqs="CERT_REQUIRED", timeout=timeout)
        self._pools.pool_classes_by_scheme = {
            "http": partial(_Pool, self._meter),  # type: ignore[dict-item]
            "https": partial(_SecurePool, self._meter),  # type: ignore[dict-item]
        }

    def request(self, method: str, url: str, *, budget: Budget | None = None, **more: Any) -> Reply:
        """The answer to a request as urllib3 takes it; OverBudget or another HTTPError where there is none.

        Another time-out, redirects, or an answer as a stream cannot be asked for.
        """
        own = {"preload_content": False, "decode_content": False, "redirect": False, "retries": False}
        more = {key: value for key, value in more.items() if key != "timeout"} | own
        more["headers"] = {**(more.get("headers") or {}), "Accept-Encoding": "identity"}
        self._meter.begin(budget or self._budget)
        try:
            response = self._pools.request(method, url, **more)
            self._check_head(response)
            data = _whole(response)
            packed = response.headers.get("Content-Encoding", "")
            return Reply(response.status, response.reason or "", self._unpack(data, packed), response.headers)
        except (HTTPError, OSError):
            raise
        except Exception as error:  # the parsers of http.client and email raise whatever a strange answer leads them to
            raise ProtocolError(f"an answer that cannot be read ({type(error).__name__}: {error})") from error

    def _check_head(self, response: urllib3.BaseHTTPResponse) -> None:
        """Refuse a head that was cut off, or that announces a length which is none: what it says is not sound."""
        length = response.headers.get("Content-Length", "0")
        if self._meter.ended:
            what: HTTPError = ProtocolError("an answer whose head is cut off")
        elif not (length.isascii() and length.isdigit()):
            what = ProtocolError(f"an answer of the length {clean(length, 40)!r}")
        elif len(length) > LENGTH or int(length) > self._meter.budget.size:
            what = self._meter.too_long()
        else:
            return
        response.close()
        raise what

    def clear(self) -> None:
        """Close the connections."""
        self._pools.clear()

    def _unpack(self, data: bytes, packed: str) -> bytes:
        """Bytes as they were before they were packed; those packed in a way that is not known come as they are."""
        if packed.strip().lower() not in ("gzip", "x-gzip", "deflate"):
            return data
        unpacking = zlib.decompressobj(32 + zlib.MAX_WBITS)
        try:
            plain = unpacking.decompress(data, self._meter.budget.size + 1)
        except zlib.error:
            return data
        if len(plain) > self._meter.budget.size:
            raise self._meter.too_long()
        return plain


def _whole(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read an answer to its end in pieces, for what it announces of its length may be anything."""
    data = bytearray()
    try:
        while piece := response.read(PIECE, decode_content=False):
            data += piece
    except BaseException:
        response.close()
        raise
    return bytes(data)


class _Meter:
    """What the exchange that goes on has spent of its budget."""

    def __init__(self, timeout: float, monotonic: Callable[[], float]) -> None:
        self._timeout = timeout
        self._monotonic = monotonic
        self.begin(Budget())

    def begin(self, budget: Budget) -> None:
        self.budget, self.size, self.ended = budget, 0, False
        self._end = self._monotonic() + budget.seconds

    def patience(self) -> float:
        """Seconds that may be waited now; OverBudget where none are left."""
        left = self._end - self._monotonic()
        if left <= 0:
            raise self.too_slow()
        return min(self._timeout, left)

    def take(self, count: int) -> None:
        self.ended = self.ended or count == 0
        self.size += count
        if self.size > self.budget.size:
            raise self.too_long()

    def too_slow(self) -> HTTPError:
        if not self.size:
            return NoAnswer("no answer in time")
        return OverBudget(f"the answer had not ended after {self.budget.seconds:g} s")

    def too_long(self) -> OverBudget:
        return OverBudget(f"the answer is longer than {self.budget.size // KB} kB")


class _Metered(io.RawIOBase):
    """A socket's bytes, each wait and each byte on the meter."""

    def __init__(self, meter: _Meter, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._meter = meter
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        self._sock.settimeout(self._meter.patience())
        try:
            count = cast("int | None", self._raw.readinto(into))
        except TimeoutError:
            self._meter.patience()
            raise
        self._meter.take(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """An answer that is read through a meter, from its status line to its last trailer."""

    def __init__(self, meter: _Meter, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = io.BufferedReader(_Metered(meter, sock, self.fp.detach()))


class _Connection(HTTPConnection):
    """A connection whose every wait is on the meter."""

    meter: _Meter

    def response_class(self, sock: socket.socket, *arguments: Any, **more: Any) -> _Response:  # type: ignore[override]
        """Make what reads the answer."""
        return _Response(self.meter, sock, *arguments, **more)

    def send(self, data: Any) -> None:
        """Send a whole message, piece by piece within what is left of the time."""
        if self.sock is None:
            self.connect()
        whole = memoryview(data)
        try:
            for at in range(0, len(whole), PIECE):
                self.sock.settimeout(self.meter.patience())
                super().send(whole[at : at + PIECE])
        except TimeoutError:
            raise NoAnswer("the request was not taken in time") from None


class _SecureConnection(_Connection, HTTPSConnection):
    """The same by TLS, whose handshake is bounded by the time-out of connecting."""


class _Pool(HTTPConnectionPool):
    """Connections to one server."""

    ConnectionCls = _Connection

    def __init__(self, meter: _Meter, *arguments: Any, **more: Any) -> None:
        self._meter = meter
        super().__init__(*arguments, **more)

    def _new_conn(self) -> Any:
        connection = cast("_Connection", super()._new_conn())
        connection.meter = self._meter
        return connection


class _SecurePool(_Pool, HTTPSConnectionPool):
    """Connections by TLS to one server."""

    ConnectionCls = _SecureConnection
