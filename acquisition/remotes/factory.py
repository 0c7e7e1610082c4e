"""The remotes that a configuration names: what writes to them, what reads them back, and where each stream goes."""

from __future__ import annotations

import re

from acquisition.config import Config
from acquisition.config.tables import Influx
from acquisition.driverkit.registry import drivers
from acquisition.errors import ConfigurationError
from acquisition.model import Header
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.mqtt import Account, Station, Topics
from acquisition.remotes.readback import InfluxReader
from acquisition.remotes.reader import Shipment

INFLUX = "influx"
"""What the cursor of this remote is called."""


def check_secrets(config: Config) -> None:
    """Read every token, password and certificate once; ConfigurationError where one cannot be had."""
    if config.tables.influx is not None:
        config.tables.influx.token(config.path.parent)
    mqtt_account(config)


def influx_writer(config: Config) -> InfluxWriter:
    """What writes to it. ConfigurationError where there is none, or no token."""
    influx, beside = _influx(config), config.path.parent
    return InfluxWriter(
        influx.url,
        influx.org,
        influx.bucket,
        lambda: influx.token(beside),
        ca_file=influx.ca(beside),
        compressed=influx.compressed,
    )


def influx_reader(config: Config) -> InfluxReader:
    """What reads it back. ConfigurationError where there is none, or no token."""
    influx, beside = _influx(config), config.path.parent
    return InfluxReader(influx.url, influx.bucket, influx.token(beside), influx.ca(beside))


def influx_shipment(config: Config) -> Shipment:
    """Where each stream goes: a measurement for each kind of device, tags for site and station."""
    site = config.tables.site
    return Shipment(measurement, {"site": site.id, "station": site.station})


def mqtt_account(config: Config) -> Account | None:
    """The broker and how to get in, None where there is none; ConfigurationError where a secret or file is wrong."""
    mqtt, beside = config.tables.mqtt, config.path.parent
    if mqtt is None:
        return None
    ca_file, cert_file, key_file = (
        None if name is None else str(beside / name) for name in (mqtt.ca_file, mqtt.cert_file, mqtt.key_file)
    )
    password = (lambda: mqtt.password(beside)) if mqtt.secret else None
    account = Account(mqtt.host, mqtt.port, mqtt.user, password, mqtt.tls, ca_file, cert_file, key_file)
    account.check()
    return account


def mqtt_station(config: Config) -> Station:
    """Which station this is to the broker, and how its messages are sent."""
    mqtt, site = config.tables.mqtt, config.tables.site
    assert mqtt is not None
    devices = {device.table.name: device.table.simulated for device in config.devices}
    topics = Topics(site.id, site.station)
    return Station(topics, devices, config.store, mqtt.format, mqtt.durable, mqtt.flush, mqtt.settle)


def _influx(config: Config) -> Influx:
    if config.tables.influx is None:
        raise ConfigurationError("no InfluxDB is configured", f"{config.path}: $.influx", remedy="see docs/influx.md")
    return config.tables.influx


def measurement(header: Header) -> str:
    """The kind of a device as a name: `TcPO2 monitor` -> `tcpo2_monitor`."""
    known = drivers().get(header.driver)
    kind = known.about.kind if known else header.driver
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")
