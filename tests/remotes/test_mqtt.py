"""The MQTT remote against a real mosquitto: what is live, what is retained, what a vanished station leaves behind."""

import contextlib
import logging
import random
import time

import numpy as np
import pytest

from acquisition.model import Channel, Event, Header, Stream
from acquisition.remotes.delivery import RetryPace
from acquisition.remotes.health import Standing
from acquisition.remotes.mqtt import Account, MqttRemote, Station, Topics
from acquisition.remotes.mqtt.live import LiveQueue
from acquisition.store import Store
from tests.remotes.mqtt_reader import Rebuilt, Subscriber, decode, recorded
from tests.remotes.servers import PATIENCE, Broker, until
from tests.store.records import T0, Recording, Source, event, header

TOPICS = Topics("ward", "bed1")
ROOT = "perfusion/v1/ward/bed1"
RECORD = (f"{ROOT}/+/+/record", f"{ROOT}/_record/events")
QUICK = RetryPace(0.01, 0.05, 0.05, 0.05)


class Said:
    """What the remote said, as events of its record."""

    def __init__(self, writer):
        self.events = []
        self._writer = writer

    def __call__(self, kind, text, details):
        self.events.append((kind, text, dict(details)))
        self._writer.put(Event(kind, 10**18 + len(self.events), "", text, details))


