"""TOSCA 500 monitors that stream lines of comma-terminated fields: tcPCO2, SpO2, pulse rate, heat and more; no oxygen.

Source: TOSCA 500 operator's manual, p. 103, which shows columns 6 to 12; columns 1 to 5 are inferred by analogy. A
heading line tells limits and set points for the lines after it.
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

COLUMNS = 12
LONGEST = 160
MMHG_PER_KPA = 7.50062
MODES = {"C": "calibrating", "R": "ready", "P": "pre-measurement", "M": "measurement", "?": "other"}
ALARMS = {"N": "no alarm", "A": "alarm", "S": "alarm, muted"}
WHEN = re.compile(r"[-0-9:./ ]{0,24}")
NUMBER = re.compile(r"\d{1,4}(\.\d)?")
MISSING = re.compile(r"-+(\.-+)?")
TIMER = re.compile(r"(\d\d):([0-5]\d)")
CLOCK = re.compile(r"(?:.* )?([01]\d|2[0-3]):([0-5]\d):([0-5]\d)")
DAY = 86_400
_UNIT = re.compile(r"PCO2\[(mmHg|kPa)\]")


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading line's fields as they stand: names with units, and limits or set points."""

    fields: tuple[str, ...]

    def encode(self) -> bytes:
        """The line on the wire, without its end."""
        return ("".join(f"{field}," for field in self.fields)).encode("latin-1")

    @property
    def unit(self) -> str:
        """The unit of carbon dioxide, empty where it is not told (column 2 is inferred)."""
        match = _UNIT.match(self.fields[1])
        return match[1] if match else ""


@dataclass(frozen=True, slots=True)
class Row:
    """A data line: digits as they stand, and letters of alarm states (N, A, S); `mode` is C, R, P, M or ?."""

    when: str
    pco2: str
    pco2_state: str
    spo2: str
    spo2_state: str
    pulse: str
    pulse_state: str
    heat: str
    index: str
    temperature: str
    timer: str
    mode: str

    def encode(self) -> bytes:
        """The line on the wire, without its end."""
        fields = (getattr(self, name) for name in self.__slots__)
        return ("".join(f"{field}," for field in fields)).encode("latin-1")

    @property
    def numbers(self) -> tuple[str, ...]:
        """The digits in the order of the channels, the timer left out."""
        return self.pco2, self.spo2, self.pulse, self.heat, self.index, self.temperature

    @property
    def states(self) -> dict[str, str]:
        """Name -> letter of each alarm state."""
        return {"PCO2": self.pco2_state, "SpO2": self.spo2_state, "PR": self.pulse_state}


def decode(line: bytes) -> Heading | Row | None:
    """A line without its end; None where it is none of the protocol's."""
    *fields, rest = line.decode("latin-1").split(",")
    if rest or len(fields) != COLUMNS:
        return None
    if fields[5].startswith("PR[") and fields[11] == "Mode":
        return Heading(tuple(fields))
    row = Row(*fields)
    sound = (
        WHEN.fullmatch(row.when)
        and all(NUMBER.fullmatch(digits) or MISSING.fullmatch(digits) for digits in row.numbers)
        and set(row.states.values()) <= set(ALARMS)
        and (TIMER.fullmatch(row.timer) or re.fullmatch("[-:]+", row.timer))
        and row.mode in MODES
    )
    return row if sound else None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line stands among the others: `lost` lines before it, or the `fault` for which it has no place.

    `late`, and `crowded` where it shares its second with another line that is not the same: both make it doubtful.
    """

    lost: int = 0
    late: bool = False
    crowded: bool = False
    fault: str = ""


class LineClock:
    """Judges lines by the monitor's own time of day, of one second's resolution.

    Late is a line whose way took more than `LATE` s longer than the quickest one's; the monitor's clock may run wrong
    by `DRIFT`. A clock that a person sets is followed.
    """

    LATE = 1.25
    DRIFT = 1e-3
    DISORDER = 10.0

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._one_a_second = interval > 1.0 - self.DRIFT
        self._row: Row | None = None
        self._seconds = 0
        self._at = 0.0
        self._quickest: float | None = None

    def place(self, row: Row, at: float) -> Place:
        """The place of a line that arrived at `at` s."""
        match = CLOCK.fullmatch(row.when)
        if match is None:
            return Place()
        hours, minutes, seconds = map(int, match.groups())
        now = hours * 3600 + minutes * 60 + seconds
        before, self._row = self._row, row
        if before is None:
            return self._follow(now, at)
        step = (now - self._seconds + DAY // 2) % DAY - DAY // 2
        if step == 0 and row == before and self._one_a_second:
            return Place(fault="a line that came twice")
        if -self.DISORDER < step < 0:
            return Place(fault="a line out of order")
        elapsed = at - self._at
        if step == 0 and elapsed < self._interval / 2 and self._one_a_second:
            return Place(crowded=True)
        if step < 0 or step > elapsed + self.DISORDER:
            self._quickest = None
            return self._follow(now, at)
        missed = round(step / self._interval) - 1 if self._one_a_second else 0
        return self._follow(now, at, max(missed, 0))

    def _follow(self, seconds: int, at: float, lost: int = 0) -> Place:
        way = (at - seconds) % DAY
        if self._quickest is not None:
            way = self._quickest + (way - self._quickest + DAY / 2) % DAY - DAY / 2
            self._quickest = min(way, self._quickest + (at - self._at) * self.DRIFT)
        else:
            self._quickest = way
        self._seconds, self._at = seconds, at
        return Place(lost, way > self._quickest + self.LATE)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The line as the monitor is set, since no public document states it; `unit` of carbon dioxide that it shows.

    `interval`: seconds between lines as the monitor is set; it tells when a value is stale.
    """

    baud: Annotated[int, Meta(ge=300, le=115_200)]
    unit: Literal["mmHg", "kPa"]
    bits: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop: Literal[1, 2] = 1
    handshake: Literal["none", "rts-cts"] = "none"
    interval: Annotated[float, Meta(ge=0.1, le=3600)] = 1.0


