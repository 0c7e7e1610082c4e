"""A server that answers each request with whatever bytes a test gives it, at whatever pace."""

import contextlib
import gzip
import itertools
import socket
import threading
import time


class HostileServer:
    """`answer(request)` yields the bytes of one answer; a number is a pause in seconds. `sent` counts its bytes.

    After an answer the connection is closed, unless `keep`.
    """

    def __init__(self, answer, keep=False):
        self.answer = answer
        self.asked = self.sent = 0
        self._keep = keep
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def url(self):
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        for each in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            while not self._closing.is_set() and (request := self._request(connection)):
                self.asked += 1
                for piece in self.answer(request):
                    if self._closing.is_set():
                        return
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                        self.sent += len(piece)
                    else:
                        time.sleep(piece)
                if not self._keep:
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    @staticmethod
    def _request(connection):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        (length,) = [int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body


def whole(status, body=b"", *headers):
    """One well-formed answer."""
    lines = [f"HTTP/1.1 {status} Words".encode(), b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(status, pieces):
    """An answer in chunks, as `pieces` yields them; a number is a pause."""
    yield f"HTTP/1.1 {status} Words\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece) if isinstance(piece, bytes) else piece
    yield b"0\r\n\r\n"


def dripping(data, pause):
    """Byte by byte."""
    for byte in data:
        yield bytes([byte])
        yield pause


def alternating(*pieces):
    """The same for ever."""
    return itertools.cycle(pieces)


MB = bytes(1 << 20)
BOMB = gzip.compress(bytes(30 << 20))
"""30 MB in 30 kB."""

LONG = {
    "chunks for ever after 200": lambda _: chunked(200, alternating(MB)),
    "chunks for ever after 500": lambda _: chunked(500, alternating(MB)),
    "chunks for ever after 204": lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", *[MB] * 200],
    "a header line for ever": lambda _: itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], alternating(b"x" * 4096)),
    "headers for ever": lambda _: itertools.chain(
        [b"HTTP/1.1 200 OK\r\n"], alternating(b"X: " + b"y" * 8000 + b"\r\n")
    ),
    "go on for ever": lambda _: alternating(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "trailers for ever": lambda _: itertools.chain(
        [b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"], alternating(b"X: y\r\n" * 100)
    ),
    "a status line for ever": lambda _: alternating(b"HTTP/1.1 " * 500),
    "more bytes than there are": lambda _: [b"HTTP/1.1 500 No\r\nContent-Length: %d\r\n\r\n" % 10**15, *[MB] * 3],
    "a chunk as large as memory": lambda _: [
        b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n",
        *[MB] * 3,
    ],
    "a packed answer of 30 MB in 30 kB": lambda _: [whole(500, BOMB, b"Content-Encoding: gzip")],
    "the same with 200": lambda _: [whole(200, BOMB, b"Content-Encoding: gzip")],
}
"""Answers that are longer than any budget, as fast as they go."""


def slow(pause):
    """Answers that never stop and never fall silent for longer than `pause`."""
    return {
        "a chunk now and then": lambda _: chunked(200, alternating(b"x", pause)),
        "a chunk now and then after 500": lambda _: chunked(500, alternating(b"x", pause)),
        "a byte now and then": lambda _: dripping(b"HTTP/1.1 204 No Content\r\n" + b"X: y\r\n" * 1000, pause),
        "go on, now and then": lambda _: alternating(b"HTTP/1.1 100 Continue\r\n\r\n", pause),
        "a header now and then": lambda _: itertools.chain([b"HTTP/1.1 204 No\r\n"], alternating(b"X: y\r\n", pause)),
    }
