"""Raw bytes with their stamps: recorded beside the record, and played back through a driver."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from acquisition.errors import PerfusionError
from acquisition.model import Instant

MAGIC = b"PERFTAPE1\n"
_HEAD = struct.Struct("<cqqI")
LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes as one read or write moved them; `incoming` from the instrument, else to it."""

    incoming: bool
    at: Instant
    data: bytes


class TapeWriter:
    """Appends pieces to a file, each written at once; a cut last piece is dropped on reading."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("xb", buffering=0)
        self._file.write(MAGIC)

    def read(self, data: bytes, at: Instant) -> None:
        """Record bytes from the instrument."""
        self._write(b"r", data, at)

    def wrote(self, data: bytes, at: Instant) -> None:
        """Record bytes to the instrument."""
        self._write(b"w", data, at)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, direction: bytes, data: bytes, at: Instant) -> None:
        self._file.write(_HEAD.pack(direction, at.monotonic, at.utc, len(data)) + data)


def pieces(path: Path) -> Iterator[Piece]:
    """Read a tape; PerfusionError where the file is none or is damaged before its last piece."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise PerfusionError("this is no tape", str(path), "another file, or one from a later version")
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            direction, monotonic, utc, size = _HEAD.unpack(head)
            if direction not in (b"r", b"w") or size > LIMIT:
                raise PerfusionError("the tape is damaged", f"{path}, byte {file.tell() - _HEAD.size}")
            data = file.read(size)
            if len(data) < size:
                return
            yield Piece(direction == b"r", Instant(monotonic, utc), data)
