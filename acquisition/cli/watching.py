"""`perfusion watch`: the live readings on a terminal, over SSH too."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from acquisition.cli.desk import directory
from acquisition.control_socket.client import ask
from acquisition.live.terminal import show

EVERY = 0.5


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), help="The bench, as TOML.")
@click.option("--data", type=click.Path(path_type=Path), envvar="PERFUSION_DATA", help="The folder of the record.")
@click.option("--once", is_flag=True, help="Print once and stop; exit 4 where a device is not streaming.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one document per look.")
def watch(path: Path | None, data: Path | None, once: bool, as_json: bool) -> int:
    """Watch the live readings of a running daemon."""
    record = directory(path, data)
    if once:
        snapshot = ask(record, {"do": "snapshot"})
        if as_json:
            click.echo(json.dumps(snapshot, ensure_ascii=False))
        else:
            show(iter([snapshot]))
        return 0 if all(device["state"] == "STREAMING" for device in snapshot["devices"]) else 4
    if as_json:
        for snapshot in _looks(record):
            sys.stdout.write(json.dumps(snapshot, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    show(_looks(record))
    return 0


def _looks(record: Path) -> Iterator[Any]:
    while True:
        yield ask(record, {"do": "snapshot"})
        time.sleep(EVERY)
