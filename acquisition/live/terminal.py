"""The live readings on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from acquisition.live import labels

BARS = "▁▂▃▄▅▆▇█"
WIDE = 132
READING = 88
"""Characters that a device, a channel, its value and its state take at most."""
LOOK = {
    "live": ("●", "green"),
    "stale": ("◌", "yellow"),
    "lost": ("✕", "bold red"),
    "failed": ("✕", "bold red"),
    "invalid": ("▲", "yellow"),
    "out of range": ("▲", "bold yellow"),
    "calibrating": ("◆", "cyan"),
    "no data yet": ("○", "dim"),
}
"""A state is told by word, sign and colour, so that none of them is needed alone."""


def show(snapshots: Iterator[Any], console: Console | None = None) -> None:
    """Show snapshots as they come: in place on a terminal, one after the other elsewhere."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
        for snapshot in snapshots:
            console.print(picture(snapshot, console.width))
        return
    with Live(console=console, auto_refresh=False) as live:
        for snapshot in snapshots:
            live.update(picture(snapshot, console.width), refresh=True)


def picture(snapshot: Any, width: int = WIDE) -> RenderableType:
    """Draw one snapshot; the sparklines take what a line of `width` characters leaves."""
    points = max(min(width - READING, 40), 0)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("device", "channel"):
        table.add_column(name, no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    for name in ("unit", "state", "age", "last minute" if points > 10 else ""):
        table.add_column(name, no_wrap=True)
    for device in snapshot["devices"]:
        _add_device(table, device, points)
    return Group(_headline(snapshot), *_alarms(snapshot), *_session(snapshot["session"]), table, *_remarks(snapshot))


def sparkline(values: Sequence[float | None]) -> str:
    """Draw values as bars between their least and greatest; a blank where there is none."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    low = min(known)
    step = (max(known) - low) / (len(BARS) - 1)
    return "".join(" " if v is None else BARS[round((v - low) / step) if step else 0] for v in values)


def _add_device(table: Table, device: Any, points: int) -> None:
    name = Text(device["name"], "bold")
    if device["simulated"]:
        name.append(" SIMULATED", "bold magenta")
    if not device["channels"]:
        sign, style = LOOK.get(device["state"].lower(), ("○", "dim"))
        table.add_row(name, "", "", "", Text(f"{sign} {device['state'].lower()}", style))
    for channel in device["channels"]:
        sign, style = LOOK.get(channel["word"], ("▲", "yellow"))
        digits, age = labels.digits(channel["value"], channel["unit"]), channel["age_s"]
        table.add_row(
            name,
            channel["label"],
            Text(digits, "bold" if channel["word"] == "live" else "dim strike"),
            channel["display_unit"],
            Text(f"{sign} {channel['word']}", style),
            "" if age is None else f"{age:.1f} s",
            Text(sparkline(channel["sparkline"][-points:]) if points else "", "dim"),
        )
        name = Text()


def _headline(snapshot: Any) -> Text:
    line = Text(snapshot["now"], "dim")
    if snapshot["speed"] != 1:
        line.append(f"  {snapshot['speed']:g} times as fast", "magenta")
    record = snapshot["record"]
    if record:
        if record["recording"]:
            line.append("  ● RECORDING", "bold red")
            line.append(f"  {record['bytes'] / 1e6:.1f} MB, {record['samples']} samples", "dim")
        else:
            line.append(f"  ▲ NOT RECORDING: {record['trouble']}", "bold red reverse")
    return line


def _alarms(snapshot: Any) -> list[Text]:
    return [
        Text.assemble((f"▲ {alarm['text']}", "bold red reverse"), f"  next: {alarm['remedy']}")
        for alarm in snapshot["alarms"]
    ]


def _session(session: Any) -> list[Text]:
    if not session:
        return []
    who = " · ".join(filter(None, (session["subject"], session["visit"], session["limb"])))
    minutes, seconds = divmod(int(session["elapsed_s"]), 60)
    return [Text.assemble((session["title"], "bold"), f"  {who}  {session['phase']} {minutes}:{seconds:02d}")]


def _waiting(samples: int | None) -> str:
    return "how many samples wait is not known" if samples is None else f"{samples} samples wait"


def _remarks(snapshot: Any) -> list[Text]:
    devices = [
        Text(f"{device['name']}: {device['state'].lower()}: {device['cause']}", "yellow")
        for device in snapshot["devices"]
        if device["cause"]
    ]
    remotes = [
        Text(f"▲ {remote['name']} {remote['state']}: {remote['reason']}; {_waiting(remote['pending'])}", "yellow")
        for remote in snapshot["remotes"]
        if remote["state"] not in ("delivering", "starting")
    ]
    return devices + remotes
