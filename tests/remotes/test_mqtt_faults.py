"""The durable feed through everything that brokers do: killed, replaced, deaf, locked; nothing is lost."""

import asyncio
import io
import logging
import random
import subprocess
import time
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from acquisition.remotes.health import Standing
from acquisition.remotes.mqtt import Account
from acquisition.remotes.mqtt.backfill import Backfill
from acquisition.remotes.mqtt.backoff import Backoff
from acquisition.remotes.mqtt.durable import DurableFeed, Load, RecordMessages, SettledCursor
from acquisition.remotes.mqtt.link import judge
from acquisition.remotes.mqtt.outgoing import Outgoing
from acquisition.remotes.mqtt.recordlink import RecordLink
from acquisition.store import Store
from tests.remotes.mqtt_reader import Rebuilt, Subscriber, recorded
from tests.remotes.servers import Broker, binary, until
from tests.remotes.test_mqtt import QUICK, RECORD, ROOT, TOPICS, delivered, event, remote
from tests.store.records import T0, Recording, Source, header

ACCESS = (Path(__file__).parents[2] / "config/mosquitto/acl").read_text().replace("/hospital/", "/ward/")
SECRET = "canary-7f3a9c"


def flow(writer, sources, seconds, rng):
    """Let data flow for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for source in sources:
            writer.put(source.chunk(rng.randint(1, 40)))
        writer.flush()
        time.sleep(0.005)


def kill_again_and_again(folder, kills, seed):
    """Kill a broker that saves after each one to two seconds, while its subscriber is there or away."""
    rng = random.Random(seed)
    sources = [Source(), Source(header("tcpo2", "po2", ("chest",), 1.0), seed=2)]
    record = folder / "record"
    saves = f"allow_anonymous true\npersistence true\npersistence_location {folder}/broker/\nautosave_interval 1"
    with (
        Broker(folder / "broker", saves, persistent=False) as own,
        Recording(record) as writer,
        Subscriber(own.port, *RECORD) as reader,
        remote(own.port, writer, record, settle=4.0) as running,
    ):
        for number in range(kills):
            flow(writer, sources, rng.uniform(0.1, 0.5), rng)
            away = number % 2 == 0
            if away:
                reader.__exit__()
            flow(writer, sources, rng.uniform(0.1, 0.8), rng)
            writer.put(event(T0 + number))
            own.kill()
            flow(writer, sources, rng.uniform(0.05, 0.2), rng)
            own.start()
            if away:
                reader.__enter__()
        delivered(writer, running, record)
        with Store(record) as store:
            expected, last = recorded(store), store.head()[0]
            until(lambda: Rebuilt(reader.on("/record")).rows == expected, "all samples")
            until(lambda: any(each.said["id"] >= last for each in reader.on("_record/events")), "the last event")
            hashes = {e.id: e.hash for e in store.events()}
    rebuilt = Rebuilt(reader.on("/record"))
    assert rebuilt.rows == expected
    assert rebuilt.ordered()
    got = {}
    for message in reader.on("_record/events"):
        assert got.setdefault(message.said["id"], message.said["hash"]) == message.said["hash"]
    assert got == {number: hashes[number] for number in range(1, max(got) + 1)}
    return rebuilt


def test_a_broker_that_is_killed_five_times_loses_nothing_of_the_durable_feed(tmp_path):
    rebuilt = kill_again_and_again(tmp_path, 5, seed=1)
    assert rebuilt.duplicates > 0


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_a_broker_that_is_killed_twenty_times_loses_nothing_of_the_durable_feed(tmp_path):
    kill_again_and_again(tmp_path, 20, seed=2)


def test_a_broker_that_is_replaced_by_an_empty_one_gets_all_that_a_subscriber_has_not(tmp_path):
    source, rng = Source(), random.Random(3)
    record = tmp_path / "record"
    with Broker(tmp_path / "first", persistent=False) as own, Recording(record) as writer:
        with Subscriber(own.port, *RECORD) as reader, remote(own.port, writer, record, settle=1.0) as running:
            flow(writer, [source], 0.5, rng)
            until(lambda: reader.on("/record"), "the first samples")
            own.kill()
            flow(writer, [source], 0.2, rng)
            with Store(record) as store:
                behind = sum(store.ends().values())
            until(lambda: running.pending == behind, "everything that has not settled counting as pending")
            own.folder = tmp_path / "second"
            own.folder.mkdir()
            own.start()
            flow(writer, [source], 0.3, rng)
            delivered(writer, running, record)
            with Store(record) as store:
                expected = recorded(store)
            until(lambda: Rebuilt(reader.on("/record")).rows == expected, "all samples")
            assert Rebuilt(reader.on("/record")).ordered()
            until(lambda: reader.last(f"{ROOT}/_record/events"), "an event")
        with Subscriber(own.port, f"{ROOT}/#", name="other") as other:
            until(lambda: other.last(f"{ROOT}/status"), "what is retained being there again")


def test_while_nobody_subscribes_the_durable_feed_waits_and_says_so(tmp_path):
    source = Source()
    record = tmp_path / "record"
    with Broker(tmp_path / "broker") as own, Recording(record) as writer:
        writer.put(source.chunk(100))
        writer.flush()
        with remote(own.port, writer, record, settle=0.0) as running:
            until(lambda: running.standing.word == "held", "being held")
            assert "nobody subscribes" in running.standing.reason
            with Store(record) as store:
                assert store.cursors()["mqtt"].positions == {}
            assert running.pending == 100
            with Subscriber(own.port, *RECORD) as reader:
                delivered(writer, running, record)
                until(lambda: len(Rebuilt(reader.on("/record")).rows.get(("ldf", "flux"), ())) == 100, "all samples")


class LateSubscriber:
    """A link to a broker whose only subscriber comes once it has taken, and forgotten, so many messages."""

    def __init__(self, late):
        self.said, self.got = 0, []
        self._late = late

    @property
    async def messages(self):
        await asyncio.Event().wait()
        yield

    async def subscribe(self, topic, qos):
        return (qos,)

    async def publish(self, topic, payload, qos):
        await asyncio.sleep(0)
        if self._late > 0:
            self._late -= 1
            self.said = 0x10
        else:
            self.got.append(Outgoing(topic, payload))


@pytest.mark.parametrize("late", [0, 1, 2, 7])
def test_a_subscriber_that_comes_while_messages_are_under_way_gets_them_in_order(tmp_path, late):
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(6000))
        writer.flush()
        with Store(tmp_path) as store:
            messages, link = RecordMessages(store, TOPICS, "json"), LateSubscriber(late)
            cursor = SettledCursor({}, store.head()[0], lambda *_: None, 0.0)
            feed, backfill = DurableFeed(messages, TOPICS, cursor), Backfill(messages, TOPICS)
            standing, backoff = Standing("mqtt", lambda *_: None), Backoff(QUICK, random.Random(1))
            carrying = RecordLink(link, store, feed, backfill, standing, backoff, 0.0)

            async def serve():
                ending = asyncio.Event()
                ending.set()  # so that it returns where it would wait
                await carrying.serve(ending, lambda: False, "requests")

            for _ in range(late):
                asyncio.run(serve())
                assert standing.word == "held"
            asyncio.run(serve())
            rebuilt = Rebuilt(link.got)
            assert rebuilt.rows == recorded(store)
    assert rebuilt.ordered()
    assert standing.word == "delivering"


def test_what_a_broker_took_counts_only_after_it_lived_on_for_a_while():
    now, advanced = [0.0], []
    cursor = SettledCursor({1: 5}, 2, lambda positions, last: advanced.append((positions, last)), 5.0, lambda: now[0])
    cursor.acknowledge(Load([], {1: 9}))
    now[0] = 4.0
    cursor.acknowledge(Load([], {1: 12}, 3))
    cursor.settle()
    assert advanced == []
    now[0] = 5.0
    cursor.settle()
    assert advanced == [({1: 9}, 2)]
    cursor.rewind()
    assert (cursor.positions, cursor.event) == ({1: 9}, 2)
    now[0] = 99.0
    cursor.settle()
    assert advanced == [({1: 9}, 2)]


def locked(folder, access=ACCESS):
    """A broker with passwords for two stations and two readers, and an access list: by default the one we ship."""
    folder.mkdir(parents=True)
    passwords = folder / "passwords"
    passwords.write_text("")
    passwords.chmod(0o600)
    for user in ("bed1", "bed2", "archive", "ward"):
        subprocess.run([binary("mosquitto_passwd"), "-b", str(passwords), user, f"{SECRET}-{user}"], check=True)
    acl = folder / "acl"
    acl.write_text(access)
    acl.chmod(0o600)
    return Broker(folder, f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}")


def account(port, user):
    return Account("127.0.0.1", port, user, lambda: f"{SECRET}-{user}", tls=False)


def test_a_wrong_password_is_told_once_held_and_in_no_log(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    record = tmp_path / "record"
    right = [f"{SECRET}-wrong"]
    try:
        with locked(tmp_path / "broker") as own, Recording(record) as writer:
            bed1 = Account("127.0.0.1", own.port, "bed1", lambda: right[0], tls=False)
            assert SECRET not in repr(bed1)
            with remote(own.port, writer, record, account=bed1, durable=False) as running:
                until(lambda: running.standing.word == "held", "being held")
                assert "password_file" in running.standing.reason
                time.sleep(0.3)
                assert [kind for kind, text, _ in running.said.events if "held" in text] == ["remote"]
                right[0] = f"{SECRET}-bed1"
                until(lambda: running.standing.word == "delivering", "the right password being found")
    finally:
        logging.getLogger().removeHandler(handler)
    said = stream.getvalue() + caplog.text + str(running.said.events) + str(vars(running))
    assert SECRET not in said
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in record.iterdir() if path.is_file())


def test_by_the_access_list_that_we_ship_a_station_reaches_its_own_tree_alone(tmp_path):
    record, source = tmp_path / "record", Source()
    with locked(tmp_path / "broker") as own, Recording(record) as writer:
        writer.put(source.chunk(100))
        writer.flush()
        archive = Subscriber(own.port, "perfusion/v1/ward/#", name="archive", user="archive",
                             password=f"{SECRET}-archive")  # fmt: skip
        ward = Subscriber(own.port, "perfusion/v1/ward/#", name="ward", user="ward", password=f"{SECRET}-ward")
        spy = Subscriber(own.port, f"{ROOT}/#", name="spy", user="bed2", password=f"{SECRET}-bed2")
        with archive, ward, spy:
            with remote(own.port, writer, record, account=account(own.port, "bed1")) as running:
                delivered(writer, running, record)
                until(lambda: len(Rebuilt(archive.on("/record")).rows.get(("ldf", "flux"), ())) == 100, "the archive")
                archive.publish(
                    f"{ROOT}/_request/r1", b'{"device": "ldf", "stream": "flux", "first": 0, "following": 9}'
                )
                until(lambda: archive.on("_answer/r1"), "an answer")
                spy.publish(f"{ROOT}/_request/r2", b'{"device": "ldf", "stream": "flux", "first": 0, "following": 9}')
                spy.publish(f"{ROOT}/ldf/status", b'{"state": "STREAMING"}')
                until(lambda: ward.last(f"{ROOT}/status"), "the ward")
                until(lambda: archive.last(f"{ROOT}/ldf/status"), "the device's state")
            until(lambda: archive.last(f"{ROOT}/ldf/status")["state"] == "OFFLINE", "the end")
            assert spy.messages == []
            assert archive.on("_answer/r2") == []
            assert "STREAMING" not in str([each.said for each in archive.on("ldf/status")])
            assert ward.on("/record") + ward.on("_record/events") + ward.on("_answer/r1") == []
            with remote(own.port, writer, record, account=account(own.port, "bed2")) as running:
                until(lambda: running.standing.word == "held", "a station in another one's name being held")
                assert "access list" in running.standing.reason


@pytest.mark.parametrize(
    ("code", "word"), [(0x8E, "held"), (0x87, "held"), (0x80, "unreachable"), (0x8B, "unreachable")]
)
def test_what_a_broker_says_when_it_cuts_a_link_decides_whether_somebody_must_act(code, word):
    ended = aiomqtt.MqttError("Disconnected during message iteration")
    ended.__cause__ = aiomqtt.MqttCodeError(ReasonCode(PacketTypes.DISCONNECT, identifier=code))
    assert judge(ended)[0] == word
