"""The servers that the other tests lean on do what those tests assume."""

import socket

import pytest

from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.write_result import WriteVerdict
from tests.remotes.servers import Broker, InfluxServer, VictoriaServer, until


@pytest.fixture
def writer(influx_gate, database):
    found = InfluxWriter(influx_gate.url, "org", database, "a-token")
    yield found
    found.close()


def test_influxdb_keeps_one_point_for_one_key(influx_server, database, writer):
    line = "m,station=bed1 flux=30.1,seq=1i 1800000000000000001"
    for _ in range(3):
        assert writer.send(line).verdict is WriteVerdict.ACCEPTED
    ((name, _, columns),) = influx_server.ask("SELECT * FROM m", database)
    assert name == "m"
    assert columns == {"time": (1800000000000000001,), "flux": (30.1,), "seq": (1,), "station": ("bed1",)}


def test_influxdb_refuses_a_line_that_is_none_and_a_field_of_another_type(influx_server, database, writer):
    assert writer.send("m flux=1.5,seq=1i 1").verdict is WriteVerdict.ACCEPTED
    answer = writer.send("m flux=2.5,seq=2i 2\nm flux=3i,seq=3i 3\nm flux=4.5,seq=4i 4")
    assert answer.verdict is WriteVerdict.REJECT
    assert "field type conflict" in answer.reason
    assert writer.send("this is no line").verdict is WriteVerdict.REJECT
    ((_, _, columns),) = influx_server.ask("SELECT * FROM m", database)
    assert columns["seq"] == (1, 2, 4)


def test_victoria_metrics_takes_the_same_lines(tmp_path):
    with VictoriaServer(tmp_path) as server:
        writer = InfluxWriter(server.url, "org", "bucket", "a-token")
        assert writer.send("m,station=bed1 flux=30.1,seq=1i 1700000000123000000").verdict is WriteVerdict.ACCEPTED
        writer.close()
        until(lambda: server.export('{__name__="m_flux"}'), "the new series")
        ((labels, values, times),) = server.export('{__name__="m_flux"}')
    assert (labels["station"], values, times) == ("bed1", [30.1], [1700000000123])


def test_a_port_that_somebody_took_meanwhile_is_left_to_them(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = InfluxServer(tmp_path)
        server.port = taken.getsockname()[1]
        with server:
            assert server.port != taken.getsockname()[1]
            server.create("there")


def test_mosquitto_starts_and_ends(tmp_path):
    with Broker(tmp_path) as broker:
        assert broker.answers()
    assert not broker.answers()
