"""`perfusion watch`: the live readings on a terminal, over SSH too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from acquisition.config import load
from acquisition.control import ask
from acquisition.live.terminal import show

EVERY = 0.5


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML.")
@click.option("--data", type=click.Path(path_type=Path), help="The folder of the record.")
@click.option("--once", is_flag=True, help="Print once and stop; exit 4 where a device is not streaming.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one document per look.")
def watch(path: Path | None, data: Path | None, once: bool, as_json: bool) -> int:
    """Watch the live readings of a running daemon."""
    if (path is None) == (data is None):
        raise click.UsageError("name the daemon by -c FILE or by --data DIR")
    directory = data if data is not None else load(path or Path()).store
    if once:
        snapshot = ask(directory, {"do": "snapshot"})
        if as_json:
            click.echo(json.dumps(snapshot, ensure_ascii=False))
        else:
            show(iter([snapshot]))
        return 0 if all(device["state"] == "STREAMING" for device in snapshot["devices"]) else 4
    if as_json:
        for snapshot in _looks(directory):
            sys.stdout.write(json.dumps(snapshot, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    show(_looks(directory))
    return 0


def _looks(directory: Path) -> Iterator[Any]:
    while True:
        yield ask(directory, {"do": "snapshot"})
        time.sleep(EVERY)
