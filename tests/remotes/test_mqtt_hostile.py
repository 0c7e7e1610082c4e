"""Brokers that are none, and a remote's loop that dies: bounded, told, and begun anew."""

import asyncio
import contextlib
import itertools
import socket
import threading
import time
import tracemalloc

import paho.mqtt.client
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from acquisition.remotes.mqtt import Account, MqttRemote, Station, link, session
from acquisition.remotes.mqtt.live import LiveFeed
from tests.remotes.servers import Broker, until
from tests.remotes.test_mqtt import TOPICS, remote
from tests.store.records import Recording, Source, event

CONNACK = b"\x20\x03\x00\x00\x00"
HUGE = b"\xff\xff\xff\x7f"
"""A packet's length of 256 MB."""


class NoBroker:
    """Takes connections and sends what `answer()` yields to each, once the client has said something."""

    def __init__(self, answer):
        self.asked = self.sent = 0
        self._answer = answer
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def port(self):
        return self._listener.getsockname()[1]

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._threads:
            each.join(10)
            assert not each.is_alive()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,), daemon=True))
                self._threads[-1].start()

    def _serve(self, connection):
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            connection.recv(65536)
            self.asked += 1
            for piece in self._answer():
                if self._closing.is_set():
                    return
                if isinstance(piece, bytes):
                    connection.sendall(piece)
                    self.sent += len(piece)
                else:
                    self._closing.wait(piece)


ANSWERS = {
    "an answer of 256 MB": lambda: itertools.chain([b"\x20" + HUGE], itertools.repeat(bytes(65536))),
    "a message of 256 MB": lambda: itertools.chain([CONNACK, b"\x30" + HUGE], itertools.repeat(bytes(65536))),
    "messages of QoS 2 without end": lambda: itertools.chain(
        [CONNACK],
        (b"\x34\xe0\xd4\x03\x00\x01a" + number.to_bytes(2, "big") + bytes(59995) for number in range(1, 400)),
        itertools.repeat(0.1),
    ),
    "a subscription without a code": lambda: itertools.chain([CONNACK, 0.2, b"\x90\x03\x00\x01\x00"], [5.0]),
    "a subscription with two codes": lambda: itertools.chain([CONNACK, 0.2, b"\x90\x05\x00\x01\x00\x01\x01"], [5.0]),
    "another protocol": lambda: [b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    "bytes": lambda: [bytes(range(256)) * 40],
    "a length without end": lambda: [b"\x20\xff\xff\xff\xff\xff\xff"],
    "nothing": list,
    "reason codes that nobody knows": lambda: [b"\x20\x03\x00\xee\x00"],
    "a byte now and then": lambda: itertools.chain([b"\x20\x7f"], itertools.cycle([b"\x00", 0.05])),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_broker_that_is_none_costs_little_is_told_and_tried_again(name, tmp_path, monkeypatch):
    monkeypatch.setattr("acquisition.remotes.mqtt.link.TIMEOUT", 1.0)
    with NoBroker(ANSWERS[name]) as broker, Recording(tmp_path) as writer:
        writer.put(Source().chunk(10))
        writer.flush()
        tracemalloc.start()
        try:
            with remote(broker.port, writer, tmp_path) as running:
                until(lambda: broker.asked >= 3, "the third try")
                until(lambda: running.standing.word in ("unreachable", "held"), "its being told")
                assert running.standing.reason
                until(lambda: running.pending == 10, "its count of what waits")
                assert running._worker.deaths == 0
                _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20


@pytest.mark.parametrize("death", [ZeroDivisionError("a bug"), SystemExit(3), MemoryError()])
def test_a_loop_that_dies_begins_anew_and_goes_on(death, tmp_path, monkeypatch):
    deaths, pump = [death, death], LiveFeed.pump

    async def dying(self, queue):
        if deaths:
            raise deaths.pop()
        await pump(self, queue)

    monkeypatch.setattr(LiveFeed, "pump", dying)
    with (
        Broker(tmp_path / "broker") as broker,
        Recording(tmp_path / "record") as writer,
        remote(broker.port, writer, tmp_path / "record", durable=False) as running,
    ):
        # What comes while nothing listens is known to who does afterwards.
        running.put(event(text="STREAMING", state="STREAMING"))
        until(lambda: running._worker.deaths == 2 and running.standing.word == "delivering", "its third life")
        told = [text for kind, text, _ in running.said.events if kind == "remote"]
        assert told[0].startswith(f"mqtt: dead: its worker died ({type(death).__name__}")
        assert told[-1] == "mqtt: delivering again"
        until(lambda: running.pending == 0, "nothing waiting")
        assert running._states.states["ldf"]["state"] == "STREAMING"


def test_a_service_that_ends_while_the_loop_is_dead_does_not_wait(tmp_path, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(session.BrokerSession, "run", broken)
    with Recording(tmp_path) as writer, remote(1, writer, tmp_path, durable=False) as running:
        until(lambda: running._worker.deaths >= 4, "the fourth death")
        told = running.standing.describe()
        assert (told["state"], told["pending"]) == ("dead", None)
        begun = time.monotonic()
        running.stop(2.0)
        assert time.monotonic() - begun < 1.5
        assert not running.alive


def test_before_its_first_look_nobody_says_that_nothing_waits(tmp_path):
    with Recording(tmp_path) as writer:
        for durable in (True, False):
            station = Station(TOPICS, {}, tmp_path, durable=durable)
            account = Account("127.0.0.1", 1, tls=False)
            found = MqttRemote(account, station, writer, tuple, lambda *_: None, lambda: 0)
            assert found.standing.describe()["pending"] is None


def test_a_link_that_was_given_up_while_it_connected_ends_without_a_word():
    async def given_up():
        found = link.Link("127.0.0.1", 1)
        found._connected.cancel()
        found._on_disconnect(None, None, None, ReasonCode(PacketTypes.DISCONNECT, identifier=0x8B))
        return found._disconnected.done()

    assert not asyncio.run(given_up())


def test_no_proxy_of_the_environment_is_asked_for_a_way_to_the_broker(monkeypatch):
    class Socks:
        HTTP = SOCKS4 = SOCKS5 = 1

        @staticmethod
        def get_default_proxy():
            return None

    monkeypatch.setattr(paho.mqtt.client, "socks", Socks, raising=False)
    monkeypatch.setenv("mqtt_proxy", "http://127.0.0.1:1")

    async def proxy():
        found = link.Link("127.0.0.1", 1)
        asked = found._client._get_proxy()
        found.bound()
        return asked, found._client._get_proxy()

    before, after = asyncio.run(proxy())
    assert before is not None
    assert after is None
