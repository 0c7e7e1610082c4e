"""Numbers and times for one stream in one run: from readings to chunks, with every hole recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from msgspec.structs import replace

from acquisition.model import (
    Chunk,
    Floats,
    Gap,
    Header,
    Instant,
    Nanoseconds,
    Notice,
    Quality,
    Readings,
    TimeBase,
)
from acquisition.timing.clock import MICROSECOND, SampleClock, Timeline
from acquisition.timing.pauses import Pause
from acquisition.timing.rate_check import RateCheck

SECOND = 1_000_000_000

RATE_SLEW = 0.02
"""How far a nominal rate may be from the truth (INF: two per cent; crystal-timed instruments are far within)."""

RESTARTED, DRIFT = 2.0, 1e-3
"""By how many seconds, and what share of the time gone by, an instrument's clock may part from the host's meanwhile."""


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Where the record of a stream ended: the next sequence number and the last time key."""

    next: int
    key: int


@dataclass(slots=True)
class Standstill:
    """A pause of this computer whose cost is not judged yet.

    Before it a sample came every `spacing` ns (0 for unknown), the last one at `before`; `held` samples waited, and
    until the instant `more` others of them may still come.
    """

    pause: Pause
    before: int
    spacing: float
    held: int = 0
    more: int = 0


