"""Promises of the shipper beside delivery: live data pass a backlog, secrets stay, poison is told, nothing spins."""

import json
import logging
import random
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import apsw
import pytest

from acquisition.errors import ConfigurationError, StoreError
from acquisition.model import Event
from acquisition.remotes import health as standing_of_remotes
from acquisition.remotes import shipper as shipping
from acquisition.remotes.batch import Batch, Origin
from acquisition.remotes.delivery import Delivery
from acquisition.remotes.health import Standing
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.reader import Shipment
from acquisition.remotes.shipper import Shipper
from acquisition.remotes.write_result import Answer, WriteVerdict
from acquisition.store import Retention, Store
from acquisition.store.compaction import Compactor
from acquisition.store.retention import Expiry
from tests.remotes.landed import QUICK, accepted, landed, refused, ship
from tests.remotes.proxy import RESET, FaultProxy, Says, Slow, error
from tests.remotes.servers import PATIENCE, until
from tests.store.records import T0, Recording, Source, header

CANARY = "canary-0123456789abcdef"
CALF = header(device="tcpo2", stream="po2", channels=("calf",), rate=1.0)


class Sink:
    """A remote in memory; `script(text)` answers for it, None is ACCEPTED."""

    def __init__(self, script=lambda text: None):
        self.script = script
        self.texts = []

    def send(self, text):
        answer = self.script(text) or Answer(WriteVerdict.ACCEPTED)
        if answer.verdict is WriteVerdict.ACCEPTED:
            self.texts.append(text)
        return answer

    def close(self):
        pass

    def numbers(self, device="ldf"):
        """Every sequence number that was taken, in order, repetitions too."""
        lines = (line for text in self.texts for line in text.split("\n"))
        return [
            int(line.rpartition("seq=")[2].split("i")[0]) for line in lines if line.startswith(f"m,device={device},")
        ]


def number(line):
    return int(line.rpartition("seq=")[2].split("i")[0])


def caught_up(directory, writer, name="influx"):
    def there():
        with Store(directory) as store:
            cursor = store.cursors().get(name)
            return cursor is not None and all(cursor.positions.get(s, 0) >= end for s, end in store.ends().items())

    writer.flush()
    until(there, "the cursor reaching the end")


def test_each_sample_is_sent_once_while_all_is_well(tmp_path):
    sink, source = Sink(), Source()
    with Recording(tmp_path) as writer:
        for _ in range(30):
            writer.put(source.chunk(500))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=sink)
        for _ in range(30):
            writer.put(source.chunk(10))
            writer.flush()
        caught_up(tmp_path, writer)
        shipper.stop(5)
    assert sink.numbers() == list(range(15_300))


def test_a_new_record_in_place_of_one_that_vanished_is_delivered_too(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "REOPEN", 0.05)
    folder, sink, source = tmp_path / "rec", Sink(), Source()
    with Recording(folder) as writer:
        writer.put(source.chunk(500))
        writer.flush()
        shipper = ship("", "", writer, folder, remote=sink)
        caught_up(folder, writer)
        with Store(folder) as store:
            before = store.record
        folder.rename(tmp_path / "elsewhere")
        writer.put(source.chunk(500))
        assert writer.flush()
        writer.put(source.chunk(500))
        caught_up(folder, writer)
        shipper.stop(5)
        with Store(folder) as store:
            assert store.record != before
            assert store.cursors()["influx"].event >= 1
    assert set(sink.numbers()) == set(range(1500))


def test_live_data_pass_a_backlog_that_drains_in_order(tmp_path):
    """A slow remote, 60 000 samples that wait, and a device that goes on: its samples are seldom late."""
    sent = {}
    sink = Sink(lambda text: time.sleep(0.05))
    begun, end = time.monotonic_ns(), time.monotonic() + PATIENCE

    def now():
        return T0 + 10**12 + time.monotonic_ns() - begun

    source = Source(start=T0)
    arrived = []
    real = sink.send

    def send(text):
        answer = real(text)
        arrived.append((time.monotonic(), text))
        return answer

    sink.send = send
    with Recording(tmp_path) as writer:
        for _ in range(60):
            writer.put(source.chunk(1000))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=sink, key_now=now, lag=0.2)
        until(lambda: arrived, "what waits being told from what is live")
        while shipper.pending or not sent or not caught(tmp_path):
            source.time = max(now(), source.time)
            chunk = source.chunk(1)
            sent[chunk.first] = time.monotonic()
            writer.put(chunk)
            time.sleep(0.02)
            assert time.monotonic() < end, "the backlog does not drain"
        caught_up(tmp_path, writer)
        shipper.stop(5)
    order = [(at, number(line)) for at, text in arrived for line in text.split("\n") if line.startswith("m,")]
    assert [found for _, found in order if found not in sent] == list(range(60_000))
    live = [(at, found) for at, found in order if found in sent]
    assert [found for _, found in live] == sorted(sent)
    waited = [at for at, found in order if found not in sent]
    assert sum(at < max(waited) for at, _ in live) > 5, "live data waited for the backlog"
    # A pass takes longer where the machine is busy, and the whole backlog with it.
    assert max(at - sent[found] for at, found in live) < max(2.0, (max(waited) - min(waited)) / 2)


