"""Facts of a record for readers: its streams, runs, events, gaps, cursors and clocks; opening and closing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from acquisition.errors import StoreError
from acquisition.model import Gap, Header
from acquisition.store import merged_read, schema, wall
from acquisition.store import runs as run_history
from acquisition.store.arguments import optional, whole
from acquisition.store.journal import EVENTS, cursor_checksum
from acquisition.store.runs import Doubt, Run, Stepped
from acquisition.store.views import Cursor, Recorded, StreamInfo
from acquisition.store.wall import Wall

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="Facts")


def told(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Let a method say of its errors what the file is, and refuse once it is closed."""

    @wraps(method)
    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        self._check_open()
        with schema.telling(self.path):
            return method(self, *args, **kwargs)

    return wrapper


class Facts:
    """What an open record says of itself; `vfs` names another file system of SQLite, for tests."""

    def __init__(self, path: Path | str, *, vfs: str = "") -> None:
        self.path = schema.locate(Path(path))
        self.damaged: set[str] = set()
        self._headers: dict[int, dict[int, Header]] = {}
        self._connection = schema.open_reader(self.path, vfs=vfs)
        self._files = schema.identities(self.path)
        self._closed = False

    @property
    def record(self) -> str:
        """What names this record among all, wherever it is copied to."""
        self._check_open()
        with schema.telling(self.path):
            return schema.name(self._connection)

    @property
    def moved(self) -> bool:
        """Whether other files than the open ones stand at the path now: what is written there is not seen here."""
        return schema.identities(self.path) != self._files

    def check_place(self) -> None:
        """StoreError where other files than the open ones stand at the path now."""
        if self.moved:
            raise StoreError("it is another one now, or gone", str(self.path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what is read afterwards is a StoreError that says so."""
        self._closed = True
        self._connection.close()

    def _check_open(self) -> None:
        if self._closed:
            raise schema.closed(self.path)

    @told
    def streams(self) -> list[StreamInfo]:
        """Every stream with its latest header, by device and name."""
        found = []
        query = """SELECT s.id, s.device, s.name,
                   (SELECT header FROM header h WHERE h.stream = s.id ORDER BY run DESC LIMIT 1),
                   (SELECT coalesce(sum(n), 0) FROM chunk c WHERE c.stream = s.id)
                   + (SELECT coalesce(sum(n), 0) FROM block b WHERE b.stream = s.id),
                   coalesce((SELECT min(start) FROM block b WHERE b.stream = s.id),
                            (SELECT min(start) FROM chunk c WHERE c.stream = s.id)),
                   coalesce((SELECT max(stop) FROM chunk c WHERE c.stream = s.id),
                            (SELECT max(stop) FROM block b WHERE b.stream = s.id))
                   FROM stream s ORDER BY s.device, s.name"""
        for number, device, name, header, samples, first, last in list(self._connection.execute(query)):
            parsed = merged_read.parse_header(header)
            gaps = tuple(self.gaps(device, name))
            found.append(StreamInfo(device, name, parsed, samples, first, last, gaps, number))
        return found

    @told
    def ends(self) -> dict[int, int]:
        """The next sequence number of every stream, by its number: what a remote has yet to reach."""
        return merged_read.ends(self._connection)

    def headers(self, stream: int) -> dict[int, Header]:
        """The header of a stream, given its number, in each run."""
        return self._headers_of(whole(stream, "stream"))

    @told
    def _headers_of(self, stream: int) -> dict[int, Header]:
        newest = next(self._connection.execute("SELECT max(run) FROM header WHERE stream = ?", (stream,)))[0]
        known = self._headers.get(stream)
        if known is None or newest not in known:  # a header is never changed, so those that are known stay right
            known = self._headers[stream] = merged_read.headers(self._connection, stream)
        return known

    @told
    def cursors(self) -> dict[str, Cursor]:
        """How far every remote has acknowledged."""
        found: dict[str, Cursor] = {}
        for name, stream, following, crc in self._connection.execute("SELECT * FROM cursor ORDER BY name, stream"):
            cursor = found.setdefault(name, Cursor(name, {}, 0))
            if cursor_checksum(name, stream, following) != crc:
                continue  # a damaged position counts as none: delivering again is harmless
            if stream == EVENTS:
                found[name] = replace(cursor, event=following - 1)
            else:
                cursor.positions[stream] = following
        return found

    @told
    def head(self) -> tuple[int, str]:
        """Number and hash of the newest event, to be witnessed outside; (0, "") where there is none."""
        newest = self._connection.execute("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1")
        return next(((number, digest.hex()) for number, digest in newest), (0, ""))

    def gaps(self, device: str | None = None, stream: str | None = None) -> list[Gap]:
        """The gap records, in order of time."""
        return self._gaps(optional(device, "device"), optional(stream, "stream"))

    @told
    def _gaps(self, device: str | None, stream: str | None) -> list[Gap]:
        return [
            Gap(b["from"], b["to"], b["after"], b["before"], b["text"], b["missing"])
            for b in (row.body for row in self.events("gap", device, stream))
        ]

    def events(
        self,
        kind: str | None = None,
        device: str | None = None,
        stream: str | None = None,
        since: int = 0,
        limit: int = -1,
    ) -> list[Recorded]:
        """Events after id `since`, oldest first; at most `limit`, unless that is negative."""
        named = (optional(kind, "kind"), optional(device, "device"), optional(stream, "stream"))
        return self._events(*named, whole(since, "since"), whole(limit, "limit"))

    @told
    def _events(
        self, kind: str | None, device: str | None, stream: str | None, since: int, limit: int
    ) -> list[Recorded]:
        query = """SELECT id, time, kind, device, stream, body, hash FROM event WHERE id > ?1
                   AND (?2 IS NULL OR kind = ?2) AND (?3 IS NULL OR device = ?3) AND (?4 IS NULL OR stream = ?4)
                   ORDER BY id LIMIT ?5"""
        found = self._connection.execute(query, (since, kind, device, stream, limit))
        return [Recorded(i, t, k, d, s, json.loads(body), digest.hex()) for i, t, k, d, s, body, digest in found]

    @told
    def wall(self) -> Wall:
        """The map from time keys to the wall clock and back, as far as the record has got."""
        return wall.read(self._connection)

    @told
    def history(self) -> list[Run]:
        """Every run in order, with its ends on both clocks."""
        return run_history.read(self._connection)

    @told
    def accepted(self) -> int:
        """The last run whose clock a person has accepted, 0 where none was."""
        return run_history.accepted(self._connection)

    @told
    def doubt(self, utc: int) -> Doubt | None:
        """What speaks against a clock that shows `utc` (ns), of all runs that ended."""
        return run_history.doubt(self.history(), self.accepted(), utc)

    @told
    def stepped(self) -> Stepped | None:
        """A far step of the clock within a run that nobody has spoken of since; None where there is none."""
        return run_history.stepped(self._connection)

    @told
    def runs(self) -> dict[int, dict[str, Any]]:
        """Every run: its start on both clocks, its anchor, and what it said about itself."""
        return {
            run: {"utc": utc, "monotonic": monotonic, "anchor": anchor, **json.loads(about)}
            for run, utc, monotonic, anchor, about in self._connection.execute("SELECT * FROM run ORDER BY run")
        }
