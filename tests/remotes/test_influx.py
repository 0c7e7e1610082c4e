"""The record in a real InfluxDB: what is stored there is what was accepted here, whatever lies between."""

import random

import msgspec
import numpy as np
import pytest

from acquisition.config.tables import Influx
from acquisition.store import Store
from tests.remotes.landed import accepted, first_deliveries, landed, refused, ship
from tests.remotes.proxy import LOST_REPLY, RESET, FaultProxy, Says, Slow, error
from tests.remotes.servers import InfluxGate, InfluxServer, until
from tests.store.records import STEP, T0, Recording, Source, event, header

POISON = 666.5


def sources():
    other = header(device="tcpo2", stream="po2", channels=("chest",), rate=1.0)
    return [Source(seed=1), Source(other, seed=2)]


def delivered(directory, writer, shipper):
    """Wait until the shipper has nothing left and its cursor says so."""

    def all_there():
        with Store(directory) as store:
            cursor = store.cursors().get("influx")
            return cursor is not None and all(cursor.positions.get(s, 0) >= end for s, end in store.ends().items())

    def settled():
        # An event may still meet a fault once all samples are there; one that found nothing to send has not begun.
        word = shipper.standing.word
        return word == "failed" or (word in ("delivering", "starting") and all_there())

    writer.flush()
    until(settled, "everything being delivered", 60)
    assert shipper.standing.word != "failed"


