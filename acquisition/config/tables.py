"""Schema of a bedside.toml: its tables, their defaults, and the places of secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from acquisition.errors import ConfigurationError
from acquisition.signals.catalogue import ENDPOINTS

Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Positive = Annotated[float, Meta(gt=0)]
NetworkPort = Annotated[int, Meta(ge=0, le=65535)]
LIKE_A_SECRET = 40
"""Characters of a name of a file or variable that is none: tokens are longer."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


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

    def fault(self) -> tuple[str, str, str] | None:
        """What does not go together: key, what, and what is allowed; never a value, which may hold a secret."""
        if (self.token_file is None) == (self.token_env is None):
            return "token_file", "the token's place is not clear", "token_file or token_env"
        if "?" in self.url or "#" in self.url:
            what = "it holds more than the server's address, and would be shown with it"
            return "url", what, "http(s)://host, with a port and a path where need be; a token stands in token_file"
        try:
            parts = urlsplit(self.url)
            known = bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        return None if known else ("url", "there is no such address", "http(s)://host:port")

    def doubts(self, beside: Path) -> list[str]:
        """What lets others read the token, in words."""
        found = _open_to_all("token", "$.influx.token_file", self.token_file, beside)
        parts = urlsplit(self.url)
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            found.append(
                "$.influx.url: the token and every reading cross the network in the clear; "
                "use https://, with ca_file for an authority of your own"
            )
        return found

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

    def doubts(self, beside: Path) -> list[str]:
        """What lets others read a secret, in words."""
        return [
            *_open_to_all("password", "$.mqtt.password_file", self.password_file, beside),
            *_open_to_all("private key", "$.mqtt.key_file", self.key_file, beside),
        ]

    def fault(self) -> tuple[str, str, str] | None:
        """What does not go together: key, what, and what is allowed."""
        if set(self.host) & set("@/?# "):
            return "host", "this is no host", "a name or an address; port, user and password_file are keys of their own"
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


def _open_to_all(word: str, key: str, name: str | None, beside: Path) -> list[str]:
    """A doubt where a file that holds a secret may be read or changed by every account of this machine."""
    if name is None:
        return []
    try:
        mode = (beside / name).stat().st_mode
    except OSError:
        return []  # whoever reads it says what is wrong
    if not mode & 0o007:
        return []
    return [f"{key} ({beside / name}): every account of this machine may read the {word}; chmod 600 it"]


def _shown(name: str) -> str:
    """The name of a place for a secret, unless it looks like the secret itself."""
    return name if len(Path(name).name) < LIKE_A_SECRET else "it is not shown: it looks like the secret itself"


def _secret(word: str, key: str, file: str | None, env: str | None, beside: Path) -> tuple[str, str, str]:
    """A secret from its file or environment variable, with where that is and what to do where it is wrong."""
    if env is not None:
        found = os.environ.get(env, "")
        where, remedy = f"{key}_env ({_shown(env)})", "set that environment variable"
    else:
        path = beside / (file or "")
        shown = beside / file if file and _shown(file) == file else _shown(file or "")
        where, remedy = f"{key}_file ({shown})", f"write the {word} into that file, readable by the service"
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
    """One instrument; `control` lets the service move it, "force" where the driver asks the site to answer for that.

    Simulated instruments alone are moved; a real one is read.
    """

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
    endpoint: tuple[Endpoint, ...] = tuple(Endpoint(i.endpoint, i.name, i.endpoint_protocol) for i in ENDPOINTS)


class Tables(Table, frozen=True):
    """The whole file."""

    device: tuple[DeviceTable, ...] = ()
    site: Site = Site()
    study: Study = Study()
    store: Record = Record()
    page: PageTable | None = PageTable()
    influx: Influx | None = None
    mqtt: Mqtt | None = None
