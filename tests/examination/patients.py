"""Records of simulated participants whose truth is known: their samples and the events of their sessions."""

import msgspec
import numpy as np

from acquisition.examination import decisions
from acquisition.examination.binding import bind
from acquisition.examination.protocol import load
from acquisition.examination.session import replay
from acquisition.model import Channel, Chunk, Event, Header, Instant, Stream
from simulators.patient.physiology import Participant
from tests.store.records import Recording

SECOND = 1_000_000_000
T0 = 1_767_225_600 * SECOND
BENCH = {
    ("ldf", "flux", 40.0): {"flux": ("flux", "[arb'U]")},
    ("ldf", "cuff_pressure", 40.0): {"cuff_pressure": ("cuff_pressure", "mm[Hg]")},
    ("ldf", "heater_temperature", 1.0): {"heater_temperature": ("heater_temperature", "Cel")},
    ("tcpo2", "chest", 1.0): {"tcpo2": ("tcpo2_chest", "mm[Hg]"), "tcpco2": ("tcpco2_chest", "mm[Hg]")},
    ("tcpo2", "calf", 1.0): {"tcpo2": ("tcpo2_calf", "mm[Hg]"), "tcpco2": ("tcpco2_calf", "mm[Hg]")},
    ("treadmill", "belt", 5.0): {"speed": ("belt_speed", "km/h"), "grade": ("belt_grade", "%")},
}


class Study:
    """A record in the making: `examine` adds a session, each an hour after the one before."""

    def __init__(self):
        self.items = []
        self.events = []
        self.start = T0
        self._next = {}

    def examine(
        self, kind, scenario, protocol, marks, seconds, seed=3, stop=True, entries=(),
        devices=("ldf", "tcpo2", "treadmill"), change=lambda signal, t, values: values, head=None, since=0.0,
        settings=None, flags=lambda signal, t: np.zeros(len(t), np.uint8), lost=None, **about,
    ):  # fmt: skip
        """One session: `marks` (name, s, value) and `entries` as they come; answers its id.

        `since` is where in its scenario the session begins, s; the mark "next" goes on to the next phase;
        `settings` replace the protocol's own. `change` spoils values, `flags` gives their quality, and `lost` (from,
        to, s) never arrived.
        """
        participant = Participant(kind, scenario, seed)
        headers = []
        for (device, stream, rate), channels in BENCH.items():
            if device not in devices:
                continue
            header = Header(
                device, Stream(stream, tuple(Channel(name, unit) for name, (_, unit) in channels.items()), rate),
                "a driver", **{"confidence": "documented", "source": "a test", "simulated": True, **(head or {})},
            )  # fmt: skip
            headers.append(header)
            t = np.arange(round(seconds * rate)) / rate
            values = np.column_stack([change(s, t, participant.values(s, t + since)) for s, _ in channels.values()])
            quality = np.column_stack([flags(s, t) for s, _ in channels.values()])
            self._put(header, self.start + np.round(t * SECOND).astype(np.int64), values, quality, t, lost)
        named = load(protocol)
        named = msgspec.structs.replace(named, settings={**named.settings, **(settings or {})})
        said = {"subject": "03-117", "visit": "baseline", "limb": "left", "simulated": True, **about}
        said["bindings"] = bind(named, headers)
        began = decisions.start(replay(self.events), self.start, protocol, named, said)
        key = began.details["session"]
        self.events.append(began)
        for name, at, *value in marks:
            if name == "next":
                self._do("advance", at)
            else:
                self._do("mark", at, name, early="a test", value=value[0] if value else None)
        for entry in entries:
            self._do("observe", seconds, entry, session=key)
        if stop:
            self._do("stop", seconds, reason="" if stop is True else stop)
        self.start += (round(seconds) + 3600) * SECOND
        return key

    def write(self, directory):
        with Recording(directory) as writer:
            for item in (*self.items, *self.events):
                writer.put(item)
        return directory

    def _do(self, what, at, *arguments, **more):
        now = self.start + round(at * SECOND)
        self.events.append(getattr(decisions, what)(replay(self.events), now, *arguments, **more))

    def _put(self, header, time, values, quality, t, lost):
        edges = [0, len(t)] if lost is None else [0, *np.searchsorted(t, lost), len(t)]
        first = self._next.get(header.key, 0)
        self._next[header.key] = first + len(time)
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            part = slice(start, stop)
            arrived = Instant(int(time[stop - 1]) - T0, int(time[stop - 1]))
            self.items.append(Chunk(header, 1, 1, first + int(start), arrived, time[part], values[part], quality[part]))


def identity(device, model, time=T0):
    return Event("identity", time, device, model, {"model": model, "serial": "7"})


PORH = (("inflate", 178.0), ("release", 362.0))
REST = (("applied", 0.0), ("next", 901.0), ("removed", 2160.0))
ABI = {
    "what": "abi",
    "side": "left",
    "dorsalis_pedis": 100,
    "posterior_tibial": 95,
    "brachial_left": 125,
    "brachial_right": 120,
}
