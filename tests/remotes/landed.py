"""Contents of a server beside those of the record: compared to the last bit."""

import re
import struct

from acquisition.model import Event
from acquisition.remotes.delivery import RetryPace
from acquisition.remotes.influx import InfluxWriter
from acquisition.remotes.reader import Shipment
from acquisition.remotes.shipper import Shipper
from acquisition.store import Store

TAGS = {"site": "ward", "station": "bed1"}
QUICK = RetryPace(0.002, 0.01, 0.02, 0.02)
LINE = re.compile(
    r"m,device=(?P<device>\w+),(?:simulated=true,)?site=ward,station=\w+,stream=(?P<stream>\w+) .*?seq=(\d+)i"
)


def bits(value):
    """A float as its bytes: -0.0 is not 0.0."""
    return struct.pack(">d", value).hex()


def landed(server, database, station="bed1", measurement="m"):
    """Every point: {(device, stream): {time: (seq, run, quality, {field: bits})}}."""
    found = {}
    rows = server.ask(f"SELECT * FROM {measurement} WHERE station = '{station}' GROUP BY device, stream", database)
    for _, tags, columns in rows:
        names = [n for n in columns if n not in ("time", "site", "station", "simulated", "seq", "run", "quality")]
        points = found.setdefault((tags["device"], tags["stream"]), {})
        for index, time in enumerate(columns["time"]):
            fields = {name: columns[name][index] for name in names if columns[name][index] is not None}
            values = {name: v if name.endswith("_quality") else bits(v) for name, v in fields.items()}
            points[time] = (columns["seq"][index], columns["run"][index], columns["quality"][index], values)
    return found


def accepted(directory, without=()):
    """What the record holds, in the same words, except (device, stream, seq) in `without`."""
    found = {}
    with Store(directory) as store:
        for info in store.streams():
            names = [c.name for c in info.header.stream.channels]
            points = found.setdefault((info.device, info.stream), {})
            following = 0
            while (part := store.after(info.number, following, 10_000)) is not None:
                following = part.following
                columns = (part.time.tolist(), part.values.tolist(), part.quality.tolist())
                for seq, time, values, quality in zip(range(part.first, part.following), *columns, strict=True):
                    if (info.device, info.stream, seq) in without:
                        continue
                    fields = {n: bits(v) for n, v in zip(names, values, strict=True) if abs(v) < float("inf")}
                    fields |= {f"{n}_quality": q for n, q in zip(names, quality, strict=True) if q}
                    combined = 0
                    for q in quality:
                        combined |= q
                    points[time] = (seq, part.run, combined, fields)
    return {key: points for key, points in found.items() if points}


def refused(directory):
    """Every (device, stream, seq) that the record says was refused for good."""
    with Store(directory) as store:
        told = [event.body["details"] for event in store.events("quarantine")]
    return {(d["device"], d["stream"], seq) for d in told for span in d["ranges"] for seq in range(*span)}


def ship(url, bucket, writer, directory, *, pace=QUICK, timeout=10.0, token="a-token", name="influx", **more):
    """A shipper on a record that `writer` writes; its events go into that record."""
    key = [10**18]

    def say(kind, text, details):
        key[0] += 1
        writer.put(Event(kind, key[0], "", text, details))

    settings = {"flush": 0.005, "together": 0.0, "key_now": lambda: 0, **more}
    compressed = settings.pop("compressed", False)
    remote = settings.pop("remote", None) or InfluxWriter(url, "org", bucket, token, timeout, compressed=compressed)
    key_now = settings.pop("key_now")
    shipment = settings.pop("shipment", None) or Shipment(lambda header: "m", TAGS)
    shipper = Shipper(name, remote, writer, directory, shipment, say, key_now, pace=pace, **settings)
    shipper.start()
    return shipper


def first_deliveries(bodies):
    """The sequence numbers of each stream in the order in which they first reached the server."""
    order, known = {}, set()
    for match in (m for body in bodies for line in body.split("\n") if (m := LINE.match(line))):
        key = (match["device"], match["stream"])
        if (*key, match[3]) not in known:
            known.add((*key, match[3]))
            order.setdefault(key, []).append(int(match[3]))
    return order