def test_while_nothing_is_taken_what_waits_is_counted(tmp_path):
    source, away = Source(), [True]
    sink = Sink(lambda text: Answer(WriteVerdict.KEEP, "no route") if away else None)
    with Recording(tmp_path) as writer:
        writer.put(source.chunk(100))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=sink)
        until(lambda: shipper.pending == 100, "what waits being counted")
        writer.put(source.chunk(50))
        writer.flush()
        until(lambda: shipper.pending == 150, "what came meanwhile being counted")
        away.clear()
        until(lambda: shipper.pending == 0, "nothing waiting")
        shipper.stop(5)


def caught(directory):
    with Store(directory) as store:
        cursor = store.cursors().get("influx")
        return cursor is not None and cursor.positions.get(1, 0) >= 60_000


def test_a_field_of_another_type_costs_its_own_stream_only(tmp_path, influx_server, influx_gate, database):
    influx_server.write(database, f"m,station=other flux=3i {T0}")
    one, other = Source(), Source(CALF)
    with FaultProxy(influx_gate.url) as proxy, Recording(tmp_path) as writer:
        for _ in range(3):
            writer.put(one.chunk(300))
            writer.put(other.chunk(300))
        shipper = ship(proxy.url, database, writer, tmp_path)
        caught_up(tmp_path, writer)
        shipper.stop(5)
        asked = proxy.asked
        with Store(tmp_path) as store:
            (told,) = store.events("quarantine")
    with_flux = {("ldf", "flux", n) for n in range(900)}
    without = with_flux - refused(tmp_path)
    assert refused(tmp_path) <= with_flux
    # A row whose flux is none has no such field, and the server takes it.
    assert {("ldf", "flux", seq) for seq, *_ in landed(influx_server, database)[("ldf", "flux")].values()} == without
    assert landed(influx_server, database)[("tcpo2", "po2")] == accepted(tmp_path)[("tcpo2", "po2")]
    assert "field type conflict" in told.body["details"]["reason"]
    assert asked < 400


def test_what_is_older_than_the_servers_retention_is_refused_at_once(tmp_path, influx_server, influx_gate, database):
    influx_server.ask(f'CREATE RETENTION POLICY short ON "{database}" DURATION 1h REPLICATION 1 DEFAULT')
    source, fresh = Source(), Source(CALF, start=time.time_ns())
    with FaultProxy(influx_gate.url) as proxy, Recording(tmp_path) as writer:
        for _ in range(30):
            writer.put(source.chunk(300))
        writer.put(fresh.chunk(1))
        writer.flush()
        shipper = ship(proxy.url, database, writer, tmp_path, key_now=time.time_ns)
        caught_up(tmp_path, writer)
        shipper.stop(5)
        asked = proxy.asked
    assert refused(tmp_path) == {("ldf", "flux", n) for n in range(9000)}
    assert set(landed(influx_server, database)) == {("tcpo2", "po2")}
    assert shipper.refused == 9000
    assert asked < 60


