"""TOSCA 500 monitors, asked for their records: tcPCO2, SpO2, pulse rate and heating power; they measure no oxygen.

Source: TOSCA 500 operator's manual, section 15.6.2 (p. 108), record protocol. ASCII; the monitor only answers, and a
`$` ends every message. The host asserts RTS and sends once CTS is true, which the line's hardware handshake does; on a
cable without those wires nothing is ever sent, and `handshake = "none"` is the way out. The letters of the states
stand on the neighbouring page of the CSV form (p. 103): N no alarm, A alarm, S alarm muted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from acquisition.driverkit.driver import About, Driver, Serial, Setup
from acquisition.driverkit.framing import Cutter, Skipped
from acquisition.model import Channel, Notice, Quality, Readings, Stream

END = b"$"
LONGEST = 512
MMHG_PER_KPA = 7.50062
ALARMS = {"A": "alarm", "S": "alarm, muted", "F": "fault"}
CALIBRATING = "C"

_STATUS = re.compile(rb"\[00\s*>\s*([NAFS])\s*([CUO]?)\s*ND\s*\]")
_VALUE = re.compile(
    rb"(?:\d\d)?\[(\w+)(?:\(tc(\d+\.\d)\))?\s*>\s*(\d+)\s*([NAFS])\s*\1=([0-9E]+(?:\.[0-9E])?)(mmHg|kPa|PERCNT|BPM|mW)"
    rb"\s*>\s*([NAFS])\s*\]"
)
_HEAD = re.compile(rb"\d{4}")


@dataclass(frozen=True, slots=True)
class Request:
    """What the host may ask for: record 01, the state, or 02, the values."""

    code: int

    def encode(self) -> bytes:
        """The bytes on the wire."""
        return b"\r\n%02d$" % self.code


STATUS, VALUES = Request(1), Request(2)


@dataclass(frozen=True, slots=True)
class State:
    """The monitor's state: `first` of N, A, F, S, and `second`, of C, U, O or nothing, whose meaning is unconfirmed."""

    first: str
    second: str = ""

    def encode(self) -> bytes:
        """The line on the wire."""
        return f"[00 >{self.first}{self.second} ND]".encode()


@dataclass(frozen=True, slots=True)
class Value:
    """One line of a value record: its `name`, channel number, state before and after, and the digits with their unit.

    `setting` is the set temperature of the sensor, Cel, where the line tells it.
    """

    name: str
    number: int
    state: str
    digits: str
    unit: str
    limit: str
    setting: str = ""

    @property
    def value(self) -> float:
        """The number in the line's unit, NaN where its digits are E."""
        return math.nan if "E" in self.digits else float(self.digits)

    def encode(self) -> bytes:
        """The line on the wire."""
        name = f"{self.name}(tc{self.setting})" if self.setting else self.name
        return (f"00[{name} >{self.number} {self.state} {self.name}={self.digits}{self.unit} > {self.limit} ]").encode()


@dataclass(frozen=True, slots=True)
class Record:
    """An answer: what its head says (`rr n1 n2`, meaning unknown) and its lines."""

    lines: tuple[State | Value, ...]
    head: str = "0000"

    def encode(self) -> bytes:
        """The bytes on the wire."""
        head = f"\r\n{self.head}".encode() if self.head else b""
        return head + b"".join(b"\r\n" + line.encode() for line in self.lines) + b"\r\n" + END

    @classmethod
    def decode(cls, message: bytes) -> Record | None:
        """A message up to its `$`; None where any part of it is none of the protocol's."""
        before, *lines = message.removesuffix(END).split(b"\r\n")
        lines = [line for line in lines if line.strip()]
        head = lines.pop(0).decode() if lines and _HEAD.fullmatch(lines[0]) else ""
        read = tuple(line for line in map(_line, lines) if line is not None)
        return None if before or not read or len(read) < len(lines) else cls(read, head)


