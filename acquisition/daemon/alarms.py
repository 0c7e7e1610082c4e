"""The standing alarms of the service: raised and cleared by kind, each change told once as an event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acquisition.model import Alarm, Event
from acquisition.text import clean


class Alarms:
    """Keeps the alarms that stand now. `present` may be read from any thread, the rest belongs to the acquisition loop.

    `now` gives time keys (ns); `publish` takes the event, kind `alarm` and without a device, whose details hold the
    alarm's kind, whether it stands, and what to do.
    """

    def __init__(self, now: Callable[[], int], publish: Callable[[Event], None]) -> None:
        self._now = now
        self._publish = publish
        self._standing: dict[str, Alarm] = {}

    @property
    def present(self) -> tuple[Alarm, ...]:
        """Every alarm that stands, the oldest first."""
        return tuple(self._standing.values())

    def raise_alarm(self, kind: str, text: str, remedy: str, *, blocks: bool) -> None:
        """Let an alarm stand; where one of its kind does already, only its words are renewed."""
        text, remedy = clean(text), clean(remedy)
        before = self._standing.get(kind)
        since = self._now() if before is None else before.since
        # Replaced, not changed: another thread may be going through the old one.
        self._standing = {**self._standing, kind: Alarm(kind, text, remedy, blocks, since)}
        if before is None or before.blocks != blocks:
            self._tell(kind, text, standing=True, remedy=remedy, blocks=blocks)

    def clear(self, kind: str, text: str) -> None:
        """End the alarm of this kind, `text` says how; nothing where none stands."""
        if kind not in self._standing:
            return
        self._standing = {each: alarm for each, alarm in self._standing.items() if each != kind}
        self._tell(kind, text, standing=False)

    def _tell(self, kind: str, text: str, **details: object) -> None:
        self._publish(Event("alarm", self._now(), "", text, {"alarm": kind, **details}))


class RecordAlarms:
    """What stands against the record in `folder`; as `Alarms`, for the acquisition loop."""

    def __init__(self, alarms: Alarms, folder: Path) -> None:
        self._alarms = alarms
        self._folder = folder

    def trouble(self, text: str | None) -> None:
        """Let it stand that nothing is recorded, and why; None where it is recorded again."""
        if text is None:
            self._alarms.clear("record", "the record is written again")
            return
        remedy = f"look at the disk and at what stands in {self._folder}; it goes on by itself once it can"
        self._alarms.raise_alarm("record", f"NOT RECORDING: {text}", remedy, blocks=True)

    def renewed(self, text: str) -> None:
        """Let it stand until the end that a new record took the place of one that vanished."""
        remedy = "find out who removed or moved it; keep the one before, if it is somewhere, and a copy of both"
        self._alarms.raise_alarm("record_renewed", text, remedy, blocks=False)

    def maintenance(self, trouble: str | None) -> None:
        """Let it stand while the record is not tidied: nothing is lost by that, but its disk fills."""
        if trouble is None:
            self._alarms.clear("record_upkeep", "the record is tidied again")
            return
        text = f"the record is written, but not tidied, and grows faster than it should: {trouble}"
        remedy = "look at the log; then perfusion verify, and start the service anew between two examinations"
        self._alarms.raise_alarm("record_upkeep", text, remedy, blocks=False)

    def names(self, links: int) -> None:
        """Let it stand while the record's file has a second name: opened there, it would be spoilt."""
        if links > 1:
            text = f"the record's file has {links} names (hard links): another name is no copy of it"
            self._alarms.raise_alarm(
                "record_links", text, "remove the other name; perfusion backup copies", blocks=False
            )
        else:
            self._alarms.clear("record_links", "the record's file has one name again")