def test_the_cursor_passes_refused_samples_only_once_the_record_says_so(tmp_path):
    source = Source(seed=4)
    poison = "seq=3i"
    sink = Sink(lambda text: Answer(WriteVerdict.REJECT, "poison") if poison in text else None)
    said = []
    with Recording(tmp_path) as writer:
        writer.put(source.chunk(10))
        writer.flush()
        untold = Standing("influx", lambda *event: said.append(event))
        shipper = ship("", "", writer, tmp_path, remote=sink, standing=untold)
        until(lambda: any(kind == "quarantine" for kind, *_ in said), "the quarantine being said")
        writer.put(source.chunk(10))
        writer.flush()
        until(lambda: 19 in sink.numbers(), "the next samples")
        time.sleep(0.05)
        with Store(tmp_path) as store:
            assert store.cursors()["influx"].positions == {}
        shipper.stop(0.1)
        until(lambda: not shipper.alive, "its end")
        again = ship("", "", writer, tmp_path, remote=sink)
        caught_up(tmp_path, writer)
        again.stop(5)
    assert refused(tmp_path) == {("ldf", "flux", 3)}
    assert set(sink.numbers()) == set(range(20)) - {3}


def poisoned(writer, directory, said):
    """A shipper whose remote refuses 3 and 13, and whose words are kept in `said`, not in the record."""
    sink = Sink(lambda text: Answer(WriteVerdict.REJECT, "poison") if "seq=3i" in text or "seq=13i" in text else None)
    return ship("", "", writer, directory, remote=sink, standing=Standing("influx", lambda *event: said.append(event)))


def quarantines(said, count):
    """The events `quarantine` that were said, once there are so many."""

    def found():
        return [Event(kind, 10**18 + n, "", text, details) for n, (kind, text, details) in enumerate(said)
                if kind == "quarantine"]  # fmt: skip

    until(lambda: len(found()) == count, f"{count} quarantines being said")
    return found()


def test_what_another_shipper_said_late_is_not_taken_for_what_this_one_waits_for(tmp_path):
    source, said = Source(seed=4), []
    with Recording(tmp_path) as writer:
        writer.put(source.chunk(10))
        writer.flush()
        shipper = poisoned(writer, tmp_path, said)
        (own,) = quarantines(said, 1)
        for ranges in ([[1, 2]], [[2, 3]]):
            writer.put(replace(own, details={**own.details, "ranges": ranges}))
        writer.flush()
        time.sleep(0.1)
        with Store(tmp_path) as store:
            assert store.cursors()["influx"].positions == {}
        writer.put(own)
        caught_up(tmp_path, writer)
        writer.put(source.chunk(10))
        writer.flush()
        _, other = quarantines(said, 2)
        writer.put(other)
        caught_up(tmp_path, writer)
        shipper.stop(5)
    assert refused(tmp_path) >= {("ldf", "flux", 3), ("ldf", "flux", 13)}


def test_a_quarantine_recorded_while_the_record_could_not_be_read_is_seen_afterwards(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "REOPEN", 0.01)
    ends, away = Store.ends, threading.Event()

    def read(store):
        if away.is_set() and threading.current_thread().name == "remote-influx":
            raise StoreError("the disk is away")
        return ends(store)

    monkeypatch.setattr(Store, "ends", read)
    said = []
    with Recording(tmp_path) as writer:
        writer.put(Source(seed=4).chunk(10))
        writer.flush()
        shipper = poisoned(writer, tmp_path, said)
        (own,) = quarantines(said, 1)
        away.set()
        until(lambda: shipper.standing.word == "unreachable", "the record being away")
        writer.put(own)
        writer.flush()
        time.sleep(0.05)
        away.clear()
        caught_up(tmp_path, writer)
        shipper.stop(5)


def test_refused_events_are_no_reason_for_further_events(tmp_path):
    sink = Sink(lambda text: Answer(WriteVerdict.REJECT, "no events here") if "perfusion_event" in text else None)
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(10))
        shipper = ship("", "", writer, tmp_path, remote=sink)
        caught_up(tmp_path, writer)
        time.sleep(0.1)
        shipper.stop(5)
        with Store(tmp_path) as store:
            kinds = [e.kind for e in store.events() if e.body.get("details", {}).get("remote")]
    assert kinds == ["remote"]
    assert shipper.refused == 0


def test_retention_waits_for_a_remote_that_has_never_answered(tmp_path):
    source, down = Source(), [True]
    sink = Sink(lambda text: Answer(WriteVerdict.KEEP, "down") if down else None)
    with Recording(tmp_path, compact=None) as writer:
        file = tmp_path / "record.db"
        expiry = Expiry(file, Retention(size=1), writer.submit)
        shipper = ship("", "", writer, tmp_path, remote=sink)
        for _ in range(10):
            writer.put(source.chunk(500))
            writer.flush()
        assert Compactor(file, writer.submit, samples=500).run_once() > 0
        assert expiry.run_once() == 0
        down.clear()
        caught_up(tmp_path, writer)
        assert expiry.run_once() > 0
        shipper.stop(5)
    assert sink.numbers() == list(range(5000))


