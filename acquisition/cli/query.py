"""`perfusion query`: what a record holds, as a table, as JSON, or its samples as CSV."""

from __future__ import annotations

import csv
import heapq
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import numpy as np

from acquisition.cli.tables import show_table
from acquisition.model import Nanoseconds, Quality
from acquisition.store import Overview, SampleBlock, Store, StreamInfo, timestamps
from acquisition.store.channel_names import labels
from acquisition.store.wall import Wall

ROWS = 4096


@click.command()
@click.argument("path", metavar="DIR-OR-FILE", type=click.Path(path_type=Path))
@click.option("--device", help="Only this device.")
@click.option("--stream", help="Only this stream.")
@click.option("--channel", "channels", multiple=True, help="Only this channel; may be repeated.")
@click.option("--from", "start", help="From this time on (ISO 8601, UTC unless it says otherwise).")
@click.option("--to", "stop", help="Up to but not including this time.")
@click.option("--csv", "as_csv", is_flag=True, help="The samples as CSV: time,device,<channels>,quality.")
@click.option("--json", "as_json", is_flag=True, help="The streams and their gaps as JSON.")
@click.option(
    "--quality", type=click.Choice(["row", "each"]), default="row", help="One quality a row, or one a channel."
)
@click.option("--every", help="The means of each such time (500ms, 10s, 1m, 1h), as CSV.")
@click.option("--local", is_flag=True, help="Times in this machine's zone.")
def query(
    path: Path,
    device: str | None,
    stream: str | None,
    channels: tuple[str, ...],
    start: str | None,
    stop: str | None,
    as_csv: bool,
    as_json: bool,
    quality: str,
    every: str | None,
    local: bool,
) -> int:
    """Show what a record holds: the streams, or with --csv their samples."""
    begin, end = _parse(start, "--from"), _parse(stop, "--to")
    if begin is not None and end is not None and begin >= end:
        raise click.UsageError(f"nothing lies between --from {start} and --to {stop}: the first must be the earlier")
    interval = None if every is None else _interval(every)
    if as_csv and as_json:
        raise click.UsageError("--csv gives the samples, --json the streams: one of them")
    if as_json and interval is not None:
        raise click.UsageError("--json shows the streams; --csv and --every show samples")
    with Store(path) as store:
        times = _Times(store.wall(), local)
        streams = [
            info
            for info in store.streams()
            if (device is None or info.device == device)
            and (stream is None or info.stream == stream)
            and (not channels or set(channels) & _ways(info))
        ]
        if (device or stream or channels) and not streams:
            raise click.UsageError(f"{path}: {_nothing_of(device, stream, channels)}; it holds: {_held(store)}")
        if interval is not None:
            _write_means(store, streams, channels, begin, end, interval, quality == "each", times)
        elif as_csv:
            _write_csv(store, streams, channels, begin, end, quality == "each", times)
        else:
            if begin is not None or end is not None:
                streams = [_between(store, info, times.wall.spans(begin, end)) for info in streams]
            if as_json:
                described = [_describe(info, times) for info in streams]
                click.echo(json.dumps(described, indent=2, ensure_ascii=False))
            else:
                _print(streams, times)
    return 0


def _nothing_of(device: str | None, stream: str | None, channels: Sequence[str]) -> str:
    asked = {"device": device, "stream": stream, "channel": " or ".join(channels)}
    return f"the record holds nothing of {', '.join(f'{what} {name}' for what, name in asked.items() if name)}"


def _held(store: Store) -> str:
    """Every channel of the record, as --device, --stream and --channel name them."""
    each = (f"{i.device}/{i.stream} ({', '.join(c.name for c in i.header.stream.channels)})" for i in store.streams())
    return ", ".join(each) or "nothing"


