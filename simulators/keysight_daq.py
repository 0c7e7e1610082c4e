"""Simulated Keysight digitisers, which measure the bench's signals as an instrument's analog outputs carry them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import numpy as np

from acquisition.model import Floats
from drivers.keysight_daq.answers import OVERLOAD, Block, Identity, Reals, Rows, ScanList
from drivers.keysight_daq.models import CARDS, MODELS, NPLCS, RANGES, SCANNING, SPEEDS, TIMING_VIOLATED
from simulators.instrument import Example, Instrument, Plan, no_ledger
from simulators.scpi import Complaint, Scpi, integer, number, one, switch
from simulators.wiring import Terminal, Wiring, usual, wire

EPOCH = datetime(2025, 1, 1)
"""What the instrument's clock shows at second 0 of the scenario."""
MAINS = 50.0
RESOLUTION = dict(zip(NPLCS, (1e-4, 5e-5, 1e-5, 3e-6, 2.2e-6, 1e-6, 8e-7, 3e-7, 2.2e-7), strict=True))
"""Step of the converter over the range, by integration time (34970A user's guide; 0.06 and 200 PLC INF)."""
FIRMWARE = {"34465a": "A.03.01"}
CARD = {"daq970a": "DAQM900A", "34970a": "34902A", "34972a": "34902A", "34980a": "34925A"}
THRESHOLD = 512


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