def test_an_idle_shipper_commits_nothing_and_reads_no_samples(tmp_path, monkeypatch):
    sources = [Source(header(device=f"d{number}"), seed=number) for number in range(100)]
    read = []
    after = Store.after
    monkeypatch.setattr(Store, "after", lambda self, stream, *more: read.append(stream) or after(self, stream, *more))
    with Recording(tmp_path) as writer:
        for source in sources:
            writer.put(source.chunk())
        shipper = ship("", "", writer, tmp_path, remote=Sink())
        caught_up(tmp_path, writer)
        assert writer.flush()  # the commit of the cursor is counted after it is seen
        read.clear()
        commits = writer.stats.commits
        time.sleep(0.2)
        assert read == []
        assert writer.stats.commits == commits
        writer.put(sources[42].chunk())
        caught_up(tmp_path, writer)
        assert len(read) == 1
        shipper.stop(5)


@pytest.mark.parametrize("fault", [Slow(30.0), error(503), error(401), RESET, Says(200, "<html>")])
def test_it_ends_within_its_farewell_whatever_the_server_does(fault, tmp_path, influx_gate):
    with FaultProxy(influx_gate.url, lambda body: fault) as proxy, Recording(tmp_path) as writer:
        writer.put(Source().chunk())
        writer.flush()
        shipper = ship(proxy.url, "none", writer, tmp_path, timeout=1.0)
        until(lambda: proxy.asked, "the first try")
        begun = time.monotonic()
        shipper.stop(0.3)
        assert time.monotonic() - begun < 10
        until(lambda: not shipper.alive, "its end")


def test_at_the_end_it_delivers_all_that_is_left(tmp_path):
    sink, source = Sink(), Source()
    with Recording(tmp_path) as writer:
        shipper = ship("", "", writer, tmp_path, remote=sink, flush=30.0)
        time.sleep(0.05)
        for _ in range(40):
            writer.put(source.chunk(500))
        writer.flush()
        shipper.stop(10)
        assert sink.numbers() == list(range(20_000))
    with Store(tmp_path) as store:
        assert store.cursors()["influx"].positions == {1: 20_000}


def test_a_refused_token_holds_alarms_and_is_read_anew(tmp_path, influx_server, influx_gate, database):
    tokens = ["old"]
    source = Source()

    def guard(body):
        return None if proxy.headers.get("Authorization") == "Token new" else error(401, "unauthorized access")

    def script(body):
        return guard(body)

    with FaultProxy(influx_gate.url, script) as proxy, Recording(tmp_path) as writer:
        remote = InfluxWriter(proxy.url, "org", database, lambda: tokens[-1], 5.0)
        writer.put(source.chunk())
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=remote)
        until(lambda: shipper.standing.word == "held", "the hold")
        assert shipper.standing.reason == "HTTP 401: unauthorized access"
        until(lambda: remote_events(tmp_path), "the alarm")
        tokens.append("new")
        caught_up(tmp_path, writer)
        shipper.stop(5)
        assert remote_events(tmp_path) == [
            "influx: held: HTTP 401: unauthorized access", "influx: delivering again"
        ]  # fmt: skip
    assert landed(influx_server, database) == accepted(tmp_path)


def remote_events(directory):
    with Store(directory) as store:
        return [event.body["text"] for event in store.events("remote")]


