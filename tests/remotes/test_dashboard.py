"""The dashboard that ships asks a real InfluxDB for what a bedside writes, and is answered."""

import dataclasses
import json
import re

import pytest

from acquisition.config.resources import shipped
from acquisition.remotes.factory import measurement
from acquisition.remotes.reader import Shipment
from tests.remotes.landed import TAGS, ship
from tests.remotes.servers import until
from tests.remotes.test_influx import delivered
from tests.store.records import T0, Recording, Source, event, header

DASHBOARD = json.loads((shipped() / "grafana/dashboards/perfusion.json").read_text("utf-8"))
HOUR = 3600 * 10**9
BENCH = (
    ("daq970a", "ldf", "flux", ("flux",)),
    ("intellivue", "tcpo2", "calf", ("tcpo2",)),
    ("tosca500", "tcpco2", "monitor", ("tcpco2",)),
    ("trackmaster", "treadmill", "belt", ("speed", "grade")),
)


def queries():
    found = [(v["name"], v["query"]) for v in DASHBOARD["templating"]["list"]]
    found += [(a["name"], a["query"]) for a in DASHBOARD["annotations"]["list"]]
    return found + [(p["title"], t["query"]) for p in DASHBOARD["panels"] for t in p["targets"]]


@pytest.fixture(scope="module")
def ward(influx_server, influx_gate, tmp_path_factory):
    """A database that holds what such a bench writes."""
    influx_server.create("dashboard")
    folder = tmp_path_factory.mktemp("ward")
    with Recording(folder) as writer:
        for number, (driver, device, stream, channels) in enumerate(BENCH):
            head = header(device=device, stream=stream, channels=channels)
            source = Source(dataclasses.replace(head, driver=driver), seed=number)
            writer.put(source.chunk(400))
        writer.put(event(T0 + 10**9, "alarm", text="low battery"))
        shipment = Shipment(measurement, TAGS)
        shipper = ship(influx_gate.url, "dashboard", writer, folder, shipment=shipment, key_now=lambda: T0 + 10**9)
        delivered(folder, writer, shipper)
        until(lambda: influx_server.ask("SELECT * FROM perfusion_station", "dashboard"), "a sign of life")
        shipper.stop(5)
    return "dashboard"


@pytest.mark.parametrize(("title", "query"), queries())
def test_every_panel_is_answered(title, query, ward, influx_server):
    stated = re.sub(r"\$(site|station)\b", lambda match: TAGS[match[1]], query)
    stated = stated.replace("$timeFilter", f"time >= {T0} AND time < {T0 + HOUR}").replace("$__interval", "10s")
    assert "$" not in stated.replace("$/", "")
    rows = influx_server.ask(stated, ward)
    assert any(value is not None for _, _, columns in rows for column in columns.values() for value in column), stated


def test_every_kind_of_device_has_its_channels_on_the_dashboard():
    asked = " ".join(query for _, query in queries())
    for driver, _, _, channels in BENCH:
        name = measurement(dataclasses.replace(header(), driver=driver))
        assert all(f'mean("{channel}") FROM "{name}"' in asked for channel in channels)
