"""The whole daemon with simulated instruments and a real broker: a subscriber rebuilds what the record holds."""

import time

import numpy as np
import pytest

from acquisition.config import load
from acquisition.errors import ConfigurationError
from acquisition.store import Store
from tests.remotes.mqtt_reader import Rebuilt, Subscriber, recorded
from tests.remotes.servers import PATIENCE, Broker, until
from tests.service.bench import Bench, streaming

ROOT = "perfusion/v1/site/bedside"
NAMES = ("daq970a", "intellivue", "trackmaster")
DEVICES = ("ldf", "tcpo2", "treadmill")


def configured(port, **more):
    lines = [f"{key} = {value}" for key, value in more.items()]
    return "\n".join(["[mqtt]", 'host = "127.0.0.1"', f"port = {port}", "tls = false", *lines, ""])


@pytest.mark.parametrize("how", ["json", "binary"])
def test_a_subscriber_rebuilds_exactly_what_the_record_holds(tmp_path, how):
    with Broker(tmp_path / "broker") as broker, Bench(tmp_path) as bench:
        for name in NAMES:
            bench.simulate(name, "--scenario", "tour", "--seed", "1")
        more = configured(broker.port, durable="true", flush=0.05, format=f'"{how}"')
        bench.write(extra=more)
        with Subscriber(broker.port, f"{ROOT}/#") as reader:
            daemon = bench.run()
            daemon.until(bench.store, streaming)
            until(lambda: [(reader.last(f"{ROOT}/{each}/status") or {}).get("state") for each in DEVICES]
                  == ["STREAMING"] * 3, "every device streaming")  # fmt: skip
            time.sleep(2.0)
            (stands,) = daemon.until(bench.store, lambda seen: seen["remotes"][0]["state"] == "delivering")["remotes"]
            assert (stands["name"], stands["reason"]) == ("mqtt", "")
            assert daemon.stop() == 0
            with Store(bench.store) as store:
                expected = recorded(store)
                until(lambda: Rebuilt(reader.on("/record")).rows == expected, "all of it")
                for info in store.streams():
                    block = store.read(info.device, stream=info.stream)
                    rows = Rebuilt(reader.on("/record")).rows[info.device, info.stream]
                    times = [rows[number][0] for number in sorted(rows)]
                    values = b"".join(rows[number][1] for number in sorted(rows))
                    np.testing.assert_array_equal(times, block.time)
                    assert values == block.values.tobytes()
            live = Rebuilt(reader.on("/data"))
            for key, rows in live.rows.items():
                assert rows.items() <= expected[key].items()
            assert live.rows.keys() == expected.keys()
            until(lambda: reader.last(f"{ROOT}/status") == {"state": "OFFLINE", "cause": "the service was stopped"},
                  "the station's goodbye")  # fmt: skip
            for each in DEVICES:
                assert reader.last(f"{ROOT}/{each}/status")["state"] == "OFFLINE"
        log = daemon.log.read_text()
    for noise in ("Traceback", "never retrieved", "WARNING", "destroyed", "ERROR"):
        assert noise not in log, log


def test_what_a_killed_daemon_leaves_behind_is_its_last_will(tmp_path):
    with Broker(tmp_path / "broker") as broker, Bench(tmp_path) as bench:
        bench.simulate("trackmaster")
        bench.write(extra=configured(broker.port))
        with Subscriber(broker.port, f"{ROOT}/#") as reader:
            daemon = bench.run()
            daemon.until(bench.store, streaming)
            until(lambda: (reader.last(f"{ROOT}/treadmill/status") or {}).get("state") == "STREAMING", "streaming")
            daemon.kill()
            for topic in ("status", "treadmill/status"):
                until(lambda topic=topic: reader.last(f"{ROOT}/{topic}")["state"] == "OFFLINE", topic)
                assert "lost" in reader.last(f"{ROOT}/{topic}")["cause"]


def test_a_daemon_whose_broker_is_away_records_and_ends_in_time(tmp_path):
    with Bench(tmp_path) as bench:
        bench.simulate("trackmaster")
        bench.write(extra=configured(1, durable="true"))
        daemon = bench.run()
        seen = daemon.until(bench.store, lambda seen: streaming(seen) and seen["remotes"][0]["state"] == "unreachable")
        assert "refused" in seen["remotes"][0]["reason"]
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 15.0
        assert "Traceback" not in daemon.log.read_text()
        with Store(bench.store) as store:
            assert store.streams()[0].samples > 0


WRONG = {
    'user = "bed1"': ("$.mqtt.password_file", "user and password go together"),
    'password_file = "p"': ("$.mqtt.user", "user and password go together"),
    'user = "bed1"\npassword_file = "p"\npassword_env = "P"': ("$.mqtt.password_file", "place is not clear"),
    'cert_file = "c"': ("$.mqtt.key_file", "a certificate and its key"),
    'key_file = "c"': ("$.mqtt.cert_file", "a certificate and its key"),
    'ca_file = "c"\ntls = false': ("$.mqtt.tls", "TLS is off"),
    'user = "bed1"\npassword_file = "p"\ntls = false': ("$.mqtt.tls", "in the clear"),
    'format = "xml"': ("$.mqtt.format", "Invalid enum value"),
    "flush = 0": ("$.mqtt.flush", ">= 0.01"),
    "port = 0": ("$.mqtt.port", ">= 1"),
    "qos = 2": ("$.mqtt.qos", "unknown key"),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_configuration_that_contradicts_itself_is_refused_by_key(tmp_path, text):
    path = tmp_path / "bench.toml"
    device = '[[device]]\nname = "t"\ndriver = "trackmaster"\nport = "/dev/x"\noptions = { unit = "mph" }\n'
    path.write_text(f'{device}[mqtt]\nhost = "broker.example"\n{text}\n')
    with pytest.raises(ConfigurationError) as told:
        load(path)
    where, what = WRONG[text]
    assert told.value.where.endswith(where)
    assert what in told.value.what


def test_a_password_that_cannot_be_read_stops_the_start(tmp_path):
    with Bench(tmp_path) as bench:
        bench.simulate("trackmaster")
        bench.write(extra=configured(1, user='"bed1"', password_file='"nowhere"'))
        daemon = bench.run()
        assert daemon.process.wait(PATIENCE) == 3
        assert "$.mqtt.password_file" in daemon.log.read_text()
