"""A bench on which only a belt moves, and what tests of treadmills say of the driver's samples."""

import numpy as np

from acquisition.errors import Refused


class Belt:
    """Speed (km/h) and grade (%) as straight lines between corners (second, speed, grade)."""

    def __init__(self, *corners):
        self.t, self.speed, self.grade = np.array(corners or [(0.0, 0.0, 0.0)], dtype=float).T

    def values(self, signal, t):
        return np.interp(t, self.t, {"belt_speed": self.speed, "belt_grade": self.grade}[signal])

    def metres(self, end):
        """The distance under the speed's lines up to `end`, m."""
        fine = np.union1d(self.t[self.t < end], [0.0, end])
        return float(np.trapezoid(self.values("belt_speed", fine), fine) / 3.6)


def one_by_one(message):
    return [message[i : i + 1] for i in range(len(message))]


def randomly(rng):
    """Cut each message at random places."""

    def cut(message):
        at = sorted(rng.randrange(len(message) + 1) for _ in range(rng.randrange(3)))
        return [message[i:j] for i, j in zip([0, *at], [*at, len(message)], strict=True)]

    return cut


class Directed:
    """A driver with somebody beside it: gives orders when they are due, and may drop dead.

    `script` is a list of (second, Order); `walk` a Walk that begins with the belt. `refusals` are kept. From
    `dead_at` on the host neither sends nor hears; `paused` are seconds (from, to) in which it stands still, and what
    comes waits.
    """

    def __init__(self, driver, script=(), walk=None, dead_at=None, paused=None):
        self.driver, self.walk, self.dead_at = driver, walk, dead_at
        self.paused, self.waiting = paused, b""
        self.script = list(script)
        self.refusals = []
        self.orders = []
        self.wire = []
        self.writable = driver.writable

    def start(self, at):
        self.driver.start(at)

    def stop(self, at):
        if not self._dead(at):
            self.driver.stop(at)

    def deadline(self):
        due = [self.driver.deadline(), self.script[0][0] if self.script else None]
        due.append(self.walk.deadline() if self.walk else None)
        due = min((d for d in due if d is not None and not self._dead(d)), default=None)
        if self.paused is None or due is None or due < self.paused[0]:
            return due
        return self.paused[1]

    def poll(self, at):
        if self.paused is not None and at >= self.paused[1]:
            since, until = self.paused
            self.paused = None
            self.driver.paused(until - since, at)
        due = self.driver.deadline()
        if due is not None and due <= at:
            self.driver.poll(at)
        while self.script and self.script[0][0] <= at:
            self._give(self.script.pop(0)[1], at)
        for order in self.walk.due(at) if self.walk else ():
            self._give(order, at)

    def receive(self, data, at):
        if self.paused is not None and at >= self.paused[0]:
            self.waiting += data
        elif not self._dead(at):
            waited, self.waiting = self.waiting, b""
            yield from self.driver.receive(waited + data, at)

    def to_say(self):
        notices = self.driver.to_say()
        for notice in notices:
            if self.walk and notice.details.get("control") == "walking":
                self.walk.begin(self.at)
            elif self.walk and "control" in notice.details:
                self.walk.end() if notice.details["control"] in ("stopping", "latched") else None
        return notices

    def to_send(self):
        return self.driver.to_send()

    def _give(self, order, at):
        self.orders.append((at, order))
        try:
            self.driver.order(order, at)
        except Refused as refusal:
            self.refusals.append((at, str(refusal)))

    def _dead(self, at):
        self.at = at
        return self.dead_at is not None and at >= self.dead_at