def random_bits(n, width, seed):
    """Floats of any size: random bit patterns, with the ends of the range among them."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 2**64, (n, width), dtype=np.uint64).view(np.float64)
    special = [
        -0.0,
        0.0,
        5e-324,
        -5e-324,
        1.7976931348623157e308,
        2.2250738585072014e-308,
        np.nan,
        np.inf,
        -np.inf,
        0.1,
    ]
    values[: len(special), 0] = special
    return values


@pytest.mark.parametrize("compressed", [False, True])
def test_every_value_time_and_flag_lands_as_it_was_accepted(compressed, tmp_path, influx_server, influx_gate, database):
    one, other = sources()
    rng = np.random.default_rng(3)
    with Recording(tmp_path) as writer:
        for seed in range(4):
            for source in (one, other):
                chunk = source.chunk(200, lost=3 if seed == 2 else None)
                values = random_bits(*chunk.values.shape, seed)
                quality = rng.integers(0, 64, chunk.quality.shape, dtype=np.uint8) * (rng.random() < 0.7)
                times = chunk.time + rng.integers(0, STEP - 1, len(chunk))
                writer.put(replaced(chunk, values, quality.astype(np.uint8), times))
            writer.flush()
        with FaultProxy(influx_gate.url) as proxy:
            shipper = ship(proxy.url, database, writer, tmp_path, compressed=compressed)
            delivered(tmp_path, writer, shipper)
            shipper.stop(5)
    assert (proxy.headers.get("Content-Encoding") == "gzip") == compressed
    assert landed(influx_server, database) == accepted(tmp_path)
    assert sum(map(len, accepted(tmp_path).values())) == 1600


def test_batches_are_compressed_unless_the_server_is_here_or_the_entry_says_otherwise():
    def compressed(url, **more):
        return Influx(url, "o", "b", token_file="t", **more).compressed

    assert compressed("https://influx.example.org:8086")
    assert not compressed("http://127.0.0.1:8086")
    assert not compressed("http://[::1]:8086")
    assert not compressed("https://influx.example.org", gzip=False)
    assert compressed("http://localhost:8086", gzip=True)


def replaced(chunk, values, quality, time):
    return msgspec.structs.replace(chunk, values=values, quality=quality, time=time)


def test_events_land_with_their_hash_and_the_station_gives_a_sign_of_life(
    tmp_path, influx_server, influx_gate, database
):
    with Recording(tmp_path) as writer:
        for number in range(40):
            writer.put(event(T0 + number // 10, text=f"number {number}"))
        writer.put(sources()[0].chunk())
        shipper = ship(influx_gate.url, database, writer, tmp_path)
        delivered(tmp_path, writer, shipper)
        until(lambda: influx_server.ask("SELECT * FROM perfusion_station", database), "a sign of life")
        shipper.stop(5)
        with Store(tmp_path) as store:
            expected = {e.id: (e.time, e.hash) for e in store.events()}
    ((_, _, columns),) = influx_server.ask("SELECT * FROM perfusion_event", database)
    found = dict(zip(columns["id"], zip(columns["time"], columns["hash"], strict=True), strict=True))
    assert found == {number: expected[number] for number in found}
    assert len(found) >= 41


def test_a_server_that_is_killed_in_the_middle_has_everything_in_the_end(tmp_path):
    with InfluxServer(tmp_path / "influx") as server, InfluxGate(tmp_path / "gate", server) as gate:
        server.create("ward")
        one, other = sources()
        with Recording(tmp_path / "record") as writer:
            shipper = ship(gate.url, "ward", writer, tmp_path / "record")
            for round_ in range(60):
                writer.put(one.chunk(40))
                writer.put(other.chunk(1))
                writer.flush()
                if round_ in (15, 40):
                    server.kill()
                if round_ in (25, 50):
                    server.start()
            delivered(tmp_path / "record", writer, shipper)
            shipper.stop(5)
        assert landed(server, "ward") == accepted(tmp_path / "record")


FAULTS = {
    "reset": [RESET] * 3,
    "reply lost after it was taken": [LOST_REPLY] * 3,
    "429 with a time to wait": [error(429, Retry_After="0.01")] * 3,
    "429 with a date to wait for": [error(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")],
    "429 with nonsense": [error(429, Retry_After="soon")],
    "500": [error(500)] * 3,
    "503 of a proxy": [Says(503, "<html>no upstream</html>")] * 3,
    "401": [error(401)] * 3,
    "403": [error(403)] * 3,
    "404 bucket not found": [error(404)] * 3,
    "a proxy's own 400": [Says(400, "<html>plain HTTP request was sent to HTTPS port</html>")] * 20,
    "a login page with 200": [Says(200, "<html>Welcome to the guest network</html>")] * 3,
    "a redirect": [Says(302, "", {"Location": "/login"})] * 3,
    "a redirect that a browser would follow by GET": [Says(303, "", {"Location": "/health"})] * 3,
    "a stray 400": [error(400, "unable to parse")],
    "a stray 422": [error(422, "unprocessable")],
    "everything is refused": [error(400, "no such database")] * 40,
    "413": [error(413)],
    "slow": [Slow(0.3)] * 3,
}


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_is_lost_and_nothing_refused_for(name, tmp_path, influx_server, influx_gate, database):
    faults = list(FAULTS[name])
    one, other = sources()
    with (
        FaultProxy(influx_gate.url, lambda body: faults.pop(0) if faults else None) as proxy,
        Recording(tmp_path) as writer,
    ):
        shipper = ship(proxy.url, database, writer, tmp_path, timeout=0.15)
        for _ in range(5):
            writer.put(one.chunk(40))
            writer.put(other.chunk(1))
            writer.flush()
        until(lambda: not faults, "all faults being met")
        delivered(tmp_path, writer, shipper)
        shipper.stop(5)
        order = first_deliveries(proxy.seen)
    assert landed(influx_server, database) == accepted(tmp_path)
    assert refused(tmp_path) == set()
    assert shipper.refused == 0
    assert all(numbers == sorted(numbers) for numbers in order.values())


def poisoned(chunk, rng, share=0.01):
    """The chunk with poison in some of its rows; answers which."""
    values = chunk.values.copy()
    at = np.flatnonzero(rng.random(len(chunk)) < share)
    values[at, 0] = POISON
    return replaced(chunk, values, chunk.quality, chunk.time), {(*chunk.header.key, chunk.first + int(i)) for i in at}


class Soup:
    """Faults at random, and a server that refuses poison as InfluxDB 1 or 2 do; nothing goes astray twice."""

    FAULTS = (
        RESET, LOST_REPLY, error(401), error(403), error(404), error(413), error(500), error(503), error(429),
        error(429, Retry_After="0.01"), Says(502, "<html>"), Says(200, "<html>"), Says(400, "<html>"),
    )  # fmt: skip

    def __init__(self, seed):
        self._rng = random.Random(seed)
        self._strayed = set()

    def __call__(self, body):
        rng = self._rng
        if f"={POISON}," in body:
            return error(rng.choice([400, 422]), "partial write: unable to parse dropped=1")
        if rng.random() > 0.3:
            return None
        if body not in self._strayed and rng.random() < 0.15:
            self._strayed.add(body)
            return error(rng.choice([400, 422]), "stray")
        if rng.random() < 0.02:
            return Slow(0.15)
        return rng.choice(self.FAULTS)


def drink(seed, directory, server, gate, database, rounds=10):
    """Write and deliver through a soup of faults, with restarts; answers the shippers' bodies by run."""
    rng = np.random.default_rng(seed)
    planted = set()
    with Recording(directory) as writer, FaultProxy(gate.url, Soup(seed)) as proxy:
        shipper = ship(proxy.url, database, writer, directory, timeout=0.1, rng=random.Random(seed))
        feeds = sources()
        for _ in range(rounds):
            away = rng.random() < 0.15
            if away:
                proxy.down()
            for source in feeds:
                chunk, found = poisoned(source.chunk(int(rng.integers(1, 60))), rng)
                planted |= found
                writer.put(chunk)
            writer.flush()
            if away:
                proxy.up()
            if rng.random() < 0.2:
                shipper.stop(float(rng.random() < 0.5) * 0.2)
                # One that did not end in time must not be there beside the next one.
                until(lambda old=shipper: not old.alive, "the old shipper's end")
                shipper = ship(proxy.url, database, writer, directory, timeout=0.1, rng=random.Random(seed))
        delivered(directory, writer, shipper)
        shipper.stop(5)
    return planted


def judge(directory, server, database, planted):
    assert refused(directory) == planted
    assert landed(server, database) == accepted(directory, planted)


@pytest.mark.parametrize("seed", range(20))
def test_through_a_soup_of_faults_all_but_the_poison_is_delivered(seed, tmp_path, influx_server, influx_gate, database):
    planted = drink(seed, tmp_path, influx_server, influx_gate, database)
    judge(tmp_path, influx_server, database, planted)


@pytest.mark.proof
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 300))
def test_through_many_soups_of_faults_all_but_the_poison_is_delivered(
    seed, tmp_path, influx_server, influx_gate, database
):
    planted = drink(seed, tmp_path, influx_server, influx_gate, database, rounds=40)
    judge(tmp_path, influx_server, database, planted)