def _line(line: bytes) -> State | Value | None:
    if match := _STATUS.fullmatch(line):
        return State(match[1].decode(), match[2].decode())
    if match := _VALUE.fullmatch(line):
        name, setting, number, state, digits, unit, limit = ((group or b"").decode() for group in match.groups())
        if digits.strip("E.") and "E" in digits:
            return None
        return Value(name, int(number), state, digits, unit, limit, setting)
    return None


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The line as the monitor is set, since no public document states it; `interval` s of a poll."""

    baud: Annotated[int, Meta(ge=300, le=115_200)]
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop: Literal[1, 2] = 1
    handshake: Literal["rts-cts", "none"] = "rts-cts"
    interval: Annotated[float, Meta(ge=0.5, le=60.0)] = 1.0


class Tosca500(Driver):
    """Asks for state and values, one request at a time; a record that is not understood in full is not taken.

    A sample's instant is the arrival of the value record. Carbon dioxide is recorded in mm[Hg], whatever the monitor
    shows. A request for values without an answer is a sample lost. An answer bears no number: for `LATE` seconds
    after one that did not come, or that nobody waited for, it may belong to an earlier request, so that samples are
    QUESTIONABLE.
    """

    about = About(
        {"tosca500": "TOSCA 500, record protocol"},
        "TcPCO2 monitor",
        ("serial", "tcp"),
        "partly documented",
        "TOSCA 500 operator's manual, section 15.6.2, p. 108",
        (
            "the meaning of rr, n1 and n2 at the beginning of an answer",
            "that F is a fault (its values are QUESTIONABLE)",
            "the letters C, U and O of the state: C is taken for calibrating, U and O make the values QUESTIONABLE",
            "that channel number 1 is an oxygen which this monitor does not have: no TcPO2 is read",
            "baud rate, parity and the time of an answer: the device's entry says the line, an answer may take 1 s",
            "request 03, which the manual names and does not explain, is never sent",
            "no checksum and no identity on the wire: a simulator cannot be told from a real monitor",
        ),
    )
    Options = Options

    enquiry = "no document states its line settings: what is written at a wrong rate arrives as other bytes"
    ANSWER_WITHIN = 1.0
    LATE = 3.0
    UNITS = {  # noqa: RUF012
        "PCO2": {"mmHg": 1.0, "kPa": MMHG_PER_KPA}, "SPO2": {"PERCNT": 1.0}, "PR": {"BPM": 1.0}, "HPWR": {"mW": 1.0},
    }  # fmt: skip
    """Names of the lines in the order of the channels, with the factor of each unit that they may come in."""

    queries = (re.compile(rb"\r\n0[12]\$"),)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        options: Options = setup.options
        self.serial = Serial(options.baud, options.bits, options.parity, options.stop, options.handshake)
        self.silence = max(5.0, 3.0 * options.interval)
        stale = max(2.0, 2.5 * options.interval)
        self.streams = (
            Stream(
                "monitor",
                (
                    Channel("tcpco2", "mm[Hg]", 0.0, 200.0, stale),
                    Channel("spo2", "%", 0.0, 100.0, stale),
                    Channel("pulse", "/min", 20.0, 300.0, stale),
                    Channel("heat", "mW", 0.0, 2000.0, stale),
                ),
            ),
        )
        self._cutter = Cutter(_cut, LONGEST)
        self._asked: Request | None = None
        self._due = 0.0
        self._round_at = 0.0
        self._state: State | None = None
        self._letters: dict[str, str] = {}
        self._setting = ""
        self._lost = 0
        self._doubtful_until = -math.inf

    def start(self, at: float) -> None:
        """Ask for the state."""
        self.poll(at)

    def poll(self, at: float) -> None:
        """Begin a round, or give up the request that was not answered in time."""
        if self._asked is not None:
            self._doubtful_until = at + self.LATE * self.setup.patience
        if self._asked is STATUS:
            self._ask(VALUES, at)
        elif self._asked is VALUES:
            self._lost += 1
            self._rest(at)
        else:
            self._round_at = at
            self._ask(STATUS, at)

    def deadline(self) -> float | None:
        """When the next round begins or the open request times out."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take answers; a value record is a sample."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, Skipped):
                yield Notice("noise", "bytes that belong to no answer", {"bytes": len(piece.data)})
            else:
                yield from self._take(piece, at)

    def _ask(self, request: Request, at: float) -> None:
        self._asked = request
        self._due = at + self.ANSWER_WITHIN * self.setup.patience
        self.send(request.encode())

    def _rest(self, at: float) -> None:
        self._asked = None
        self._due = max(self._round_at + self.setup.options.interval, at)

    def _take(self, message: bytes, at: float) -> Iterator[Readings | Notice]:
        record = Record.decode(message)
        if record is None:
            yield Notice("noise", "an answer that is not understood", {"bytes": len(message)})
            return
        first, *others = record.lines
        if isinstance(first, State) and not others and self._asked is STATUS:
            yield from self._changed(first)
            self._ask(VALUES, at)
        elif self._asked is VALUES and all(isinstance(line, Value) for line in record.lines):
            yield from self._sample([line for line in record.lines if isinstance(line, Value)], at)
            self._rest(at)
        else:
            self._doubtful_until = at + self.LATE * self.setup.patience
            yield Notice("noise", "an answer that nobody waits for", {"bytes": len(message)})

    def _changed(self, state: State) -> Iterator[Notice]:
        if state != self._state:
            self._state = state
            text = f"the monitor's state is {state.first}{state.second}"
            yield Notice("state", text, {"first": state.first, "second": state.second})

    def _sample(self, lines: list[Value], at: float) -> Iterator[Readings | Notice]:
        values = np.full((1, len(self.UNITS)), np.nan)
        quality = np.full((1, len(self.UNITS)), int(Quality.INVALID), np.uint8)
        flags = self._condition(at)
        for line in lines:
            factor = self.UNITS.get(line.name, {}).get(line.unit)
            letters = f"{line.state}{line.limit}"
            if letters != self._letters.get(line.name, "NN"):
                worst = next((ALARMS[letter] for letter in "FAS" if letter in letters), "no alarm")
                kind = "state" if letters == "NN" else "alarm"
                yield Notice(kind, f"{line.name}: {worst}", {"name": line.name, "letters": letters})
            if factor is None and line.name not in self._letters:
                yield Notice("warning", f"the line {line.name} in {line.unit} is not known and not recorded")
            self._letters[line.name] = letters
            if line.setting and line.setting != self._setting:
                self._setting = line.setting
                yield Notice("state", f"the sensor is set to {line.setting} Cel", {"temperature": float(line.setting)})
            if factor is not None and not math.isnan(line.value):
                column = list(self.UNITS).index(line.name)
                values[0, column] = line.value * factor
                quality[0, column] = flags | (Quality.QUESTIONABLE if "F" in letters else Quality.GOOD)
                channel = self.streams[0].channels[column]
                if not (channel.low or 0.0) <= values[0, column] <= (channel.high or math.inf):
                    quality[0, column] |= Quality.RANGE
        lost, self._lost = self._lost, 0
        yield Readings("monitor", values, quality, lost=lost)

    def _condition(self, at: float) -> Quality:
        if self._state is None or not self._state.second:
            return Quality.QUESTIONABLE if at < self._doubtful_until else Quality.GOOD
        return Quality.CALIBRATING if self._state.second == CALIBRATING else Quality.QUESTIONABLE


def _cut(buffer: bytes) -> int:
    end = buffer.find(END) + 1
    if end:
        # What comes before an answer's first line is no part of it.
        start = buffer.find(b"\r\n", 0, end)
        return -start if start > 0 else end if start == 0 and end <= LONGEST else -end
    return 0 if len(buffer) < LONGEST else -len(buffer) + 1
