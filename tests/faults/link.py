"""One error of the link at a time between an instrument and its driver, and a judge who knows what was sent.

The errors are the eight of IEC 61784-3. Each trial is a conversation of its own in virtual time, in which one message
of the instrument suffers one error. The judge compares what the driver yields with the instrument's ledger.
"""

import random
from dataclasses import dataclass, field

import numpy as np

from acquisition.model import Notice, Readings
from simulators.patient.physiology import UNITS
from simulators.simkit.conversation import converse
from simulators.simkit.instrument import Plan
from tests.contract.pairs import driver, example, simulators

ERRORS = {
    "corruption": "one bit of a message is flipped",
    "repetition": "a message comes twice",
    "wrong order": "a message comes after the next one",
    "loss": "a message does not come",
    "delay": "a message, and all after it, come 2.5 s late",
    "insertion": "a valid message of another instrument of the kind comes between",
    "masquerade": "a valid message of another instrument of the kind comes instead",
    "wrong address": "a valid answer to another question comes instead",
}
FIRST, LAST = 6.0, 12.0
"""Seconds between which the error happens."""
DELAY = 2.5
FRESH = 1.0
"""Seconds after which a sample that carries no time of its own is late."""
AHEAD = 400
"""Rows by which the judge looks for a sample among those sent."""


LEVELS = {
    "%": (40, 50), "mm[Hg]": (20, 60), "km/h": (1, 5), "Cel": (30, 12), "{score}": (1, 4), "[arb'U]": (20, 100),
}  # fmt: skip
"""Unit -> lowest value and span of the signals."""


class Restless:
    """A bench on which no signal stays as it was, so that no sample can stand for another."""

    def __init__(self, seed):
        self._phase = random.Random(seed).random()

    def values(self, signal, t):
        low, span = LEVELS[UNITS[signal]]
        span = 10 if signal == "belt_grade" else span
        return np.round(low + span * np.mod(np.asarray(t, dtype=float) * 7.391 + self._phase, 1.0), 3)


