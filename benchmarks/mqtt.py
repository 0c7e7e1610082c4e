"""Cost of MQTT: chunks a second through the live feed, and samples a second through the durable one, into a real
mosquitto with one subscriber; beside them a message for each value, as scripts do it.

The broker and the subscriber, a process of its own, share the cores. CPU is that of the sending process.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiomqtt
import numpy as np

from acquisition.model import Channel, Chunk, Header, Instant, Stream
from acquisition.remotes.mqtt import Account, MqttRemote, Station, Topics
from acquisition.remotes.mqtt.link import connect
from acquisition.remotes.mqtt.live import LiveFeed, LiveQueue
from acquisition.remotes.mqtt.payloads import Format
from acquisition.store import StoreWriter
from acquisition.timing.clock import Clock
from tests.remotes.servers import Broker

T0 = 1_767_225_600 * 10**9
STEP = 25_000_000
TOPICS = Topics("ward", "bed1")
SHAPES = ((1, 1), (20, 8))
"""Samples and channels of a chunk: a serial line's, and a digitiser's."""
CHUNKS = 10_000
SAMPLES = 400_000
VALUES = 20_000
Row = dict[str, Any]

COUNTER = """
import sys, paho.mqtt.client as paho
client, seen = paho.Client(paho.CallbackAPIVersion.VERSION2, "counter", protocol=paho.MQTTv5), 0
def take(client, _, message):
    global seen
    if message.topic == "end":
        client.disconnect()
    else:
        at = message.payload.find(b'"n":') + 4
        seen += int(message.payload[at:at + 8].split(b",")[0]) if at > 3 else message.topic.startswith("naive/")
client.on_message = take
client.on_subscribe = lambda *_: print("ready", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
client.subscribe([(sys.argv[2], int(sys.argv[3])), ("end", 1)])
client.loop_forever()
print(seen)
"""


def measure() -> list[Row]:
    """Every table; nothing where no broker is installed."""
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 100"
        with Broker(folder / "broker", more, persistent=False) as broker:
            return [*_live(broker.port), *_durable(broker.port, folder)]


def _live(port: int) -> Iterator[Row]:
    topic = TOPICS.data("ldf", "flux")
    for n, channels in SHAPES:
        chunks = list(_chunks(CHUNKS, n, channels))
        few = chunks[: VALUES // (n * channels)]
        ways: list[tuple[str, str, list[Chunk], Callable[[int, list[Chunk]], None]]] = [
            ("a message a chunk, json", topic, chunks, partial(_publish, how="json")),
            ("a message a chunk, binary", topic, chunks, partial(_publish, how="binary")),
            ("a message a value", "naive/#", few, partial(_publish_values, qos=0)),
        ]
        for who, where, sent, send in ways:
            seconds, cpu, seen = _run(port, where, 0, partial(send, port, sent))
            values = len(sent) * n * channels
            yield {
                "live, samples x channels a chunk": f"{n} x {channels}",
                "sent as": who,
                "chunks a second": round(len(sent) / seconds),
                "values a second": round(values / seconds),
                "values per CPU-second": round(values / cpu),
                "arrived": f"{100 * seen / (values if send is ways[2][3] else len(sent) * n):.0f} %",
            }


def _durable(port: int, folder: Path) -> Iterator[Row]:
    record = folder / "record"
    writer = StoreWriter(record, clock=Clock())
    writer.open()
    writer.begin_run(Instant(0, T0), T0, {})
    for chunk in _chunks(SAMPLES // 1000, 1000, 1):
        writer.put(chunk)
    writer.flush(30.0)
    few = list(_chunks(VALUES // 4, 1, 1))
    topic = f"{TOPICS.root}/#"
    ways: list[tuple[str, str, int, Callable[[], None]]] = [
        ("the feed, json", topic, SAMPLES, partial(_drain, port, writer, record, "json")),
        ("the feed, binary", topic, SAMPLES, partial(_drain, port, writer, record, "binary")),
        ("a message a value, each awaited", "naive/#", len(few), partial(_publish_values, port, few, qos=1)),
    ]
    for who, where, samples, send in ways:
        seconds, cpu, seen = _run(port, where, 1, send)
        yield {
            "durable, sent as": who,
            "samples a second": round(samples / seconds),
            "samples per CPU-second": round(samples / cpu),
            "arrived": f"{100 * seen / samples:.0f} %",
        }
    writer.close()


def _run(port: int, topic: str, qos: int, send: Callable[[], None]) -> tuple[float, float, int]:
    """Seconds until the subscriber has what was sent, CPU seconds of the sender, and how much arrived."""
    counter = subprocess.Popen([sys.executable, "-c", COUNTER, str(port), topic, str(qos)], stdout=subprocess.PIPE)
    assert counter.stdout is not None
    counter.stdout.readline()
    began, cpu = time.monotonic(), time.process_time()
    send()
    used = time.process_time() - cpu
    asyncio.run(_end(port))
    seen = int(counter.stdout.read())
    seconds = time.monotonic() - began
    counter.wait(10)
    counter.stdout.close()
    return seconds, used, seen


async def _end(port: int) -> None:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish("end", qos=1)


def _publish(port: int, chunks: list[Chunk], *, how: Format) -> None:
    async def body() -> None:
        queue = LiveQueue(len(chunks))
        for chunk in chunks:
            queue.put(chunk)
        async with connect(Account("127.0.0.1", port, tls=False), "live") as client:
            pump = asyncio.create_task(LiveFeed(client, TOPICS, how).pump(queue))
            while queue.waiting:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            pump.cancel()

    asyncio.run(body())


def _publish_values(port: int, chunks: list[Chunk], *, qos: int) -> None:
    async def body() -> None:
        async with aiomqtt.Client("127.0.0.1", port, protocol=aiomqtt.ProtocolVersion.V5) as client:
            for chunk in chunks:
                for time_, row in zip(chunk.time, chunk.values, strict=True):
                    for number, value in enumerate(row):
                        said = json.dumps({"time": int(time_), "value": float(value)})
                        await client.publish(f"naive/c{number}", said, qos=qos)

    asyncio.run(body())


def _drain(port: int, writer: StoreWriter, record: Path, how: Format) -> None:
    remote = MqttRemote(
        Account("127.0.0.1", port, tls=False),
        Station(TOPICS, {}, record, how, durable=True, settle=600.0),
        writer,
        list,
        lambda *_: None,
        lambda: T0,
    )
    remote.start()
    time.sleep(0.5)
    while remote.pending:
        time.sleep(0.01)
    remote.stop(1.0)


def _chunks(count: int, n: int, channels: int) -> Iterator[Chunk]:
    names = tuple(Channel(f"c{i}", "[arb'U]") for i in range(channels))
    header = Header("ldf", Stream("flux", names, 40.0), "measurement", "inferred", "benchmarks/mqtt.py", True)
    rng = np.random.default_rng(1)
    for number in range(count):
        time_ = T0 + (number * n + np.arange(n, dtype=np.int64)) * STEP
        values = np.round(40.0 + rng.normal(0.0, 5.0, (n, channels)), 1)
        instant = Instant(int(time_[-1]) - T0, int(time_[-1]))
        yield Chunk(header, 1, 1, number * n, instant, time_, values, np.zeros(values.shape, np.uint8))


if __name__ == "__main__":
    for each in measure():
        print(json.dumps(each))
