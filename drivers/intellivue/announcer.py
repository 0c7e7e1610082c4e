"""Notices on their way to the service."""

from __future__ import annotations

from acquisition.model import Notice


class Announcer:
    """Collects notices until bytes come in; a warning is said once in a connection."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._warned: set[tuple[object, ...]] = set()

    def add(self, notice: Notice) -> None:
        """Add a notice."""
        self._notices.append(notice)

    def say(self, kind: str, text: str) -> None:
        """Add a notice without details."""
        self.add(Notice(kind, text))

    def warn_once(self, key: tuple[object, ...], text: str) -> None:
        """Add a warning unless one of this key was there already."""
        if key not in self._warned:
            self._warned.add(key)
            self.say("warning", text)

    def said(self) -> list[Notice]:
        """Hand over the notices."""
        notices, self._notices = self._notices, []
        return notices
