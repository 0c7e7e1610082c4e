"""`kill -9` of the daemon at random moments: nothing accepted is lost, nothing twice, every hole is a gap record.

Judged by what was committed before a witness, by the instruments' own ledgers, by what a real InfluxDB holds, and by
what a durable subscriber of a real broker was given.
"""

import contextlib
import json
import random
import time

import pytest

from acquisition.store import Store
from tests.remotes.landed import accepted, landed
from tests.remotes.mqtt_reader import Rebuilt, Subscriber, recorded
from tests.remotes.servers import Broker, InfluxGate, InfluxServer, until
from tests.service.bench import Bench, perfusion, streaming
from tests.service.judge import judge

STREAMS = {
    ("ldf", "flux"): ("daq970a", "flux"),
    ("ldf", "backscatter"): ("daq970a", "backscatter"),
    ("tcpo2", "chest"): ("intellivue", "chest"),
    ("tcpo2", "calf"): ("intellivue", "calf"),
    ("treadmill", "belt"): ("trackmaster", "belt"),
    ("tcpco2", "monitor"): ("tosca500-csv", "monitor"),
}


def ledgers(bench):
    """What each simulator sent, by device and stream."""
    rows = {name: simulator.rows() for name, simulator in bench.simulators.items()}
    return {
        key: [row["values"] for row in rows[name] if row["stream"] == stream] for key, (name, stream) in STREAMS.items()
    }


@contextlib.contextmanager
def remotes(folder):
    """An InfluxDB and a broker; yields the server, a durable subscriber, and what the configuration says of both."""
    (folder / "token").write_text("a-token")
    with (
        InfluxServer(folder / "influx") as server,
        InfluxGate(folder / "gate", server) as gate,
        Broker(folder / "broker") as broker,
        Subscriber(broker.port, "perfusion/v1/#") as reader,
    ):
        server.create("ward")
        yield (
            server,
            reader,
            f'[influx]\nurl = "{gate.url}"\norg = "ward"\nbucket = "ward"\ntoken_file = "token"\nflush = 0.1\n'
            f'[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\ntls = false\ndurable = true\nflush = 0.1\n',
        )


def kill_again_and_again(folder, kills, seed):
    rng = random.Random(seed)
    with remotes(folder) as (server, reader, tables), Bench(folder) as bench:
        for name in ("daq970a", "intellivue", "trackmaster"):
            bench.simulate(name, "--scenario", "tour", "--seed", seed)
        bench.simulate("tosca500-csv", "--seed", seed, "--options", '{"interval": 0.2, "heading": 10}')
        bench.write(extra=tables)
        for number in range(kills):
            daemon = bench.run()
            # Some die before they stream, some in the middle of it.
            if number % 4:
                daemon.until(bench.store, streaming)
            time.sleep(rng.uniform(0.0, 0.7))
            daemon.kill()
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        time.sleep(1.0)
        assert daemon.stop() == 0
        witnessed = daemon.witnessed()
        verdict = judge(bench.store, witnessed, ledgers(bench))
        deliver_the_rest(bench, reader)
        judge_server(bench, server)
    assert set(verdict) == set(STREAMS)
    for (device, stream), (samples, gaps, sent, _) in verdict.items():
        assert 0 < samples <= sent, (device, stream)
        assert gaps >= kills // 2, (device, stream)
    return witnessed


def deliver_the_rest(bench, reader):
    """Once all instruments are gone, until the InfluxDB and the subscriber have whatever was left at the end."""
    for simulator in bench.simulators.values():
        simulator.end()
    with Store(bench.store) as store:
        held, ends = recorded(store), store.ends()
    daemon = bench.run()
    daemon.until(bench.store, lambda seen: True)
    until(lambda: acknowledged(bench) == ends, "the InfluxDB having everything", 60)
    until(lambda: Rebuilt(reader.on("/record")).rows == held, "the subscriber having everything", 60)
    assert daemon.stop() == 0


def acknowledged(bench):
    with Store(bench.store) as store:
        cursor = store.cursors().get("influx")
        return cursor and cursor.positions


def judge_server(bench, server):
    """The server holds what the record holds, to the last bit, and `reconcile` sees it so."""
    held, there = accepted(bench.store), {}
    for (name,) in zip(*server.ask("SHOW MEASUREMENTS", "ward")[0][2].values(), strict=True):
        if not name.startswith("perfusion_"):
            there |= landed(server, "ward", "bedside", name)
    assert there == held
    found = perfusion("reconcile", "-c", bench.config, "--exact", "--json")
    assert found.returncode == 0, found.stdout + found.stderr
    hours = [json.loads(line) for line in found.stdout.splitlines()]
    assert sum(hour["found"] for hour in hours) == sum(map(len, held.values()))


@pytest.mark.timeout(600)
def test_twenty_kills_lose_nothing_that_was_accepted(tmp_path):
    witnessed = kill_again_and_again(tmp_path, 20, seed=1)
    assert len(witnessed) > 100


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(15))
def test_three_hundred_kills_lose_nothing_that_was_accepted(tmp_path, seed):
    kill_again_and_again(tmp_path, 20, seed=100 + seed)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(500))
def test_ten_thousand_kills_lose_nothing_that_was_accepted(tmp_path, seed):
    kill_again_and_again(tmp_path, 20, seed=1000 + seed)


def test_the_judge_finds_a_lost_and_a_doubled_row(tmp_path):
    """The judge itself must not be blind."""
    import apsw

    with Bench(tmp_path) as bench:
        bench.simulate("trackmaster", "--scenario", "walk-constant")
        bench.write()
        daemon = bench.run()
        daemon.until(bench.store, streaming)
        time.sleep(2.0)
        assert daemon.stop() == 0
        witnessed = daemon.witnessed()
        sent = [row["values"] for row in bench.simulators["trackmaster"].rows()]
    key = ("treadmill", "belt")
    verdict = judge(bench.store, witnessed, {key: sent})
    assert verdict[key][1] == 0
    with pytest.raises(AssertionError, match="not in the record"):
        judge(bench.store, [*witnessed, (*key, 10**6, 1)], {})
    middle = len(sent) // 2
    rows = [[float(n), *row[1:]] for n, row in enumerate(sent)]
    with pytest.raises(AssertionError, match="nowhere in what was sent"):
        judge(bench.store, witnessed, {key: rows[:middle]})
    connection = apsw.Connection(str(bench.store / "record.db"))
    connection.execute("DELETE FROM chunk WHERE id = (SELECT max(id) - 3 FROM chunk)")
    connection.close()
    with pytest.raises(AssertionError):
        judge(bench.store, witnessed, {})
