"""`perfusion reconcile`: whether the configured InfluxDB holds what it acknowledged."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from acquisition.config import load
from acquisition.remotes import reconcile as comparing
from acquisition.remotes.factory import INFLUX, influx_reader, influx_shipment, influx_writer
from acquisition.remotes.reconcile import Hour
from acquisition.store import Store


@click.command()
@click.option("-c", "--config", "path", type=click.Path(path_type=Path), required=True, help="The bench, as TOML.")
@click.option("--exact", is_flag=True, help="Read every sample back, not only those of hours that differ.")
@click.option("--resend", is_flag=True, help="Send again what is missing or altered.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line for each stream and hour.")
def reconcile(path: Path, exact: bool, resend: bool, as_json: bool) -> int:
    """Compare the record with the configured InfluxDB, hour by hour; exit 5 where that lacks what it acknowledged."""
    config = load(path)
    shipment = influx_shipment(config)
    streams: dict[tuple[str, str], int] = {}
    differing = 0
    with contextlib.closing(influx_reader(config)) as source, Store(config.store) as store:
        for hour in comparing.reconcile(store, INFLUX, shipment, source, exact):
            streams[hour.device, hour.stream] = streams.get((hour.device, hour.stream), 0) + hour.accepted
            differing += not hour.agrees
            if as_json:
                row = asdict(hour) | {"start": _time(hour.start), "agrees": hour.agrees}
                click.echo(json.dumps({name: value for name, value in row.items() if name not in ("span", "first")}))
            elif not hour.agrees:
                click.echo(_tell(hour))
            if resend and not hour.agrees:
                with contextlib.closing(influx_writer(config)) as remote:
                    count = comparing.resend(store, hour, shipment, remote)
                click.echo(f"{hour.device}/{hour.stream}: {count} samples sent again", err=True)
    if not as_json:
        for (device, stream), count in streams.items():
            click.echo(f"{device}/{stream}: {count} samples compared")
        click.echo("ok" if not differing else f"FAILED: {differing} hours differ")
    return 5 if differing else 0


def _tell(hour: Hour) -> str:
    lost, altered = (sum(b - a for a, b in spans) for spans in (hour.lost, hour.altered))
    spans = ", ".join(f"{first} to {following - 1}" for first, following in sorted(hour.lost + hour.altered)[:5])
    return (
        f"{hour.device}/{hour.stream} {_time(hour.start)}: accepted {hour.accepted}, found {hour.found}, "
        f"lost {lost}, altered {altered}: numbers {spans}"
    )


def _time(key: int) -> str:
    return datetime.fromtimestamp(key // 10**9, UTC).strftime("%Y-%m-%dT%H:%MZ")
