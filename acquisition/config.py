"""The configuration: what a bedside.toml may say, checked whole before any port is opened."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from acquisition import assets, strict
from acquisition.analog import Input, Profile
from acquisition.driver import Document, Driver, Setup
from acquisition.errors import ConfigurationError
from acquisition.registry import drivers
from acquisition.store import Retention, retention

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Positive = Annotated[float, Meta(gt=0)]
NetworkPort = Annotated[int, Meta(ge=0, le=65535)]
NETWORK_PORTS = {"socket": "tcp", "udp": "udp"}
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PORTS = "a path, socket://host:port or udp://host:port"


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=False):
    """A table of the configuration; keys that it does not name are errors."""


class Site(Table, frozen=True):
    """Where this is: both names stand in every outgoing message."""

    id: Name = "site"
    station: Name = "bedside"


class Record(Table, frozen=True):
    """The store: its folder (relative to this file) and how long data are kept ("90 d", "20 GB", or both).

    `keep` says what retention never removes: the samples of all `sessions`, or only of those that were `marked`
    by `perfusion session keep`.
    """

    path: str = "record"
    retention: str | None = None
    keep: Literal["sessions", "marked"] = "sessions"
    flush: Annotated[float, Meta(ge=0.01, le=0.2)] = 0.08


class PageTable(Table, frozen=True):
    """The live page, on 127.0.0.1; `marks` lets whoever sees it mark and end the examination that goes on."""

    port: NetworkPort = 8080
    marks: bool = True


class Influx(Table, frozen=True):
    """A remote InfluxDB; its token stands in a file, or in the environment variable `token_env`.

    `ca_file` holds the certificate of a private authority that signed the server's. `gzip` is on unless said
    otherwise, or the server is on this machine.
    """

    url: Annotated[str, Meta(pattern=r"^https?://[^@\s]+$")]
    org: str
    bucket: str
    token_file: str | None = None
    token_env: str | None = None
    ca_file: str | None = None
    gzip: bool | None = None
    flush: Annotated[float, Meta(ge=0.01, le=60)] = 0.5

    @property
    def compressed(self) -> bool:
        """Whether batches are compressed on the way."""
        return urlsplit(self.url).hostname not in LOOPBACK if self.gzip is None else self.gzip

    def ca(self, beside: Path) -> str | None:
        """The path of `ca_file`."""
        return None if self.ca_file is None else str(beside / self.ca_file)

    def token(self, beside: Path) -> str:
        """The token; ConfigurationError where it cannot be had."""
        token, where, remedy = _secret("token", "$.influx.token", self.token_file, self.token_env, beside)
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ConfigurationError("this is no token", where, "the file holds something else", remedy)
        return token


class Mqtt(Table, frozen=True):
    """A remote MQTT broker; the password stands in a file, or in the environment variable `password_env`.

    `ca_file` holds the certificate of a private authority that signed the broker's; `cert_file` and `key_file` are
    what this station shows instead of, or beside, a password. `durable` feeds the record from a cursor; `flush` and
    `settle` (s) are explained in docs/mqtt.md.
    """

    host: Annotated[str, Meta(min_length=1)]
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    tls: bool = True
    user: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    format: Literal["json", "binary"] = "json"
    durable: bool = False
    flush: Annotated[float, Meta(ge=0.01, le=60)] = 1.0
    settle: Annotated[float, Meta(ge=0, le=600)] = 15.0

    @property
    def secret(self) -> bool:
        """Whether a password is named."""
        return self.password_file is not None or self.password_env is not None

    def password(self, beside: Path) -> str:
        """The password; ConfigurationError where it cannot be had."""
        return _secret("password", "$.mqtt.password", self.password_file, self.password_env, beside)[0]

    def fault(self) -> tuple[str, str, str] | None:
        """What does not go together: key, what, and what is allowed."""
        if self.password_file is not None and self.password_env is not None:
            return "password_file", "the password's place is not clear", "password_file or password_env"
        if (self.user is None) == self.secret:
            missing = "user" if self.user is None else "password_file"
            return missing, "user and password go together", "user with password_file or password_env, or neither"
        if (self.cert_file is None) != (self.key_file is None):
            missing = "key_file" if self.key_file is None else "cert_file"
            return missing, "a certificate and its key go together", "cert_file with key_file, or neither"
        if not self.tls and (self.ca_file or self.cert_file):
            return "tls", "certificates are named, but TLS is off", "true"
        if not self.tls and self.secret and self.host not in LOOPBACK:
            return "tls", "the password would cross the network in the clear", "true"
        return None


def _secret(word: str, key: str, file: str | None, env: str | None, beside: Path) -> tuple[str, str, str]:
    """A secret from its file or environment variable, with where that is and what to do where it is wrong."""
    if env is not None:
        found = os.environ.get(env, "")
        where, remedy = f"{key}_env ({env})", "set that environment variable"
    else:
        path = beside / (file or "")
        where, remedy = f"{key}_file ({path})", f"write the {word} into that file, readable by the service"
        try:
            found = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the {word} cannot be read", where, type(error).__name__, remedy) from None
    if not found:
        raise ConfigurationError(f"the {word} is empty", where, remedy=remedy)
    return found, where, remedy


class Identity(Table, frozen=True):
    """Which instrument must answer; what is not said is not checked."""

    model: str | None = None
    serial: str | None = None


class Placement(Table, frozen=True):
    """Where the probes are."""

    site: str = ""
    side: str = ""


class ChannelTable(Table, frozen=True):
    """What one analog input of a digitiser carries; `name` is the channel's, by default the signal's."""

    input: int | str
    signal: str
    profile: str
    name: Name | None = None


class DeviceTable(Table, frozen=True):
    """One instrument; `control` lets the service move it, "force" where the driver asks the site to answer for that."""

    name: Name
    driver: str
    port: str | None = None
    resource: str | None = None
    simulated: bool = False
    tape: bool = False
    control: bool | Literal["force"] = False
    silence: Positive | None = None
    identity: Identity = Identity()
    placement: Placement = Placement()
    options: dict[str, Any] = {}
    channel: tuple[ChannelTable, ...] = ()


class Endpoint(Table, frozen=True):
    """The one index that was chosen beforehand for an outcome of the study; of one protocol, or of any."""

    outcome: Name
    index: str
    protocol: str = ""


class Reliability(Table, frozen=True):
    """The smallest detectable change of an index (SDC95), in its unit or in per cent of the first value, and whence."""

    value: Annotated[float, Meta(gt=0)]
    percent: bool = False
    source: str = ""


class Study(Table, frozen=True):
    """The study: what a participant's code looks like (a regular expression), and its visits; without them, any.

    `windows` are days after the `baseline` visit, from and to; `index_limb` says by participant which limb counts.
    `sdc95` gives smallest detectable changes by index, before the published ones. `wifi` says by what the ischaemia of
    WIfI is graded: by the toe before all, or by the worst of what was measured.
    """

    participant: str | None = None
    visits: tuple[Name, ...] = ()
    baseline: Name = "baseline"
    windows: dict[Name, tuple[float, float]] = {}
    index_limb: dict[str, Literal["left", "right"]] = {}
    sdc95: dict[str, Reliability] = {}
    wifi: Literal["toe_first", "worst"] = "toe_first"
    endpoint: tuple[Endpoint, ...] = (
        Endpoint("reactivity", "peak_percent_increase", "porh"),
        Endpoint("oxygen", "tcpo2_rest", "tcpo2-rest"),
        Endpoint("walking", "acd_distance", "walking-constant"),
        Endpoint("ulcer", "ulcer_area"),
        Endpoint("pain", "pain_vas"),
        Endpoint("abi", "abi"),
    )


class Tables(Table, frozen=True):
    """The whole file."""

    device: tuple[DeviceTable, ...]
    site: Site = Site()
    study: Study = Study()
    store: Record = Record()
    page: PageTable | None = PageTable()
    influx: Influx | None = None
    mqtt: Mqtt | None = None


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
    def retention(self) -> Retention | None:
        """How long the record keeps samples, None for ever."""
        table = self.tables.store
        if table.retention is None:
            return None
        return replace(retention.parse(table.retention), sessions=table.keep == "sessions")


def load(path: Path) -> Config:
    """Read and check a configuration file; ConfigurationError names the key, its value and what is allowed."""
    path = path.absolute()
    tables = strict.convert(strict.read(path), Tables, path)
    if tables.store.retention is not None:
        try:
            retention.parse(tables.store.retention)
        except ValueError as error:
            value = tables.store.retention
            raise strict.fault(path, "$.store.retention", "no retention", str(error), value) from None
    if tables.study.participant is not None:
        try:
            re.compile(tables.study.participant)
        except re.error as error:
            value = tables.study.participant
            raise strict.fault(path, "$.study.participant", f"no regular expression: {error}", value=value) from None
    influx = tables.influx
    if influx is not None and (influx.token_file is None) == (influx.token_env is None):
        raise strict.fault(path, "$.influx.token_file", "the token's place is not clear", "token_file or token_env")
    if tables.mqtt is not None and (found := tables.mqtt.fault()) is not None:
        key, what, allowed = found
        raise strict.fault(path, f"$.mqtt.{key}", what, allowed)
    if not tables.device:
        raise strict.fault(path, "$.device", "no device is configured", "at least one [[device]]")
    _check_apart(path, tables.device)
    devices = tuple(_device(path, f"$.device[{i}]", table) for i, table in enumerate(tables.device))
    return Config(path, tables, devices)


def schema() -> dict[str, Any]:
    """The JSON schema of the file; options and profiles are checked by each driver beyond it."""
    return msgspec.json.schema(Tables)


def _device(path: Path, key: str, table: DeviceTable) -> DeviceConfig:
    known = drivers()
    driver = known.get(table.driver)
    if driver is None:
        raise strict.fault(path, f"{key}.driver", "unknown driver", ", ".join(known), table.driver)
    _check_link(path, key, table, driver)
    if table.control and not driver.commands:
        raise strict.fault(path, f"{key}.control", "this driver only reads", "false", table.control)
    if table.control is True and driver.force:
        allowed = 'false, which reads it, or "force", by which the site answers for that'
        raise strict.fault(path, f"{key}.control", f"this instrument is only {driver.force}", allowed, True)
    if table.control == "force" and not driver.force:
        raise strict.fault(path, f"{key}.control", "nothing has to be forced here", "true or false", "force")
    options = strict.convert(table.options, driver.Options, path, f"{key}.options")
    inputs = tuple(_input(path, f"{key}.channel[{i}]", channel) for i, channel in enumerate(table.channel))
    _check_names(path, key, inputs)
    resolved = DeviceConfig(table, driver, options, inputs, documents(driver, options, path, f"{key}.options"))
    try:
        driver(resolved.setup())
    except ConfigurationError as error:
        raise strict.fault(path, f"{key}.{error.where or 'options'}", error.what, error.remedy) from error
    except ValueError as error:
        raise strict.fault(path, f"{key}.options", str(error)) from error
    return resolved


def documents(driver: type[Driver], options: msgspec.Struct, path: Path, key: str = "$") -> dict[str, Document]:
    """Find, read and check what the options of a driver name; `path` is the configuration file, `key` their place."""
    return {
        option: _document(kind, getattr(options, option), path, f"{key}.{option}")
        for option, kind in driver.documents.items()
    }


def _document(kind: type[Document], name: str, path: Path, key: str) -> Document:
    found = assets.find(kind.folder, name, path.parent)
    if found is None:
        available = ", ".join(assets.names(kind.folder, path.parent))
        raise strict.fault(path, key, f"there is no {kind.folder}/{name}.toml here or shipped", available, name)
    document = strict.convert(strict.read(found), kind, found)
    try:
        document.check()
    except ConfigurationError as error:
        raise strict.fault(found, f"$.{error.where}", error.what, error.remedy) from error
    return document


def _check_apart(path: Path, tables: tuple[DeviceTable, ...]) -> None:
    """Each device has a name and a link of its own."""
    for word in ("name", "port", "resource"):
        seen: dict[str, int] = {}
        for index, table in enumerate(tables):
            value = getattr(table, word)
            if value in seen:
                raise strict.fault(
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
        raise strict.fault(
            path,
            f"{key}.port",
            "the device has neither port nor resource" if table.port is None else f"the device has both {which}",
            "one of them: port (a serial device, socket://host:port or udp://host:port), or resource (a VISA resource)",
        )
    if table.port is not None:
        if not table.port.strip():
            raise strict.fault(path, f"{key}.port", "it is empty", PORTS, table.port)
        kind, separator, rest = table.port.partition("://")
        if separator and kind not in NETWORK_PORTS:
            raise strict.fault(path, f"{key}.port", "unknown kind of port", PORTS, table.port)
        if separator:
            host, _, number = rest.rpartition(":")
            if not host or not number.isdigit() or not 0 < int(number) < 65536:
                what = f"no {NETWORK_PORTS[kind].upper()} address"
                raise strict.fault(path, f"{key}.port", what, f"{kind}://host:port", table.port)
        if not links & {"serial", "tcp", "udp"}:
            raise strict.fault(
                path, f"{key}.port", f"{table.driver} is reached by VISA", "resource instead of port", table.port
            )
        if kind == "udp" and separator and "udp" not in links:
            raise strict.fault(path, f"{key}.port", f"{table.driver} does not speak UDP", PORTS, table.port)
    elif not links & {"hislip", "socket", "vxi11", "gpib"}:
        raise strict.fault(
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
        raise strict.fault(path, f"{key}.resource", f"no VISA resource: {error}", forms, resource) from None


def _input(path: Path, key: str, table: ChannelTable) -> Input:
    beside = path.parent
    profile_path = assets.find("profiles", table.profile, beside)
    if profile_path is None:
        available = ", ".join(assets.names("profiles", beside))
        raise strict.fault(path, f"{key}.profile", "unknown profile", available, table.profile)
    profile = strict.convert(strict.read(profile_path), Profile, profile_path)
    try:
        signal = profile.signal(table.signal)
    except KeyError:
        available = ", ".join(signal.signal for signal in profile.signals)
        raise strict.fault(
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
                raise strict.fault(
                    path,
                    f"{key}.channel[{index}].{word}",
                    f"taken by channel[{seen[value]}]",
                    f"a different {word} for each channel",
                    value,
                )
            seen[value] = index
