"""`perfusion devices`: which instruments can be connected, how far their protocols are confirmed, and which ports."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import msgspec

from acquisition.cli import udev
from acquisition.cli.bench import SIMULATORS
from acquisition.cli.numbers import Finite
from acquisition.cli.ports import serial_ports as _ports
from acquisition.cli.probing import is_port, show_probe
from acquisition.cli.tables import show_facts, show_table
from acquisition.config import resources, toml
from acquisition.driverkit.analog import Profile
from acquisition.driverkit.driver import Driver, Setup
from acquisition.driverkit.registry import drivers
from acquisition.errors import PerfusionError
from acquisition.ports.adapters import adapters
from acquisition.ports.announcements import Channel
from acquisition.ports.announcements import listen as hear
from acquisition.text import clean


@click.command()
@click.argument("words", metavar="[DRIVER|PORT]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--listen",
    type=Finite(min=0, min_open=True),
    metavar="SECONDS",
    help="Only show who makes himself known on the network within this time; monitors do every 10 s.",
)
@click.option("--on", default="", metavar="ADDRESS", help="With --listen: this computer's address (default: all).")
@click.option(
    "--probe", "asks", is_flag=True, help="Ask on each free PORT, or each there is, which instrument answers."
)
@click.option("--udev", "names_ports", is_flag=True, help="Print udev rules that name the serial adapters plugged in.")
@click.option(
    "-c",
    "--config",
    "configuration",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --probe: ask what it names too, VISA resources among them, each as its driver does.",
)
def devices(
    words: tuple[str, ...],
    as_json: bool,
    listen: float | None,
    on: str,
    asks: bool,
    names_ports: bool,
    configuration: Path | None,
) -> None:
    """Show the serial ports; the drivers, their channels and the standing of their protocols; the analog profiles.

    With one or more DRIVERs those alone. A PORT, for --probe, is a device's path or a VISA resource.
    """
    ports, names = [word for word in words if is_port(word)], [word for word in words if not is_port(word)]
    if ports and not asks:
        raise click.UsageError(f"{ports[0]} is a port, which --probe asks; without it, name drivers")
    if any("://" in port for port in ports):
        raise click.UsageError("only serial ports and VISA resources are asked; --listen hears monitors on the network")
    if configuration is not None and not asks:
        raise click.UsageError("-c is for --probe")
    if names_ports:
        _show_rules(as_json)
        return
    if listen is not None:
        found = _heard(listen, on)
        if as_json:
            click.echo(json.dumps(found, indent=2, ensure_ascii=False))
            return
        columns = ("driver", "port", "model", "serial")
        show_table(columns, [[each[name] for name in columns] for each in found], "nobody made himself known")
        return
    unknown = [name for name in names if name not in drivers()]
    if unknown:
        raise click.BadParameter(f"no driver is called {', '.join(unknown)}; there are {', '.join(drivers())}")
    if asks:
        show_probe([each["id"] for each in _ports()], ports, names, configuration, as_json)
        return
    if not as_json and not names:
        _show_ports()
    simulated = _simulators()
    known = [
        _describe(name, driver, simulated.get(name)) for name, driver in drivers().items() if not names or name in names
    ]
    if as_json:
        document = {"drivers": known} if names else {"drivers": known, "profiles": _profiles(), "ports": _ports()}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    alike: dict[str, list[dict[str, Any]]] = {}
    for each in known:
        alike.setdefault(json.dumps({**each, "name": "", "instrument": ""}), []).append(each)
    for several in alike.values():
        _show(several)
    if not names:
        _show_profiles()


def _show_rules(as_json: bool) -> None:
    found = adapters()
    if not found:
        click.echo("no USB serial adapter is plugged in", err=True)
    if as_json:
        click.echo(json.dumps([rule.record() for rule in udev.rules(found)], indent=2, ensure_ascii=False))
    else:
        click.echo(udev.document(found), nl=False)


def _describe(name: str, driver: type[Driver], simulator: Mapping[str, Any] | None) -> dict[str, Any]:
    about = driver.about
    channels, given_by = _channels(name, driver, simulator["driver"] if simulator else {})
    return {
        "name": name,
        "instrument": about.names[name],
        "kind": about.kind,
        "links": list(about.links),
        "channels": channels,
        "channels_by": given_by,
        "control": "force" if driver.force else bool(driver.commands),
        "options": list(driver.Options.__struct_fields__),
        "confidence": about.confidence,
        "source": about.source,
        "unconfirmed": list(about.unconfirmed),
        "simulator": {"not_modelled": simulator["not_modelled"]} if simulator else None,
    }


def _channels(name: str, driver: type[Driver], example: Mapping[str, Any]) -> tuple[list[dict[str, str]], str]:
    """What a driver records, and what says so: the driver itself, the inputs of a digitiser, or a document."""
    if driver.documents:
        return [], f"the file that options.{next(iter(driver.documents))} names"
    if driver.about.kind == "digitiser":
        return [], "one for each [[device.channel]], in the unit of its profile"
    try:
        streams = driver(Setup(name, msgspec.convert(example, driver.Options))).streams
    except (msgspec.ValidationError, PerfusionError):
        return [], "its options"
    found = {(c.name, c.unit): {"name": c.name, "unit": c.unit} for stream in streams for c in stream.channels}
    return list(found.values()), "driver"


@cache
def _simulators() -> dict[str, dict[str, Any]]:
    """What can be simulated, by name; PerfusionError with its last line where the list ends otherwise."""
    listed = subprocess.run([*SIMULATORS, "--list"], capture_output=True, text=True, check=False, timeout=60)
    if listed.returncode != 0:
        said = (listed.stderr.strip().splitlines() or ["nothing"])[-1]
        raise PerfusionError(
            f"the simulators cannot be listed: {said}",
            cause="perfusion is installed in part, or a package of simulators is at fault",
            remedy="install it again",
        )
    found: dict[str, dict[str, Any]] = json.loads(listed.stdout)
    return found


def _heard(seconds: float, on: str) -> list[dict[str, str]]:
    """Who made himself known on the network, each once."""
    kinds = {kind: Channel(*kind.announced_on) for kind in set(drivers().values()) if kind.announced_on is not None}
    found: dict[str, dict[str, str]] = {}
    for channel, data in hear({*kinds.values()}, seconds, on):
        for kind in (kind for kind, its in kinds.items() if its == channel):
            said = kind.announced(data)
            if said is not None:
                name = next(iter(kind.about.names))
                found[said.port] = {
                    "driver": name,
                    "port": said.port,
                    "model": clean(said.model),
                    "serial": clean(said.serial),
                }
    return [found[port] for port in sorted(found)]


def _show(several: Sequence[Mapping[str, Any]]) -> None:
    """Drivers that differ in nothing but their names."""
    each = several[0]
    channels = ", ".join(f"{c['name']} ({c['unit']})" for c in each["channels"]) or each["channels_by"]
    simulator = each["simulator"]
    left_out = simulator["not_modelled"] if simulator else ["there is none"]
    show_facts(
        "\n".join(f"{one['name']}: {one['instrument']}" for one in several),
        (
            ("kind", [each["kind"]]),
            ("links", [", ".join(each["links"])]),
            ("channels", [channels]),
            ("control", [_CONTROL[each["control"]]]),
            ("confidence", [each["confidence"]]),
            ("source", [each["source"]]),
            ("unconfirmed", each["unconfirmed"]),
            ("not simulated" if simulator else "simulator", left_out),
        ),
    )


_CONTROL = {
    False: "none: it is only read",
    True: "with control = true and limits in its entry, where it is simulated; a real belt is only read",
    "force": 'with control = "force" and limits in its entry, where it is simulated; a real belt is only read: it does '
    "not stop by itself when the host fails",
}


def _show_profiles() -> None:
    show_table(
        ("analog profile", "instrument", "signals", "scale", "source"),
        [
            (
                each["name"],
                each["instrument"],
                ", ".join(f"{s['signal']} ({s['unit']})" for s in each["signals"]),
                each["source"],
                each["citation"],
            )
            for each in _profiles()
        ],
        "no analog profiles found",
    )


def _show_ports() -> None:
    show_table(
        ("serial port", "device", "in use by", "permission"),
        [
            (
                each["id"],
                each["path"],
                ", ".join(f"{h['pid']} {h['name']}" for h in each["holders"]),
                each["permission"],
            )
            for each in _ports()
        ],
        "no serial ports found",
    )


def _profiles() -> list[dict[str, Any]]:
    found = []
    for name in resources.names("profiles"):
        path = resources.find("profiles", name)
        assert path is not None
        profile = toml.convert(toml.read(path), Profile, path)
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
