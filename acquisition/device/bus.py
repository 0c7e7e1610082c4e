"""Fan-out: every chunk and event goes to every subscriber, each of which answers for its own bound."""

from __future__ import annotations

from collections.abc import Callable

from acquisition.model import Chunk, Event

Subscriber = Callable[[Chunk | Event], None]


class Bus:
    """Hands each item to the subscribers in the order in which they subscribed.

    A subscriber is called on the acquisition loop and must return at once: it appends to a bounded
    queue of its own and chooses what a full one means. The record never drops silently, a view drops
    its oldest and counts.
    """

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a subscriber after the others."""
        self._subscribers += (subscriber,)

    def publish(self, item: Chunk | Event) -> None:
        """Hand over one item."""
        for subscriber in self._subscribers:
            subscriber(item)
