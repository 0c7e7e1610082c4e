"""The InfluxDB that a configuration names: what writes to it, what reads it back, and where each stream goes."""

from __future__ import annotations

import re

from acquisition.config import Config, Influx
from acquisition.errors import ConfigurationError
from acquisition.model import Header
from acquisition.registry import drivers
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.readback import InfluxReader
from acquisition.remotes.reader import Shipment

INFLUX = "influx"
"""What the cursor of this remote is called."""


def influx_writer(config: Config) -> InfluxWriter:
    """What writes to it. ConfigurationError where there is none, or no token."""
    influx, beside = _influx(config), config.path.parent
    return InfluxWriter(influx.url, influx.org, influx.bucket, lambda: influx.token(beside), ca_file=influx.ca(beside))


def influx_reader(config: Config) -> InfluxReader:
    """What reads it back. ConfigurationError where there is none, or no token."""
    influx, beside = _influx(config), config.path.parent
    return InfluxReader(influx.url, influx.bucket, influx.token(beside), influx.ca(beside))


def influx_shipment(config: Config) -> Shipment:
    """Where each stream goes: a measurement for each kind of device, tags for site and station."""
    site = config.tables.site
    return Shipment(measurement, {"site": site.id, "station": site.station})


def _influx(config: Config) -> Influx:
    if config.tables.influx is None:
        raise ConfigurationError("no InfluxDB is configured", f"{config.path}: $.influx", remedy="see docs/influx.md")
    return config.tables.influx


def measurement(header: Header) -> str:
    """The kind of a device as a name: `TcPO2 monitor` -> `tcpo2_monitor`."""
    known = drivers().get(header.driver)
    kind = known.about.kind if known else header.driver
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")
