"""Raw bytes with their stamps, and all that the driver was told: enough to let today's driver hear it again.

A tape belongs to one connection of one device and stands beside the record, in parts of at most `PART` bytes:
`tapes/DEVICE-RUN-CONNECTION-PART.tape`. A part begins with its label (JSON) and then holds pieces: a letter, both
clocks in ns, a length, bytes.
"""

from __future__ import annotations

import dataclasses
import logging
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import msgspec

from acquisition.driverkit.analog import Input
from acquisition.driverkit.driver import Order, Setup
from acquisition.errors import Damaged
from acquisition.model import Instant
from acquisition.store import modes
from acquisition.timing.pauses import Pause

log = logging.getLogger(__name__)

MAGIC = b"PERFTAPE2\n"
LIMIT = 1 << 24
"""Bytes that a piece or a label can have."""
PART = 16 << 20
"""Bytes after which a tape goes on in another file, so that retention can remove what is old."""
_SIZE = struct.Struct("<I")
_HEAD = struct.Struct("<cqqI")

Step = Literal["read", "wrote", "start", "poll", "stop", "order", "pause", "end"]
_LETTERS: dict[Step, bytes] = {step: step[:1].encode() for step in get_args(Step)} | {"stop": b"x", "pause": b"z"}
_STEPS = {letter: step for step, letter in _LETTERS.items()}


@dataclass(frozen=True, slots=True)
class Label:
    """Whose tape it is, and how its driver was built; `driver` is its name in the configuration."""

    device: str
    driver: str
    run: int
    connection: int
    options: Any = None
    inputs: tuple[Input, ...] = ()
    documents: Mapping[str, Any] = field(default_factory=dict)
    patience: float = 1.0
    control: bool = False
    datagrams: bool = False
    seed: int = 0
    part: int = 0

    @classmethod
    def of(cls, device: str, run: int, connection: int, setup: Setup) -> Label:
        """The label of a driver's connection."""
        return cls(
            device,
            setup.name,
            run,
            connection,
            msgspec.to_builtins(setup.options),
            setup.inputs,
            msgspec.to_builtins(dict(setup.documents)),
            setup.patience,
            setup.control,
            setup.datagrams,
            setup.seed,
        )

    @property
    def file(self) -> str:
        """The name of the part's file."""
        return f"{self.device}-{self.run}-{self.connection}-{self.part:04}.tape"


@dataclass(frozen=True, slots=True)
class Piece:
    """One step of a conversation: bytes as one read or write moved them, or a call of the driver at an instant.

    `data` of an order or of a pause of this computer is its JSON. The step `end` stands where the connection was closed
    by the service.
    """

    step: Step
    at: Instant
    data: bytes = b""

    @classmethod
    def order(cls, order: Order, at: Instant) -> Piece:
        """The piece of an order."""
        return cls("order", at, msgspec.json.encode(order))

    @classmethod
    def pause(cls, pause: Pause, at: Instant) -> Piece:
        """The piece of a pause."""
        return cls("pause", at, msgspec.json.encode(pause))


class TapeWriter:
    """Appends pieces to a tape, each written at once; a disk that fails ends the tape and nothing else."""

    def __init__(self, folder: Path, label: Label) -> None:
        self._folder = folder
        self._label = label
        self._size = 0
        self._file: BinaryIO | None = None
        self._guarded(self._open)

    def add(self, piece: Piece) -> None:
        """Record a piece."""
        self._guarded(lambda: self._write(piece))

    def close(self, at: Instant) -> None:
        """End the tape."""
        self.add(Piece("end", at))
        if self._file is not None:
            self._file.close()
            self._file = None

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OSError as error:
            log.warning("%s: the tape ends here: %s", self._label.device, error)
            if self._file is not None:
                self._file.close()
            self._file = None

    def _open(self) -> None:
        modes.make_folder(self._folder)
        self._file = modes.create(self._folder / self._label.file)
        label = msgspec.json.encode(self._label)
        self._size = self._file.write(MAGIC + _SIZE.pack(len(label)) + label)

    def _write(self, piece: Piece) -> None:
        if self._file is None:
            return
        if self._size > PART:
            self._file.close()
            self._label = dataclasses.replace(self._label, part=self._label.part + 1)
            self._open()
        head = _HEAD.pack(_LETTERS[piece.step], piece.at.monotonic, piece.at.utc, len(piece.data))
        self._size += self._file.write(head + piece.data)


def label(path: Path) -> Label:
    """Whose tape a file is; Damaged where it is none."""
    with path.open("rb") as file:
        return _label(file, path)


def pieces(path: Path) -> Iterator[Piece]:
    """Read a part; a cut last piece is left out. Damaged where it is no tape, or not whole before its end."""
    with path.open("rb") as file:
        _label(file, path)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            letter, monotonic, utc, size = _HEAD.unpack(head)
            if letter not in _STEPS or size > LIMIT:
                raise Damaged("the tape is damaged", f"{path}, byte {file.tell() - _HEAD.size}")
            data = file.read(size)
            if len(data) < size:
                return
            yield Piece(_STEPS[letter], Instant(monotonic, utc), data)


def _label(file: BinaryIO, path: Path) -> Label:
    if file.read(len(MAGIC)) != MAGIC:
        raise Damaged("this is no tape", str(path), "another file, or one from another version")
    size = file.read(_SIZE.size)
    try:
        return msgspec.json.decode(file.read(min(*_SIZE.unpack(size), LIMIT)), type=Label)
    except (msgspec.MsgspecError, struct.error) as error:
        raise Damaged(f"the tape's label is damaged ({error})", str(path)) from error
