"""Samples and events as InfluxDB line protocol, exact to the last bit, formatted by array and not value by value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from acquisition.store.reader import Recorded
from acquisition.store.rows import Samples

TOLD = frozenset({"service", "state", "instrument", "gap", "clock", "store", "remote", "alarm", "overflow", "warning"})
"""Events whose text may leave the bedside; of all others (sessions, marks, observations) only number and hash do."""
RESERVED = frozenset({"quality", "run", "seq", "time"})
"""What else a line says; InfluxDB drops a field called time."""
_SPREAD = 16
"""Events of one instant are kept apart by a tag of so many values: their number modulo this."""


def encode(measurement: str, tags: Mapping[str, str], channels: Sequence[str], samples: Samples) -> str:
    """One line for each sample, joined by line breaks: a float field per channel, `quality`, `run`, `seq`; time in ns.

    A value that is none or infinite has no field. `quality` is the row's flags combined; where a row has any,
    each flagged channel says its own in `<channel>_quality`. The key (tags, time) is the sample's for ever:
    a line that is sent twice is one point. A channel that is called as one of these fields gets an underscore.
    """
    # What becomes part of a format must hold no bare %.
    head = _head(measurement, tags).replace("%", "%%")
    fields = [_key(field_name(channel)).replace("%", "%%") for channel in channels]
    n = len(samples.time)
    known = np.isfinite(samples.values)
    seq = np.arange(samples.first, samples.first + n)
    if known.all() and not samples.quality.any():
        return _format(head, fields, samples, seq, np.arange(n), np.ones(len(fields), bool), samples.quality[0])
    patterns, which = np.unique(np.hstack([known.astype(np.uint8), samples.quality]), axis=0, return_inverse=True)
    lines = np.empty(n, dtype=object)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(which.ravel() == number)
        here, flags = pattern[: len(fields)].astype(bool), pattern[len(fields) :]
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


def station(tags: Mapping[str, str], pending: int, refused: int, time: int) -> str:
    """One line about the bedside itself: what it has yet to deliver, and what was refused for good in this run."""
    return f"{_head('perfusion_station', tags)}pending={pending}i,refused={refused}i {time}"


def _format(
    head: str,
    fields: Sequence[str],
    samples: Samples,
    seq: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    rows: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    here: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    flags: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> str:
    present = np.flatnonzero(here).tolist()
    combined = int(np.bitwise_or.reduce(flags)) if len(flags) else 0
    own = "".join(f"{fields[i]}_quality={flags[i]}i," for i in np.flatnonzero(flags).tolist())
    values = "".join(f"{fields[i]}=%r," for i in present)
    template = f"{head}{values}{own}quality={combined}i,run={samples.run}i,seq=%di %d\n"
    columns = [samples.values[rows, i].tolist() for i in present]
    columns += [seq[rows].tolist(), samples.time[rows].tolist()]
    text = (template * len(rows)) % tuple(chain.from_iterable(zip(*columns, strict=True)))
    return text[:-1]


def _head(measurement: str, tags: Mapping[str, str]) -> str:
    return _key(measurement) + "".join(f",{_key(k)}={_key(v)}" for k, v in sorted(tags.items()) if v) + " "


def _key(text: str) -> str:
    """Escape a name or tag; names are the configuration's and hold no line breaks."""
    for mark in ("\\", ",", "=", " "):
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")


def _text(text: str) -> str:
    """Quote a string field."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
