"""Keysight scanning digitisers DAQ970A, 34970A, 34972A and 34980A, and the digitising multimeter 34465A, over VISA."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, TypeVar
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from acquisition.analog import Input
from acquisition.driver import About, Driver, Setup
from acquisition.errors import ConfigurationError
from acquisition.framing import Cutter, Skipped, scpi_answer
from acquisition.model import Flags, Floats, Notice, Quality, Readings, Stream, TimeBase

T = TypeVar("T")
Talk = Generator[bytes | float, bytes | None, T]
"""A conversation: it yields the next query, or seconds to wait, and is sent the answer."""

OVERLOAD = 9.9e37
NOT_A_NUMBER = 9.91e37
SCANNING = 16
"""Bit of STAT:OPER:COND? that stands while a scan is under way (INF); without it the scan is set up anew."""
TIMING_VIOLATED = 4
RELAY_LIFE = 1e8
"""Operations (INF)."""
CARDS = {
    "34901A": "armature", "34908A": "armature", "DAQM901A": "armature", "DAQM908A": "armature",
    "34902A": "reed", "DAQM902A": "reed", "34921A": "armature", "34922A": "armature",
    "34923A": "reed", "34924A": "reed",
}  # fmt: skip
"""Cards whose relays wear, by model."""
NPLCS = (0.02, 0.06, 0.2, 1.0, 2.0, 10.0, 20.0, 100.0, 200.0)
RANGES = (0.1, 1.0, 10.0, 100.0, 300.0)
LIMIT = 1 << 22


@dataclass(frozen=True, slots=True)
class Model:
    """What differs between the instruments.

    `idn`: the models that `*IDN?` may name; `memory`: readings kept; `overflow`: its bit of
    STAT:QUES:COND?; `terminals`: what an input may be called; `slot`: from a terminal to its card;
    `scans`: False for one channel sampled steadily, without time stamps.
    """

    idn: tuple[str, ...]
    memory: int
    overflow: int
    terminals: re.Pattern[str]
    slot: Callable[[int], int] = lambda terminal: terminal // 100 * 100
    scans: bool = True


_THREE_SLOTS = re.compile(r"[1-3]\d\d")
MODELS = {
    "daq970a": Model(("DAQ970A", "DAQ973A"), 100_000, 4096, _THREE_SLOTS),
    "34970a": Model(("34970A",), 50_000, 4096, _THREE_SLOTS),
    "34972a": Model(("34972A",), 50_000, 4096, _THREE_SLOTS),
    "34980a": Model(("34980A",), 500_000, 4096, re.compile(r"[1-8]\d{3}"), lambda terminal: terminal // 1000),
    "34465a": Model(("34465A",), 50_000, 16384, re.compile(r"1"), scans=False),
}


@dataclass(frozen=True, slots=True)
class Block:
    """A definite-length block (IEEE 488.2, 8.7.9): `#`, the number of digits, the length, so many bytes."""

    payload: bytes

    def encode(self) -> bytes:
        """The block without the LF that ends an answer."""
        length = b"%d" % len(self.payload)
        return b"#%d%s%s" % (len(length), length, self.payload)

    @classmethod
    def decode(cls, answer: bytes) -> Block:
        """Read an answer, with or without its LF; ValueError where it is no whole block."""
        digits = int(answer[1:2]) if answer[:1] == b"#" else 0
        length = int(answer[2 : 2 + digits])
        payload = answer[2 + digits : 2 + digits + length]
        if not digits or len(payload) < length or answer[2 + digits + length :].rstrip(b"\n"):
            raise ValueError(f"no whole block: {answer[:40]!r}")
        return cls(payload)


@dataclass(frozen=True, slots=True)
class Identity:
    """What `*IDN?` answers: four fields between commas."""

    maker: str
    model: str
    serial: str
    firmware: str

    def encode(self) -> bytes:
        """The answer without its LF."""
        return ",".join((self.maker, self.model, self.serial, self.firmware)).encode()

    @classmethod
    def decode(cls, answer: bytes) -> Identity:
        """Read an answer; ValueError where it has not four fields."""
        maker, model, serial, firmware = (field.strip() for field in answer.decode("ascii").split(",", 3))
        return cls(maker, model, serial, firmware)


@dataclass(frozen=True, slots=True)
class Fault:
    """One entry of the error queue, as `SYST:ERR?` answers it: `-113,"Undefined header"`; 0 is none."""

    number: int
    text: str

    def encode(self) -> bytes:
        """The answer without its LF."""
        return f'{self.number:+d},"{self.text}"'.encode()

    @classmethod
    def decode(cls, answer: bytes) -> Fault:
        """Read an answer; ValueError where it is none."""
        number, _, text = answer.decode("ascii").strip().partition(",")
        return cls(int(number), text.strip('"'))


@dataclass(frozen=True, slots=True)
class ScanList:
    """Terminals in the order they are scanned, always ascending: `(@101,102,103)`."""

    terminals: tuple[int, ...]

    def encode(self) -> bytes:
        """The list as a parameter, and as the payload of the answer to ROUT:SCAN?."""
        return b"(@%s)" % b",".join(b"%d" % terminal for terminal in self.terminals)

    @classmethod
    def decode(cls, text: bytes) -> ScanList:
        """Read a list, ranges (`101:104`) too; ValueError where it is none."""
        inside = re.fullmatch(rb"\(@([\d,: ]*)\)", text.strip())
        if inside is None:
            raise ValueError(f"no scan list: {text[:40]!r}")
        found: set[int] = set()
        for part in filter(None, inside[1].replace(b" ", b"").split(b",")):
            first, _, last = part.partition(b":")
            found.update(range(int(first), int(last or first) + 1))
        return cls(tuple(sorted(found)))


@dataclass(frozen=True, slots=True)
class Rows:
    """Readings as R? sends them with FORM:READ:TIME ON (TYPE REL) and CHAN ON: value, seconds, channel.

    table (n, 3): volts, seconds since the scan began, terminal. The width of the time varies.
    """

    table: Floats

    def encode(self) -> bytes:
        """The payload of the block: `+8.11900000E-03,00000000.370,101,...`."""
        n = len(self.table)
        return (b",".join([b"%+.8E,%012.3f,%d"] * n)) % tuple(self.table.ravel().tolist())

    @classmethod
    def decode(cls, payload: bytes) -> Rows:
        """Read the payload of a block; ValueError where a field is no number or one is missing."""
        return cls(numbers(payload, 3))


def numbers(payload: bytes, fields: int) -> Floats:
    """ASCII numbers between commas -> (n, fields); ValueError where one is none or missing."""
    if not payload:
        return np.empty((0, fields))
    return np.array(payload.split(b","), dtype=np.float64).reshape(-1, fields)


def moment(date: bytes, time: bytes) -> datetime:
    """The instrument's clock from `yyyy,mm,dd` and `hh,mm,ss.sss`; ValueError where that is no moment."""
    year, month, day = (int(part) for part in date.split(b","))
    hour, minute, second = time.split(b",")
    return datetime(year, month, day, int(hour), int(minute)) + timedelta(seconds=float(second))