def _interval(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(ms|s|m|h)", text)
    if match is None or float(match[1]) == 0:
        raise click.BadParameter(f"{text!r} is no time such as 10s, 500ms, 1m or 1h", param_hint="--every")
    return round(float(match[1]) * {"ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9}[match[2]])


def _parse(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return timestamps.key(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no ISO 8601 time, such as 2026-03-01T09:30:00Z", param_hint=option
        ) from None


@dataclass(frozen=True, slots=True)
class _Times:
    """Times as people read them: by the wall clock, in UTC or in this machine's zone."""

    wall: Wall
    local: bool

    def of(self, keys: Nanoseconds) -> list[str]:
        """Time keys as ISO 8601 with microseconds."""
        return self.said(self.wall.of_all(keys))

    def said(self, utc: Nanoseconds) -> list[str]:
        """Wall times, ns, likewise."""
        if self.local:
            whole = (divmod(time // 1000, 1_000_000) for time in utc.tolist())
            moments = (datetime.fromtimestamp(s).astimezone().replace(microsecond=rest) for s, rest in whole)
            return [moment.isoformat(timespec="microseconds") for moment in moments]
        texts: list[str] = np.datetime_as_string(utc.astype("datetime64[ns]").astype("datetime64[us]")).tolist()
        return [text + "Z" for text in texts]

    def one(self, key: int | None) -> str | None:
        """The time of one key, None of none."""
        return None if key is None else self.of(np.array([key], dtype=np.int64))[0]


def _words(flags: int) -> str:
    return "|".join(flag.name or "" for flag in Quality if flag and flags & flag) or "GOOD"


def _between(store: Store, info: StreamInfo, spans: Sequence[tuple[int, int, int]]) -> StreamInfo:
    """What the stream holds within spans of keys."""
    channel = info.header.stream.channels[0].name
    ends = [
        (len(block), int(block.time[0]), int(block.time[-1]))
        for start, stop, _ in spans
        for block in store.blocks(info.device, info.stream, [channel], start, stop)
    ]
    gaps = (gap for gap in info.gaps if any(gap.start < stop and gap.stop > start for start, stop, _ in spans))
    return replace(
        info,
        samples=sum(count for count, _, _ in ends),
        first=ends[0][1] if ends else None,
        last=ends[-1][2] if ends else None,
        gaps=tuple(gaps),
    )


def _describe(info: StreamInfo, times: _Times) -> dict[str, Any]:
    return {
        "device": info.device,
        "stream": info.stream,
        "simulated": info.header.simulated,
        "channels": [{"name": c.name, "unit": c.unit} for c in info.header.stream.channels],
        "samples": info.samples,
        "first": times.one(info.first),
        "last": times.one(info.last),
        "gaps": [
            {"from": times.one(gap.start), "to": times.one(gap.stop), "cause": gap.cause, "missing": gap.missing}
            for gap in info.gaps
        ],
        "driver": info.header.driver,
        "confidence": info.header.confidence,
        "source": info.header.source,
        "profile": info.header.profile,
    }


def _print(streams: Sequence[StreamInfo], times: _Times) -> None:
    show_table(
        ("device", "stream", "channels", "samples", "first", "last", "gaps", "marked"),
        [
            (
                info.device,
                info.stream,
                ", ".join(f"{c.name} ({c.unit})" for c in info.header.stream.channels),
                str(info.samples),
                times.one(info.first) or "",
                times.one(info.last) or "",
                str(len(info.gaps)),
                "SIMULATED" if info.header.simulated else "",
            )
            for info in streams
        ],
        "the record holds no stream yet",
        unbroken=("marked",),
    )


def _write_csv(
    store: Store,
    streams: Sequence[StreamInfo],
    wanted: Sequence[str],
    start: int | None,
    stop: int | None,
    each: bool,
    times: _Times,
) -> None:
    names = _names(streams, wanted)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_header(names, each))
    rows = []
    for info in streams:
        places = _labels(streams, info.device)
        own = {label: places[label][1] for label in names if places.get(label, ("",))[0] == info.stream}
        rows.append(_rows(store, info, own, names, times.wall.spans(start, stop), each, times))
    if len(rows) == 1:
        out.writerows(row for _, row in rows[0])
        return
    out.writerows(row for _, row in heapq.merge(*rows, key=lambda pair: pair[0]))


def _write_means(
    store: Store,
    streams: Sequence[StreamInfo],
    wanted: Sequence[str],
    start: int | None,
    stop: int | None,
    interval: int,
    each: bool,
    times: _Times,
) -> None:
    """A row per device and interval of the wall clock that has values: their means, and every flag met."""
    names = _names(streams, wanted)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(_header(names, each))
    firsts = [info.first for info in streams if info.first is not None]
    lasts = [info.last for info in streams if info.last is not None]
    if not firsts:
        return
    devices = {info.device: _names([i for i in streams if i.device == info.device], wanted) for info in streams}
    for least, most, shift in times.wall.spans(start, stop):
        low, high = max(least, min(firsts)), min(most, max(lasts) + 1)
        begin = (low + shift) // interval * interval - shift
        if start is not None:
            begin = start + max((begin + shift - start) // interval, 0) * interval - shift
        while begin < high:
            # A run that begins within an interval has a part of it for itself.
            points = 1 if begin < least else max(min(ROWS, (high - begin) // interval), 1)
            until, since = min(begin + points * interval, high), max(begin, least)
            drawn = {name: store.overview(name, own, since, until, points, exact=True) for name, own in devices.items()}
            for point in range(points):
                for name, shown in drawn.items():
                    if shown.count[point].any():
                        at = shift + (int(shown.edges[point]) if point else begin)
                        out.writerow([*times.said(np.array([at])), name, *_means(shown, point, names, each)])
            begin = until
            if not any(shown.count.any() for shown in drawn.values()):
                # Years may be empty before a clock that was set wrong.
                begin += max(_next(store, streams, until, high) - until, 0) // interval * interval


def _next(store: Store, streams: Sequence[StreamInfo], start: int, stop: int) -> int:
    """The key of the first sample from `start` on, `stop` where there is none before it."""
    blocks = (store.blocks(i.device, i.stream, [i.header.stream.channels[0].name], start, stop) for i in streams)
    firsts = (next(each, None) for each in blocks)
    return min((int(block.time[0]) for block in firsts if block is not None), default=stop)


def _means(shown: Overview, point: int, names: Sequence[str], each: bool) -> list[str]:
    own = {name: column for column, name in enumerate(shown.channels)}
    cells = [
        f"{shown.mean[point, own[name]]:.6g}" if name in own and shown.count[point, own[name]] else "" for name in names
    ]
    flags = shown.quality[point]
    if each:
        words = [_words(int(flags[own[name]])) if name in own else "" for name in names]
    else:
        words = [_words(int(np.bitwise_or.reduce(flags)))]
    return [*cells, *words]


def _names(streams: Sequence[StreamInfo], wanted: Sequence[str]) -> list[str]:
    """The columns, over all devices: `flux`, or `chest.tcpo2` where a device has a channel of that name twice.

    They stand as they were asked for, else as the record holds them.
    """
    each = (_labels(streams, device) for device in dict.fromkeys(info.device for info in streams))
    held = [(label, {channel, f"{stream}.{channel}"}) for own in each for label, (stream, channel) in own.items()]
    if not wanted:
        return list(dict.fromkeys(label for label, _ in held))
    return list(dict.fromkeys(label for name in wanted for label, ways in held if name in ways))


def _ways(info: StreamInfo) -> set[str]:
    """Every way to name a channel of the stream."""
    held = [c.name for c in info.header.stream.channels]
    return {*held, *(f"{info.stream}.{name}" for name in held)}


def _labels(streams: Sequence[StreamInfo], device: str) -> dict[str, tuple[str, str]]:
    own = [info for info in streams if info.device == device]
    return labels({info.stream: [c.name for c in info.header.stream.channels] for info in own})


def _header(names: Sequence[str], each: bool) -> list[str]:
    return ["time", "device", *names, *([f"quality_{name}" for name in names] if each else ["quality"])]


def _rows(
    store: Store,
    info: StreamInfo,
    own: Mapping[str, str],
    names: Sequence[str],
    spans: Sequence[tuple[int, int, int]],
    each: bool,
    times: _Times,
) -> Iterator[tuple[int, list[str]]]:
    """The samples of one stream, whose channels `own` stand in the columns that are its keys."""
    for start, stop, _ in spans:
        for block in store.blocks(info.device, info.stream, list(own.values()), start, stop):
            yield from _lines(block, info.device, list(own), names, each, times)


def _lines(
    block: SampleBlock, device: str, own: Sequence[str], names: Sequence[str], each: bool, times: _Times
) -> Iterator[tuple[int, list[str]]]:
    words = {flags: _words(flags) for flags in np.unique(block.quality).tolist()}
    if not each:
        combined = np.bitwise_or.reduce(block.quality, axis=1)
        words |= {flags: _words(flags) for flags in np.unique(combined).tolist()}
    said = times.of(block.time)
    columns = {
        name: ["" if value != value else repr(value) for value in block.values[:, own.index(name)].tolist()]
        for name in own
    }
    blank = [""] * len(said)
    values = [columns.get(name, blank) for name in names]
    if each:
        flags = [
            [words[f] for f in block.quality[:, own.index(name)].tolist()] if name in columns else blank
            for name in names
        ]
    else:
        flags = [[words[f] for f in combined.tolist()]]
    for key, time, *cells in zip(block.time.tolist(), said, *values, *flags, strict=True):
        yield key, [time, device, *cells]