@contextlib.contextmanager
def remote(port, writer, directory, *, account=None, headers=(), patience=0.0, **settings):
    """A running remote; ends in order."""
    settings = {"devices": {"ldf": True}, "durable": True, "flush": 0.01, "settle": 0.2, **settings}
    say = Said(writer)
    running = MqttRemote(
        account or Account("127.0.0.1", port, tls=False),
        Station(TOPICS, record=directory, **settings),
        writer,
        lambda: headers,
        say,
        lambda: T0,
        pace=QUICK,
        standing=Standing("mqtt", say, patience=patience),
        rng=random.Random(1),
    )
    running.said = say
    running.start()
    try:
        yield running
    finally:
        running.stop(2.0)
        until(lambda: not running.alive, "its end")


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with Broker(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def clean(broker):
    """The shared broker without what an earlier test left behind."""
    yield broker
    with Subscriber(broker.port, f"{ROOT}/#", name="cleaner", expiry=0) as cleaner:
        cleaner.publish(f"{ROOT}/_last", b"")  # it comes after all that is retained
        until(lambda: cleaner.on("/_last"), "what is retained")
        for topic in {each.topic for each in cleaner.messages if each.retained}:
            cleaner.client.publish(topic, b"", qos=1, retain=True).wait_for_publish(PATIENCE)


def delivered(writer, running, directory):
    """Wait until the cursor of the feed is at the end of the record."""
    writer.flush()

    def there():
        with Store(directory) as store:
            cursor = store.cursors().get("mqtt")
            return cursor is not None and all(cursor.positions.get(s, 0) >= end for s, end in store.ends().items())

    until(there, "everything being delivered")


def test_the_durable_feed_goes_on_in_a_new_record_where_the_old_one_vanished(tmp_path, clean):
    folder, source = tmp_path / "rec", Source()
    with Recording(folder) as writer, Subscriber(clean.port, *RECORD, name="heir") as reader:
        with remote(clean.port, writer, folder) as running:
            writer.put(source.chunk(500))
            delivered(writer, running, folder)
            with Store(folder) as store:
                before = store.record
            folder.rename(tmp_path / "elsewhere")
            writer.put(source.chunk(500))
            assert writer.flush()
            writer.put(source.chunk(500))
            delivered(writer, running, folder)
            with Store(folder) as store:
                assert store.record != before
        taken = [each.said for each in reader.on("/record")]
    numbers = {number for each in taken for number in range(each["first"], each["first"] + each["n"])}
    assert numbers == set(range(1500))


@pytest.mark.parametrize("how", ["json", "binary"])
def test_the_durable_feed_carries_every_sample_to_the_last_bit(tmp_path, clean, how):
    rng = np.random.default_rng(1)
    one, other = Source(), Source(header("tcpo2", "po2", ("chest",), 1.0), seed=2)
    with Recording(tmp_path) as writer, Subscriber(clean.port, *RECORD, name=how) as reader:
        for round_ in range(5):
            chunk = one.chunk(700, lost=3 if round_ == 2 else None, device_time=round_ != 3)
            chunk.values[:6, 0] = [-0.0, 5e-324, 1.7976931348623157e308, np.inf, -np.inf, 0.1]
            chunk.values[6:600, 1] = rng.integers(0, 2**62, 594).view(float)
            writer.put(chunk)
            writer.put(other.chunk(1))
            writer.flush()
        writer.put(event(T0, "state"))
        writer.put(event(T0, "mark", text="participant 01-001 sat up"))
        with remote(clean.port, writer, tmp_path, how=how):
            delivered(writer, remote, tmp_path)
            until(lambda: len(reader.on("_record/events")) >= 2, "the events")
        with Store(tmp_path) as store:
            rebuilt = Rebuilt(reader.on("/record"))
            assert rebuilt.rows == recorded(store)
            hashes = {e.id: e.hash for e in store.events()}
    assert rebuilt.ordered()
    assert sum(map(len, rebuilt.rows.values())) == 3505
    events = [each.said for each in reader.on("_record/events")]
    assert {each["id"]: each["hash"] for each in events}.items() <= hashes.items()
    assert "participant" not in "".join(each.payload.decode() for each in reader.on("_record/events"))
    assert any(each.get("text") == "STREAMING" for each in events)


def test_live_chunks_come_with_their_numbers_and_the_header_before_them(tmp_path, clean):
    source = Source()
    with Recording(tmp_path) as writer, Subscriber(clean.port, f"{ROOT}/#", name="live") as reader:  # noqa: SIM117
        with remote(clean.port, writer, tmp_path, durable=False) as running:
            until(lambda: reader.last(f"{ROOT}/ldf/status"), "the device's state")
            sent = [source.chunk(4, lost=2 if number == 5 else None) for number in range(10)]
            for chunk in sent:
                running.put(chunk)
            until(lambda: len(reader.on("/data")) == 10, "ten chunks")
    topics = [each.topic.removeprefix(f"{ROOT}/ldf/") for each in reader.messages]
    assert topics.index("flux/header") < topics.index("flux/data")
    said = reader.last(f"{ROOT}/ldf/flux/header")
    assert said["format"] == "json"
    assert [c["name"] for c in said["stream"]["channels"]] == ["flux", "backscatter"]
    assert said["simulated"] is True
    for message, chunk in zip(reader.on("/data"), sent, strict=True):
        head, arrays = decode(message.payload)
        assert message.qos == 0
        assert (head["first"], head["n"]) == (chunk.first, len(chunk))
        np.testing.assert_array_equal(arrays["values"], chunk.values)
        np.testing.assert_array_equal(arrays["time"], chunk.time)
        assert head.get("gap", {}).get("missing") == (2 if chunk is sent[5] else None)


def test_a_full_queue_loses_the_oldest_and_says_how_many_samples(tmp_path):
    queue, source = LiveQueue(size=3), Source()
    chunks = [source.chunk(4) for _ in range(5)]
    for chunk in chunks:
        queue.put(chunk)
    taken = [queue.take() for _ in range(4)]
    assert [each and (each[0].first, each[1]) for each in taken] == [(8, 8), (12, 0), (16, 0), None]
    assert queue.dropped == 8


def test_after_an_outage_the_live_feed_begins_with_what_is_live_and_says_what_was_dropped(tmp_path):
    source = Source()
    with Recording(tmp_path / "record") as writer, Broker(tmp_path / "broker") as own:  # noqa: SIM117
        with Subscriber(own.port, f"{ROOT}/#") as reader, remote(own.port, writer, tmp_path / "record") as running:
            until(lambda: running.standing.word == "delivering", "being there")
            running.put(source.chunk())
            until(lambda: reader.on("/data"), "a first chunk")
            own.kill()
            until(lambda: running.standing.word == "unreachable", "noticing it")
            running.put(source.chunk(6))
            own.start()
            until(lambda: running.standing.word == "delivering", "coming back")
            assert reader.connected.wait(PATIENCE)

            def live():
                running.put(source.chunk(1))
                time.sleep(0.02)
                return len(reader.on("/data")) > 1

            until(live, "a live chunk")
            first = decode(reader.on("/data")[1].payload)[0]
    assert first["first"] - first["dropped"] == 4
    assert first["dropped"] >= 6


def test_states_are_retained_and_a_clean_end_says_so(tmp_path, clean):
    with Recording(tmp_path) as writer:
        with remote(clean.port, writer, tmp_path, devices={"ldf": True, "belt": False}) as running:  # noqa: SIM117
            with Subscriber(clean.port, f"{ROOT}/#", name="first") as reader:
                running.put(Event("state", T0 + 5, "ldf", "STREAMING", {"state": "STREAMING"}))
                until(lambda: (reader.last(f"{ROOT}/ldf/status") or {}).get("state") == "STREAMING", "the state")
                until(lambda: reader.last(f"{ROOT}/status"), "the station")
                assert reader.last(f"{ROOT}/ldf/status") == {
                    "state": "STREAMING", "cause": "", "since": T0 + 5, "simulated": True,
                }  # fmt: skip
                assert reader.last(f"{ROOT}/belt/status")["state"] == "CONNECTING"
                assert reader.last(f"{ROOT}/status")["state"] == "ONLINE"
                assert reader.last(f"{ROOT}/status")["devices"] == ["ldf", "belt"]
        with Subscriber(clean.port, f"{ROOT}/#", name="later") as reader:
            until(lambda: len(reader.messages) == 3, "what is retained")
            for topic in ("status", "ldf/status", "belt/status"):
                assert reader.last(f"{ROOT}/{topic}") == {"state": "OFFLINE", "cause": "the service was stopped"}


def test_a_range_is_answered_on_request_and_bounded(tmp_path, clean):
    source = Source()
    with Recording(tmp_path) as writer, Subscriber(clean.port, f"{ROOT}/_answer/#", name="asking") as reader:
        for _ in range(3):
            writer.put(source.chunk(1000))
        writer.put(event())
        writer.flush()
        with remote(clean.port, writer, tmp_path, durable=False) as running:
            until(lambda: running.standing.word == "delivering", "being there")
            ask = f"{ROOT}/_request"
            reader.publish(f"{ask}/a1", b'{"device": "ldf", "stream": "flux", "first": 990, "following": 2010}')
            reader.publish(f"{ask}/a2", b'{"first": 1, "following": 99}')
            reader.publish(f"{ask}/a3", b'{"device": "ldf", "stream": "nothing", "first": 0, "following": 9}')
            reader.publish(f"{ask}/a4", b"not JSON")
            reader.publish(f"{ask}/a5", b'{"first": 1, "following": 99, "belt": "start"}')
            until(lambda: all((reader.last(f"{ROOT}/_answer/{i}")) for i in ("a3", "a4", "a5")), "refusals")
            until(lambda: any(each.said.get("done") for each in reader.on("a2")), "the events")
            until(lambda: any(each.said.get("done") for each in reader.on("a1")), "the samples")
        with Store(tmp_path) as store:
            rows = recorded(store)["ldf", "flux"]
            hashes = [e.hash for e in store.events()]
    *parts, done = reader.on("a1")
    assert done.said == {"done": True, "following": 2010, "count": 1020}
    heads = [decode(each.payload) for each in parts]
    got = {h["first"] + k: a["values"][k].tobytes() for h, a in heads for k in range(h["n"])}
    assert got == {number: rows[number][1] for number in range(990, 2010)}
    assert {(h["device"], h["stream"]) for h, _ in heads} == {("ldf", "flux")}
    assert [each.said["hash"] for each in reader.on("a2")[:-1]] == hashes
    for refused in ("a3", "a4", "a5"):
        assert "error" in reader.last(f"{ROOT}/_answer/{refused}")


def test_nothing_is_heard_of_a_session_that_comes_and_goes(tmp_path, caplog, recwarn):
    caplog.set_level(logging.WARNING)
    with Recording(tmp_path / "record") as writer, Broker(tmp_path / "broker") as own:  # noqa: SIM117
        with remote(own.port, writer, tmp_path / "record", durable=False, patience=60.0) as running:
            for _ in range(3):
                until(lambda: running.standing.word == "delivering", "being there")
                own.kill()
                until(lambda: running.standing.word == "unreachable", "noticing it")
                own.start()
            until(lambda: running.standing.word == "delivering", "being there")
    assert [record.getMessage() for record in caplog.records] == []
    assert list(recwarn) == []


def test_a_stream_name_that_is_no_level_of_a_topic_becomes_one():
    odd = Header("ldf", Stream("a/b+c#", (Channel("x", "1"),)), "d", "documented", "t")
    assert TOPICS.data(*odd.key) == f"{ROOT}/ldf/a_b_c_/data"