class Tosca500Csv(Driver):
    """Takes lines as they come; a line with a field that cannot be is not taken.

    A sample's instant is the arrival of the line's end. The line has no number and no checksum. Its time of day, where
    it is one, tells of lines that came twice, out of order, late or not at all.
    """

    about = About(
        {"tosca500-csv": "TOSCA 500, CSV stream"},
        "TcPCO2 monitor",
        ("serial", "tcp"),
        "partly documented",
        "TOSCA 500 operator's manual, p. 103",
        (
            "columns 1 to 5 (time, tcPCO2 and its state, SpO2 and its state), inferred by analogy",
            "the end of a line: CR, LF and both are taken",
            "how often lines and headings come, baud rate and parity: the device's entry says them",
            "no checksum on the wire: a changed digit is read as it arrived",
            "no identity on the wire: a simulator cannot be told from a real monitor",
            "where column 1 is no time of day, or lines come more than once a second, lost lines do not show",
        ),
    )
    Options = Options
    enquiry = "it has no identity query: it only sends, and by line settings that no document states"

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
                    Channel("perfusion_index", "%", 0.0, 100.0, stale),
                    Channel("temperature", "Cel", 10.0, 50.0, stale),
                    Channel("site_timer", "min", 0.0, 1440.0, stale),
                ),
                interval=options.interval,
            ),
        )
        channels = self.streams[0].channels
        self._low = np.array([channel.low for channel in channels])
        self._high = np.array([channel.high for channel in channels])
        self._factor = MMHG_PER_KPA if options.unit == "kPa" else 1.0
        self._contradicted = False
        self._heading: Heading | None = None
        self._mode = ""
        self._states: dict[str, str] = dict.fromkeys(("PCO2", "SpO2", "PR"), "N")
        self._cutter = Cutter(_cut, LONGEST)
        self._clock = LineClock(options.interval)

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take lines."""
        for piece in self._cutter.feed(data):
            if isinstance(piece, Skipped):
                yield Notice("noise", "bytes without an end of line", {"bytes": len(piece.data)})
                continue
            text = piece.strip(b"\r\n")
            if not text:
                continue
            line = decode(text)
            if line is None:
                yield Notice("noise", "a line that is not understood", {"bytes": len(piece)})
            elif isinstance(line, Heading):
                yield from self._head(line)
            else:
                yield from self._place(line, at)

    def _head(self, heading: Heading) -> Iterator[Notice]:
        if heading != self._heading:
            self._heading = heading
            yield Notice(
                "state", "limits and set points: " + ",".join(heading.fields), {"fields": list(heading.fields)}
            )
        contradicted = heading.unit not in ("", self.setup.options.unit)
        if contradicted and not self._contradicted:
            text = f"PCO2 comes in {heading.unit}, the entry says {self.setup.options.unit}: it is not recorded"
            yield Notice("alarm", text)
        self._contradicted = contradicted

    def _place(self, row: Row, at: float) -> Iterator[Readings | Notice]:
        place = self._clock.place(row, at)
        if place.fault:
            yield Notice("noise", place.fault, {"bytes": len(row.encode())})
        else:
            if place.crowded:
                yield Notice("warning", "two lines of one second: one of them may be another monitor's")
            yield from self._sample(row, place)

    def _sample(self, row: Row, place: Place) -> Iterator[Readings | Notice]:
        if row.mode != self._mode:
            self._mode = row.mode
            yield Notice("state", f"mode {row.mode}: {MODES[row.mode]}", {"mode": row.mode})
        for name, letter in row.states.items():
            if letter != self._states[name]:
                kind = "state" if letter == "N" else "alarm"
                yield Notice(kind, f"{name}: {ALARMS[letter]}", {"name": name, "letter": letter})
        self._states = row.states
        timer = TIMER.fullmatch(row.timer)
        minutes = 60 * int(timer[1]) + int(timer[2]) if timer else math.nan
        values = np.array([[*(math.nan if "-" in digits else float(digits) for digits in row.numbers), minutes]])
        values[0, 0] = math.nan if self._contradicted else values[0, 0] * self._factor
        good = {"M": Quality.GOOD, "C": Quality.CALIBRATING}.get(row.mode, Quality.QUESTIONABLE)
        quality = np.full(values.shape, int(good), np.uint8)
        if place.late or place.crowded:
            quality |= np.uint8(Quality.QUESTIONABLE)
        quality[(values < self._low) | (values > self._high)] |= np.uint8(Quality.RANGE)
        quality[np.isnan(values)] = Quality.INVALID
        yield Readings("monitor", values, quality, lost=place.lost)


def _cut(buffer: bytes) -> int:
    ends = [end for end in (buffer.find(b"\r"), buffer.find(b"\n")) if end >= 0]
    if ends:
        size = min(ends) + 1
        return size if size <= LONGEST else -size
    return 0 if len(buffer) < LONGEST else -len(buffer)
