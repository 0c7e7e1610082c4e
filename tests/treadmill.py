"""A bench on which only a belt moves, and what tests of treadmills say of the driver's samples."""

import numpy as np

from simulators.conversation import converse


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


def listen(driver, data, at=0.0, pieces=None):
    """What the driver makes of bytes."""
    return [item for piece in pieces or [data] for item in driver.receive(piece, at)]


__all__ = ["Belt", "converse", "listen", "one_by_one", "randomly"]
