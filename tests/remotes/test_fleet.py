"""Many stations, one server and one broker: each replicates its record whole, also over an outage that all see."""

import contextlib
import json
import time

import pytest

from acquisition.store import Store
from tests.remotes.landed import accepted, landed
from tests.remotes.mqtt_reader import Rebuilt, Subscriber, recorded
from tests.remotes.servers import Broker, InfluxGate, InfluxServer, until
from tests.service.bench import ENTRIES, Bench, perfusion, streaming

INSTRUMENTS = ("trackmaster", "tosca500-csv", "intellivue")


def station(stack, folder, number, url, broker):
    """A bedside with one simulated instrument, its daemon running."""
    folder.mkdir()
    (folder / "token").write_text("a-token")
    bench = stack.enter_context(Bench(folder))
    name = INSTRUMENTS[number % len(INSTRUMENTS)]
    options = ("--options", '{"interval": 0.2, "heading": 5}') if name == "tosca500-csv" else ("--scenario", "tour")
    bench.simulate(name, "--seed", number, *options)
    bench.write(
        {name: ENTRIES[name]},
        f'[site]\nid = "ward"\nstation = "bed{number}"\n'
        f'[influx]\nurl = "{url}"\norg = "ward"\nbucket = "ward"\ntoken_file = "token"\n'
        f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\ndurable = true\nsettle = 3.0\n',
    )
    return bench, bench.run()


def all_acknowledged(bench):
    with Store(bench.store) as store:
        cursor = store.cursors().get("influx")
        return cursor is not None and all(cursor.positions.get(s, 0) >= end for s, end in store.ends().items())


def published(reader, number):
    """A record made of what a durable subscriber was given of a station."""
    root = f"perfusion/v1/ward/bed{number}/"
    return Rebuilt([each for each in reader.on("/record") if each.topic.startswith(root)])


def replicate(folder, stations, down):
    """Run so many stations through an outage of `down` seconds; judge each by what server and broker have of it."""
    with (
        InfluxServer(folder / "influx") as server,
        InfluxGate(folder / "gate", server) as gate,
        Broker(folder / "broker") as broker,
        Subscriber(broker.port, "perfusion/v1/#") as reader,
    ):
        server.create("ward")
        with contextlib.ExitStack() as stack:
            running = [station(stack, folder / f"bed{number}", number, gate.url, broker) for number in range(stations)]
            for bench, daemon in running:
                daemon.until(bench.store, streaming, 60)
            time.sleep(2.0)
            server.kill()
            broker.kill()
            time.sleep(down)
            broker.start()
            server.start()
            for bench, _ in running:
                until(lambda bench=bench: all_acknowledged(bench), "a station catching up", 60)
            for bench, daemon in running:
                assert daemon.stop() == 0
                found = perfusion("reconcile", "-c", bench.config, "--exact", "--json")
                assert found.returncode == 0, found.stdout + found.stderr
                assert all(json.loads(line)["agrees"] for line in found.stdout.splitlines())
            for number, (bench, _) in enumerate(running):
                with Store(bench.store) as store:
                    held = recorded(store)
                until(
                    lambda number=number, held=held: published(reader, number).rows == held, "the subscriber having all"
                )
                assert published(reader, number).ordered()
                assert reader.last(f"perfusion/v1/ward/bed{number}/status")["state"] == "OFFLINE"
                held, there = accepted(bench.store), {}
                for name in ("treadmill", "tcpco2_monitor", "tcpo2_monitor"):
                    there |= landed(server, "ward", f"bed{number}", name)
                assert set(there) == set(held)
                assert all(points.items() <= held[key].items() for key, points in there.items())
        ((_, _, columns),) = server.ask('SHOW TAG VALUES FROM "perfusion_station" WITH KEY = "station"', "ward")
        assert set(columns["value"]) == {f"bed{number}" for number in range(stations)}


@pytest.mark.timeout(300)
def test_two_stations_share_a_server_and_a_broker(tmp_path):
    replicate(tmp_path, 2, 1.0)


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_ten_stations_share_a_server_and_a_broker(tmp_path):
    replicate(tmp_path, 10, 10.0)
