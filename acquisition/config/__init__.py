"""The configuration: a bedside.toml, read and checked whole before any port is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from acquisition import ucum
from acquisition.config import places, resources, toml
from acquisition.config.tables import ChannelTable, DeviceTable, Tables
from acquisition.driverkit.analog import Input, Profile
from acquisition.driverkit.driver import Document, Driver, Setup
from acquisition.driverkit.registry import drivers
from acquisition.errors import ConfigurationError
from acquisition.store import Retention, retention
from acquisition.text import is_safe

NETWORK_PORTS = {"socket": "tcp", "udp": "udp"}
REAL_BELT = "a real belt is not controlled, not until its proofs hold: simulated belts only (simulated = true)"
_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+):\d{1,5}")
PORTS = "a path, socket://host:port or udp://host:port"


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One instrument, resolved: its driver, checked options, and inputs with their profiles."""

    table: DeviceTable
    driver: type[Driver]
    options: msgspec.Struct
    inputs: tuple[Input, ...]
    documents: Mapping[str, Document]

    def setup(self, patience: float = 1.0, **more: Any) -> Setup:
        """What the driver is built from."""
        datagrams = (self.table.port or "").startswith("udp://")
        return Setup(
            self.table.driver,
            self.options,
            self.inputs,
            patience,
            self.table.control is not False,
            datagrams,
            self.documents,
            **more,
        )


@dataclass(frozen=True, slots=True)
class Config:
    """A checked configuration and the file that it came from."""

    path: Path
    tables: Tables
    devices: tuple[DeviceConfig, ...]

    @property
    def store(self) -> Path:
        """The folder of the record."""
        return self.path.parent / self.tables.store.path

    @property
    def doubts(self) -> list[str]:
        """What is allowed, but lets others read a secret, in words."""
        remotes = (self.tables.influx, self.tables.mqtt)
        return [doubt for each in remotes if each is not None for doubt in each.doubts(self.path.parent)]

    @property
    def retention(self) -> Retention | None:
        """How long the record keeps samples, None for ever."""
        table = self.tables.store
        if table.retention is None:
            return None
        return replace(retention.parse(table.retention), sessions=table.keep == "sessions")


def load(path: Path, bench: bool = True) -> Config:
    """Read and check a configuration file; ConfigurationError names the key, its value and what is allowed.

    Without `bench` it may be that of a study, for entries and outcomes where no instrument is: no device in it.
    """
    path = path.absolute()
    raw = toml.read(path)
    _refuse_unsafe(path, "$", raw)
    tables = places.expanded(path, toml.convert(raw, Tables, path))
    if tables.store.retention is not None:
        try:
            retention.parse(tables.store.retention)
        except ValueError as error:
            value = tables.store.retention
            raise toml.fault(path, "$.store.retention", "no retention", str(error), value) from None
    if tables.study.participant is not None:
        try:
            re.compile(tables.study.participant)
        except re.error as error:
            value = tables.study.participant
            raise toml.fault(path, "$.study.participant", f"no regular expression: {error}", value=value) from None
    for name, remote in (("influx", tables.influx), ("mqtt", tables.mqtt)):
        if remote is not None and (found := remote.fault()) is not None:
            key, what, allowed = found
            raise toml.fault(path, f"$.{name}.{key}", what, allowed)
    if bench and not tables.device:
        raise toml.fault(path, "$.device", "no device is configured", "at least one [[device]]")
    _check_apart(path, tables.device)
    devices = tuple(_device(path, f"$.device[{i}]", table) for i, table in enumerate(tables.device))
    return Config(path, tables, devices)


def schema() -> dict[str, Any]:
    """The JSON schema of the file; options and profiles are checked by each driver beyond it."""
    return msgspec.json.schema(Tables)


def _refuse_unsafe(path: Path, key: str, raw: Any) -> None:
    """Refuse control characters, which names and places have none of; a device's options may, as its line may."""
    if isinstance(raw, str) and not is_safe(raw):
        raise toml.fault(path, key, "holds control characters", "text that shows as it is written", ascii(raw))
    if isinstance(raw, dict):
        for name, value in raw.items():
            if name != "options":
                _refuse_unsafe(path, f"{key}.{name}", value)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            _refuse_unsafe(path, f"{key}[{index}]", value)


def _device(path: Path, key: str, table: DeviceTable) -> DeviceConfig:
    known = drivers()
    driver = known.get(table.driver)
    if driver is None:
        raise toml.fault(path, f"{key}.driver", "unknown driver", ", ".join(known), table.driver)
    _check_link(path, key, table, driver)
    if table.control and not driver.commands:
        raise toml.fault(path, f"{key}.control", "this driver only reads", "false", table.control)
    if table.control and not table.simulated:
        raise toml.fault(
            path, f"{key}.control", REAL_BELT, "false, which reads it; see docs/treadmills.md", table.control
        )
    if table.control is True and driver.force:
        allowed = 'false, which reads it, or "force", by which the site answers for that'
        raise toml.fault(path, f"{key}.control", f"this instrument is only {driver.force}", allowed, True)
    if table.control == "force" and not driver.force:
        raise toml.fault(path, f"{key}.control", "nothing has to be forced here", "true or false", "force")
    options = toml.convert(table.options, driver.Options, path, f"{key}.options")
    inputs = tuple(_input(path, f"{key}.channel[{i}]", channel) for i, channel in enumerate(table.channel))
    _check_names(path, key, inputs)
    resolved = DeviceConfig(table, driver, options, inputs, documents(driver, options, path, f"{key}.options"))
    try:
        driver(resolved.setup())
    except ConfigurationError as error:
        raise toml.fault(path, f"{key}.{error.where or 'options'}", error.what, error.remedy) from error
    except ValueError as error:
        raise toml.fault(path, f"{key}.options", str(error)) from error
    return resolved


