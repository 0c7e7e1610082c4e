"""Back-fill: a range of the record for who asks for it by a message; reads only, and only so much at a time."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from acquisition.remotes.mqtt import payloads
from acquisition.remotes.mqtt.durable import SAMPLES, RecordMessages
from acquisition.remotes.mqtt.link import WINDOW
from acquisition.remotes.mqtt.outgoing import Outgoing
from acquisition.remotes.mqtt.topics import Topics
from acquisition.store import rows
from acquisition.text import KEY, clean

LIMIT = 100_000
"""Samples, or events, that one request is answered with; the answer then says where to go on."""
WAITING = 8
SIZE = 1024
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Number = Annotated[int, Meta(ge=0, lt=2**62)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers `first` to before `following`: samples of a stream, or events where no device is named."""

    first: Number
    following: Number
    device: str = ""
    stream: str = ""


class Backfill:
    """Takes requests and answers them window by window, in the order in which they came."""

    def __init__(self, messages: RecordMessages, topics: Topics) -> None:
        self._messages = messages
        self._topics = topics
        self._answers: deque[Iterator[list[Outgoing]]] = deque()

    def take(self, topic: str, payload: bytes) -> Outgoing | None:
        """Take one request; the answer at once where it is refused, None where its id could stand in no topic."""
        request_id = topic.rpartition("/")[2]
        if not _ID.fullmatch(request_id):
            return None
        to = self._topics.answer(request_id)
        if len(self._answers) >= WAITING:
            return _refusal(to, f"busy: {WAITING} requests wait; ask again later")
        if len(payload) > SIZE:
            return _refusal(to, f"a request has at most {SIZE} bytes")
        try:
            request = msgspec.json.decode(payload, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _refusal(to, f"no request: {clean(str(error), KEY)}")
        if not request.device:
            self._answers.append(self._events(to, request))
            return None
        stream = self._number(request.device, request.stream)
        if stream is None:
            return _refusal(to, "the record has no such device and stream")
        self._answers.append(self._samples(to, stream, request))
        return None

    def next(self) -> list[Outgoing]:
        """The next messages to publish; empty where nothing was asked for."""
        while self._answers:
            messages = next(self._answers[0], None)
            if messages:
                return messages
            self._answers.popleft()
        return []

    def _number(self, device: str, stream: str) -> int | None:
        known = {(info.device, info.stream): info.number for info in self._messages.store.streams()}
        return known.get((device, stream))

    def _samples(self, to: str, stream: int, request: Request) -> Iterator[list[Outgoing]]:
        store, position, count = self._messages.store, request.first, 0
        stop = min(request.following, store.ends().get(stream, 0))
        while position < stop and count < LIMIT:
            samples = store.after(stream, position, min(WINDOW * SAMPLES, stop - position, LIMIT - count))
            if samples is None or samples.first >= stop:
                position = stop
                break
            if samples.following > stop:
                samples = rows.cut(samples, 0, stop - samples.first)
            position, count = samples.following, count + len(samples)
            named = {"device": request.device, "stream": request.stream}
            yield [Outgoing(to, each) for each in self._messages.payloads(stream, samples, **named)]
        yield [_done(to, max(position, request.first), count)]

    def _events(self, to: str, request: Request) -> Iterator[list[Outgoing]]:
        position, count = max(request.first, 1), 0
        while position < request.following and count < LIMIT:
            events = self._messages.store.events(since=position - 1, limit=WINDOW)
            events = [event for event in events if event.id < request.following]
            if not events:
                break
            position, count = events[-1].id + 1, count + len(events)
            yield [Outgoing(to, payloads.event(event)) for event in events]
        yield [_done(to, position, count)]


def _done(to: str, following: int, count: int) -> Outgoing:
    return Outgoing(to, payloads.encode({"done": True, "following": following, "count": count}))


def _refusal(to: str, why: str) -> Outgoing:
    return Outgoing(to, payloads.encode({"error": why}))
