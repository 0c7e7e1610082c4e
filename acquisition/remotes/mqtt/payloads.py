"""Payloads of MQTT messages: JSON, or the same with its numbers in binary (docs/mqtt.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np

from acquisition.model import Chunk, Floats, Gap, Header
from acquisition.remotes.line_protocol import TOLD
from acquisition.store.rows import Samples
from acquisition.store.views import Recorded

Format = Literal["json", "binary"]
MAGIC = b"PFB1"
_ALIGN = 8

encode = msgspec.json.Encoder().encode
"""Plain values as JSON; NaN as null, times in ns as whole numbers."""


def samples(part: Chunk | Samples, how: Format, **more: Any) -> bytes:
    """Consecutive samples of one stream: `first` is the first one's number, the k-th has `first + k`.

    `more` says what else is known, such as `gap` or `channels`.
    """
    head = {"first": part.first, "n": len(part.time), "run": part.run, "connection": part.connection, **more}
    flagged = bool(part.quality.any())
    if how == "binary":
        return _binary(head, part, flagged)
    head["time"] = part.time.tolist()
    head["values"] = _rows(part.values)
    if flagged:
        head["quality"] = part.quality.tolist()
    if part.device_time is not None:
        head["device_time"] = part.device_time.tolist()
    return encode(head)


def gap(known: Gap) -> dict[str, Any]:
    """The hole before a chunk."""
    return {
        "from": known.start,
        "to": known.stop,
        "after": known.after,
        "before": known.before,
        "missing": known.missing,
        "cause": known.cause,
    }


def header(known: Header, how: Format) -> bytes:
    """What a stream is: its channels in the order of the columns, and how far its meaning is confirmed."""
    return encode({"format": how, **msgspec.to_builtins(known)})


def event(recorded: Recorded) -> bytes:
    """One event of the chain. What was said in an examination stays here: of such events only the hash leaves."""
    said: Mapping[str, Any] = recorded.body if recorded.kind in TOLD else {}
    return encode(
        {
            "id": recorded.id,
            "time": recorded.time,
            "kind": recorded.kind,
            "device": recorded.device,
            "stream": recorded.stream,
            "hash": recorded.hash,
            **{key: said[key] for key in ("text", "details") if key in said},
        }
    )


def _rows(values: Floats) -> list[list[Any]]:
    """Values (n, c) row by row; infinite ones, for which JSON has no number, as text."""
    found: list[list[Any]] = values.tolist()
    if np.isinf(values).any():
        return [[str(v) if v in (np.inf, -np.inf) else v for v in row] for row in found]
    return found


def _binary(head: dict[str, Any], part: Chunk | Samples, flagged: bool) -> bytes:
    head["columns"] = part.values.shape[1]
    head["arrays"] = [
        "time",
        "values",
        *(["device_time"] if part.device_time is not None else []),
        *(["quality"] if flagged else []),
    ]
    text = encode(head)
    text += b" " * (-(len(MAGIC) + 4 + len(text)) % _ALIGN)
    pieces = [MAGIC, struct.pack("<I", len(text)), text, part.time.astype("<i8", copy=False).tobytes()]
    pieces.append(part.values.astype("<f8", copy=False).tobytes())
    if part.device_time is not None:
        pieces.append(part.device_time.astype("<f8", copy=False).tobytes())
    if flagged:
        pieces.append(part.quality.tobytes())
    return b"".join(pieces)
