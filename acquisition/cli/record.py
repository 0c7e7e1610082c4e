"""`perfusion query` and `perfusion verify`: what a record holds, and whether it is whole."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from acquisition.errors import PerfusionError
from acquisition.model import Quality
from acquisition.store import Block, Store, StreamInfo, check

ROWS = 4096
PATH = click.argument("path", metavar="DIR-OR-FILE", type=click.Path(path_type=Path))


@click.command()
@PATH
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
    local: bool,
) -> int:
    """Show what a record holds: the streams, or with --csv their samples."""
    begin, end = _parse(start, "--from"), _parse(stop, "--to")
    with Store(path) as store:
        streams = [
            info
            for info in store.streams()
            if (device is None or info.device == device)
            and (stream is None or info.stream == stream)
            and (not channels or set(channels) & {c.name for c in info.header.stream.channels})
        ]
        if (device or stream or channels) and not streams:
            held = ", ".join(f"{i.device}/{i.stream}" for i in store.streams()) or "nothing"
            raise PerfusionError("the record has no such stream", str(path), "a typing error", f"it holds: {held}")
        if as_csv:
            _write_csv(store, streams, channels, begin, end, quality == "each", local)
        elif as_json:
            click.echo(json.dumps([_describe(info, local) for info in streams], indent=2, ensure_ascii=False))
        else:
            _print(streams, local)
    return 0


@click.command()
@PATH
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def verify(path: Path, as_json: bool) -> int:
    """Check sequence, order, keys, gap records and integrity of a record; exit 5 where one fails."""
    report = check(path)
    if as_json:
        click.echo(json.dumps(report.document(), indent=2, ensure_ascii=False))
    else:
        click.echo("ok" if report.ok else "FAILED")
        for each in report.streams:
            missing = "unknown" if each.missing is None else each.missing
            click.echo(f"{each.device}/{each.stream}: {each.samples} samples, {each.gaps} gaps, missing {missing}")
        for problem in report.problems:
            click.echo(f"problem: {problem}", err=True)
    return 0 if report.ok else 5


def _parse(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no ISO 8601 time, such as 2026-03-01T09:30:00Z", param_hint=option
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(moment.timestamp() // 1)
    return whole * 1_000_000_000 + moment.microsecond * 1000


def _times(keys: np.ndarray[Any, np.dtype[np.int64]], local: bool) -> list[str]:
    """ISO 8601 with microseconds."""
    if local:
        return [
            datetime.fromtimestamp(key / 1e9).astimezone().isoformat(timespec="microseconds") for key in keys.tolist()
        ]
    texts: list[str] = np.datetime_as_string(keys.astype("datetime64[ns]").astype("datetime64[us]")).tolist()
    return [text + "Z" for text in texts]


def _time(key: int | None, local: bool) -> str | None:
    return None if key is None else _times(np.array([key], dtype=np.int64), local)[0]


def _words(flags: int) -> str:
    return "|".join(flag.name or "" for flag in Quality if flag and flags & flag) or "GOOD"


def _describe(info: StreamInfo, local: bool) -> dict[str, Any]:
    return {
        "device": info.device,
        "stream": info.stream,
        "simulated": info.header.simulated,
        "channels": [{"name": c.name, "unit": c.unit} for c in info.header.stream.channels],
        "samples": info.samples,
        "first": _time(info.first, local),
        "last": _time(info.last, local),
        "gaps": [
            {"from": _time(gap.start, local), "to": _time(gap.stop, local), "cause": gap.cause, "missing": gap.missing}
            for gap in info.gaps
        ],
        "driver": info.header.driver,
        "confidence": info.header.confidence,
        "source": info.header.source,
        "profile": info.header.profile,
    }


def _print(streams: Sequence[StreamInfo], local: bool) -> None:
    table = Table("device", "stream", "channels", "samples", "first", "last", "gaps")
    table.add_column("", no_wrap=True, min_width=len("SIMULATED"))
    for info in streams:
        channels = ", ".join(f"{c.name} ({c.unit})" for c in info.header.stream.channels)
        table.add_row(
            info.device,
            info.stream,
            channels,
            str(info.samples),
            _time(info.first, local) or "",
            _time(info.last, local) or "",
            str(len(info.gaps)),
            "SIMULATED" if info.header.simulated else "",
        )
    Console().print(table)


def _write_csv(
    store: Store,
    streams: Sequence[StreamInfo],
    wanted: Sequence[str],
    start: int | None,
    stop: int | None,
    each: bool,
    local: bool,
) -> None:
    names = list(
        dict.fromkeys(c.name for info in streams for c in info.header.stream.channels if not wanted or c.name in wanted)
    )
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["time", "device", *names, *([f"quality_{name}" for name in names] if each else ["quality"])])
    rows = [_rows(store, info, names, start, stop, each, local) for info in streams]
    if len(rows) == 1:
        out.writerows(row for _, row in rows[0])
        return
    import heapq

    out.writerows(row for _, row in heapq.merge(*rows, key=lambda pair: pair[0]))


def _rows(
    store: Store, info: StreamInfo, names: Sequence[str], start: int | None, stop: int | None, each: bool, local: bool
) -> Iterator[tuple[int, list[str]]]:
    own = [c.name for c in info.header.stream.channels if c.name in names]
    for block in store.blocks(info.device, info.stream, own, start, stop):
        yield from _lines(block, info.device, own, names, each, local)


def _lines(
    block: Block, device: str, own: Sequence[str], names: Sequence[str], each: bool, local: bool
) -> Iterator[tuple[int, list[str]]]:
    words = {flags: _words(flags) for flags in np.unique(block.quality).tolist()}
    if not each:
        combined = np.bitwise_or.reduce(block.quality, axis=1)
        words |= {flags: _words(flags) for flags in np.unique(combined).tolist()}
    times = _times(block.time, local)
    columns = {
        name: ["" if value != value else repr(value) for value in block.values[:, own.index(name)].tolist()]
        for name in own
    }
    blank = [""] * len(times)
    values = [columns.get(name, blank) for name in names]
    if each:
        flags = [
            [words[f] for f in block.quality[:, own.index(name)].tolist()] if name in columns else blank
            for name in names
        ]
    else:
        flags = [[words[f] for f in combined.tolist()]]
    for key, time, *cells in zip(block.time.tolist(), times, *values, *flags, strict=True):
        yield key, [time, device, *cells]
