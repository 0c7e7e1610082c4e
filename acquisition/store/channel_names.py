"""Channel names of a device: plain ones, and with their stream if several streams share a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from acquisition.errors import StoreError

Place = tuple[str, str]
"""A stream and a channel of it."""


def labels(streams: Mapping[str, Iterable[str]]) -> dict[str, Place]:
    """Every channel by its name: `flux`, or `chest.tcpo2` where another stream has a `tcpo2` too.

    `streams` are the channels of each stream of one device.
    """
    places = [(stream, channel) for stream, channels in streams.items() for channel in channels]
    shared = Counter(channel for _, channel in places)
    return {channel if shared[channel] == 1 else f"{stream}.{channel}": (stream, channel) for stream, channel in places}


def find(streams: Mapping[str, Iterable[str]], wanted: str, where: str) -> Place | None:
    """Where a channel is, by its name alone or with its stream: None where there is none, StoreError for several."""
    known = labels(streams)
    if wanted in known:
        return known[wanted]
    stream, dot, channel = wanted.partition(".")
    if dot and channel in streams.get(stream, ()):
        return stream, channel
    shared = [label for label, place in known.items() if place[1] == wanted]
    if shared:
        raise StoreError(
            f"{len(shared)} streams have a channel {wanted!r}", where, "each sensor has one",
            f"name one of: {', '.join(shared)}, or the stream",
        )  # fmt: skip
    return None