def test_no_token_is_told_whatever_a_server_echoes(tmp_path, influx_gate, caplog):
    """At DEBUG, with urllib3's and the client's own messages."""
    caplog.set_level(logging.DEBUG)
    echoes = [
        error(401, f"token {CANARY} is unknown"),
        Says(400, f"<html>Authorization: Token {CANARY}</html>"),
        Says(500, f"Token {CANARY}"),
        error(422, f"Token {CANARY}"),
        Says(404, json.dumps({"error": f"no bucket for Token {CANARY}"})),
        Says(302, "", {"Location": f"/?token={CANARY}"}),
        Says(200, f"Token {CANARY}"),
        RESET,
        Slow(0.3),
    ]
    faults = list(echoes)
    said = []
    with FaultProxy(influx_gate.url, lambda body: faults.pop(0) if faults else error(401, CANARY)) as proxy:
        with Recording(tmp_path) as writer:
            writer.put(Source().chunk(1))
            writer.flush()
            remote = InfluxWriter(proxy.url, "org", "none", CANARY, 0.1)
            for name in ("urllib3", "influxdb_client"):  # the client has set them to WARNING
                caplog.set_level(logging.DEBUG, name)
            shipper = ship("", "", writer, tmp_path, remote=remote)
            until(lambda: not faults and shipper.standing.word == "held", "all echoes")
            said.append(shipper.standing.reason)
            until(lambda: remote_events(tmp_path), "an event")
            shipper.stop(1)
            said += remote_events(tmp_path)
        assert proxy.headers["Authorization"] == f"Token {CANARY}"
    assert "urllib3.connectionpool" in {record.name for record in caplog.records}
    assert CANARY not in caplog.text
    assert all(CANARY not in str(record.__dict__) for record in caplog.records)
    assert CANARY not in repr(said)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or CANARY.encode() not in path.read_bytes()


def test_a_token_that_cannot_stand_in_a_header_is_refused_before_anything_is_sent(tmp_path):
    from acquisition.config.tables import Influx

    (tmp_path / "token").write_text("two words")
    with pytest.raises(ConfigurationError, match="this is no token") as caught:
        Influx("http://x", "o", "b", token_file="token").token(tmp_path)
    assert "two words" not in str(caught.value)


def test_a_record_that_cannot_be_read_for_a_while_is_opened_again(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "REOPEN", 0.01)
    ends, failures = Store.ends, [apsw.IOError("disk I/O error")] * 3
    monkeypatch.setattr(Store, "ends", lambda self: (_ for _ in ()).throw(failures.pop()) if failures else ends(self))
    sink = Sink()
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(10))
        shipper = ship("", "", writer, tmp_path, remote=sink)
        until(lambda: not failures, "all failures")
        caught_up(tmp_path, writer)
        shipper.stop(5)
    assert sink.numbers() == list(range(10))


@pytest.mark.parametrize("death", [ZeroDivisionError("a bug"), MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_a_worker_that_dies_is_told_begins_anew_and_loses_nothing(death, tmp_path, caplog):
    deaths = [death, death]

    def broken(text):
        if deaths:
            raise deaths.pop()

    sink = Sink(broken)
    with Recording(tmp_path) as writer:
        writer.put(Source().chunk(10))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=sink)
        caught_up(tmp_path, writer)
        shipper.stop(5)
        first, second = remote_events(tmp_path)
    assert sink.numbers() == list(range(10))
    assert first.startswith(f"influx: dead: its worker died ({type(death).__name__}")
    assert second == "influx: delivering again"
    traces = [record for record in caplog.records if record.levelno == logging.CRITICAL and record.exc_info]
    assert len(traces) == 1


def test_a_worker_that_dies_again_and_again_is_shown_as_dead_with_what_waits(tmp_path, monkeypatch):
    def broken(text):
        raise ZeroDivisionError

    source = Source()
    monkeypatch.setattr(standing_of_remotes, "FRESH", 0.0)
    with Recording(tmp_path) as writer:
        writer.put(source.chunk(10))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=Sink(broken))
        until(lambda: shipper.standing.word == "dead" and shipper._worker.deaths == 4, "the fourth death")
        until(lambda: shipper.pending == 10, "what waits being counted")
        writer.put(source.chunk(5))
        writer.flush()
        assert shipper.standing.describe() | {"quiet_s": 0.0} == {
            "name": "influx",
            "state": "dead",
            "reason": "its worker died (ZeroDivisionError); it is started again by itself",
            "pending": 15,
            "quiet_s": 0.0,
        }
        assert shipper.alive
        shipper.stop(1)
        assert not shipper.alive
        assert shipper.standing.describe()["state"] == "ended"


def test_before_its_first_look_nobody_says_that_nothing_waits(tmp_path):
    with Recording(tmp_path) as writer:
        shipment = Shipment(lambda header: "m", {})
        shipper = Shipper("influx", Sink(), writer, tmp_path, shipment, lambda *_: None, lambda: 0)
        assert shipper.standing.describe()["pending"] is None
        assert shipper.standing.describe()["state"] == "starting"


