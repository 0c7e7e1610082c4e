"""The feed of the live page: takes items from the acquisition loop and hands them to every viewer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from acquisition.errors import PerfusionError
from acquisition.live import frames, messages, orders
from acquisition.live.faults import Faults
from acquisition.live.history import History, Window
from acquisition.live.state import LiveState
from acquisition.live.viewers import Viewer
from acquisition.model import Chunk, Event, Header
from acquisition.timing.clock import Clock

TICK = 0.05
CROWD = 100
SLOWEST = 3.0
"""From CROWD viewers on, samples are handed out less often, at the slowest every TICK * SLOWEST seconds."""
STATE = 0.5
"""Seconds between two messages of state: what a viewer takes the feed to be dead without."""
QUEUE = 20_000
RECENT = 3.0
"""Seconds of samples that go with the past, as the record may not have committed them yet."""
VIEWERS = 2000
PAUSE = 0.2
"""Seconds between two looks at the past for one viewer."""
SECONDS = (10.0, 6 * 3600.0)
POINTS = (50, 4000)
DEFAULT = Window()

log = logging.getLogger(__name__)


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    window: float
    points: int


class Feed:
    """Belongs to the page's loop but for `put`, which only appends to a bounded queue.

    Where the page is too slow the oldest items are lost for display and counted in `dropped`.
    """

    def __init__(
        self,
        live_state: LiveState,
        history: History,
        clock: Clock,
        key_now: Callable[[], int],
        place: Mapping[str, str],
        order: orders.Order | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.faults = faults or Faults()
        self.dropped = 0
        self.headers: list[Header] = []
        self.viewers: set[Viewer] = set()
        self._live_state = live_state
        self._history = history
        self._clock = clock
        self._key_now = key_now
        self._order = order
        # A viewer that finds another instance after a reconnection begins from nothing.
        self._place: dict[str, object] = {**place, "instance": secrets.token_hex(8), "marks": order is not None}
        self._queue: deque[Chunk | Event] = deque(maxlen=QUEUE)
        self._recent: deque[Chunk] = deque(maxlen=QUEUE)
        self._streams: dict[tuple[str, str], int] = {}

    def put(self, item: Chunk | Event) -> None:
        """Take one item; on the acquisition loop."""
        if len(self._queue) == QUEUE:
            self.dropped += 1
        self._queue.append(item)

    def snapshot(self) -> dict[str, Any]:
        """Where everything stands now."""
        return self._live_state.snapshot(self._clock.now(), self._key_now(), self._clock.speed)

    async def pump(self) -> None:
        """Hand what came in to all viewers, about twenty times a second, and the state twice."""
        told, news = 0.0, False
        while True:
            # After an event the state follows at once, but a tick later: who published it has then finished.
            if self.viewers and (news or time.monotonic() - told >= STATE):
                told = time.monotonic()
                with self.faults.heeding("the state"):
                    self._tell_all(messages.state(self._state()))
            news = self._hand_out()
            self.faults.settle()
            # A crowd is served in larger portions: each message to each viewer takes the interpreter from the devices.
            await asyncio.sleep(TICK * min(max(len(self.viewers) / CROWD, 1.0), SLOWEST))

    def _hand_out(self) -> bool:
        """Hand out what came in; answers whether an event was among it."""
        items = [self._queue.popleft() for _ in range(len(self._queue))]
        chunks = [item for item in items if isinstance(item, Chunk)]
        with self.faults.heeding("the list of streams"):
            self._index(self._live_state.headers)
            self._keep_recent(chunks)
        if not self.viewers:
            return False
        events = [item for item in items if isinstance(item, Event) and item.kind != "noise"]
        for event in events:
            with self.faults.heeding("an event"):
                self._tell_all(messages.event(event, self._live_state.wall()))
        if chunks:
            with self.faults.heeding("the samples"):
                self._tell_all(self._encode(chunks))
        return bool(events)

    def _index(self, headers: Iterable[Header]) -> None:
        """Give each stream the number that stands for it in frames; viewers hear of new ones."""
        before = len(self.headers)
        for header in headers:
            index = self._streams.setdefault(header.key, len(self.headers))
            if index == len(self.headers):
                self.headers.append(header)
            elif self.headers[index] is not header:
                self.headers[index] = header
        if len(self.headers) != before and self.viewers:
            self._tell_all(messages.streams(self.headers, self._clock.speed))

    def _keep_recent(self, chunks: Iterable[Chunk]) -> None:
        recent = self._recent
        recent.extend(chunks)
        oldest = self._clock.now().monotonic - int(RECENT * 1e9 * self._clock.speed)
        while recent and recent[0].arrived.monotonic < oldest:
            recent.popleft()

    def _encode(self, chunks: Iterable[Chunk]) -> bytes:
        by_stream: dict[int, list[Chunk]] = {}
        for chunk in chunks:
            by_stream.setdefault(self._streams[chunk.header.key], []).append(chunk)
        return b"".join(frames.samples(index, group) for index, group in by_stream.items())

    def _tell_all(self, message: bytes | str) -> None:
        for viewer in self.viewers:
            viewer.offer(message)

    async def serve(self, socket: WebSocket) -> None:
        """Serve one viewer until it leaves; it may ask for another window, and for what `orders` allows."""
        if len(self.viewers) >= VIEWERS:
            await socket.close(1013)
            return
        await socket.accept()
        viewer = Viewer(_window(socket.query_params.get("window"), socket.query_params.get("points")))
        sender = asyncio.create_task(self._send(socket, viewer))
        try:
            while True:
                request = msgspec.json.decode(await socket.receive_text(), type=dict[str, Any])
                if "do" in request:
                    viewer.offer(messages.answer(await orders.answer(self._order, request)))
                    continue
                asked = msgspec.convert(request, _Request)
                viewer.window = _window(asked.window, asked.points)
                viewer.asked.set()
        except WebSocketDisconnect:
            pass
        except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError):
            await self._leave(viewer, sender)  # nothing may be sent once the close is
            with contextlib.suppress(RuntimeError):
                await socket.close(1003)
        finally:
            await self._leave(viewer, sender)

    async def _leave(self, viewer: Viewer, sender: asyncio.Task[None]) -> None:
        """Send nothing more to a viewer."""
        self.viewers.discard(viewer)
        sender.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sender

    async def _send(self, socket: WebSocket, viewer: Viewer) -> None:
        """Send to one viewer until it is gone: hello, the latest samples, the past, then what comes."""
        past = asyncio.create_task(self._offer_past(viewer))
        try:
            while True:
                if viewer.fell_behind:
                    viewer.fell_behind = False
                    hello, recent = self._hello(), self._encode(self._recent)
                    self.viewers.add(viewer)
                    viewer.asked.set()
                    await socket.send_text(hello)
                    if recent:
                        await socket.send_bytes(recent)
                message = await viewer.next()
                if isinstance(message, str):
                    await socket.send_text(message)
                else:
                    await socket.send_bytes(message)
        except WebSocketDisconnect:
            pass
        finally:
            past.cancel()

    async def _offer_past(self, viewer: Viewer) -> None:
        while True:
            await viewer.asked.wait()
            viewer.asked.clear()
            window = viewer.window
            try:
                past = await self._history.past(window, self._key_now(), self._clock.speed, self.headers)
            except PerfusionError as error:
                log.warning("the page cannot read the record: %s", error)
            else:
                viewer.offer(messages.past(window, past))
                viewer.offer(past.columns)
                viewer.offer(self._encode(self._recent))
            await asyncio.sleep(PAUSE)

    def _hello(self) -> str:
        state = self._state()
        return messages.hello(
            self._place, self.headers, self._live_state.recent, state, self._clock.speed, self._live_state.wall()
        )

    def _state(self) -> dict[str, Any]:
        """The snapshot without what the page draws by itself."""
        snapshot = self.snapshot()
        for device in snapshot["devices"]:
            for channel in device["channels"]:
                del channel["sparkline"]
        return snapshot


def _window(seconds: float | str | None, points: int | str | None) -> Window:
    """A window from what a viewer asks for, held within bounds; the default where that is no number."""
    try:
        span, columns = float(seconds or DEFAULT.seconds), int(points or DEFAULT.points)
    except ValueError:
        return DEFAULT
    if not math.isfinite(span):
        return DEFAULT
    return Window(min(max(span, SECONDS[0]), SECONDS[1]), min(max(columns, POINTS[0]), POINTS[1]))
