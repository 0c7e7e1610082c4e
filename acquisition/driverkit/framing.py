"""Cutting a byte stream into candidate frames; on damage it gives up one byte and looks again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Skipped:
    """Bytes that belong to no frame."""

    data: bytes


class Cutter:
    """Cuts frames out of a byte stream.

    `cut(buffer)` looks at the start of the buffer and answers n > 0: the first n bytes are a good
    frame; 0: not yet known, more bytes are needed; -k: the first k bytes cannot be part of a frame.
    A buffer that reaches `limit` bytes while `cut` still asks for more loses its first byte, so the
    buffer never holds more than one frame's limit plus what one read brought.
    """

    def __init__(self, cut: Callable[[bytes], int], limit: int) -> None:
        self._cut = cut
        self.limit = limit
        self._buffer = b""

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | Skipped]:
        """Take bytes; yield frames, and `Skipped` for each run of bytes between them."""
        buffer = self._buffer + data
        position = skipped_from = 0
        try:
            while position < len(buffer):
                n = self._cut(buffer[position:] if position else buffer)
                if n > 0:
                    if position > skipped_from:
                        yield Skipped(buffer[skipped_from:position])
                    frame = buffer[position : position + n]
                    position += n
                    skipped_from = position
                    yield frame
                elif n < 0:
                    position = min(position - n, len(buffer))
                elif len(buffer) - position >= self.limit:
                    position += 1
                else:
                    break
            if position > skipped_from:
                yield Skipped(buffer[skipped_from:position])
                skipped_from = position
        finally:
            self._buffer = buffer[position:]


def scpi_answer(limit: int) -> Callable[[bytes], int]:
    """A `cut` for answers of IEEE 488.2 instruments: a line, or a definite-length block, either with its LF.

    What announces or reaches more than `limit` bytes is no answer.
    """

    def cut(buffer: bytes) -> int:
        if buffer[:1] == b"#" and (len(buffer) < 2 or buffer[1:2] in b"123456789"):
            digits = int(buffer[1:2] or b"0")
            header = 2 + digits
            if not digits or len(buffer) < header:
                return 0
            length = buffer[2:header]
            if not length.isdigit() or header + int(length) >= limit:
                return -1
            end = header + int(length)
            if len(buffer) <= end:
                return 0
            return end + 1 if buffer[end : end + 1] == b"\n" else -1
        end = buffer.find(b"\n") + 1
        return end if end or len(buffer) < limit else -len(buffer)

    return cut


def code_and_digits(lengths: Mapping[int, int], raw: Collection[int] = ()) -> Callable[[bytes], int]:
    """A `cut` for frames of one code byte and `lengths[code]` ASCII digits; after a code in `raw` any bytes follow.

    Digits are no codes, so that a frame which breaks off costs nothing of the one after it.
    """
    codes = re.compile(b"[" + re.escape(bytes(lengths)) + b"]")

    def cut(buffer: bytes) -> int:
        code = buffer[0]
        if code not in lengths:
            start = codes.search(buffer)
            return -start.start() if start else -len(buffer)
        end = 1 + lengths[code]
        digits = buffer[1:end]
        if digits and code not in raw and not digits.isdigit():
            return len(digits.lstrip(b"0123456789")) - len(digits) - 1
        return end if len(buffer) >= end else 0

    return cut
