"""The converter behind the commands: what is set up, when its readings are due, and what they measure."""

from __future__ import annotations

import numpy as np

from acquisition.model import Floats
from drivers.keysight_daq.answers import OVERLOAD
from drivers.keysight_daq.models import CARDS, SCANNING, SPEEDS, TIMING_VIOLATED, Model
from simulators.bench.wiring import Wiring
from simulators.keysight_daq.converter import MAINS, Converter
from simulators.keysight_daq.memory import Memory
from simulators.transports.scpi import Complaint, Scpi

THRESHOLD = 512
ENDLESS = float("inf")


class Settings:
    """What is set up, as after power-on or *RST."""

    def __init__(self, scans: bool, converter: Converter) -> None:
        self.converter = converter
        self.range, self.nplc, self.autozero, self.autorange = 10.0, converter.usual, True, False
        self.aperture: float | None = None
        self.terminals: tuple[int, ...] = () if scans else (1,)
        self.source, self.timer, self.count = "IMM", 0.0, 1.0
        self.sample_source, self.sample_timer, self.sample_count = "IMM", 1.0, 1.0
        self.sample_asked = 1.0
        self.threshold = 1

    @property
    def integration(self) -> float:
        """Seconds for which one reading integrates: twice where the zero is measured with it."""
        one = self.nplc / MAINS if self.aperture is None else self.aperture
        return one * (2 if self.autozero else 1)

    @property
    def shortest(self) -> float:
        """Seconds for which one reading of the shortest integration time would integrate."""
        return self.converter.nplcs[0] / MAINS * (2 if self.autozero else 1)

    @property
    def least(self) -> float:
        """Seconds between two readings of a channel that is not switched, at the least."""
        return self.integration + self.converter.overhead

    @property
    def resolution(self) -> float:
        """The converter's step, V."""
        return self.range * self.converter.steps[self.nplc]


class Scan:
    """Takes readings of the wired terminals, one after another, into the memory.

    `started` s, None while it rests; `began` s is the start of the last scan.
    """

    def __init__(
        self, model: Model, converter: Converter, card: str, wiring: Wiring, memory: Memory, scpi: Scpi, drift: float
    ) -> None:
        self.settings = Settings(model.scans, converter)
        self.started: float | None = None
        self.began = 0.0
        self.limit = ENDLESS
        self.cycles = 0
        self.triggers = 0.0
        self._model = model
        self._card = card
        self._wiring = wiring
        self._memory = memory
        self._scpi = scpi
        self._drift = drift
        self._rows_gone = 0
        self._period = self._step = 0.0
        self._taken = 0

    @property
    def takes(self) -> float:
        """Seconds that all readings of a scan with an end take."""
        return self.limit / len(self.settings.terminals) * self._period

    def start(self, at: float) -> None:
        """Begin anew with an empty memory, or wait for a trigger of the bus; Complaint where that cannot be."""
        settings, scpi = self.settings, self._scpi
        if self.started is not None or self.triggers:
            raise Complaint(-213)
        if not settings.terminals:
            raise Complaint(-221)
        self._memory.clear()
        scpi.questionable.set(self._model.overflow | TIMING_VIOLATED, False)
        scpi.operation.set(THRESHOLD, False)
        if settings.source == "BUS":
            self.triggers = settings.count
        else:
            self._begin(at, settings.count)

    def trigger(self, at: float) -> None:
        """Take what one trigger of the bus asks for; Complaint where none is waited for."""
        if not self.triggers or self.started is not None:
            raise Complaint(-211)
        self.triggers -= 1
        self._begin(at, 1.0)

    def _begin(self, at: float, count: float) -> None:
        settings, scpi = self.settings, self._scpi
        scpi.operation.set(SCANNING, True)
        if self._model.scans:
            # The speeds of cards are those of the shortest integration, its zero included.
            longer = settings.integration - settings.shortest
            self._step = 1 / SPEEDS[CARDS.get(self._card, "solid state")] + max(longer, 0.0)
            # A timer shorter than the sweep is accepted, and the sweep takes its time.
            timer = settings.timer if settings.source == "TIM" else 0.0
            self._period = max(timer, len(settings.terminals) * self._step)
            self.limit = ENDLESS if count >= OVERLOAD else count * len(settings.terminals)
        else:
            self._step = 0.0
            timed = settings.sample_source == "TIM"
            self._period = max(settings.sample_timer if timed else 1e-4, settings.least)
            if timed and settings.sample_asked < settings.least:
                scpi.questionable.set(TIMING_VIOLATED, True)
            self.limit = settings.sample_count * min(count, 1e9)
        self._taken = 0
        self.started = self.began = at

    def stop(self) -> None:
        """End the scan; its readings stay."""
        if self.started is not None:
            self._rows_gone += -(-self._taken // len(self.settings.terminals))
            self.cycles += self._taken
            if self.limit == ENDLESS:
                self._scpi.complete()
        self.started = None
        self._scpi.operation.set(SCANNING, False)

    def abort(self) -> None:
        """End the scan and wait for no trigger."""
        self.triggers = 0.0
        self.stop()

    def measure(self, at: float) -> None:
        """Take the readings that are due at `at`, in one block."""
        if self.started is None:
            return
        terminals = self.settings.terminals
        n = len(terminals)
        sweeps, within = divmod(at - self.started + 1e-9, self._period)
        part = min(int(within / self._step), n) if self._step else n
        due = int(min(sweeps * n + part, self.limit))
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
        for k, terminal in enumerate(terminals):
            mine = place == k
            if mine.any():
                measured = self._volts(terminal, self.started + seconds[mine], int(sweep[mine][0]))
                volts[np.flatnonzero(mine)[: len(measured)]] = measured
        ended = np.flatnonzero(np.isnan(volts))
        count = int(ended[0]) if len(ended) else len(index)
        stamps = seconds[:count] * (1 + self._drift * 1e-6)
        self._memory.add(np.column_stack((volts[:count], stamps, np.array(terminals)[place[:count]])))
        self._taken += count
        if len(ended) or self._taken >= self.limit:
            self.stop()
        if self._memory.overflowed:
            self._scpi.questionable.set(self._model.overflow, True)
        self.note_threshold()

    def note_threshold(self) -> None:
        """Say by its bit whether the memory holds as much as was asked to be told of."""
        self._scpi.operation.set(THRESHOLD, len(self._memory) >= self.settings.threshold)

    def _volts(self, terminal: int, at: Floats, sweep: int) -> Floats:
        """What the converter makes of a terminal at the given seconds (n,) -> V; fewer where a recording ends."""
        volts = self._wiring.volts(terminal, at, self._rows_gone + sweep)
        volts = np.nan_to_num(volts, posinf=2 * self.settings.range)
        step = self.settings.resolution
        quantised: Floats = np.rint(volts / step) * step
        quantised[np.abs(volts) > 1.2 * self.settings.range] = OVERLOAD
        return quantised
