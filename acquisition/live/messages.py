"""The text messages of the live feed; docs/live_protocol.md describes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from acquisition import __version__
from acquisition.live import labels
from acquisition.live.history import Past, Window
from acquisition.live.state import iso, stale_limit
from acquisition.model import Event, Header
from acquisition.store.wall import Wall
from acquisition.text import to_json

SCHEMA = 1
"""Version of the feed."""


def hello(
    place: Mapping[str, object],
    headers: Sequence[Header],
    events: Iterable[Event],
    state: Any,
    speed: float,
    wall: Wall,
) -> str:
    """The first message: what there is to see, and where everything stands."""
    return encode(
        {
            "type": "hello",
            "schema": SCHEMA,
            "version": __version__,
            **place,
            "streams": _streams(headers, speed),
            "events": [_event(event, wall) for event in events],
            "state": state,
        }
    )


def streams(headers: Sequence[Header], speed: float) -> str:
    """The streams anew, as one has been added."""
    return encode({"type": "streams", "streams": _streams(headers, speed)})


def state(snapshot: Mapping[str, Any]) -> str:
    """Where everything stands; also the sign that the feed is alive."""
    return encode({"type": "state", **snapshot})


def event(item: Event, wall: Wall) -> str:
    """Something that happened."""
    return encode({"type": "event", **_event(item, wall)})


def answer(said: Mapping[str, Any]) -> str:
    """What became of a viewer's request."""
    return encode({"type": "answer", **said})


def past(window: Window, drawn: Past) -> str:
    """The announcement of the columns that follow in the next binary message, with the gaps among them."""
    return encode(
        {
            "type": "past",
            "window": window.seconds,
            "points": window.points,
            "start_ms": drawn.start,
            "width_ms": drawn.width,
            "gaps": drawn.gaps,
        }
    )


def encode(value: Any) -> str:
    """Plain values as JSON."""
    return to_json(value).decode()


def _streams(headers: Sequence[Header], speed: float) -> list[dict[str, Any]]:
    number = Counter(header.device for header in headers)
    return [_describe(index, header, speed, number[header.device] == 1) for index, header in enumerate(headers)]


def _describe(index: int, header: Header, speed: float, alone: bool) -> dict[str, Any]:
    return {
        "index": index,
        "device": header.device,
        "stream": header.stream.name,
        "rate": header.stream.rate,
        "simulated": header.simulated,
        "driver": header.driver,
        "confidence": header.confidence,
        "source": header.source,
        "profile": header.profile,
        "channels": [
            {
                "name": channel.name,
                "label": labels.label(header.stream.name, channel.name, alone),
                "small": channel.name in labels.SMALL,
                "unit": channel.unit,
                "display_unit": labels.display_unit(channel.unit),
                "decimals": labels.decimals(channel.unit),
                "low": channel.low,
                "high": channel.high,
                "stale_after": stale_limit(header, channel, speed),
            }
            for channel in header.stream.channels
        ],
    }


def _event(event: Event, wall: Wall) -> dict[str, Any]:
    return {
        "kind": event.kind,
        "time": iso(wall.of(event.time)),
        "time_ms": event.time / 1e6,
        "device": event.device,
        "text": event.text,
    }
