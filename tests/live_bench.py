"""A bedside without instruments: a thread publishes chunks to a record, a board and a live page."""

import threading
import time
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from acquisition.examination.session_service import SessionService
from acquisition.live.recording import RecordStatus
from acquisition.live.state import LiveState
from acquisition.model import Channel, Chunk, Event, Gap, Header, Stream
from acquisition.page.page import Page
from acquisition.store import StoreWriter
from acquisition.store.wall import Wall
from acquisition.timing.clock import Clock, Timeline

SECOND = 1_000_000_000
TICK = 0.05

FLUX = Stream("ldf", (Channel("flux", "[arb'U]", 0, 1000), Channel("backscatter", "[arb'U]", 0, 1000)), 40.0)
TCPO2 = Stream("tcpo2", (Channel("chest", "mm[Hg]", 0, 800), Channel("calf", "mm[Hg]", 0, 800)), 1.0)
CUFF = Stream("cuff", (Channel("pressure", "mm[Hg]", 0, 300, stale_after=60.0),))
BELT = Stream("belt", (Channel("speed", "km/h", 0, 25), Channel("grade", "%", -10, 25)), 1.0)


def headers(simulated=True):
    """The streams of the bench; the cuff comes only where it is asked for."""
    return (
        Header("ldf", FLUX, "daq970a", "unconfirmed scale", "test", simulated, placement={"site": "hallux"}),
        Header("tcpo2", TCPO2, "intellivue", "documented", "test", simulated),
        Header("treadmill", BELT, "trackmaster", "documented", "test", simulated),
        Header("cuff", CUFF, "cuff", "documented", "test", simulated),
    )


def wave(header, time_s):
    """Values (n, c) of a stream at the given times (s): repeatable, within 0 and 100."""
    if header.stream is FLUX:
        flux = 50 + 12 * np.sin(2 * np.pi * 1.1 * time_s) + 6 * np.sin(2 * np.pi * 0.1 * time_s)
        return np.stack([flux, 160 + 8 * np.sin(2 * np.pi * 0.25 * time_s)], axis=1)
    if header.stream is TCPO2:
        return np.stack([68 + np.sin(time_s / 40), 38 + 3 * np.sin(time_s / 25)], axis=1)
    if header.stream is CUFF:
        return 120 + 0 * time_s[:, None]
    return np.stack([3.2 + 0 * time_s, np.floor(time_s / 60 % 5) * 2.0], axis=1)


class LiveBench:
    """Publishes `headers` in real time while `running`; `hold` gives every channel one constant value.

    `past` seconds of samples are in the record before the page starts; `copies` of each device. The
    record's time may be `ahead` of the wall clock by so many seconds, as after a bench that ran faster.
    """

    def __init__(
        self,
        directory,
        *,
        port=0,
        past=0.0,
        simulated=True,
        which=None,
        copies=1,
        ahead=0.0,
        values=wave,
        marks=True,
        vfs="",
    ):
        self.clock = Clock()
        which = which or ("ldf", "tcpo2", "treadmill")
        self.headers = [h for h in headers(simulated) if h.device in which]
        self.headers += [replace(h, device=f"{h.device}{n}") for n in range(2, copies + 1) for h in self.headers]
        self.values = values
        self.quality = 0
        self.hold = None
        self.running = True
        self.marks = marks
        self.directory = directory
        self._port = port
        self._vfs = vfs
        self._past = past
        self._ahead = ahead
        self._stack = ExitStack()
        self._next = {h.key: 0 for h in self.headers}
        self._gap = {}
        self._last = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def __enter__(self):
        self.store = StoreWriter(self.directory, clock=self.clock, vfs=self._vfs)
        self.store.open()
        self._stack.callback(self.store.close)
        started = self.clock.now()
        self.anchor = max(started.utc + int(self._ahead * SECOND), self.store.last_key + 1)
        run = self.store.begin_run(started, self.anchor, {"version": "test"})
        self.timeline = Timeline(run, started.monotonic, self.anchor)
        self.wall = Wall().begun(self.anchor, started.utc)
        for header in self.headers:
            last = self.store.last(*header.key)
            if last is not None:
                self._next[header.key], self._last[header.key] = last.next, last.key
                self._gap[header.key] = "the service was not running"
        self.session_service = SessionService(
            (), self.key_now, self._put, headers=lambda: self.headers, wall=lambda: self.wall
        )
        self.remotes = []
        recording = RecordStatus(self.directory, lambda: self.store.stats)
        self.alarms = []
        self.live_state = LiveState(
            recording.describe,
            self.session_service.present,
            lambda: self.remotes,
            lambda: self.alarms,
            lambda: self.wall,
        )
        self.subscribers = [self.store.put, self.live_state.put]
        self._at = {h.key: self.key_now() - int(self._past * SECOND) for h in self.headers}
        for header in self.headers:
            self.say("state", "STREAMING", header.device, state="STREAMING", cause="")
        self._publish()
        assert self.store.flush()
        self.open_page()
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        self._stack.callback(lambda: self.page.stop())
        self._stack.callback(thread.join)
        self._stack.callback(self._stop.set)
        return self

    def __exit__(self, *_):
        self._stack.close()

    def open_page(self, port=None):
        """Start a page on the bench; again after `page.stop()`, on the same port."""
        self.page = Page(
            self.live_state,
            self.directory,
            self.clock,
            self.key_now,
            port=self._port if port is None else port,
            site="site",
            station="bed1",
            order=self._order if self.marks else None,
        )
        self.url = self.page.start()
        self.port = int(self.url.rstrip("/").rpartition(":")[2])
        self.subscribers[2:] = [self.page.put]

    def key_now(self):
        return self.timeline.key(self.clock.now().monotonic)

    def say(self, kind, text, device="", **details):
        """Publish an event."""
        self._put(Event(kind, self.key_now(), device, text, details))

    async def _order(self, request):
        return {**self.session_service.answer(request), "committed": self.store.flush()}

    def interrupt(self, cause="the link is gone"):
        """What comes next of every stream comes after a gap that began now."""
        with self._lock:
            for header in self.headers:
                self._gap[header.key] = cause
                self._at[header.key] = self.key_now()

    def _put(self, item):
        for subscriber in tuple(self.subscribers):
            subscriber(item)

    def _work(self):
        while not self._stop.wait(TICK):
            if self.running:
                self._publish()
            else:
                self.interrupt()

    def _publish(self):
        with self._lock:
            for header in self.headers:
                self._publish_stream(header)

    def _publish_stream(self, header):
        key, interval = header.key, int(SECOND / (header.stream.rate or 0.5))
        now = self.key_now()
        n = (now - self._at[key]) // interval
        if n <= 0:
            return
        time_key = self._at[key] + interval * np.arange(1, n + 1, dtype=np.int64)
        self._at[key] = int(time_key[-1])
        values = self.values(header, time_key / SECOND)
        if self.hold is not None:
            values = np.full_like(values, self.hold)
        gap, cause = None, self._gap.pop(key, None)
        first = self._next[key]
        if cause and key in self._last:
            gap = Gap(self._last[key], int(time_key[0]), first - 1, first + 1, cause)
            first += 1
        self._next[key], self._last[key] = first + int(n), int(time_key[-1])
        quality = np.full(values.shape, self.quality, np.uint8)
        for array in (time_key, values, quality):
            array.flags.writeable = False
        self._put(Chunk(header, self.timeline.run, 1, first, self.clock.now(), time_key, values, quality, None, gap))


def wait_for(condition, seconds=60.0):
    """Wait until the condition holds; AssertionError where it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)