def scan_start(answer: bytes) -> datetime:
    """The answer to SYST:TIME:SCAN?, `yyyy,mm,dd,hh,mm,ss.sss`; ValueError where it is none."""
    date, time = answer.split(b",")[:3], answer.split(b",")[3:]
    return moment(b",".join(date), b",".join(time))


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the inputs are measured.

    `interval` between sweeps in s, whole ms; `range` in V; `nplc` integration in periods of the mains;
    `autozero` doubles the time of each reading; `batch`: readings fetched at once.
    """

    interval: Annotated[float, Meta(ge=0.001, le=3600)] = 0.05
    range: float = 10.0
    nplc: float = 0.2
    autozero: bool = False
    batch: Annotated[int, Meta(ge=1, le=10_000)] = 400


@dataclass(slots=True)
class _Scan:
    """What is known of one scan: from one INIT to the next.

    `sweep` s between two readings of a channel, as measured; `last` reading of each terminal (s of the
    scan); `held`: readings of a sweep that is not whole yet; `index` of the next reading without a
    stamp; `status`: the sentinel that each terminal carries; `least` s between two readings of the first
    terminal, and `total` s of the `count` steps like it, whose mean is `sweep`; `broken_off` the host's
    second of the last reading before the scan was set up anew on the same connection.
    """

    base: TimeBase
    sweep: float
    last: dict[int, float] = field(default_factory=dict)
    held: Floats = field(default_factory=lambda: np.empty((0, 3)))
    index: int = 0
    status: dict[int, int] = field(default_factory=dict)
    least: float = float("inf")
    total: float = 0.0
    count: int = 0
    judged: bool = False
    overflowed: bool = False
    late: bool = False
    broken_off: float | None = None


class KeysightDaq(Driver):
    """Sets up a scan that never ends, and empties the instrument's memory a few times a second.

    The scan goes on inside the instrument while the link is away: where it is found running, and is
    the one that this driver would set up, it is resumed and nothing is lost that the memory holds. A
    stamp marks the instant of one reading, 1 ms fine, on the instrument's clock; the channels are
    read one after another.
    """

    about = About(
        {
            "daq970a": "Keysight DAQ970A, DAQ973A",
            "34970a": "Keysight 34970A",
            "34972a": "Keysight 34972A",
            "34980a": "Keysight 34980A",
            "34465a": "Keysight 34465A (one channel, digitising)",
        },
        "digitiser",
        ("hislip", "vxi11", "socket", "gpib"),
        "documented",
        "Keysight programming guides of the 34970A/34972A, 34980A, DAQ970A and Truevolt series",
        (
            "the relays' life of 1e8 operations",
            "bit 16 of STAT:OPER:COND? while a scan runs",
            "that ROUT:SCAN replaces the scan list of a 34980A",
            "the settings by which a 34465A samples without end",
        ),
    )
    Options = Options

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._model = MODELS[setup.name]
        self._options: Options = setup.options if isinstance(setup.options, Options) else Options()
        _check(self._model, self._options, setup.inputs)
        self._inputs = sorted(setup.inputs, key=lambda each: int(each.terminal))
        self._terminals = [int(each.terminal) for each in self._inputs]
        self._companions = [_companion(each, self._inputs) for each in self._inputs]
        self._interval = self._options.interval
        self.streams = tuple(Stream(each.name, (each.channel,), 1 / self._interval) for each in self._inputs)
        self.silence = max(5.0, 4 * self._interval + 3.0)
        self._opening = self._scan_set_up() if self._model.scans else self._sampling_set_up()
        # An accelerated clock brings more readings into the same real time.
        batch = min(round(self._options.batch * max(setup.patience, 1.0)), 10_000)
        batch = max(batch // len(self._inputs), 1) * len(self._inputs)
        self._fetch = b"R? %d\n" % batch
        self._batch = batch
        # Its enable register is zero after power came back: so this number tells that nobody set it up since.
        self._token = 1 + crc32(b"".join(self._opening)) % 255
        self._cards = [
            b"SYST:CTYP? %d\n" % slot for slot in sorted({self._model.slot(each) for each in self._terminals})
        ]
        self.queries = tuple(re.compile(re.escape(message)) for message in self._vocabulary())

        self._cutter = Cutter(scpi_answer(LIMIT), LIMIT)
        self._talk: Talk[None] | None = None
        self._asked = False
        self._due: float | None = None
        self._at = 0.0
        self._said: list[Readings | Notice] = []
        self._serial = ""
        self._ours = False
        self._heard: float | None = None
        self._scan = _Scan(TimeBase(""), self._interval)

    def start(self, at: float) -> None:
        """Ask who answers; all else follows from the answers."""
        self._at = at
        self._talk = self._conversation()
        self._go(None)

    def poll(self, at: float) -> None:
        """Ask the next question after a pause."""
        if self._due is not None and at >= self._due:
            self._at = at
            self._go(None)

    def stop(self, at: float) -> None:
        """End the scan, so that relays rest."""
        if self._talk is not None:
            self._talk.close()
            self._talk = None
        if self._ours:
            self.send(b"ABOR\n")
        self._due = None

    def deadline(self) -> float | None:
        """When the next question is due."""
        return self._due

    def receive(self, data: bytes, at: float) -> Iterator[Readings | Notice]:
        """Take answers; each leads to the next question."""
        self._at = at
        for piece in self._cutter.feed(data):
            if isinstance(piece, Skipped):
                self._noise(piece.data)
            elif self._asked:
                self._go(piece)
            else:
                self._noise(piece)
            said, self._said = self._said, []
            yield from said

    def _go(self, answer: bytes | None) -> None:
        if self._talk is None:
            return
        self._asked, self._due = False, None
        try:
            step = self._talk.send(answer)
        except StopIteration:
            self._talk = None
            return
        if isinstance(step, bytes):
            self._asked = True
            self.send(step)
        else:
            self._due = self._at + step

    def _conversation(self) -> Talk[None]:
        if not (yield from self._recognise()):
            return
        if self._model.scans and (yield from self._attach()):
            yield from self._stream()
        while True:
            yield from self._set_up()
            if not (yield from self._stream()):
                # Whoever set it up twice without a reading gains nothing by a third time.
                return

    def _recognise(self) -> Talk[bool]:
        who = yield from self._ask(b"*IDN?\n", Identity.decode)
        if who is None:
            return False
        self._serial = who.serial
        details = {"maker": who.maker, "model": who.model, "serial": who.serial, "firmware": who.firmware}
        self._say("identity", f"{who.maker} {who.model}, serial number {who.serial}, {who.firmware}", **details)
        if who.model not in self._model.idn:
            self._say(
                "warning",
                f"a {who.model} answers, and the driver {self.setup.name} is for {' and '.join(self._model.idn)}: "
                "nothing is asked of it; correct the device's driver or its resource",
            )
            return False
        return True

    def _attach(self) -> Talk[bool]:
        """Find out whether this driver's own scan is still running; take over what the memory holds."""
        token = yield from self._ask(b"*ESE?\n", int)
        if token != self._token:
            return False
        listed = yield from self._ask(b"ROUT:SCAN?\n", lambda answer: ScanList.decode(Block.decode(answer).payload))
        if listed is None or list(listed.terminals) != self._terminals:
            return False
        running = yield from self._ask(b"STAT:OPER:COND?\n", int)
        if not running or not running & SCANNING:
            return False
        started = yield from self._ask(b"SYST:TIME:SCAN?\n", scan_start)
        date = yield from self._ask(b"SYST:DATE?\n", bytes.strip)
        now = yield from self._ask(b"SYST:TIME?\n", lambda answer: moment(date or b"", answer))
        if started is None or now is None:
            return False
        self._ours = True
        origin = self._at - (now - started).total_seconds()
        self._scan = _Scan(TimeBase(f"{self._serial} {started.isoformat()}", origin), self._interval)
        self._say("state", f"the scan that began at {started} (the instrument's clock) goes on; it is resumed")
        return True

    def _set_up(self) -> Talk[None]:
        self._ours = True
        for message in self._opening:
            self.send(message)
        if self._model.scans:
            listed = yield from self._ask(b"ROUT:SCAN?\n", lambda answer: ScanList.decode(Block.decode(answer).payload))
            if listed is not None and list(listed.terminals) != self._terminals:
                self._say("warning", f"the instrument scans {listed.encode().decode()} and not what was asked")
            for query in self._cards:
                self._warn_of_relays((yield from self._ask(query, lambda answer: answer.decode("ascii").split(","))))
        else:
            step = yield from self._ask(b"SAMP:TIM?\n", float)
            self._interval = step or self._options.interval
        yield from self._hear_errors()
        self.send(b"*ESE %d\n" % self._token)
        self.send(b"INIT\n")
        began = self._at
        token = f"{self._serial} {began!r}"
        if self._model.scans:
            started = yield from self._ask(b"SYST:TIME:SCAN?\n", scan_start)
            if started is not None:
                token = f"{self._serial} {started.isoformat()}"
        self._scan = _Scan(TimeBase(token, began), self._interval, broken_off=self._heard)

    def _hear_errors(self) -> Talk[None]:
        for _ in range(25):
            fault = yield from self._ask(b"SYST:ERR?\n", Fault.decode)
            if fault is None or not fault.number:
                return
            self._say("warning", f"the instrument reports {fault.number:+d}, {fault.text}", number=fault.number)

    def _stream(self) -> Talk[bool]:
        """Empty the memory again and again until the scan ends; answer whether it gave any reading."""
        patience, heard, any_yet = self.setup.patience, self._at, False
        checked = self._at
        while True:
            payload = yield from self._ask(self._fetch, lambda answer: Block.decode(answer).payload)
            table = self._table(payload)
            if table is None:
                # Without stamps nobody can tell which readings the spoilt answer held.
                return True
            if len(table):
                heard, any_yet = self._at, True
                if not self._take(table, len(table) < self._batch):
                    self._say("warning", "somebody else began another scan; this one is set up anew")
                    return True
            elif self._at - heard > 3 * self._interval + patience:
                self._say(
                    "warning",
                    "the scan gives no readings any more; it is set up anew"
                    if any_yet
                    else "the scan gives no reading",
                )
                return any_yet
            if self._at - checked >= patience:
                checked = self._at
                condition = yield from self._ask(b"STAT:QUES:COND?\n", int)
                if self._condition(condition or 0):
                    return True
            if len(table) < self._batch:
                # Polls that keep step with the sweeps would never see how early an answer can come.
                yield self.setup.random.uniform(0.1, 0.25) * patience

    def _table(self, payload: bytes | None) -> Floats | None:
        """Readings (n, 3): volts, seconds, terminal; none, or None without stamps, of what is spoilt."""
        try:
            if payload is None:
                raise ValueError
            if self._model.scans:
                return Rows.decode(payload).table
            volts = numbers(payload, 1)
        except ValueError:
            self._noise(payload or b"")
            return np.empty((0, 3)) if self._model.scans else None
        index = np.arange(self._scan.index, self._scan.index + len(volts))
        self._scan.index += len(volts)
        return np.column_stack((volts, index * self._interval, np.full(len(volts), self._terminals[0])))

    def _condition(self, condition: int) -> bool:
        """Report what the questionable register says for the first time in a scan; True where that ends the scan."""
        if condition & TIMING_VIOLATED and not self._model.scans and not self._scan.late:
            self._scan.late = True
            self._say("warning", f"the instrument cannot keep the sample interval of {self._interval:g} s")
        if condition & self._model.overflow and not self._scan.overflowed:
            self._scan.overflowed = True
            self._say(
                "overflow",
                "the instrument's memory was full and its oldest readings were overwritten: the link was away too long"
                + (", its time stamps show which are missing" if self._model.scans else ", the scan is set up anew"),
            )
            return not self._model.scans
        return False

    def _take(self, table: Floats, fresh: bool) -> bool:
        """Turn readings into samples; False where their time runs backwards."""
        rows = np.concatenate((self._scan.held, table))
        times = rows[:, 1]
        newest = max(self._scan.last.values(), default=-1.0)
        if times[0] < newest - self._scan.sweep or bool((np.diff(times) < -0.001).any()):
            return False
        # A sweep is judged whole: the companion of a reading may come after it.
        last = np.flatnonzero(rows[:, 2] == self._terminals[-1])
        whole = int(last[-1]) + 1 if len(last) else 0
        if len(rows) - whole > 2 * len(self._terminals):
            whole = len(rows)
        self._scan.held, rows = rows[whole:], rows[:whole]
        picked = [rows[rows[:, 2] == terminal] for terminal in self._terminals]
        strangers = len(rows) - sum(map(len, picked))
        if strangers:
            self._say("noise", f"{strangers} readings of channels that are not scanned", bytes=strangers)
        self._measure(picked[0][:, 1])
        status = [each.sentinel(rows[:, 0]) for each, rows in zip(self._inputs, picked, strict=True)]
        for k, (entry, readings) in enumerate(zip(self._inputs, picked, strict=True)):
            if len(readings):
                values, quality = _scaled(entry, readings[:, 0])
                other = self._companions[k]
                if other is not None and len(picked[other]):
                    near = _condemned(readings[:, 1], picked[other][:, 1], status[other] >= 0, self._scan.sweep)
                    values[near] = np.nan
                    quality[near] |= np.uint8(Quality.INVALID)
                self._report(entry, int(status[k][-1]))
                self._emit(entry, values, quality, readings[:, 1].copy(), fresh)
        self._heard = self._at
        return True

    def _emit(self, entry: Input, values: Floats, quality: Flags, times: Floats, fresh: bool) -> None:
        """Queue one channel's samples, cut where sweeps are missing."""
        terminal = int(entry.terminal)
        lost = np.zeros(len(times), dtype=np.int64)
        steps = np.rint(np.diff(times) / self._scan.sweep).astype(np.int64)
        lost[1:] = np.maximum(steps - 1, 0)
        if terminal in self._scan.last:
            lost[0] = max(round((times[0] - self._scan.last[terminal]) / self._scan.sweep) - 1, 0)
        elif self._scan.broken_off is not None:
            since = (self._scan.base.origin or self._at) + times[0] - self._scan.broken_off
            lost[0] = max(round(since / self._scan.sweep), 1)
        self._scan.last[terminal] = float(times[-1])
        cuts = [0, *(np.flatnonzero(lost[1:]) + 1).tolist(), len(times)]
        for begin, end in pairwise(cuts):
            self._said.append(
                Readings(
                    entry.name,
                    values[begin:end, np.newaxis],
                    quality[begin:end, np.newaxis],
                    times[begin:end],
                    self._scan.base,
                    int(lost[begin]),
                    fresh and end == len(times),
                )
            )

    def _measure(self, times: Floats) -> None:
        """Learn the sweep interval, and say once where it is longer than asked for: the instrument itself does not."""
        scan = self._scan
        before = scan.last.get(self._terminals[0])
        steps = np.diff(times if before is None else np.append(before, times))
        steps = steps[steps > 0]
        if not len(steps) or not self._model.scans:
            return
        # Missing sweeps only ever lengthen a step.
        least = float(steps.min())
        if least < scan.least / 1.5:
            scan.least, scan.total, scan.count = least, 0.0, 0
        whole = steps[steps < 1.5 * scan.least]
        scan.total += float(whole.sum())
        scan.count += len(whole)
        scan.sweep = scan.total / scan.count
        if scan.count >= 20 and scan.total >= 2.0 and not scan.judged:
            scan.judged = True
            if scan.sweep > 1.01 * self._options.interval:
                self._say(
                    "warning",
                    f"a sweep takes {scan.sweep:.4g} s and not the configured {self._options.interval:g} s: too many "
                    "channels or too long an integration; raise options.interval, or lower options.nplc",
                    measured=scan.sweep,
                )

    def _report(self, entry: Input, status: int) -> None:
        """Say when an input begins or ends to carry a status instead of a value."""
        terminal = int(entry.terminal)
        before = self._scan.status.get(terminal, -1)
        self._scan.status[terminal] = status
        if status != before:
            name = entry.signal.sentinels[max(status, before) if status < 0 else status].status
            active = status >= 0
            text = f"{entry.name}: {name}" if active else f"{entry.name}: a value again after {name}"
            self._say("alarm", text, channel=entry.name, status=name, active=active)

    def _warn_of_relays(self, card: Sequence[str] | None) -> None:
        kind = CARDS.get(card[1].strip()) if card is not None and len(card) > 1 else None
        if card is not None and kind is not None:
            daily = 86400 / self._options.interval * len(self._inputs)
            self._say(
                "warning",
                f"the {kind} relays of the {card[1].strip()} switch {daily:.2g} times a day and may last "
                f"{RELAY_LIFE:.0e} operations, {RELAY_LIFE / daily:.0f} days of continuous use (unconfirmed)",
                card=card[1].strip(),
            )

    def _ask(self, query: bytes, decode: Callable[[bytes], T]) -> Talk[T | None]:
        """Ask; None where three answers in a row make no sense, each a notice."""
        for _ in range(3):
            answer = yield query
            try:
                return decode((answer or b"").rstrip(b"\n"))
            except (ValueError, IndexError):
                self._noise(answer or b"")
        return None

    def _noise(self, data: bytes) -> None:
        self._say("noise", f"no answer that makes sense: {data[:40]!r}", bytes=len(data))

    def _say(self, kind: str, text: str, **details: object) -> None:
        self._said.append(Notice(kind, text, details))

    def _scan_set_up(self) -> list[bytes]:
        options, where = self._options, ScanList(tuple(self._terminals)).encode()
        # CONF clears FORM:READ and sets TRIG:TIM to 0 or 1 s: both come after it.
        return [
            b"ABOR\n",
            b"*CLS\n",
            b"*SRE 0\n",
            b"CONF:VOLT:DC %g,%s\n" % (options.range, where),
            b"SENS:VOLT:DC:NPLC %g,%s\n" % (options.nplc, where),
            b"SENS:VOLT:DC:ZERO:AUTO %s,%s\n" % (b"ON" if options.autozero else b"OFF", where),
            b"ROUT:SCAN %s\n" % where,
            b"TRIG:SOUR TIM\n",
            b"TRIG:TIM %g\n" % options.interval,
            b"TRIG:COUN INF\n",
            b"FORM:READ:TIME ON\n",
            b"FORM:READ:TIME:TYPE REL\n",
            b"FORM:READ:CHAN ON\n",
            b"FORM:READ:UNIT OFF\n",
            b"FORM:READ:ALAR OFF\n",
        ]

    def _sampling_set_up(self) -> list[bytes]:
        options = self._options
        return [
            b"ABOR\n",
            b"*CLS\n",
            b"*SRE 0\n",
            b"CONF:VOLT:DC %g\n" % options.range,
            b"SENS:VOLT:DC:NPLC %g\n" % options.nplc,
            b"SENS:VOLT:DC:ZERO:AUTO %s\n" % (b"ON" if options.autozero else b"OFF"),
            b"TRIG:SOUR IMM\n",
            b"TRIG:COUN 1\n",
            b"SAMP:COUN 1000000000\n",
            b"SAMP:SOUR TIM\n",
            b"SAMP:TIM %g\n" % options.interval,
        ]

    def _vocabulary(self) -> list[bytes]:
        asked = [b"*IDN?\n", b"*ESE?\n", b"ROUT:SCAN?\n", b"STAT:OPER:COND?\n", b"STAT:QUES:COND?\n", b"SYST:ERR?\n"]
        clock = [b"SYST:TIME:SCAN?\n", b"SYST:DATE?\n", b"SYST:TIME?\n", b"SAMP:TIM?\n"]
        return [*self._opening, *asked, *clock, *self._cards, self._fetch, b"*ESE %d\n" % self._token, b"INIT\n"]


