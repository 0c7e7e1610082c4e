"""Keysight scanning digitisers DAQ970A, 34970A, 34972A and 34980A, and the digitising multimeter 34465A, over VISA."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar
from zlib import crc32

import numpy as np

from acquisition.driverkit.driver import About, Driver, Enquiry, Recognised, Serial, Setup
from acquisition.driverkit.framing import Cutter, Skipped, scpi_answer
from acquisition.model import Floats, Notice, Readings, Stream, TimeBase
from drivers.keysight_daq.answers import Block, Fault, Identity, Reals, Rows, ScanList, figures, scan_start, scan_times
from drivers.keysight_daq.commands import ASKED, SCAN_TIMES, card_of, integration_of, sampling_set_up, scan_set_up
from drivers.keysight_daq.digits import numbers
from drivers.keysight_daq.models import CARDS, MODELS, RELAY_LIFE, SCANNING, SPEEDS, TIMING_VIOLATED
from drivers.keysight_daq.options import Options, check, longest_nplc
from drivers.keysight_daq.sweeps import Sweeps, Wired

__all__ = ["KeysightDaq", "Options"]

T = TypeVar("T")
Talk = Generator[bytes | float, bytes | None, T]
"""A conversation: it yields the next query, or seconds to wait, and is sent the answer."""

LIMIT = 1 << 22
QUICKEST_MAINS = 60.0
"""Hz; with them an integration over so many periods is the shortest that it can be."""
OFF = 0.01
"""By what share of it the reported sample interval may differ from the one asked for."""


def recognise(answers: tuple[bytes, ...]) -> Recognised | None:
    """Read who answers `*IDN?`; another SCPI instrument is told too, without a driver."""
    try:
        who = Identity.decode(answers[0].rstrip(b"\r\n"))
    except (ValueError, IndexError):
        return None
    driver = next((name for name, model in MODELS.items() if who.model in model.idn), "")
    text = f"{who.maker}, firmware {who.firmware}" + ("" if driver else "; no driver is for this model")
    return Recognised(driver, who.model, who.serial, text)


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
            "34970a": "Keysight 34970A (RS-232 as ASRL, GPIB)",
            "34972a": "Keysight 34972A",
            "34980a": "Keysight 34980A",
            "34465a": "Keysight 34465A (one channel, digitising)",
        },
        "digitiser",
        ("hislip", "vxi11", "socket", "asrl", "gpib"),
        "documented",
        "Keysight programming guides of the 34970A/34972A, 34980A, DAQ970A and Truevolt series",
        (
            "the relays' life of 1e8 operations, and how many channels a second each kind of card switches",
            "bit 16 of STAT:OPER:COND? while a scan runs; without it one is resumed as long as it gives readings",
            "that ROUT:SCAN replaces the scan list of a 34980A",
            "the settings by which a 34465A samples without end",
            "the integration times of a DAQ970A: those that its predecessors and a 34465A share are chosen from",
            "how much longer than its integration a reading of a 34465A takes (0.1 ms is left for it)",
            "the baud rate with which a 34970A leaves the factory (57600)",
        ),
    )
    Options = Options
    enquiry = Enquiry((b"*IDN?\n",), recognise, Serial(Options().baud), within=3.0)

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._model = MODELS[setup.name]
        self._options: Options = setup.options if isinstance(setup.options, Options) else Options()
        check(self._model, self._options, setup.inputs)
        self.serial = Serial(self._options.baud)
        self._wired = Wired(setup.inputs)
        self._interval = self._options.interval
        self.streams = tuple(Stream(each.name, (each.channel,), 1 / self._interval) for each in self._wired.inputs)
        self.silence = max(5.0, 4 * self._interval + 3.0)
        # An accelerated clock brings more readings into the same real time.
        batch = min(round(self._options.batch * max(setup.patience, 1.0)), 10_000)
        self._batch = max(batch // len(self._wired), 1) * len(self._wired)
        self._fetch = b"R? %d\n" % self._batch
        self._integration = integration_of(self._wired.terminals if self._model.scans else ())
        self._slots = sorted({self._model.slot(each) for each in self._wired.terminals}) if self._model.scans else []
        # Its enable register is zero after power came back: so this number tells that nobody set it up since.
        self._token = 1 + crc32(b"".join(self._opening(self._options.nplc or 0.0))) % 255
        self.queries = tuple(re.compile(re.escape(message)) for message in self._vocabulary())

        self._cutter = Cutter(scpi_answer(LIMIT), LIMIT)
        self._talk: Talk[None] | None = None
        self._asked = False
        self._due: float | None = None
        self._at = 0.0
        self._said: list[Readings | Notice] = []
        self._serial = ""
        self._ours = self._ended = False
        self._heard: float | None = None
        self._awake = 0.0
        self._sweeps = self._begin(TimeBase(""))

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

    def paused(self, seconds: float, at: float) -> None:
        """Wait for readings anew: none could be asked for meanwhile."""
        self._awake = at

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
            said = self._said.copy()
            self._said.clear()
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
            if not (yield from self._set_up()):
                return
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
        """Find out whether the scan is this driver's own; take over what the memory holds and what still comes."""
        token = yield from self._ask(b"*ESE?\n", int)
        if token != self._token:
            return False
        listed = yield from self._ask(b"ROUT:SCAN?\n", lambda answer: ScanList.decode(Block.decode(answer).payload))
        if listed is None or list(listed.terminals) != self._wired.terminals:
            return False
        running = yield from self._ask(b"STAT:OPER:COND?\n", int)
        times = yield from self._ask(SCAN_TIMES, scan_times)
        if times is None:
            return False
        started, now = times
        self._ours, self._ended = True, not (running or 0) & SCANNING
        origin = None if now is None else self._at - (now - started).total_seconds()
        self._sweeps = self._begin(TimeBase(f"{self._serial} {started.isoformat()}", origin))
        begun = f"the scan that began at {started} (the instrument's clock)"
        self._say("state", f"{begun} has ended; its rest is read" if self._ended else f"{begun} goes on; it is resumed")
        return True

    def _set_up(self) -> Talk[bool]:
        """Set up and start a scan; False where the instrument reports that it cannot do what is asked."""
        # What is missing begins with the last reading: where a scan had ended, long before its rest was read.
        broken_off = self._sweeps.until if self._ended and self._heard is not None else self._heard
        self._ours, self._ended = True, False
        switching = yield from self._switching()
        nplc = self._options.nplc or longest_nplc(self._model, len(self._wired), self._options, switching)
        for message in self._opening(nplc):
            self.send(message)
        if self._model.scans:
            listed = yield from self._ask(b"ROUT:SCAN?\n", lambda answer: ScanList.decode(Block.decode(answer).payload))
            if listed is not None and list(listed.terminals) != self._wired.terminals:
                self._say("warning", f"the instrument scans {listed.encode().decode()} and not what was asked")
        integrates = yield from self._hear_integration(nplc)
        interval = self._interval if self._model.scans else (yield from self._hear_interval())
        yield from self._hear_errors()
        if not self._model.scans and self._unfit(integrates, interval):
            self._ours = False
            return False
        self.send(b"*ESE %d\n" % self._token)
        self.send(b"INIT\n")
        began = self._at
        token = f"{self._serial} {began!r}"
        if self._model.scans:
            started = yield from self._ask(b"SYST:TIME:SCAN?\n", scan_start)
            if started is not None:
                token = f"{self._serial} {started.isoformat()}"
        self._sweeps = self._begin(TimeBase(token, began), broken_off if broken_off is not None else self._heard)
        return True

    def _hear_integration(self, asked: float) -> Talk[float]:
        """Ask over how many periods of the mains it integrates, at most, and say where that is not what was `asked`."""
        reported = yield from self._ask(self._integration, figures)
        if reported is None:
            self._say("warning", "the instrument does not report its integration time")
            return asked
        others = sorted({each for each in reported if abs(each - asked) > 1e-6 * asked})
        if others:
            self._say(
                "warning",
                f"the instrument integrates over {', '.join(f'{each:g}' for each in others)} periods of the mains and "
                f"not over {asked:g} as asked: it has no such integration time",
                asked=asked,
                nplc=max(reported),
            )
        else:
            self._say("state", f"each reading integrates over {asked:g} periods of the mains", nplc=asked)
        return max(reported)

    def _hear_interval(self) -> Talk[float]:
        """Ask for the interval, s, at which a meter samples."""
        asked = self._options.interval
        reported = yield from self._ask(b"SAMP:TIM?\n", float)
        if reported is None:
            self._say("warning", "the instrument does not report its sample interval")
            return asked
        self._say(
            "state",
            f"a sample every {reported:.6g} s, {asked:g} s asked for",
            asked=asked,
            measured=reported,
        )
        return reported

    def _unfit(self, nplc: float, interval: float) -> bool:
        """Whether a meter that reports so cannot sample at the configured interval; without stamps nothing else shows.

        Whatever the reported interval, a reading takes its integration, twice with autozero.
        """
        asked = self._options.interval
        takes = max(interval, nplc / QUICKEST_MAINS * (2 if self._options.autozero else 1))
        if abs(takes - asked) <= OFF * asked:
            return False
        self._say(
            "unfit",
            f"it would give a sample every {takes:.4g} s, {asked:g} s is configured",
            cause=f"it integrates over {nplc:g} periods of the mains"
            + (", twice for each sample with autozero" if self._options.autozero else ""),
            remedy="set options.interval to what the instrument can, or options.nplc to a smaller one that it has",
            asked=asked,
            measured=takes,
        )
        return True

    def _begin(self, base: TimeBase, broken_off: float | None = None) -> Sweeps:
        self._overflowed = self._late = False
        return Sweeps(self._wired, base, self._interval, self._said, stamped=self._model.scans, broken_off=broken_off)

    def _switching(self) -> Talk[str | None]:
        """What switches the channels, the slowest where cards differ or are unknown; None for a single channel."""
        kinds = []
        for slot in self._slots:
            card = yield from self._ask(card_of(slot), lambda answer: answer.decode("ascii").split(",")[1].strip())
            kinds.append(CARDS.get(card or "", "armature"))
            self._warn_of_relays(card or "")
        return min(kinds, key=lambda kind: SPEEDS[kind], default=None)

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
            heard = max(heard, self._awake)
            table = self._table(payload)
            if table is None:
                # Without stamps nobody can tell which readings the spoilt answer held.
                return True
            if len(table):
                heard, any_yet = self._at, True
                if not self._sweeps.take(table, len(table) < self._batch, self._at):
                    self._say("warning", "somebody else began another scan; this one is set up anew")
                    return True
                self._heard = self._at
            elif self._ended and self._at - heard > 2 * self._interval + 0.3 * patience:
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
            volts = Reals.decode(payload).volts if self._options.binary else numbers(payload, 1)[:, 0]
        except ValueError:
            self._noise(payload or b"")
            return np.empty((0, 3)) if self._model.scans else None
        return self._sweeps.stamp(volts)

    def _condition(self, condition: int) -> bool:
        """Report what the questionable register says for the first time in a scan; True where that ends the scan."""
        if condition & TIMING_VIOLATED and not self._model.scans and not self._late:
            self._late = self._sweeps.doubtful = True
            self._say("warning", f"the instrument cannot keep the sample interval of {self._interval:g} s")
        if condition & self._model.overflow and not self._overflowed:
            self._overflowed = True
            self._say(
                "overflow",
                "the instrument's memory was full and its oldest readings were overwritten: the link was away too long"
                + (", its time stamps show which are missing" if self._model.scans else ", the scan is set up anew"),
            )
            return not self._model.scans
        return False

    def _warn_of_relays(self, card: str) -> None:
        kind = CARDS.get(card)
        if kind in ("armature", "reed"):
            daily = 86400 / self._options.interval * len(self._wired)
            self._say(
                "warning",
                f"the {kind} relays of the {card} switch {daily:.2g} times a day and may last "
                f"{RELAY_LIFE:.0e} operations, {RELAY_LIFE / daily:.0f} days of continuous use (unconfirmed)",
                card=card,
            )

    def _ask(self, query: bytes, decode: Callable[[bytes], T]) -> Talk[T | None]:
        """Ask; None where three answers in a row make no sense, each a notice."""
        for _ in range(3):
            answer = yield query
            try:
                return decode((answer or b"").removesuffix(b"\n"))
            except (ValueError, IndexError):
                self._noise(answer or b"")
        return None

    def _noise(self, data: bytes) -> None:
        self._say("noise", f"no answer that makes sense: {data[:40]!r}", bytes=len(data))

    def _say(self, kind: str, text: str, **details: object) -> None:
        self._said.append(Notice(kind, text, details))

    def _opening(self, nplc: float) -> list[bytes]:
        if self._model.scans:
            return scan_set_up(self._options, self._wired.terminals, nplc)
        return sampling_set_up(self._options, nplc)

    def _vocabulary(self) -> list[bytes]:
        candidates = self._model.nplcs if self._options.nplc is None else (self._options.nplc,)
        opening = dict.fromkeys(message for nplc in candidates for message in self._opening(nplc))
        cards = map(card_of, self._slots)
        return [*opening, *ASKED, *cards, self._integration, self._fetch, b"*ESE %d\n" % self._token, b"INIT\n"]