def documents(driver: type[Driver], options: msgspec.Struct, path: Path, key: str = "$") -> dict[str, Document]:
    """Find, read and check what the options of a driver name; `path` is the configuration file, `key` their place."""
    return {
        option: _document(kind, getattr(options, option), path, f"{key}.{option}")
        for option, kind in driver.documents.items()
    }


def _document(kind: type[Document], name: str, path: Path, key: str) -> Document:
    found = resources.find(kind.folder, name, path.parent)
    if found is None:
        available = ", ".join(resources.names(kind.folder, path.parent))
        raise toml.fault(path, key, f"there is no {kind.folder}/{name}.toml here or shipped", available, name)
    document = toml.convert(toml.read(found), kind, found)
    try:
        document.check()
    except ConfigurationError as error:
        raise toml.fault(found, f"$.{error.where}", error.what, error.remedy) from error
    return document


def _check_apart(path: Path, tables: tuple[DeviceTable, ...]) -> None:
    """Each device has a name and a link of its own."""
    for word in ("name", "port", "resource"):
        seen: dict[str, int] = {}
        for index, table in enumerate(tables):
            value = getattr(table, word)
            if value in seen:
                raise toml.fault(
                    path,
                    f"$.device[{index}].{word}",
                    f"the {word} is taken by $.device[{seen[value]}]",
                    f"a {word} of its own for each device",
                    value,
                )
            if value is not None:
                seen[value] = index


def _check_link(path: Path, key: str, table: DeviceTable, driver: type[Driver]) -> None:
    links = set(driver.about.links)
    if (table.port is None) == (table.resource is None):
        which = "port or resource" if table.port is None else "port and resource"
        raise toml.fault(
            path,
            f"{key}.port",
            "the device has neither port nor resource" if table.port is None else f"the device has both {which}",
            "one of them: port (a serial device, socket://host:port or udp://host:port), or resource (a VISA resource)",
        )
    if table.port is not None:
        if not table.port.strip():
            raise toml.fault(path, f"{key}.port", "it is empty", PORTS, table.port)
        kind, separator, rest = table.port.partition("://")
        if not separator and _ADDRESS.fullmatch(table.port):
            allowed = f"socket://{table.port} of a serial server by TCP, udp://{table.port}, or a path"
            raise toml.fault(path, f"{key}.port", "this is a host and a number, and no path", allowed, table.port)
        if separator and kind not in NETWORK_PORTS:
            raise toml.fault(path, f"{key}.port", "unknown kind of port", PORTS, table.port)
        if separator:
            host, _, number = rest.rpartition(":")
            if not host or not number.isdigit() or not 0 < int(number) < 65536:
                what = f"no {NETWORK_PORTS[kind].upper()} address"
                raise toml.fault(path, f"{key}.port", what, f"{kind}://host:port", table.port)
        if not links & {"serial", "tcp", "udp"}:
            raise toml.fault(
                path, f"{key}.port", f"{table.driver} is reached by VISA", "resource instead of port", table.port
            )
        if kind == "udp" and separator and "udp" not in links:
            raise toml.fault(path, f"{key}.port", f"{table.driver} does not speak UDP", PORTS, table.port)
    elif not links & {"hislip", "socket", "vxi11", "gpib"}:
        raise toml.fault(
            path, f"{key}.resource", f"{table.driver} is no VISA instrument", "port instead of resource", table.resource
        )
    else:
        _check_resource(path, key, table.resource)


def _check_resource(path: Path, key: str, resource: str | None) -> None:
    from pyvisa import rname  # a fifth of a second, which a bench without VISA need not wait

    try:
        rname.ResourceName.from_string(resource or "")
    except rname.InvalidResourceName as error:
        forms = "TCPIP0::host::hislip0::INSTR, TCPIP0::host::port::SOCKET, GPIB0::9::INSTR or the like"
        raise toml.fault(path, f"{key}.resource", f"no VISA resource: {error}", forms, resource) from None


def _input(path: Path, key: str, table: ChannelTable) -> Input:
    beside = path.parent
    profile_path = resources.find("profiles", table.profile, beside)
    if profile_path is None:
        available = ", ".join(resources.names("profiles", beside))
        raise toml.fault(path, f"{key}.profile", "unknown profile", available, table.profile)
    profile = toml.convert(toml.read(profile_path), Profile, profile_path)
    for index, each in enumerate(profile.signals):
        if ucum.code(each.unit) is None:
            raise toml.fault(profile_path, f"$.signals[{index}].unit", "unknown unit", ucum.allowed(), each.unit)
    try:
        signal = profile.signal(table.signal)
    except KeyError:
        available = ", ".join(signal.signal for signal in profile.signals)
        raise toml.fault(
            path, f"{key}.signal", f"the profile {table.profile} has no such signal", available, table.signal
        ) from None
    confirmed = profile.source == "documented"
    name = table.name or table.signal
    return Input(str(table.input), name, profile.name, confirmed, profile.citation, signal)


def _check_names(path: Path, key: str, inputs: tuple[Input, ...]) -> None:
    for attribute, word in (("name", "name"), ("terminal", "input")):
        seen: dict[str, int] = {}
        for index, each in enumerate(inputs):
            value = getattr(each, attribute)
            if value in seen:
                raise toml.fault(
                    path,
                    f"{key}.channel[{index}].{word}",
                    f"taken by channel[{seen[value]}]",
                    f"a different {word} for each channel",
                    value,
                )
            seen[value] = index