class Line:
    """The instrument's end of a link on which message number `index` suffers `error`; it keeps what was sent."""

    def __init__(self, name, seed, error="", index=-1, foreign=None, chance=None):
        kind = simulators()[name]
        options = kind.Options(**example(name).simulator)
        self.rows = {}
        self.messages = []
        """(second, message) as the instrument sent them."""
        self.questions = []
        """What the host had asked last before each of them."""
        self.happened = None
        self._asked = b""
        self._now = 0.0
        self._instrument = kind(Plan(name, Restless(seed), options, seed, ledger=self._note))
        self._error, self._index, self._foreign, self._chance = error, index, foreign, chance
        self._held = None
        self._slow = False
        self._leaving = []

    def _note(self, row):
        values = [np.nan if value is None else value for value in row["values"]]
        self.rows.setdefault(row["stream"], []).append((self._now, values))

    def connect(self, at):
        self._now = at
        self._instrument.connect(at)

    def receive(self, data, at):
        self._now = at
        self._asked = data if at >= FIRST else b""
        self._instrument.receive(data, at)
        self._send(at)

    def advance(self, at):
        self._now = at
        self._instrument.advance(at)
        self._send(at)

    def deadline(self):
        due = [self._instrument.deadline(), self._leaving[0][0] if self._leaving else None]
        return min((each for each in due if each is not None), default=None)

    def to_send(self):
        self._send(self._now)
        ready = [message for at, message in self._leaving if at <= self._now]
        self._leaving = self._leaving[len(ready) :]
        return ready

    def _send(self, at):
        for message in self._instrument.to_send():
            number = len(self.messages)
            self.messages.append((at, message))
            self.questions.append(self._asked.rstrip(b"0123456789, \r\n"))
            pieces = self._spoil(message, at) if number == self._index else [message]
            if self._held is not None and number > self._index:
                pieces, self._held = [*pieces, self._held], None
            late = DELAY if self._slow and at < self.happened + DELAY else 0.0
            for piece in pieces:
                last = self._leaving[-1][0] if self._leaving else 0.0
                self._leaving.append((max(at + late, last), piece))

    def _spoil(self, message, at):
        self.happened = at
        match self._error:
            case "corruption":
                changed = bytearray(message)
                bit = self._chance.randrange(8 * len(message))
                changed[bit // 8] ^= 1 << bit % 8
                return [bytes(changed)]
            case "repetition":
                return [message, message]
            case "wrong order":
                self._held = message
                return []
            case "loss":
                return []
            case "delay":
                self._slow = True
                return [message]
            case "insertion":
                return [self._foreign, message]
            case "masquerade" | "wrong address":
                return [self._foreign]
        raise AssertionError(self._error)


@dataclass
class Verdict:
    """What became of one error: `outcome`, and in words `why` it was seen."""

    outcome: str
    why: list = field(default_factory=list)
    wrong: list = field(default_factory=list)


@dataclass
class Clean:
    """An undisturbed conversation of a pair, its seconds, and that of another instrument of the kind."""

    line: Line
    other: Line
    seconds: float

    @property
    def chosen(self):
        """Numbers of the messages that may suffer an error."""
        return [i for i, (at, message) in enumerate(self.line.messages) if FIRST <= at < LAST and message]


def undisturbed(name, seed=1):
    """The pair's own conversation, in which nothing may be against a sample."""
    built = driver(name)
    counting = 8.0 if any(stream.rate for stream in built.streams) else 0.0
    seconds = LAST + built.silence + 5.0 + counting
    line, other = Line(name, seed), Line(name, seed + 1000)
    said = converse(built, line, seconds)
    converse(driver(name), other, seconds)
    assert judge(built, line, said, 0.0, seconds).outcome == "harmless"
    return Clean(line, other, seconds)


def trial(name, error, clean, chance, seed=1):
    """One conversation with one error; None where the error cannot be: an instrument of one kind of message."""
    index = chance.choice(clean.chosen)
    foreign = b""
    if error in ("insertion", "masquerade"):
        foreign = clean.other.messages[min(index, len(clean.other.messages) - 1)][1]
    elif error == "wrong address":
        asked = clean.line.questions
        others = [
            message
            for question, (_, message) in zip(asked, clean.line.messages, strict=True)
            if question and question != asked[index]
        ]
        if not asked[index] or not others:
            return None
        foreign = chance.choice(others)
    line = Line(name, seed, error, index, foreign, chance)
    built = driver(name)
    said = converse(built, line, clean.seconds)
    return judge(built, line, said, line.happened, clean.seconds)


def judge(built, line, said, happened, seconds):
    """Compare the samples with the ledger; what was under way at the end does not count."""
    wrong, missing, late_row = [], 0, seconds - 2.0
    last_heard = max((at for at, item in said if isinstance(item, Readings)), default=0.0)
    silent = seconds - last_heard > built.silence
    lost = 0
    for stream in built.streams:
        sent_at = np.array([at for at, _ in line.rows.get(stream.name, [])])
        sent = np.array([values for _, values in line.rows.get(stream.name, [])], dtype=float)
        taken = np.zeros(len(sent), bool)
        place = 0
        for at, item in said:
            if not isinstance(item, Readings) or item.stream != stream.name:
                continue
            lost += item.lost if at >= happened else 0
            timeless = item.device_time is None and stream.rate is None
            ahead = sent[place : place + len(item.values)]
            same = _same(ahead, item.values) if ahead.shape == item.values.shape else np.zeros(1, bool)
            if not timeless and 2 * same.sum() > len(same):
                taken[place : place + len(ahead)] = same
                place += len(ahead)
                good = (item.quality[~same] == 0).any(axis=1)
                wrong += [("false value", bool(each)) for each in good]
                continue
            for values, quality in zip(item.values, item.quality, strict=True):
                found = _find(sent, place, values)
                if found is not None and not (timeless and at - sent_at[found] > FRESH):
                    taken[found] = True
                    place = found + 1
                    continue
                what = "late" if found is not None else _kind(sent, taken, values)
                if found is not None:
                    taken[found] = True
                    place = found + 1
                # A sample of which nothing is said but its time is what it is, so only its values' flags count.
                wrong.append((what, bool((quality[np.isfinite(values)] == 0).any())))
        end = min(late_row, last_heard - 0.5) if silent else late_row
        joined = int(np.argmax(taken)) if taken.any() else len(taken)
        missing += int((~taken[joined:] & (sent_at[joined:] < end)).sum())
    notices = [
        item for at, item in said
        if isinstance(item, Notice) and at >= happened and item.kind in ("noise", "alarm", "warning", "overflow")
    ]  # fmt: skip
    why = sorted({f"{notice.kind}: {notice.text}" for notice in notices if happened})
    if lost:
        why.append("the driver counts lost samples")
    if silent:
        why.append("silence: the connection is made again")
    kinds = sorted({what for what, _ in wrong})
    if any(good for _, good in wrong):
        return Verdict("told" if why else "slipped", why, kinds)
    if wrong:
        return Verdict("flagged", [*why, "quality"], kinds)
    if why:
        return Verdict("detected", why)
    return Verdict("pause" if missing else "harmless")


def _same(sent, values):
    """Whether rows (n, c) are the values; NaN is NaN."""
    near = np.abs(sent - values) <= 1e-5 * (1 + np.abs(values))
    return (near | (np.isnan(sent) & np.isnan(values))).all(axis=-1)


def _find(sent, place, values):
    same = np.flatnonzero(_same(sent[place : place + AHEAD], values))
    return place + int(same[0]) if len(same) else None


def _kind(sent, taken, values):
    same = _same(sent, values) if len(sent) else np.zeros(0, bool)
    if not same.any():
        return "false value"
    return "repeated" if (same & taken).any() else "out of order"