def _check(model: Model, options: Options, inputs: Sequence[Input]) -> None:
    """ConfigurationError where the instrument cannot do what the entry says."""
    if not inputs:
        raise ConfigurationError("no input is configured", "channel", remedy="at least one [[device.channel]]")
    for index, each in enumerate(inputs):
        if not model.terminals.fullmatch(each.terminal):
            raise ConfigurationError(
                f"the {model.idn[0]} has no input {each.terminal}",
                f"channel[{index}].input",
                remedy="slot and channel, such as 101" if model.scans else "1",
            )
    if options.nplc not in NPLCS:
        raise ConfigurationError("no integration time of the instrument", "options.nplc", remedy=_listed(NPLCS))
    if options.range not in RANGES:
        raise ConfigurationError("no range of the instrument", "options.range", remedy=_listed(RANGES) + " (V)")
    if model.scans and abs(options.interval * 1000 - round(options.interval * 1000)) > 1e-6:
        raise ConfigurationError("sweeps are timed in steps of 1 ms", "options.interval", remedy="whole milliseconds")
    shortest = len(inputs) * options.nplc / 60 * (2 if options.autozero else 1)
    if shortest > options.interval:
        raise ConfigurationError(
            f"{len(inputs)} inputs at {options.nplc:g} PLC take at least {shortest:.3g} s",
            "options.interval",
            remedy=f"an interval of at least {shortest:.3g} s, or a smaller nplc",
        )


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _companion(entry: Input, inputs: Sequence[Input]) -> int | None:
    """Which input carries the signal that condemns this one: of the same profile, the next one round."""
    here = int(entry.terminal)
    found = [
        k for k, each in enumerate(inputs)
        if each.profile == entry.profile and each.signal.signal == entry.signal.companion
    ]  # fmt: skip
    return min(found, key=lambda k: (int(inputs[k].terminal) < here, abs(int(inputs[k].terminal) - here)), default=None)


def _scaled(entry: Input, volts: Floats) -> tuple[Floats, Flags]:
    """Volts (n,) as the instrument sends them -> values and quality (n,); 9.9E37 is overload, 9.91E37 no number."""
    none = np.abs(volts) >= OVERLOAD
    values, quality = entry.scale(np.where(none, np.nan, volts))
    quality[none & (np.abs(volts) < (OVERLOAD + NOT_A_NUMBER) / 2)] |= np.uint8(Quality.RANGE)
    return values, quality


def _condemned(times: Floats, others: Floats, bad: NDArray[np.bool_], within: float) -> NDArray[np.bool_]:
    """Which of times (n,) have their nearest of others (m,) at most `within` s away and bad (m,)."""
    right = np.clip(np.searchsorted(others, times), 0, len(others) - 1)
    left = np.maximum(right - 1, 0)
    nearest = np.where(times - others[left] < np.abs(others[right] - times), left, right)
    found: NDArray[np.bool_] = bad[nearest] & (np.abs(others[nearest] - times) <= within)
    return found
