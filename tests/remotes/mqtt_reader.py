"""A subscriber as others would write it after docs/mqtt.md: paho, its own decoder, a session that the broker keeps."""

import json
import struct
import threading

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.remotes.servers import PATIENCE


class Message:
    def __init__(self, message):
        self.topic, self.payload = message.topic, message.payload
        self.retained, self.qos = message.retain, message.qos

    @property
    def said(self):
        return json.loads(self.payload)


def decode(payload):
    """The head of a message of samples, and its arrays by name."""
    if not payload.startswith(b"PFB1"):
        head = json.loads(payload)
        rows = [[np.nan if v is None else float(v) for v in row] for row in head["values"]]
        arrays = {"time": np.array(head["time"], np.int64), "values": np.array(rows, float)}
        arrays["quality"] = np.array(head.get("quality", np.zeros(arrays["values"].shape)), np.uint8)
        arrays["device_time"] = np.array(head["device_time"]) if "device_time" in head else None
        return head, arrays
    (length,) = struct.unpack_from("<I", payload, 4)
    head = json.loads(payload[8 : 8 + length])
    n, c, at = head["n"], head["columns"], 8 + length
    assert at % 8 == 0
    kinds = {
        "time": ("<i8", (n,)), "values": ("<f8", (n, c)), "device_time": ("<f8", (n,)), "quality": ("u1", (n, c)),
    }  # fmt: skip
    arrays = {"quality": np.zeros((n, c), np.uint8), "device_time": None}
    for name in head["arrays"]:
        kind, shape = kinds[name]
        count = int(np.prod(shape))
        arrays[name] = np.frombuffer(payload, kind, count, at).reshape(shape)
        at += count * np.dtype(kind).itemsize
    assert at == len(payload)
    return head, arrays


class Subscriber:
    """Keeps what comes; after a new connection it subscribes anew, as every durable client must."""

    def __init__(self, port, *filters, name="reader", user=None, password=None, expiry=3600):
        self.messages = []
        self.connected = threading.Event()
        self._port, self._name, self._account, self._expiry = port, name, (user, password), expiry
        self._filters = [(each, paho.SubscribeOptions(qos=1)) for each in filters]

    def _on_connect(self, client, userdata, flags, reason, properties):
        assert reason == 0, reason
        client.subscribe(self._filters)

    def __enter__(self):
        """Connect, also after having left: the broker then has kept what came meanwhile."""
        self.client = client = paho.Client(paho.CallbackAPIVersion.VERSION2, self._name, protocol=paho.MQTTv5)
        if self._account[0] is not None:
            client.username_pw_set(*self._account)
        client.reconnect_delay_set(0.05, 0.1)
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self.connected.set()
        client.on_disconnect = lambda *_: self.connected.clear()
        client.on_message = lambda _, __, message: self.messages.append(Message(message))
        kept = Properties(PacketTypes.CONNECT)
        kept.SessionExpiryInterval = self._expiry
        client.connect_async("127.0.0.1", self._port, 30, clean_start=False, properties=kept)
        client.loop_start()
        if not self.connected.wait(PATIENCE):
            self.__exit__()
            raise AssertionError(f"{self._name} could not subscribe within {PATIENCE:g} s")
        return self

    def __exit__(self, *_):
        self.client.disconnect()
        self.client.loop_stop()

    def on(self, ending):
        """The messages whose topic ends so, in the order in which they came."""
        return [each for each in list(self.messages) if each.topic.endswith(ending)]

    def last(self, topic):
        """What was said last on a topic, None where nothing was."""
        found = [each for each in list(self.messages) if each.topic == topic]
        return found[-1].said if found else None

    def publish(self, topic, payload):
        self.client.publish(topic, payload, qos=1)


class Rebuilt:
    """A record made of messages: each sample once, whatever came twice; `firsts` is the order of first deliveries."""

    def __init__(self, messages):
        self.rows, self.firsts, self.duplicates = {}, {}, 0
        for message in messages:
            device, stream = message.topic.split("/")[4:6]
            head, arrays = decode(message.payload)
            for k in range(head["n"]):
                quality = arrays["quality"][k].tobytes()
                own = None if arrays["device_time"] is None else float(arrays["device_time"][k])
                row = (int(arrays["time"][k]), arrays["values"][k].tobytes(), quality, own, head["run"])
                self._take((device, stream), head["first"] + k, row)

    def _take(self, key, number, row):
        known = self.rows.setdefault(key, {})
        if number in known:
            assert known[number] == row, f"{key} {number} came twice and is not the same"
            self.duplicates += 1
            return
        known[number] = row
        self.firsts.setdefault(key, []).append(number)

    def ordered(self):
        return all(numbers == sorted(numbers) for numbers in self.firsts.values())


def recorded(store):
    """What a record holds, in the words of `Rebuilt.rows`."""
    found = {}
    for info in store.streams():
        rows, following = {}, 0
        while (part := store.after(info.number, following, 10_000)) is not None:
            following = part.following
            for k in range(len(part)):
                own = None if part.device_time is None else float(part.device_time[k])
                values, quality = part.values[k].tobytes(), part.quality[k].tobytes()
                rows[part.first + k] = (int(part.time[k]), values, quality, own, part.run)
        if rows:
            found[info.device, info.stream] = rows
    return found