class InstrumentClocks:
    """The maps from an instrument's own time to the host's: one per time line, kept over reconnections.

    A time line ends with its token, and with a connection on which the instrument's time does not go on where
    it must be by now: some monitors set their calendar back whenever they are switched on, and say the same
    token again. At a `speed` other than 1 the delays between both clocks are so many times as long.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._jump = SampleClock.JUMP * speed
        self._parted = RESTARTED * speed
        self._token: str | None = None
        self._connection: int | None = None
        self._newest = 0.0
        self._lines = 0
        self.clock = SampleClock()

    def line(self, base: TimeBase, readings: Readings, newest: float, arrived: float, connection: int) -> int:
        """The number of the time line on which the `newest` sample (s) of these readings stands; `clock` maps it."""
        if base.token != self._token or (
            connection != self._connection and self._is_another(newest, arrived, readings.fresh)
        ):
            self._token, self._lines = base.token, self._lines + 1
            self.clock = SampleClock(base.origin, jump=self._jump)
            self._newest = newest
        self._connection = connection
        self._newest = max(self._newest, newest)
        return self._lines

    def _is_another(self, newest: float, arrived: float, fresh: bool) -> bool:
        if not fresh:
            return newest < self._newest  # held back, and so rightly late
        parted = arrived - newest - self.clock.present(newest, arrived)
        return abs(parted) > self._parted + DRIFT * abs(newest - self._newest)


class StreamSequencer:
    """Keeps one stream's sequence and time over connections; the only place where chunks are made.

    The first chunk of a run after an earlier run, the first one after an interruption, after more than
    `patience` seconds without a sample, and each one after lost samples carry a `Gap`. A pause of this computer
    leaves one only where fewer samples waited than would have come meanwhile. Sequence numbers
    count missing samples where their number is known and leave one number out where it is not, so that a
    hole shows in the numbers alone.

    Samples without a time of their own are held against the host's clock, whatever their driver: while they come at
    another rate than theirs they are QUESTIONABLE and stand where they arrived, and `to_say` tells of it.

    Where a source has a time of its own, or a rate, what is added to it is the same for all samples of a chunk, in
    whole microseconds: the intervals stay the source's own to the nanosecond, and no sample is later than its arrival.
    """

    def __init__(
        self,
        header: Header,
        timeline: Timeline,
        clocks: InstrumentClocks,
        patience: float,
        last: StreamEnd | None = None,
    ) -> None:
        self.header = header
        self._interval = 1.0 / header.stream.rate if header.stream.rate else None
        self._period = (Fraction(SECOND) / Fraction(header.stream.rate or 1)).as_integer_ratio()
        self._timeline = timeline
        self._clocks = clocks
        self._patience = int(patience * 1e9)
        self._arrived: int | None = None
        self._counted_from: tuple[int, int] | None = None
        self._standstill: Standstill | None = None
        self._pause: Pause | None = None
        self._next = last.next if last else 0
        self._key = last.key if last else None
        self._cause = "the service was not running" if last else ""
        self._device_last: tuple[int, float, float] | None = None
        self._line = 0
        self._connection: int | None = None
        self._index_clock = SampleClock(slew=RATE_SLEW)
        self._check = _rate_check(header, clocks.speed)
        self.saying: list[Notice] = []
        """What there is to say of the stream's rate and was not handed over."""

    def to_say(self) -> list[Notice]:
        """Hand over what there is to say, oldest first."""
        saying, self.saying = self.saying, []
        return saying

    def interrupted(self, cause: str) -> None:
        """Note that the link was lost; the first cause stands until a sample comes."""
        if self._key is not None and not self._cause:
            self._cause = cause
        self._index_clock = SampleClock(slew=RATE_SLEW)
        if self._check is not None:
            self._check.restart()

    def paused(self, pause: Pause) -> None:
        """Note that this computer stood still: what it cost is judged by the samples that come next."""
        self._pause = pause
        if self._check is not None:
            self._check.restart()
        if self._arrived is not None:
            self._standstill = Standstill(pause, self._arrived, self._spacing())

    def held(self, samples: int, more: int = 0) -> None:
        """Note that the next samples, so many, waited during the pause; until the instant `more` others may come."""
        if self._standstill is not None:
            self._standstill.held += samples
            self._standstill.more = more

    def chunk(self, readings: Readings, arrived: Instant, connection: int) -> Chunk:
        """Give readings their numbers and times."""
        lost = readings.lost or None
        if readings.device_time is not None and readings.base is not None:
            newest = float(readings.device_time[-1])
            self._line = self._clocks.line(readings.base, readings, newest, arrived.monotonic / 1e9, connection)
        self._notice_silence(readings, arrived.monotonic)
        if self._check is not None and (readings.device_time is None or readings.base is None):
            readings = self._held_against_clock(self._check, readings, arrived)
        if self._cause:
            missing = self._missing(readings)
            # What a driver counts begins with its connection: beyond that it knows of no loss.
            lost = lost if missing is None and connection == self._connection else missing
        self._connection = connection
        first = self._next
        gap_cause = self._cause or (self._why_lost(arrived.monotonic) if readings.lost else "")
        if self._key is None:
            gap_cause = ""  # the record of a stream begins with its first sample
        before = first if not gap_cause else first + (1 if lost is None else lost)
        time = self._rising(self._times(readings, arrived, before))
        return self._make(readings, arrived, connection, time, before, gap_cause, lost)

    def derived(self, readings: Readings, source: Chunk) -> Chunk:
        """Give rows computed from `source` the times of its samples."""
        missing = source.gap.missing if source.gap is not None and self._key is not None else None
        before, cause = self._next, ""
        if self._key is not None and (source.gap is not None or self._cause):
            cause = self._cause or (source.gap.cause if source.gap else "")
            before += 1 if missing is None else missing
        time = source.time[-len(readings.values) :]
        return self._make(readings, source.arrived, source.connection, time, before, cause, missing)

    def _held_against_clock(self, check: RateCheck, readings: Readings, arrived: Instant) -> Readings:
        """The readings, QUESTIONABLE while samples come at another rate than the stream's."""
        if check.count(len(readings.values) + readings.lost, arrived.seconds, readings.fresh):
            self._say_rate(check)
        if not check.wrong:
            return readings
        doubt = np.where(np.isfinite(readings.values), np.uint8(Quality.QUESTIONABLE), np.uint8(0))
        return replace(readings, quality=readings.quality | doubt)

    def _say_rate(self, check: RateCheck) -> None:
        details = {
            "configured_hz": check.rate,
            "measured_hz": round(check.measured, 6),
            "factor": round(check.measured / check.rate, 4),
        }
        self.saying.append(Notice("warning" if check.wrong else "state", check.text, details))
        self._index_clock = SampleClock(slew=RATE_SLEW)
        if check.wrong and check.measured < check.rate and self._interval is not None and self._key is not None:
            # The times before were counted, and lag behind the clock that those after it follow.
            self._cause = self._cause or f"the stream {check.text}"

    def _notice_silence(self, readings: Readings, at: int) -> None:
        before, still = self._arrived, self._standstill
        self._arrived = at
        if still is not None:
            if at > still.more:
                self._standstill = None
                if self._was_costly(still, readings, at):
                    self.interrupted(still.pause.text)
        elif before is not None and at - before > self._patience:
            self.interrupted(f"no sample for {(at - before) / 1e9:.1f} s")

    def _was_costly(self, still: Standstill, readings: Readings, at: int) -> bool:
        """Whether samples are missing since the one before the pause: by their own clock, else by their number."""
        missing = self._missing(readings)
        if missing is not None:
            return missing > 0
        return at - still.before - still.held * still.spacing > self._patience

    def _spacing(self) -> float:
        """How many ns lie between samples: the nominal period, else the mean since the last gap, 0 for unknown."""
        if self._interval is not None:
            return self._interval * 1e9
        if self._counted_from is None or self._arrived is None:
            return 0.0
        at, number = self._counted_from
        return (self._arrived - at) / max(self._next - number, 1)

    def _why_lost(self, at: int) -> str:
        pause = self._pause
        return pause.text if pause is not None and at < pause.blamed else "samples lost on the way"

    def _make(
        self,
        readings: Readings,
        arrived: Instant,
        connection: int,
        time: Nanoseconds,
        first: int,
        cause: str,
        missing: int | None,
    ) -> Chunk:
        gap = None
        if cause and self._key is not None:
            gap = Gap(self._key, int(time[0]), self._next - 1, first, cause, missing)
        values, quality, device_time = readings.values, readings.quality, readings.device_time
        for array in (time, values, quality):
            array.setflags(write=False)
        if device_time is not None:
            device_time.setflags(write=False)
            if readings.base is not None:
                step = self._step(device_time, whole=gap is None)
                self._device_last = (self._line, float(device_time[-1]), step)
        self._key, self._cause = int(time[-1]), ""
        self._next = first + len(time)
        if gap is not None or self._counted_from is None:
            self._counted_from = (arrived.monotonic, self._next)
        return Chunk(
            self.header, self._timeline.run, connection, first, arrived, time, values, quality, device_time, gap
        )

    def _step(self, device_time: Floats, whole: bool) -> float:
        """The sample period (s) on the instrument's clock, 0 for unknown; `whole`: no gap before these samples."""
        n = len(device_time)
        if n > 1:
            return float(device_time[-1] - device_time[0]) / (n - 1)
        known, nominal = self._device_last, self._interval or 0.0
        if known is None or known[0] != self._line:
            return nominal
        step = known[2] or nominal
        latest = float(device_time[0]) - known[1]
        # Samples that come one by one may each be a little early or late.
        return step + (latest - step) / 8 if whole and 0.0 < latest < 1.5 * step else step

    def _missing(self, readings: Readings) -> int | None:
        """How many samples an interruption cost, where the instrument's own clock ran on through it."""
        last = self._device_last
        if last is None or readings.base is None or readings.device_time is None:
            return None
        if last[0] != self._line or not last[2]:
            return None
        return max(round((float(readings.device_time[0]) - last[1]) / last[2]) - 1, 0)

    def _times(self, readings: Readings, arrived: Instant, first: int) -> Nanoseconds:
        n = len(readings.values)
        at = arrived.monotonic
        if readings.device_time is not None and readings.base is not None:
            clock = self._clocks.clock
            learn = clock.offset if readings.fresh else clock.present
            source = _nanoseconds(readings.device_time)
            offset = learn(float(readings.device_time[-1]), at / 1e9)
            return source + self._shift(offset, int(source[-1]), at)
        if self._interval is not None and self._check is not None and self._check.wrong:
            spacing = SECOND / self._check.measured if self._check.measured else 0.0
            back: Nanoseconds = np.rint(np.arange(1 - n, 1) * spacing).astype(np.int64)
            return back + self._timeline.key(at)
        if self._interval is not None:
            numerator, denominator = self._period
            start = first * numerator // denominator
            offset = self._index_clock.offset((first + n - 1) * self._interval, at / 1e9)
            if n == 1:
                return np.array([start + self._shift(offset, start, at)], dtype=np.int64)
            steps: Nanoseconds = np.rint(np.arange(n) * (numerator / denominator)).astype(np.int64)
            return steps + (start + self._shift(offset, start + int(steps[-1]), at))
        if n == 1:
            return np.array([self._timeline.key(at)], dtype=np.int64)
        return self._timeline.key(at) + np.arange(1 - n, 1, dtype=np.int64)

    def _shift(self, offset: float, newest: int, at: int) -> int:
        """What makes keys of a source's times, ns: `offset` (s) in whole microseconds, the `newest` not after `at`."""
        added = min(math.floor(offset * 1e9), at - newest)
        return self._timeline.key(added - added % MICROSECOND)

    def _rising(self, time: Nanoseconds) -> Nanoseconds:
        """Lift what is not later than its predecessor to 1 ns after it."""
        n = len(time)
        floor = self._key
        if n == 1:
            if floor is not None and time[0] <= floor:
                time[0] = floor + 1
            return time
        if (floor is None or time[0] > floor) and bool((time[1:] > time[:-1]).all()):
            return time
        steps = np.arange(n, dtype=np.int64)
        level = time - steps
        if floor is not None:
            level[0] = max(level[0], floor + 1)
        lifted: Nanoseconds = np.maximum.accumulate(level) + steps
        return lifted


def _rate_check(header: Header, speed: float) -> RateCheck | None:
    """What holds a stream against the clock: one without a rate by the interval that is configured, if any."""
    stream = header.stream
    if stream.rate:
        return RateCheck(stream.rate, speed)
    return RateCheck(1.0 / stream.interval, speed, coarse=True) if stream.interval else None


def _nanoseconds(seconds: Floats) -> Nanoseconds:
    """Seconds (n,) in whole ns: first the seconds, since a float has no ns of a year."""
    whole = np.floor(seconds)
    return whole.astype(np.int64) * SECOND + np.rint((seconds - whole) * 1e9).astype(np.int64)
