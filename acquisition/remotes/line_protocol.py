"""Samples and events as InfluxDB line protocol, exact to the last bit, formatted by array and not value by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from acquisition.model import Flags, Nanoseconds
from acquisition.store.rows import Samples
from acquisition.store.views import Recorded

Rows = np.ndarray[Any, np.dtype[np.intp]]
Truth = np.ndarray[Any, np.dtype[np.bool_]]

TOLD = frozenset(
    {"service", "state", "instrument", "gap", "clock", "store", "remote", "alarm", "overflow", "warning", "unfit"}
)
"""Events whose text may leave the bedside; of all others (sessions, marks, observations) only number and hash do."""
RESERVED = frozenset({"quality", "run", "seq", "time"})
"""What else a line says; InfluxDB drops a field called time."""
_PART = 500
"""Lines that are formatted at once: their texts stay in the processor's cache."""
_SPREAD = 16
"""Events of one instant are kept apart by a tag of so many values: their number modulo this."""


def encode(measurement: str, tags: Mapping[str, str], channels: Sequence[str], samples: Samples) -> str:
    """One line for each sample, joined by line breaks: a float field per channel, `quality`, `run`, `seq`; time in ns.

    A value that is none or infinite has no field. `quality` is the row's flags combined; where a row has any,
    each flagged channel says its own in `<channel>_quality`. The key (tags, time) is the sample's for ever:
    a line that is sent twice is one point. A channel that is called as one of these fields gets an underscore.
    """
    head = _head(measurement, tags)
    fields = [_key(field_name(channel)) for channel in channels]
    n = len(samples.time)
    known = np.isfinite(samples.values)
    seq = np.arange(samples.first, samples.first + n)
    groups = list(_alike(known, samples.quality))
    if len(groups) == 1:
        return _format(head, fields, samples, seq, *groups[0])
    lines = np.empty(n, dtype=object)
    for rows, here, flags in groups:
        lines[rows] = _format(head, fields, samples, seq, rows, here, flags).split("\n")
    return "\n".join(lines.tolist())


def field_name(channel: str) -> str:
    """What the field of a channel is called."""
    return channel + "_" * (channel in RESERVED)


def events(tags: Mapping[str, str], recorded: Iterable[Recorded]) -> str:
    """One line for each event: what happened, and its hash, a witness of the chain outside of the bedside."""
    lines = []
    for event in recorded:
        told = event.kind in TOLD
        named = {**tags, "kind": event.kind, "device": event.device, "stream": event.stream}
        named["n"] = str(event.id % _SPREAD)
        text = f",text={_text(str(event.body.get('text', '')))}" if told else ""
        lines.append(f'{_head("perfusion_event", named)}id={event.id}i,hash="{event.hash}"{text} {event.time}')
    return "\n".join(lines)


def station(tags: Mapping[str, str], pending: int | None, refused: int, time: int, offset: int = 0) -> str:
    """One line about the bedside itself: what it has yet to deliver, and what was refused for good in this run.

    The bedside's wall clock is `offset` ns later than the time key `time`.
    """
    waiting = "" if pending is None else f"pending={pending}i,"
    return f"{_head('perfusion_station', tags)}{waiting}refused={refused}i,wall_offset={offset}i {time}"


def _alike(known: Truth, quality: Flags) -> Iterator[tuple[Rows, Truth, Flags]]:
    """Rows with the same fields and flags: their indices, which channels are known, and each channel's flags."""
    odd = ~known.all(axis=1) | quality.any(axis=1)
    plain, rows = np.flatnonzero(~odd), np.flatnonzero(odd)
    if len(plain):
        yield plain, known[plain[0]], quality[plain[0]]
    if len(rows):  # few are odd, and sorting is the dear part
        marks = np.hstack([known[rows], quality[rows]])
        patterns, which = np.unique(marks, axis=0, return_inverse=True)
        for number in range(len(patterns)):
            same = rows[which.ravel() == number]
            yield same, known[same[0]], quality[same[0]]


def _format(
    head: str,
    fields: Sequence[str],
    samples: Samples,
    seq: Nanoseconds,
    rows: Rows,
    here: Truth,
    flags: Flags,
) -> str:
    present = np.flatnonzero(here).tolist()
    combined = int(np.bitwise_or.reduce(flags)) if len(flags) else 0
    own = "".join(f"{fields[i]}_quality={flags[i]}i," for i in np.flatnonzero(flags).tolist())
    labels = [f",{fields[i]}=" for i in present] + [f",{own}quality={combined}i,run={samples.run}i,seq=", "i "]
    labels[0] = "\n" + head + labels[0][1:]
    values = samples.values
    parts = [rows[begin : begin + _PART] for begin in range(0, len(rows), _PART)]
    columns = ([*(values[part, i] for i in present), seq[part], samples.time[part]] for part in parts)
    return "".join(_interleave(labels, each) for each in columns)[1:]


def _interleave(labels: Sequence[str], columns: Sequence[np.ndarray[Any, np.dtype[Any]]]) -> str:
    """Every row's numbers, each behind its column's label."""
    step, n = 2 * len(labels), len(columns[0])
    pieces = [""] * (step * n)
    for i, (label, column) in enumerate(zip(labels, columns, strict=True)):
        pieces[2 * i :: step] = [label] * n
        pieces[2 * i + 1 :: step] = _texts(column)
    return "".join(pieces)


def _texts(numbers: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> list[str]:
    """Each number as the shortest text that reads back to the last bit; several times as fast as `repr`."""
    return msgspec.json.encode(numbers.tolist()).decode()[1:-1].split(",")


def _head(measurement: str, tags: Mapping[str, str]) -> str:
    return _key(measurement) + "".join(f",{_key(k)}={_key(v)}" for k, v in sorted(tags.items()) if v) + " "


@lru_cache(maxsize=1024)
def _key(text: str) -> str:
    """Escape a name or tag; names are the configuration's and hold no line breaks."""
    for mark in ("\\", ",", "=", " "):
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _text(text: str) -> str:
    """Quote a string field."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
