"""Simulated Keysight digitisers, which measure the bench's signals as an instrument's analog outputs carry them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import numpy as np

from acquisition.driverkit.driver import Serial
from acquisition.model import Floats
from drivers.keysight_daq.answers import OVERLOAD, Block, Identity, ScanList
from drivers.keysight_daq.models import MODELS
from simulators.bench.wiring import Terminal, Wiring, usual, wire
from simulators.keysight_daq.converter import CONVERTERS, MAINS, RANGES
from simulators.keysight_daq.formats import Formats, clock_time, date_time
from simulators.keysight_daq.memory import Memory
from simulators.keysight_daq.panel import front_panel
from simulators.keysight_daq.parameters import among, count, scan_list, word
from simulators.keysight_daq.scan import ENDLESS, Scan, Settings
from simulators.simkit.instrument import Example, Instrument, Plan, no_ledger
from simulators.transports.scpi import Complaint, Scpi, integer, number, one, switch

EPOCH = datetime(2025, 1, 1)
"""What the instrument's clock shows at second 0 of the scenario."""
MOST = 100_000
"""Readings that R? may be asked for, however few the memory holds."""
FIRMWARE = {"34465a": "A.03.01"}
CARD = {"daq970a": "DAQM900A", "34970a": "34902A", "34972a": "34902A", "34980a": "34925A"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the simulated instrument is made.

    `terminals`: what is wired to it, by default flux, backscatter and cuff pressure; `card` in every
    slot; `model` that it claims to be; `memory` in readings; `drift` of its clock in parts per million.
    """

    terminals: tuple[Terminal, ...] = ()
    serial: str = "SIM00001"
    card: str = ""
    model: str = ""
    memory: int = 0
    drift: float = 0.0


class KeysightDaqSimulator(Instrument):
    """A digitiser that scans terminals one after another and keeps its readings until they are fetched.

    Faults: `answer_late`, `cut_answers`, `drip`, `reset` (power lost, and the scan with it), and the
    options `model` (another instrument) and `memory` (one that soon overflows).
    """

    names = tuple(MODELS)
    Options = Options
    not_modelled = (
        "FORMat:DATA REAL of scans and in 32 bits, alarms, scaling, other functions than DC volts",
        "the integration time that a resolution given to CONFigure or MEASure chooses",
        "settling, noise and crosstalk of the inputs: channel and trigger delays are taken and have no effect",
        "service requests",
    )

    @classmethod
    def example(cls, name: str) -> Example:
        """What is wired to it by default."""
        return Example(inputs=tuple(wire(each) for each in _usual(name)))

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        options = plan.options if isinstance(plan.options, Options) else Options()
        self._options = options
        if plan.name == "34970a":
            self.serial, self.any_rate = Serial(57_600), True
        self._model, self._converter = MODELS[plan.name], CONVERTERS[plan.name]
        self._wiring = Wiring(options.terminals or _usual(plan.name), plan.bench)
        self._wired = self._wiring.inputs
        self._card = options.card or CARD.get(plan.name, "")
        self._memory = Memory(options.memory or self._model.memory)
        name = options.model or self._model.idn[0]
        self.identity = Identity("Keysight Technologies", name, options.serial, FIRMWARE.get(plan.name, "A.02.02"))
        self._faults = self._wiring.faults
        self._scpi = Scpi(lambda: self._introduced().encode())
        self._formats = Formats()
        self.scan = Scan(
            self._model, self._converter, self._card, self._wiring, self._memory, self._scpi, options.drift
        )
        self._buffer = b""
        self._at = 0.0
        self._late: list[float] = []
        self._cut: list[int] = []
        self._drip: tuple[int, float] | None = None
        self._waiting: list[tuple[float, bytes]] = []
        self._commands()

    def receive(self, data: bytes, at: float) -> None:
        """Take program messages, each ending in LF."""
        self.advance(at)
        *messages, self._buffer = (self._buffer + data).split(b"\n")
        for message in messages:
            if self._waiting:
                self._waiting.clear()
                self._scpi.complain(-410)
            answer = self._scpi.execute(message.rstrip(b"\r"))
            if answer:
                self._answer(answer + b"\n")

    def advance(self, at: float) -> None:
        """Measure up to `at`, and send what was held back until now."""
        self._at = at
        self.scan.measure(at)
        while self._waiting and self._waiting[0][0] <= at:
            self.send(self._waiting.pop(0)[1])

    def deadline(self) -> float | None:
        """When an answer that is held back is due."""
        return self._waiting[0][0] if self._waiting else None

    def connect(self, at: float) -> None:
        """Forget half a message of the host before."""
        self._buffer = b""
        self._waiting.clear()

    def reset(self, at: float) -> None:
        """Lose power: the scan, the memory and the settings are gone; the clock runs on."""
        self.advance(at)
        self._restore()
        self._scpi.power_on()
        self.connect(at)

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: of identity, model and memory; detached (the flowmeter has no probe), out-of-range (all overload)."""
        if kind not in ("wrong-identity", "wrong-model", "memory-overflow", "detached", "out-of-range"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
        deep = self._options.memory or self._model.memory
        self._memory.depth = 2 * len(self._wired) + 1 if "memory-overflow" in self._faults else deep
        return True

    def answer_late(self, *seconds: float) -> None:
        """Hold the next answers back, one for each of the given times."""
        self._late.extend(seconds)

    def cut_answers(self, *keep: int) -> None:
        """Send only so many bytes of the next answers, one for each number."""
        self._cut.extend(keep)

    def drip(self, size: int, pause: float) -> None:
        """From now on send answers in pieces of `size` bytes, `pause` seconds apart; 0 ends that."""
        self._drip = (size, pause) if size else None

    def _introduced(self) -> Identity:
        found = replace(self.identity, serial="SIM99999") if "wrong-identity" in self._faults else self.identity
        if "wrong-model" in self._faults:
            found = replace(found, model="34972A" if found.model != "34972A" else "34970A")
        return found

    def _answer(self, answer: bytes, takes: float = 0.0) -> None:
        if self._cut:
            answer = answer[: self._cut.pop(0)]
        at = self._at + takes + (self._late.pop(0) if self._late else 0.0)
        if self._drip is None:
            if at > self._at:
                self._waiting.append((at, answer))
            else:
                self.send(answer)
            return
        size, pause = self._drip
        pieces = [answer[i : i + size] for i in range(0, len(answer), size)]
        self._waiting.extend((at + k * pause, piece) for k, piece in enumerate(pieces))

    def _commands(self) -> None:
        on = self._scpi.on
        on("*RST", lambda _: self._restore())
        on("*OPC?", lambda _: None if self.scan.started is not None and self.scan.limit == ENDLESS else b"1")
        on("ABORt", lambda _: self.scan.abort())
        on("INITiate[:IMMediate]", lambda _: self.scan.start(self._at))
        on("*TRG", lambda _: self.scan.trigger(self._at))
        on("CONFigure[:VOLTage][:DC]", self._configure)
        on("MEASure[:VOLTage][:DC]?", self._measure_once)
        on("READ?", lambda _: self._read())
        on("FETCh?", lambda _: self._held_when_done())
        self._voltmeter_commands()
        on("TRIGger:SOURce", self._setter("source", lambda text: word(text, ("IMM", "TIM", "BUS"))))
        on("TRIGger:TIMer", self._setter("timer", lambda text: round(number(text, 0, 359_999), 3)))
        on("TRIGger:COUNt", self._setter("count", count))
        on("TRIGger:SOURce?", lambda _: self.scan.settings.source.encode())
        on("TRIGger:TIMer?", self._asker(lambda: self.scan.settings.timer, 0, 359_999))
        on("TRIGger:COUNt?", self._asker(lambda: self.scan.settings.count, 1, OVERLOAD, 1))
        on("R?", lambda p: self._fetch(p, True))
        on("DATA:REMove?", lambda p: self._fetch(p, False))
        on("DATA:POINts?", lambda _: b"%+d" % len(self._memory))
        on("DATA:POINts:EVENt:THReshold", self._set_threshold)
        on("DATA:POINts:EVENt:THReshold?", lambda _: b"%+d" % self.scan.settings.threshold)
        on("SYSTem:DATE?", lambda _: self._clock(self._at).strftime("%Y,%m,%d").encode())
        on("SYSTem:TIME?", lambda _: clock_time(self._clock(self._at)))
        on("DIAGnostic:DMM:CYCLes?", lambda _: b"+%d,+0,+0" % self.scan.cycles)
        if self._model.scans:
            self._scan_commands()
        else:
            self._sample_commands()

    def _voltmeter_commands(self) -> None:
        """What is set up of the converter; a query answers once for each channel that it lists."""
        on, volts, converter = self._scpi.on, "[SENSe:]VOLTage[:DC]", self._converter
        least, *_, longest = converter.nplcs
        on(f"{volts}:NPLC", self._setter("nplc", converter.chosen, aperture=None))
        on(f"{volts}:NPLC?", self._asker(lambda: self.scan.settings.nplc, least, longest, converter.usual))
        on(f"{volts}:RESolution", self._setter("nplc", self._integration_for, aperture=None))
        on(f"{volts}:RESolution?", self._asker(lambda: self.scan.settings.resolution))
        on(f"{volts}:RANGe[:UPPer]", self._setter("range", lambda text: among(text, RANGES, 10.0), autorange=False))
        on(f"{volts}:RANGe[:UPPer]?", self._asker(lambda: self.scan.settings.range, RANGES[0], RANGES[-1], 10.0))
        on(f"{volts}:RANGe:AUTO", self._setter("autorange", lambda text: text.upper() != "ONCE" and switch([text])))
        on(f"{volts}:RANGe:AUTO?", self._teller(lambda: b"%d" % self.scan.settings.autorange))
        on(f"{volts}:ZERO:AUTO", self._setter("autozero", lambda text: text.upper() != "ONCE" and switch([text])))
        on(f"{volts}:ZERO:AUTO?", self._teller(lambda: b"%d" % self.scan.settings.autozero))
        on("[SENSe:]FUNCtion[:ON]", self._setter("function", _function))
        on("[SENSe:]FUNCtion[:ON]?", self._teller(lambda: b'"VOLT"'))
        on("CONFigure?", self._teller(self._configured))

    def _scan_commands(self) -> None:
        on = self._scpi.on
        on("ROUTe:SCAN", lambda p: self._set_scan(scan_list(one(p))))
        on("ROUTe:SCAN?", lambda _: Block(ScanList(self.scan.settings.terminals).encode()).encode())
        on("ROUTe:SCAN:SIZE?", lambda _: b"%+d" % len(self.scan.settings.terminals))
        if self.plan.name == "34980a":
            on("ROUTe:SCAN:ADD", lambda p: self._set_scan(self.scan.settings.terminals + scan_list(one(p))))
        on("SYSTem:TIME:SCAN?", lambda _: self._scan_time())
        on("SYSTem:CTYPe?", self._card_type)
        on("INSTrument:DMM[:INSTalled]?", lambda _: b"1")
        on("ROUTe:CHANnel:DELay", lambda p: None if p else _missing())
        on("ROUTe:CHANnel:DELay:AUTO", lambda p: None if p else _missing())
        on("FORMat:READing:TIME:TYPE", self._set_time_type)
        on("FORMat:READing:TIME:TYPE?", lambda _: b"REL" if self._formats.relative else b"ABS")
        for name in Formats.FIELDS:
            on(f"FORMat:READing:{name}", self._format_setter(name))
            on(f"FORMat:READing:{name}?", lambda _, name=name: b"%d" % self._formats.fields[name])  # type: ignore[misc]

    def _sample_commands(self) -> None:
        on = self._scpi.on
        on("SAMPle:SOURce", self._setter("sample_source", lambda text: word(text, ("IMM", "TIM"))))
        on("SAMPle:TIMer", self._set_sample_timer)
        on("SAMPle:COUNt", self._setter("sample_count", lambda text: number(text, 1, 1e9, 1)))
        on("SAMPle:SOURce?", lambda _: self.scan.settings.sample_source.encode())
        on("SAMPle:TIMer?", lambda p: b"%+.8E" % (self._sample_timer(one(p)) if p else self.scan.settings.sample_timer))
        on("SAMPle:COUNt?", self._asker(lambda: self.scan.settings.sample_count, 1, 1e9, 1, b"%+d"))
        on("[SENSe:]VOLTage[:DC]:APERture", self._setter("aperture", lambda text: number(text, 2e-5, 2.0)))
        on("[SENSe:]VOLTage[:DC]:APERture?", self._asker(self._aperture, 2e-5, 2.0))
        on("[SENSe:]VOLTage[:DC]:APERture:ENABled", self._setter("aperture", self._aperture_enabled))
        front_panel(self._scpi)
        on("FORMat[:DATA]", self._set_data_format)
        on("FORMat[:DATA]?", lambda _: b"REAL,+64" if self._formats.binary else b"ASC,+9")
        on("FORMat:BORDer", self._set_order)
        on("FORMat:BORDer?", lambda _: b"SWAP" if self._formats.swapped else b"NORM")
        on("[SENSe:]VOLTage[:DC]:APERture:ENABled?", lambda _: b"%d" % (self.scan.settings.aperture is not None))

    def _setter(self, name: str, parse: Callable[[str], object], **others: object) -> Callable[[list[str]], None]:
        """A command that sets an attribute, and others with it; a channel list after its value is heard and ignored."""

        def set_value(parameters: list[str]) -> None:
            values = {name: parse(one([p for p in parameters if not p.startswith("(@")])), **others}
            self._rest()
            for attribute, value in values.items():
                setattr(self.scan.settings, attribute, value)

        return set_value

    def _teller(self, answer: Callable[[], bytes]) -> Callable[[list[str]], bytes]:
        """A query that is answered once for each channel that it lists, or once."""
        return lambda parameters: b",".join([answer()] * max(sum(len(scan_list(p)) for p in parameters), 1))

    def _asker(
        self,
        value: Callable[[], float],
        low: float | None = None,
        high: float | None = None,
        default: float | None = None,
        how: bytes = b"%+.8E",
    ) -> Callable[[list[str]], bytes]:
        """A query for a number, or for the least, the greatest or the usual one."""

        def ask(parameters: list[str]) -> bytes:
            bounds = {"MIN": low, "MAX": high, "DEF": default}
            words = [p.upper()[:3] for p in parameters if not p.startswith("(@")]
            found = value() if not words else bounds.get(words[0])
            if found is None or len(words) > 1:
                raise Complaint(-224)
            return self._teller(lambda: how % found)([p for p in parameters if p.startswith("(@")])

        return ask

    def _configured(self) -> bytes:
        settings = self.scan.settings
        return b'"VOLT %+.6E,%+.6E"' % (settings.range, settings.resolution)

    def _integration_for(self, text: str) -> float:
        """The shortest integration whose step, V, is as small as what is asked for."""
        return self._converter.fine_enough(text, self.scan.settings.range)

    def _sample_timer(self, text: str) -> float:
        """Seconds between samples; the least that is recommended lets each be integrated."""
        least = 2e-5 if text.upper()[:3] not in ("MIN", "DEF") else self.scan.settings.least
        return round(number(text, least, 3600.0, max(least, 1.0)), 6)

    def _set_sample_timer(self, parameters: list[str]) -> None:
        """Set the timer; one that is shorter than a reading takes becomes the least one, Complaint -221."""
        asked = self._sample_timer(one(parameters))
        self._rest()
        settings = self.scan.settings
        settings.sample_asked = settings.sample_timer = asked
        timed = settings.sample_source == "TIM" and max(settings.sample_count, settings.count) > 1
        if timed and asked < settings.least:
            settings.sample_timer = settings.least
            raise Complaint(-221)

    def _aperture(self) -> float:
        settings = self.scan.settings
        return settings.nplc / MAINS if settings.aperture is None else settings.aperture

    def _aperture_enabled(self, text: str) -> float | None:
        return self._aperture() if switch([text]) else None

    def _format_setter(self, name: str) -> Callable[[list[str]], None]:
        def set_format(parameters: list[str]) -> None:
            self._formats.fields[name] = switch(parameters)

        return set_format

    def _restore(self) -> None:
        self._rest()
        self.scan.settings, self._formats = Settings(self._model.scans, self._converter), Formats()

    def _rest(self) -> None:
        """End the scan and forget its readings, as every change of what triggers it does."""
        self.scan.abort()
        self._memory.clear()

    def _configure(self, parameters: list[str]) -> None:
        listed = [p for p in parameters if p.startswith("(@")]
        values = [p for p in parameters if not p.startswith("(@")]
        if self._model.scans and not listed:
            raise Complaint(-109)
        chosen = 10.0 if not values or values[0].upper() in ("AUTO", "DEF") else among(values[0], RANGES, 10.0)
        settings = self.scan.settings
        terminals = scan_list(listed[0]) if listed else settings.terminals
        self._rest()
        settings.range, settings.nplc, settings.autozero = chosen, self._converter.usual, True
        settings.aperture = None
        settings.autorange = not values or values[0].upper() in ("AUTO", "DEF")
        settings.source, settings.count = "IMM", 1.0
        settings.timer = 1.0 if self.plan.name == "34980a" else 0.0
        self._formats.fields = dict.fromkeys(Formats.FIELDS, False)
        if self.plan.name != "34980a":
            settings.terminals = terminals

    def _set_scan(self, terminals: tuple[int, ...]) -> None:
        self._rest()
        self.scan.settings.terminals = tuple(sorted(set(terminals)))

    def _set_time_type(self, parameters: list[str]) -> None:
        self._formats.relative = word(one(parameters), ("ABS", "REL")) == "REL"

    def _set_data_format(self, parameters: list[str]) -> None:
        if not parameters:
            raise Complaint(-109)
        binary = word(parameters[0], ("ASC", "REAL")) == "REAL"
        if binary and parameters[1:] and number(parameters[1], 32, 64) != 64:
            raise Complaint(-224)
        self._formats.binary = binary

    def _set_order(self, parameters: list[str]) -> None:
        self._formats.swapped = word(one(parameters), ("NORM", "SWAP")) == "SWAP"

    def _set_threshold(self, parameters: list[str]) -> None:
        self.scan.settings.threshold = integer(parameters, 1, self._memory.depth)

    def _measure_once(self, parameters: list[str]) -> None:
        self._configure(parameters)
        self._read()

    def _read(self) -> None:
        """Measure all that is set up, and answer when that is done."""
        if self.scan.settings.source == "BUS":
            raise Complaint(-214)
        self.scan.start(self._at)
        if self.scan.limit == ENDLESS:
            self.scan.stop()
            raise Complaint(-221)
        takes = self.scan.takes
        self.scan.measure(self._at + takes + 1e-6)
        self._answer(self._held() + b"\n", takes)

    def _held_when_done(self) -> bytes | None:
        """All readings in memory, when a scan that has an end is over."""
        scan = self.scan
        if scan.started is None or scan.limit == ENDLESS:
            return self._held()
        takes = scan.started + scan.takes + 1e-6
        missing = takes - self._at
        scan.measure(takes)
        self._answer(self._held() + b"\n", missing)
        return None

    def _held(self) -> bytes:
        """All readings in memory, which stay there."""
        if not len(self._memory):
            raise Complaint(-230)
        held = self._encode(self._memory.held())
        # What READ? and FETCh? answer in binary is a block of indefinite length, which only its LF ends.
        return b"#0" + held if self._formats.binary else held

    def _fetch(self, parameters: list[str], fewer: bool) -> bytes:
        if not parameters:
            wanted = len(self._memory)
        else:
            wanted = integer(parameters, 1, max(self._model.memory, MOST))
            if wanted > len(self._memory) and not fewer:
                raise Complaint(-222)
        table = self._memory.take(wanted)
        self.scan.note_threshold()
        if self.plan.ledger is not no_ledger:
            self._enter(table)
        return Block(self._encode(table)).encode()

    def _encode(self, table: Floats) -> bytes:
        return self._formats.encode(table, lambda seconds: self._clock(self.scan.began + seconds))

    def _enter(self, table: Floats) -> None:
        """Keep account of readings that go out: as values, of the numbers on the wire."""
        for volts, seconds, terminal in table.tolist():
            wired = self._wired.get(int(terminal))
            if wired is not None:
                sent = float(b"%+.8E" % volts)
                values, _ = wired.scale(np.array([sent]))
                self.plan.ledger({
                    "stream": wired.name, "device_time": float(b"%012.3f" % seconds),
                    "values": values.tolist(), "volts": sent,
                })  # fmt: skip

    def _clock(self, at: float) -> datetime:
        return EPOCH + timedelta(seconds=at * (1 + self._options.drift * 1e-6))

    def _scan_time(self) -> bytes:
        return date_time(self._clock(self.scan.began))

    def _card_type(self, parameters: list[str]) -> bytes:
        slot = integer(parameters, 1, 1000)
        if slot not in {self._model.slot(terminal) for terminal in self._wired}:
            return b"Keysight Technologies,0,0,0"
        return b"Keysight Technologies,%s,%s,1.00" % (self._card.encode(), self._options.serial.encode())


def _missing() -> None:
    raise Complaint(-109)


def _function(text: str) -> str:
    """DC volts, the only function; Complaint for any other."""
    if text.strip("\"'").upper() not in ("VOLT", "VOLTAGE", "VOLT:DC", "VOLTAGE:DC"):
        raise Complaint(-224)
    return "VOLT"


def _usual(name: str) -> tuple[Terminal, ...]:
    return usual(*{"34465a": (1,), "34980a": (1001, 1002, 1003)}.get(name, (101, 102, 103)))
