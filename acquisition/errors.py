"""The tree of errors: each says what failed, where, the likely cause and what to do next."""

from __future__ import annotations

from typing import ClassVar

from acquisition.text import clean


class PerfusionError(Exception):
    """An error that a person can act on.

    Its texts are clean, whatever name of a file or answer of a server they repeat.
    `exit_code` is the command line's: 1 unexpected, 2 usage, 3 configuration, 4 device missing or stale,
    5 integrity failed, 6 coverage under the threshold, 7 remote unreachable, 8 refused by state.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, where: str = "", cause: str = "", remedy: str = "") -> None:
        self.what = clean(what)
        self.where = clean(where)
        self.cause = clean(cause)
        self.remedy = clean(remedy)
        super().__init__(self.what)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.cause:
            parts.append(f"likely cause: {self.cause}")
        if self.remedy:
            parts.append(f"next: {self.remedy}")
        return "; ".join(parts)


class ConfigurationError(PerfusionError):
    """The configuration does not fit; raised before any port is opened. The site's to mend."""

    exit_code = 3


class LinkLost(PerfusionError):
    """A link could not be opened or went away: unplugged, refused, in use, silent. Retried for ever."""

    exit_code = 4


class NothingFits(LinkLost):
    """Bytes come, and none of them is of the instrument's protocol. The settings' fault, mostly; retried for ever."""


class WrongInstrument(LinkLost):
    """Another instrument than the configured one answers. Nothing of it is recorded; retried."""


class ForbiddenWrite(PerfusionError):
    """A driver would have written bytes outside its declared queries; they were not written. The driver's fault."""


class StoreError(PerfusionError):
    """The record cannot be opened, read or written."""


class NoRecord(StoreError):
    """There is no record, or no tape, at the path that was named, or none that this account may read."""

    exit_code = 2


class Damaged(StoreError):
    """The file is no record or tape, or can no longer be read as one. The disk's fault, or somebody wrote to it."""

    exit_code = 5


class RemoteError(PerfusionError):
    """A remote does not answer, or not as one of its kind. The network's or the server's; nothing is lost."""

    exit_code = 7


class Refused(PerfusionError):
    """The present state does not allow it, such as a second daemon on one record."""

    exit_code = 8
