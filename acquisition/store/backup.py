"""A copy of a record as it is at one moment, taken while the daemon writes, and judged before it counts."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from acquisition.errors import Refused, StoreError
from acquisition.store import modes, schema
from acquisition.store.check import Report, check

PAGES = 1024


def backup(source: Path, target: Path) -> Report:
    """Copy the record `source` to the file or folder `target`; answers the verdict on the copy.

    The copy appears under its name only when it is whole and on the disk. Refused where one is there already.
    """
    origin = schema.locate(source)
    file = target / schema.FILE if target.is_dir() or not target.suffix else target
    if file.exists():
        raise Refused("there is a record already", str(file), "an earlier backup", "name a new folder or file")
    part = file.with_name(file.name + ".part")
    try:
        modes.make_folder(file.parent)
        part.unlink(missing_ok=True)
        modes.make_file(part)
        _copy(origin, part)
        report = check(part)
        os.replace(part, file)
        _sync(file.parent)
    except (OSError, apsw.Error) as error:
        part.unlink(missing_ok=True)
        raise StoreError(
            f"the copy failed ({error})", str(file), "no room or no permission there", "choose another place"
        ) from error
    return Report(str(file), report.streams, report.problems, report.events, report.head)


def _copy(origin: Path, part: Path) -> None:
    source = schema.open_reader(origin)
    try:
        copy = apsw.Connection(str(part))
        try:
            with source:  # one snapshot: what is committed meanwhile does not start the copy anew
                list(source.execute("SELECT count(*) FROM run"))
                with copy.backup("main", source, "main") as running:
                    while not running.done:
                        running.step(PAGES)
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close()
    finally:
        source.close()
    _sync(part)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
