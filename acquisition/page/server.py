"""A web server on a loop and thread of its own, with a deadline for everything a client may leave half done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from acquisition.errors import PerfusionError, Refused
from acquisition.live.faults import Trouble

ADDRESS = "127.0.0.1"
REQUEST = 5.0
"""Seconds from the connection, or the last answer, to the end of the next request's head."""
ANSWER = 30.0
"""Seconds in which an answer must be made and read."""
STALLED = 10.0
"""Seconds after which a viewer that reads nothing is cut off."""
START = 10.0
PAUSES = (0.5, 30.0)
"""Seconds from the end of a server that nobody ended to its next start: at first, and at most."""
STEADY = 60.0
"""Seconds after which a server counts as one that runs."""
MESSAGE = 1024

log = logging.getLogger(__name__)


class Server:
    """Serves an application on 127.0.0.1; `background` runs beside it on the server's loop, until it ends.

    A server that ends by itself is started again, with growing pauses, and `trouble` hears of it on the thread.
    """

    def __init__(self, port: int, trouble: Trouble = lambda _: None) -> None:
        self._listener = _listen(port)
        self.port: int = self._listener.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None
        self._error: BaseException | None = None
        self._trouble = trouble
        self._stopping = threading.Event()

    def start(self, app: ASGIApp, background: Callable[[], Awaitable[None]]) -> None:
        """Serve until `stop`; PerfusionError where the server does not come up."""
        # uvicorn warns of each malformed request; whoever sends those must not fill the log.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = uvicorn.Config(
            app,
            http=_Http,
            ws=_WebSocket,
            ws_max_size=MESSAGE,
            ws_max_queue=4,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16384,
        )
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(config, background, ready), name="live page", daemon=True
        )
        self._thread.start()
        if not ready.wait(START) or self._error is not None:
            raise PerfusionError(
                f"the live page did not start ({self._error or f'nothing within {START:g} s'})",
                f"{ADDRESS}:{self.port}",
            )

    def stop(self, timeout: float = 3.0) -> None:
        """End all connections and the thread."""
        self._stopping.set()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive():
                log.error("the live page's thread did not end within %g s", timeout)
        self._listener.close()

    def _run(self, config: uvicorn.Config, background: Callable[[], Awaitable[None]], ready: threading.Event) -> None:
        pause = PAUSES[0]
        while True:
            self._server = server = _Uvicorn(config, ready, self._trouble)
            began = time.monotonic()
            error = self._once(server, background)
            if self._stopping.is_set() or not ready.is_set():
                self._error = error
                ready.set()
                return
            if time.monotonic() - began > STEADY:
                pause = PAUSES[0]
            log.error("the live page ended by itself; it is started again in %g s", pause, exc_info=error)
            self._trouble(f"it ended by itself ({type(error).__name__ if error else 'no error'}) and is started again")
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, PAUSES[1])

    def _once(self, server: uvicorn.Server, background: Callable[[], Awaitable[None]]) -> BaseException | None:
        """Serve until it ends; answers the error that ended it."""

        async def body() -> None:
            beside = asyncio.ensure_future(background())
            # Without it the page would stand still and look alive.
            beside.add_done_callback(lambda _: setattr(server, "should_exit", True))
            if self._stopping.is_set():
                server.should_exit = True
            try:
                await server.serve(sockets=[self._listener.dup()])
            finally:
                beside.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await beside

        try:
            asyncio.run(body())
        except BaseException as error:
            return error
        return None


class _Uvicorn(uvicorn.Server):
    """Says when it listens, and after another one has ended, that it serves again."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event, trouble: Trouble) -> None:
        super().__init__(config)
        self._ready = ready
        self._trouble = trouble

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready.is_set():
            self._trouble(None)
        self._ready.set()


class _Http(H11Protocol):
    """HTTP whose every request, and every answer, must be through by a deadline."""

    _deadline: asyncio.TimerHandle | None = None
    _answering: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > connections_allowed():
            transport.abort()
            return
        self._arm(REQUEST)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and self.cycle is not self._answering and not self.cycle.response_complete:
            self._answering = self.cycle
            self._arm(ANSWER)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._arm(REQUEST)

    def handle_websocket_upgrade(self, event: object) -> None:
        self._disarm()
        super().handle_websocket_upgrade(event)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _WebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is cut off when it does not open in time, or its viewer does not read."""

    _stalled: asyncio.TimerHandle | None = None
    _opening: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that asked for an upgrade; its head may be one that is never answered."""
        super().connection_made(transport)
        self._opening = self.loop.call_later(REQUEST, self._expect_open)

    def _expect_open(self) -> None:
        if not self.handshake_complete:
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Hand over a message; text that is no UTF-8 ends its connection (RFC 6455, 8.1) and fills no log."""
        if self.curr_msg_data_type == "text":
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                log.debug("a viewer sent text that is no UTF-8")
                self.frames = []
                self.conn.send_close(1007)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        if self._opening is not None:
            self._opening.cancel()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


def connections_allowed() -> int:
    """How many connections the page may have: half of the process's descriptors, for instruments need theirs."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise Refused(
            f"the port of the live page cannot be had ({error.strerror})",
            f"{ADDRESS}:{port}",
            "another program, or another bench of this one, serves on it",
            "set another [page] port, or demo --port (0: any free one)",
        ) from error
    return listener
