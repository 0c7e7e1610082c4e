"""`perfusion config`: check, show and describe configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from acquisition.config import Config, load, schema, toml

FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))


@click.group()
def config() -> None:
    """Check, show or describe configurations."""


@config.command()
@FILE
def check(path: Path) -> None:
    """Check a configuration without opening anything; exit 3 where it does not fit."""
    checked = load(path)
    warn(checked)
    click.echo(f"{path}: ok, {counted(checked)}", err=True)


@config.command()
@FILE
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def show(path: Path, origin: bool, as_json: bool) -> None:
    """Show the configuration as the service sees it, defaults included."""
    loaded = load(path)
    tables = msgspec.to_builtins(loaded.tables)
    for table, device in zip(tables["device"], loaded.devices, strict=True):
        table["options"] = msgspec.to_builtins(device.options)
    said, known = toml.read(path), toml.lines(path)
    rows = [
        (key, value, f"{path}:{toml.line_of(key, known)}" if toml.holds(said, key) else "default")
        for key, value in _leaves("$", tables)
    ]
    if as_json:
        document: Any = [{"key": k, "value": v, "origin": o} for k, v, o in rows] if origin else tables
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    for key, value, source in rows:
        shown = json.dumps(value, ensure_ascii=False)
        click.echo(f"{key} = {shown}   # {source}" if origin else f"{key} = {shown}")


@config.command("schema")
def show_schema() -> None:
    """Print the JSON schema of the configuration file."""
    click.echo(json.dumps(schema(), indent=2))


def warn(checked: Config) -> None:
    """Say on standard error what is allowed, but lets others read a secret."""
    for doubt in checked.doubts:
        click.echo(f"{checked.path}: warning: {doubt}", err=True)


def counted(checked: Config) -> str:
    """How many devices a configuration has, in words."""
    return "1 device" if len(checked.devices) == 1 else f"{len(checked.devices)} devices"


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list | tuple) and value and isinstance(value[0], dict):
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner)
    else:
        yield path, value