class Memory:
    """Readings (n, 3) volts, seconds, terminal, oldest first; where it is full the oldest are overwritten."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.overflowed = False
        self._blocks: list[Floats] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, table: Floats) -> None:
        """Store readings."""
        self._blocks.append(table)
        self._size += len(table)
        if self._size > self.depth:
            self.overflowed = True
            self.take(self._size - self.depth)

    def take(self, count: int) -> Floats:
        """Remove the oldest `count` readings, or as many as there are."""
        blocks = self._blocks or [np.empty((0, 3))]
        whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
        self._blocks, taken = [whole[count:]], whole[:count]
        self._size -= len(taken)
        return taken

    def held(self) -> Floats:
        """All readings, which stay."""
        taken = self.take(self._size)
        self._blocks, self._size = [taken], len(taken)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._blocks, self._size, self.overflowed = [], 0, False


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
        "settling, noise and crosstalk of the inputs",
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
        self._model = MODELS[plan.name]
        self._wiring = Wiring(options.terminals or _usual(plan.name), plan.bench)
        self._wired = self._wiring.inputs
        self._card = options.card or CARD.get(plan.name, "")
        self._memory = Memory(options.memory or self._model.memory)
        name = options.model or self._model.idn[0]
        self.identity = Identity("Keysight Technologies", name, options.serial, FIRMWARE.get(plan.name, "A.02.02"))
        self._faults = self._wiring.faults
        self._scpi = Scpi(lambda: self._introduced().encode())
        self._buffer = b""
        self._at = 0.0
        self._rows_gone = 0
        self._cycles = 0
        self._late: list[float] = []
        self._cut: list[int] = []
        self._drip: tuple[int, float] | None = None
        self._waiting: list[tuple[float, bytes]] = []
        self._settings()
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
        self._measure(at)
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
        self._stop_scan()
        self._memory.clear()
        self._settings()
        self._scpi.power_on()
        self.connect(at)

    def fault(self, kind: str, on: bool) -> bool:
        """Faults: wrong-identity, detached (the flowmeter says no probe), out-of-range (every input overloads)."""
        if kind not in ("wrong-identity", "detached", "out-of-range"):
            return False
        (self._faults.add if on else self._faults.discard)(kind)
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
        return replace(self.identity, serial="SIM99999") if "wrong-identity" in self._faults else self.identity

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

    def _settings(self) -> None:
        """The settings after power-on or *RST."""
        self._range, self._nplc, self._autozero = 10.0, 1.0, True
        self._scan: tuple[int, ...] = () if self._model.scans else (1,)
        self._source, self._timer, self._count = "IMM", 0.0, 1.0
        self._sample_source, self._sample_timer, self._sample_count = "IMM", 0.001, 1.0
        self._format = dict.fromkeys(("TIME", "CHANnel", "UNIT", "ALARm"), False)
        self._relative = False
        self._binary = self._swapped = False
        self._threshold = 1
        self._started: float | None = None
        self._period = self._step = 0.0
        self._taken = 0
        self._limit = float("inf")

    def _commands(self) -> None:
        on = self._scpi.on
        on("*RST", lambda _: self._restore())
        on("*OPC?", lambda _: None if self._started is not None and self._limit == float("inf") else b"1")
        on("ABORt", lambda _: self._stop_scan())
        on("INITiate[:IMMediate]", lambda _: self._start_scan())
        on("CONFigure:VOLTage[:DC]", self._configure)
        on("MEASure:VOLTage[:DC]?", self._measure_once)
        on("READ?", lambda _: self._read())
        on("FETCh?", lambda _: self._held())
        on("[SENSe:]VOLTage[:DC]:NPLC", self._setter("_nplc", lambda text: _among(text, NPLCS)))
        on("[SENSe:]VOLTage[:DC]:RANGe", self._setter("_range", lambda text: _among(text, RANGES)))
        on("[SENSe:]VOLTage[:DC]:ZERO:AUTO", self._setter("_autozero", lambda text: switch([text])))
        on("[SENSe:]VOLTage[:DC]:NPLC?", lambda _: b"%+.8E" % self._nplc)
        on("[SENSe:]VOLTage[:DC]:RANGe?", lambda _: b"%+.8E" % self._range)
        on("[SENSe:]VOLTage[:DC]:ZERO:AUTO?", lambda _: b"%d" % self._autozero)
        on("TRIGger:SOURce", self._setter("_source", lambda text: _word(text, ("IMM", "TIM", "BUS"))))
        on("TRIGger:TIMer", self._setter("_timer", lambda text: round(number(text, 0, 359_999), 3)))
        on("TRIGger:COUNt", self._setter("_count", _count))
        on("TRIGger:SOURce?", lambda _: self._source.encode())
        on("TRIGger:TIMer?", lambda _: b"%+.8E" % self._timer)
        on("TRIGger:COUNt?", lambda _: b"%+.8E" % self._count)
        on("R?", lambda p: self._fetch(p, True))
        on("DATA:REMove?", lambda p: self._fetch(p, False))
        on("DATA:POINts?", lambda _: b"%+d" % len(self._memory))
        on("DATA:POINts:EVENt:THReshold", self._set_threshold)
        on("DATA:POINts:EVENt:THReshold?", lambda _: b"%+d" % self._threshold)
        on("SYSTem:DATE?", lambda _: self._clock(self._at).strftime("%Y,%m,%d").encode())
        on("SYSTem:TIME?", lambda _: _clock_time(self._clock(self._at)))
        on("DIAGnostic:DMM:CYCLes?", lambda _: b"+%d,+0,+0" % self._cycles)
        if self._model.scans:
            self._scan_commands()
        else:
            self._sample_commands()

    def _scan_commands(self) -> None:
        on = self._scpi.on
        on("ROUTe:SCAN", lambda p: self._set_scan(_scan_list(one(p))))
        on("ROUTe:SCAN?", lambda _: Block(ScanList(self._scan).encode()).encode())
        on("ROUTe:SCAN:SIZE?", lambda _: b"%+d" % len(self._scan))
        if self.plan.name == "34980a":
            on("ROUTe:SCAN:ADD", lambda p: self._set_scan(self._scan + _scan_list(one(p))))
        on("SYSTem:TIME:SCAN?", lambda _: self._scan_time())
        on("SYSTem:CTYPe?", self._card_type)
        on("FORMat:READing:TIME:TYPE", self._set_time_type)
        on("FORMat:READing:TIME:TYPE?", lambda _: b"REL" if self._relative else b"ABS")
        for name in self._format:
            on(f"FORMat:READing:{name}", self._format_setter(name))
            on(f"FORMat:READing:{name}?", lambda _, name=name: b"%d" % self._format[name])  # type: ignore[misc]

    def _sample_commands(self) -> None:
        on = self._scpi.on
        on("SAMPle:SOURce", self._setter("_sample_source", lambda text: _word(text, ("IMM", "TIM"))))
        on("SAMPle:TIMer", self._setter("_sample_timer", lambda text: round(number(text, 2e-5, 3600), 6)))
        on("SAMPle:COUNt", self._setter("_sample_count", lambda text: number(text, 1, 1e9)))
        on("SAMPle:SOURce?", lambda _: self._sample_source.encode())
        on("SAMPle:TIMer?", lambda _: b"%+.8E" % self._sample_timer)
        on("SAMPle:COUNt?", lambda _: b"%+d" % self._sample_count)
        on("FORMat[:DATA]", self._set_data_format)
        on("FORMat[:DATA]?", lambda _: b"REAL,+64" if self._binary else b"ASC,+9")
        on("FORMat:BORDer", self._set_order)
        on("FORMat:BORDer?", lambda _: b"SWAP" if self._swapped else b"NORM")
        on("[SENSe:]VOLTage[:DC]:APERture:ENABled?", lambda _: b"0")

    def _setter(self, name: str, parse: Callable[[str], object]) -> Callable[[list[str]], None]:
        """A command that sets an attribute; a channel list after its value is heard and ignored."""

        def set_value(parameters: list[str]) -> None:
            value = parse(one([p for p in parameters if not p.startswith("(@")]))
            self._stop_scan()
            self._memory.clear()
            setattr(self, name, value)

        return set_value

    def _format_setter(self, name: str) -> Callable[[list[str]], None]:
        def set_format(parameters: list[str]) -> None:
            self._format[name] = switch(parameters)

        return set_format

    def _restore(self) -> None:
        self._stop_scan()
        self._memory.clear()
        self._settings()

    def _configure(self, parameters: list[str]) -> None:
        listed = [p for p in parameters if p.startswith("(@")]
        values = [p for p in parameters if not p.startswith("(@")]
        if self._model.scans and not listed:
            raise Complaint(-109)
        chosen = 10.0 if not values or values[0].upper() in ("AUTO", "DEF") else _among(values[0], RANGES)
        terminals = _scan_list(listed[0]) if listed else self._scan
        self._stop_scan()
        self._memory.clear()
        self._range, self._nplc, self._autozero = chosen, 1.0, True
        self._source, self._count = "IMM", 1.0
        self._timer = 1.0 if self.plan.name == "34980a" else 0.0
        self._format = dict.fromkeys(self._format, False)
        if self.plan.name != "34980a":
            self._scan = terminals

    def _set_scan(self, terminals: tuple[int, ...]) -> None:
        self._stop_scan()
        self._memory.clear()
        self._scan = tuple(sorted(set(terminals)))

    def _set_time_type(self, parameters: list[str]) -> None:
        self._relative = _word(one(parameters), ("ABS", "REL")) == "REL"

    def _set_data_format(self, parameters: list[str]) -> None:
        if not parameters:
            raise Complaint(-109)
        binary = _word(parameters[0], ("ASC", "REAL")) == "REAL"
        if binary and parameters[1:] and number(parameters[1], 32, 64) != 64:
            raise Complaint(-224)
        self._binary = binary

    def _set_order(self, parameters: list[str]) -> None:
        self._swapped = _word(one(parameters), ("NORM", "SWAP")) == "SWAP"

    def _set_threshold(self, parameters: list[str]) -> None:
        self._threshold = integer(parameters, 1, self._memory.depth)

    def _start_scan(self) -> None:
        if self._started is not None:
            raise Complaint(-213)
        if not self._scan:
            raise Complaint(-221)
        self._memory.clear()
        self._scpi.questionable.set(self._model.overflow | TIMING_VIOLATED, False)
        self._scpi.operation.set(THRESHOLD, False)
        self._scpi.operation.set(SCANNING, True)
        integration = (self._nplc - NPLCS[0]) / MAINS * (2 if self._autozero else 1)
        if self._model.scans:
            self._step = 1 / SPEEDS[CARDS.get(self._card, "solid state")] + integration
            # A timer shorter than the sweep is accepted, and the sweep takes its time.
            self._period = max(self._timer if self._source == "TIM" else 0.0, len(self._scan) * self._step)
            self._limit = float("inf") if self._count >= OVERLOAD else self._count * len(self._scan)
        else:
            self._step = 0.0
            self._period = self._sample_timer if self._sample_source == "TIM" else max(integration, 1e-4)
            if self._period < integration:
                self._scpi.questionable.set(TIMING_VIOLATED, True)
            self._limit = self._sample_count * min(self._count, 1e9)
        self._taken = 0
        self._started = self._at

    def _stop_scan(self) -> None:
        if self._started is not None:
            self._rows_gone += -(-self._taken // len(self._scan))
            self._cycles += self._taken
            if self._limit == float("inf"):
                self._scpi.complete()
        self._started = None
        self._scpi.operation.set(SCANNING, False)

    def _measure_once(self, parameters: list[str]) -> None:
        self._configure(parameters)
        self._read()

    def _read(self) -> None:
        """Measure all that is set up, and answer when that is done."""
        self._start_scan()
        if self._limit == float("inf"):
            self._stop_scan()
            raise Complaint(-221)
        takes = self._limit / len(self._scan) * self._period
        self._measure(self._at + takes + 1e-6)
        self._answer(self._held() + b"\n", takes)

    def _held(self) -> bytes:
        """All readings in memory, which stay there."""
        if not len(self._memory):
            raise Complaint(-230)
        held = self._formatted(self._memory.held())
        # What READ? and FETCh? answer in binary is a block of indefinite length, which only its LF ends.
        return b"#0" + held if self._binary else held

    def _measure(self, at: float) -> None:
        """Take the readings that are due at `at`, in one block."""
        if self._started is None:
            return
        n = len(self._scan)
        sweeps, within = divmod(at - self._started + 1e-9, self._period)
        part = min(int(within / self._step), n) if self._step else n
        due = int(min(sweeps * n + part, self._limit))
        if due <= self._taken:
            return
        if not self._wiring.recorded:
            if due - self._taken > self._memory.depth:
                self._memory.overflowed = True
            self._taken = max(self._taken, due - self._memory.depth)
        index = np.arange(self._taken, due)
        sweep, place = np.divmod(index, n)
        seconds = sweep * self._period + place * self._step
        volts = np.full(len(index), np.nan)
        for k, terminal in enumerate(self._scan):
            mine = place == k
            if mine.any():
                measured = self._volts(terminal, self._started + seconds[mine], int(sweep[mine][0]))
                volts[np.flatnonzero(mine)[: len(measured)]] = measured
        ended = np.flatnonzero(np.isnan(volts))
        count = int(ended[0]) if len(ended) else len(index)
        stamps = seconds[:count] * (1 + self._options.drift * 1e-6)
        self._memory.add(np.column_stack((volts[:count], stamps, np.array(self._scan)[place[:count]])))
        self._taken += count
        if len(ended) or self._taken >= self._limit:
            self._stop_scan()
        if self._memory.overflowed:
            self._scpi.questionable.set(self._model.overflow, True)
        self._scpi.operation.set(THRESHOLD, len(self._memory) >= self._threshold)

    def _volts(self, terminal: int, at: Floats, sweep: int) -> Floats:
        """What the converter makes of a terminal at the given seconds (n,) -> V; fewer where a recording ends."""
        volts = self._wiring.volts(terminal, at, self._rows_gone + sweep)
        volts = np.nan_to_num(volts, posinf=2 * self._range)
        step = self._range * RESOLUTION[self._nplc]
        quantised: Floats = np.rint(volts / step) * step
        quantised[np.abs(volts) > 1.2 * self._range] = OVERLOAD
        return quantised

    def _fetch(self, parameters: list[str], fewer: bool) -> bytes:
        if not parameters:
            count = len(self._memory)
        else:
            count = integer(parameters, 1, self._model.memory)
            if count > len(self._memory) and not fewer:
                raise Complaint(-222)
        table = self._memory.take(count)
        self._scpi.operation.set(THRESHOLD, len(self._memory) >= self._threshold)
        if self.plan.ledger is not no_ledger:
            self._enter(table)
        return Block(self._formatted(table)).encode()

    def _formatted(self, table: Floats) -> bytes:
        if self._binary:
            reals = Reals(table[:, 0]).encode()
            return np.frombuffer(reals, ">f8").astype("<f8").tobytes() if self._swapped else reals
        fields = {name for name, on in self._format.items() if on}
        if fields == {"TIME", "CHANnel"} and self._relative:
            return Rows(table).encode()
        readings = []
        for volts, seconds, terminal in table.tolist():
            reading = b"%+.8E" % volts + (b" VDC" if "UNIT" in fields else b"")
            if "TIME" in fields and self._relative:
                reading += b",%012.3f" % seconds
            elif "TIME" in fields:
                taken = self._clock((self._started or 0.0) + seconds)
                reading += b"," + taken.strftime("%Y,%m,%d,").encode() + _clock_time(taken)
            reading += b",%d" % terminal if "CHANnel" in fields else b""
            readings.append(reading + (b",0" if "ALARm" in fields else b""))
        return b",".join(readings)

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
        began = self._clock(self._started if self._started is not None else 0.0)
        return began.strftime("%Y,%m,%d,").encode() + _clock_time(began)

    def _card_type(self, parameters: list[str]) -> bytes:
        slot = integer(parameters, 1, 1000)
        if slot not in {self._model.slot(terminal) for terminal in self._wired}:
            return b"Keysight Technologies,0,0,0"
        return b"Keysight Technologies,%s,%s,1.00" % (self._card.encode(), self._options.serial.encode())


def _usual(name: str) -> tuple[Terminal, ...]:
    return usual(*{"34465a": (1,), "34980a": (1001, 1002, 1003)}.get(name, (101, 102, 103)))


def _clock_time(moment: datetime) -> bytes:
    return f"{moment:%H,%M,%S}.{moment.microsecond // 1000:03d}".encode()


def _scan_list(text: str) -> tuple[int, ...]:
    try:
        return ScanList.decode(text.encode()).terminals
    except ValueError:
        raise Complaint(-102) from None


def _among(text: str, allowed: tuple[float, ...]) -> float:
    """The smallest allowed value that is not less than the one asked for."""
    value = number(text, 0.0, allowed[-1])
    return next(each for each in allowed if each >= value)


def _word(text: str, words: tuple[str, ...]) -> str:
    for word in words:
        if text.upper().startswith(word):
            return word
    raise Complaint(-224)


def _count(text: str) -> float:
    return number(text, 1, OVERLOAD)
