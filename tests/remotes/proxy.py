"""A fault between shipper and server: an HTTP proxy that does to each request what a script says."""

import contextlib
import gzip
import http.client
import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.remotes.servers import free_port, until


@dataclass(frozen=True)
class Says:
    """Answer by the proxy itself; nothing reaches the server."""

    status: int
    body: str = ""
    headers: dict = field(default_factory=dict)


def error(status, message="", **headers):
    """An error as InfluxDB 2 words it."""
    return Says(status, json.dumps({"code": "error", "message": message or f"status {status}"}), headers)


@dataclass(frozen=True)
class Slow:
    """Forward after so many seconds."""

    seconds: float


RESET = "reset"
"""The connection is torn down before anything reaches the server."""
LOST_REPLY = "lost reply"
"""The server takes the request, but its answer never arrives."""


class FaultProxy:
    """Forwards to `upstream`; `script(body)` answers the fault of each write request, or None for none.

    `seen` has the body of every write that reached the server (with `keep`), `asked` counts what came, `headers` has
    the last ones.
    """

    def __init__(self, upstream, script=lambda body: None, keep=True):
        self.script = script
        self._keep = keep
        self.seen = []
        self.asked = 0
        self.headers = {}
        self._upstream = urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = None
        self.port = None
        self._connections = set()
        self.up()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def up(self):
        """Listen, on the same port as before."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                proxy._connections.add(self.connection)

            def finish(self):
                proxy._connections.discard(self.connection)
                super().finish()

            def do_POST(self):
                proxy._serve(self)

            do_GET = do_POST

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *_):
                pass

        until(lambda: self._listen(Server, Handler), "listening on the same port again")
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def _listen(self, server, handler):
        # Somebody else may have been quicker.
        with contextlib.suppress(OSError):
            self._server = server(("127.0.0.1", self.port or free_port()), handler)
            return True

    def down(self):
        """Listen no more, and drop who is connected."""
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            _reset(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._closing.set()
        self.down()

    def _serve(self, handler):
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        packed = {"Content-Encoding": "gzip"} if handler.headers.get("Content-Encoding") == "gzip" else {}
        body = (gzip.decompress(raw) if packed else raw).decode()
        write = handler.path.startswith("/api/v2/write")
        with self._lock:
            fault = self.script(body) if write else None
            self.asked += write
            self.headers = dict(handler.headers)
        if isinstance(fault, Slow):
            self._closing.wait(fault.seconds)
            fault = None
        if fault == RESET:
            return _reset(handler.connection)
        if isinstance(fault, Says):
            return _answer(handler, fault.status, fault.body.encode(), fault.headers)
        with self._lock:
            if write and self._keep:
                self.seen.append(body)
            connection = http.client.HTTPConnection(self._upstream, timeout=10)
            try:
                connection.request(handler.command, handler.path, raw, {"Content-Type": "text/plain", **packed})
                response = connection.getresponse()
                status, answer = response.status, response.read()
                kind = {"Content-Type": response.headers.get("Content-Type") or "text/plain"}
            except OSError:
                return _reset(handler.connection)
            finally:
                connection.close()
        if fault == LOST_REPLY:
            return _reset(handler.connection)
        return _answer(handler, status, answer, kind)


def _answer(handler, status, body, headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    if status != 204:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if status != 204:
        handler.wfile.write(body)


def _reset(connection):
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
    except OSError:
        pass
