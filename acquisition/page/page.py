"""The live page: a small web server with a loop and thread of its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from acquisition.errors import PerfusionError
from acquisition.live import messages, metrics
from acquisition.live.faults import Faults, Trouble
from acquisition.live.feed import Feed
from acquisition.live.history import History, Window
from acquisition.live.orders import Order
from acquisition.live.state import LiveState
from acquisition.model import Chunk, Event, Floats
from acquisition.page.origin_check import OriginCheck
from acquisition.page.server import ADDRESS, Server
from acquisition.timing.clock import Clock

POINTS = (2, 4000)

STATIC = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/desk.js": ("desk.js", "text/javascript; charset=utf-8"),
    "/session.js": ("session.js", "text/javascript; charset=utf-8"),
    "/strip.js": ("strip.js", "text/javascript; charset=utf-8"),
    "/view.js": ("view.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

log = logging.getLogger(__name__)

AHEAD = 10_000_000_000
"""Nanoseconds past the present that may be drawn."""


class Page:
    """Serves the live page on 127.0.0.1; a subscriber of the bus.

    `put` only appends to a bounded queue; where the page is too slow the oldest items are dropped for
    display, counted and published as a metric. The record at `directory` is read for what lies
    before the page was opened; `order` has decided what viewers ask of the examination. The feed is
    described in docs/live_protocol.md. `trouble` hears, on the page's thread, of what it cannot show.
    """

    def __init__(
        self,
        live_state: LiveState,
        directory: Path,
        clock: Clock,
        key_now: Callable[[], int],
        *,
        port: int,
        site: str,
        station: str,
        order: Order | None = None,
        trouble: Trouble = lambda _: None,
    ) -> None:
        self._live_state = live_state
        self._clock = clock
        self._key_now = key_now
        self._port = port
        self._place = {"site": site, "station": station}
        self._history = History(directory)
        self._trouble = trouble
        self._faults = Faults(trouble)
        self._feed = Feed(live_state, self._history, clock, key_now, self._place, order, self._faults)
        self._server: Server | None = None

    def start(self) -> str:
        """Start serving; answers the page's URL. PerfusionError where the port is taken."""
        self._server = Server(self._port, self._trouble)
        self._server.start(OriginCheck(self._application(), self._server.port), self._feed.pump)
        return f"http://{ADDRESS}:{self._server.port}/"

    def stop(self) -> None:
        """Stop serving."""
        if self._server is not None:
            self._server.stop()
        self._history.close()

    def put(self, item: Chunk | Event) -> None:
        """Take one item; on the acquisition loop."""
        self._feed.put(item)

    def _application(self) -> Starlette:
        folder = files("acquisition.page") / "static"
        return Starlette(
            routes=[
                *(Route(path, _fixed((folder / name).read_bytes(), kind)) for path, (name, kind) in STATIC.items()),
                Route("/api/snapshot", self._serve_snapshot),
                Route("/api/columns", self._serve_columns),
                Route("/metrics", self._serve_metrics),
                WebSocketRoute("/ws", self._feed.serve),
            ]
        )

    async def _serve_snapshot(self, _: Request) -> Response:
        with self._faults.heeding("the snapshot"):
            body = messages.encode({**self._place, **self._feed.snapshot()})
            return Response(body, media_type="application/json")
        return _refused("the state cannot be told; the log of the service says why", 500)

    async def _serve_columns(self, request: Request) -> Response:
        query = request.query_params
        try:
            names = (query["device"], query["stream"], query["channel"])
            start, stop = int(query["from"]), int(query["to"])
            points = int(query.get("points", "900"))
        except (KeyError, ValueError):
            return _refused("needs device, stream, channel, from and to (time keys, ns) and points")
        # Nothing lies beyond the present, and bins must stay within what a time key can say.
        stop = min(stop, self._key_now() + AHEAD)
        if not (0 <= start < stop and POINTS[0] <= points <= POINTS[1]):
            return _refused(f"from must be before to and the present, points between {POINTS[0]} and {POINTS[1]}")
        known = {header.key: [c.name for c in header.stream.channels] for header in self._feed.headers}
        if names[2] not in known.get(names[:2], ()):
            return _refused("no such channel", 404)
        window = Window((stop - start) / 1e9, points)
        begin = start // window.width * window.width
        end = begin + window.points * window.width
        try:
            drawn = await self._history.columns(*names, begin, end, points)
        except PerfusionError as error:
            log.warning("the page cannot read the record: %s", error)
            return _refused("the record cannot be read", 503)
        body = {"from": begin, "width": window.width, "low": _nullable(drawn.low), "high": _nullable(drawn.high)}
        return Response(messages.encode(body), media_type="application/json")

    async def _serve_metrics(self, _: Request) -> Response:
        with self._faults.heeding("the metrics"):
            text = metrics.exposition(
                self._live_state,
                self._clock.now(),
                self._key_now(),
                self._clock.speed,
                viewers=len(self._feed.viewers),
                dropped=self._feed.dropped,
            )
            return Response(text.encode("utf-8", "replace"), media_type="text/plain; version=0.0.4; charset=utf-8")
        return _refused("the metrics cannot be told; the log of the service says why", 500)


def _nullable(values: Floats) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


def _refused(text: str, status: int = 400) -> Response:
    return Response(text + "\n", status, media_type="text/plain")


def _fixed(body: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def serve(_: Request) -> Response:
        return Response(body, media_type=kind)

    return serve
