"""`perfusion devices`: which drivers there are, and which serial ports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from acquisition import assets, strict
from acquisition.analog import Profile
from acquisition.driver import Driver
from acquisition.ports.serial import holders_of
from acquisition.registry import drivers


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def devices(as_json: bool) -> None:
    """List the drivers with the standing of their protocols, the analog profiles, and the serial ports by id."""
    known = [_describe(name, driver) for name, driver in drivers().items()]
    document = {"drivers": known, "profiles": _profiles(), "ports": _ports()}
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    console = Console()
    table = Table("driver", "instrument", "kind", "links", "confidence", "source")
    for each in known:
        table.add_row(
            each["name"], each["instrument"], each["kind"], ", ".join(each["links"]), each["confidence"], each["source"]
        )
    console.print(table)
    for each in known:
        for text in each["unconfirmed"]:
            console.print(f"{each['name']}: unconfirmed: {text}", markup=False)
    table = Table("analog profile", "instrument", "signals", "scale", "source")
    for each in document["profiles"]:
        signals = ", ".join(f"{s['signal']} ({s['unit']})" for s in each["signals"])
        table.add_row(each["name"], each["instrument"], signals, each["source"], each["citation"])
    console.print(table)
    table = Table("serial port", "device", "in use by", "permission")
    for each in document["ports"]:
        table.add_row(
            each["id"], each["path"], ", ".join(f"{h['pid']} {h['name']}" for h in each["holders"]), each["permission"]
        )
    console.print(table if document["ports"] else "no serial ports found")


def _describe(name: str, driver: type[Driver]) -> dict[str, Any]:
    about = driver.about
    return {
        "name": name,
        "instrument": about.names[name],
        "kind": about.kind,
        "links": list(about.links),
        "confidence": about.confidence,
        "source": about.source,
        "unconfirmed": list(about.unconfirmed),
    }


def _profiles() -> list[dict[str, Any]]:
    found = []
    for name in assets.names("profiles"):
        path = assets.find("profiles", name)
        assert path is not None
        profile = strict.convert(strict.read(path), Profile, path)
        found.append(
            {
                "name": name,
                "instrument": profile.instrument,
                "source": profile.source,
                "citation": profile.citation,
                "signals": [{"signal": s.signal, "unit": s.unit} for s in profile.signals],
            }
        )
    return found


def _ports() -> list[dict[str, Any]]:
    links = sorted(Path("/dev/serial/by-id").glob("*"))
    named = {link.resolve() for link in links}
    bare = [p for pattern in ("ttyUSB*", "ttyACM*") for p in sorted(Path("/dev").glob(pattern)) if p not in named]
    return [
        {
            "id": str(port),
            "path": str(port.resolve()),
            "holders": [{"pid": pid, "name": name} for pid, name in holders_of(str(port))],
            "permission": _permission(port),
        }
        for port in (*links, *bare)
    ]


def _permission(port: Path) -> str:
    import os

    if os.access(port, os.R_OK | os.W_OK):
        return "ok"
    try:
        return f"none: add the account to group {port.group()}"
    except (KeyError, OSError):
        return "none"
