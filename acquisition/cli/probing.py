"""`perfusion devices --probe`: which instrument answers on which port."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from acquisition import config
from acquisition.cli.tables import show_table
from acquisition.device.probing import Finding, Target, probe
from acquisition.driverkit.driver import Driver
from acquisition.driverkit.registry import drivers
from acquisition.timing.clock import Clock


def is_port(word: str) -> bool:
    """Whether an argument names a port or a VISA resource and no driver."""
    return "/" in word or "::" in word


def show_probe(
    present: Sequence[str], ports: Sequence[str], names: Sequence[str], configuration: Path | None, as_json: bool
) -> None:
    """Ask the ports named, or those present and configured, and show who answers and which drivers ask nothing.

    `present`: the serial ports of this computer; `names`: the drivers to ask as, all where there are none.
    """
    targets = _targets(present, ports, names, configuration)
    findings = asyncio.run(probe(targets, Clock()))
    silent = _silent({name: drivers()[name] for name in names or drivers()}, named=bool(names and ports))
    if as_json:
        document = {"ports": [_record(each) for each in findings], "not_asked": silent}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    show_table(
        ("port", "result", "driver", "model", "serial number", "remark"),
        [(each.port, each.state, each.driver, each.model, each.serial, _remark(each)) for each in findings],
        "no serial ports found, and none was named",
        unbroken=("port",),
    )
    if silent:
        alike: dict[str, list[str]] = {}
        for name, why in silent.items():
            alike.setdefault(why, []).append(name)
        show_table(("not asked for", "why"), [(", ".join(names), why) for why, names in alike.items()], "")


def _targets(
    present: Sequence[str], ports: Sequence[str], names: Sequence[str], configuration: Path | None
) -> list[Target]:
    wanted = {name: drivers()[name] for name in names or drivers()}
    found: dict[str, Target] = {}
    for device in config.load(configuration).devices if configuration is not None else ():
        where = device.table.resource or device.table.port or ""
        if "://" not in where and (not names or device.table.driver in names):
            line = device.driver(device.setup()).serial
            found[_key(where)] = Target(where, {device.table.driver: device.driver}, line, named=True)
    if ports:
        chosen = {_key(each): Target(each, wanted, named=bool(names)) for each in ports}
        return [found.get(key, target) for key, target in chosen.items()]
    return list(({_key(each): Target(each, wanted) for each in present} | found).values())


def _key(port: str) -> str:
    return port if "::" in port else os.path.realpath(port)


def _silent(known: Mapping[str, type[Driver]], named: bool) -> dict[str, str]:
    """The drivers that ask nothing of a port which nobody named for them, each with the reason."""
    found = {}
    for name, driver in known.items():
        enquiry = driver.enquiry
        if isinstance(enquiry, str):
            found[name] = enquiry
        elif not named and enquiry.reserved:
            found[name] = f"{enquiry.reserved}; name driver and port: perfusion devices {name} PORT --probe"
        elif not named and "serial" not in driver.about.links:
            found[name] = _BY_VISA
    return found


_BY_VISA = "it is reached by VISA: only resources that an argument or the configuration names are asked"


def _record(finding: Finding) -> dict[str, Any]:
    return asdict(finding) | {"holders": [{"pid": pid, "name": name} for pid, name in finding.holders]}


def _remark(finding: Finding) -> str:
    if finding.state == "silent" and not finding.text:
        return f"asked as {', '.join(finding.asked)}"
    return finding.text