def test_while_an_answer_does_not_come_the_remote_is_shown_as_hung_and_what_waits_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(standing_of_remotes, "HUNG", 0.05)
    monkeypatch.setattr(standing_of_remotes, "FRESH", 0.0)
    source, answers = Source(), threading.Event()
    sink = Sink(lambda text: answers.wait(30) and None)
    with Recording(tmp_path) as writer:
        writer.put(source.chunk(100))
        writer.flush()
        shipper = ship("", "", writer, tmp_path, remote=sink)
        until(lambda: shipper.standing.describe()["state"] == "hung", "the hang being seen")
        assert "no progress for" in shipper.standing.describe()["reason"]
        assert shipper.pending == 100
        writer.put(source.chunk(50))
        writer.flush()
        assert shipper.pending == 150
        monkeypatch.setattr(standing_of_remotes, "HUNG", 30.0)
        answers.set()
        until(lambda: shipper.pending == 0, "nothing waiting")
        assert shipper.standing.describe()["state"] == "delivering"
        shipper.stop(5)


def test_only_what_lasts_is_told_but_what_needs_somebody_at_once():
    now, said = [0.0], []
    standing = Standing("influx", lambda kind, text, details: said.append(text), 5.0, lambda: now[0])
    standing.recover()
    for second in range(5):
        now[0] = float(second)
        standing.fail("unreachable", "reset")
    assert (standing.word, said) == ("unreachable", [])
    standing.recover()
    assert said == []
    for second in range(5, 20):
        now[0] = float(second)
        standing.fail("unreachable", "reset")
    assert said == ["influx: unreachable: reset"]
    standing.fail("held", "401")
    standing.recover()
    standing.fail("held", "403")
    assert said[1:] == ["influx: held: 401", "influx: delivering again", "influx: held: 403"]


def insist(script, lines):
    """A delivery of lines to a scripted sink; answers (refused, texts that were tried, seconds it waited)."""
    tried, waits = [], []
    stopping = SimpleNamespace(wait=lambda seconds: waits.append(seconds) and False)
    sink = Sink(lambda text: tried.append(text) or script(text))
    standing = Standing("x", lambda *event: None)
    batch = Batch()
    batch.add(Origin("d", "s", 100), "\n".join(lines), len(lines))
    deliverer = Delivery(sink, standing, lambda: "probe", stopping, QUICK, random.Random(1))
    return deliverer.deliver(batch), tried, waits, deliverer


def test_poison_is_found_by_halving_and_refused_alone_twice():
    reject = Answer(WriteVerdict.REJECT, "poison")
    found, tried, waits, _ = insist(lambda text: reject if "p" in text and text != "probe" else None,
                                    [*"abcdefg", "p1", "p2", *"hijklm"])  # fmt: skip
    (one,) = found
    assert (one.origin.first, one.following, one.reason, one.line) == (107, 109, "poison", "p1")
    assert tried.count("p1") == 2
    assert tried.count("probe") == 2
    assert waits == []


def test_a_server_that_refuses_everything_is_held_until_it_takes_something():
    answers = [Answer(WriteVerdict.REJECT, "bad bucket")] * 20
    found, _, waits, _ = insist(lambda text: answers.pop() if answers else None, ["a", "b"])
    assert found == []
    assert len(waits) > 5


def test_a_slow_server_gets_smaller_batches_and_then_larger_ones_again():
    lines = [str(number) for number in range(400)]
    found, tried, _, deliverer = insist(
        lambda text: Answer(WriteVerdict.SLOW) if text.count("\n") >= 100 else None, lines
    )
    assert found == []
    assert deliverer.limit == 200
    taken = [line for text in tried if text.count("\n") < 100 for line in text.split("\n")]
    assert taken == lines


def test_a_time_that_the_server_asks_for_is_kept_within_reason():
    waits = [
        Answer(WriteVerdict.KEEP, wait=0.015),
        Answer(WriteVerdict.KEEP, wait=86_400.0),
        Answer(WriteVerdict.KEEP, wait=0.0),
    ]
    _, _, waited, _ = insist(lambda text: waits.pop(0) if waits else None, ["a"])
    assert waited[0] >= 0.015
    assert waited[1] == QUICK.asked
    assert 0 < waited[2] <= QUICK.cap


def test_threads_do_not_pile_up(tmp_path):
    before = threading.active_count()
    with Recording(tmp_path) as writer:
        for _ in range(5):
            shipper = ship("", "", writer, tmp_path, remote=Sink())
            shipper.stop(5)
    until(lambda: threading.active_count() <= before, "the threads' end")
