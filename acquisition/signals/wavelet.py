"""The analytic Morlet transform of long records: exact mean powers per voice without the whole scalogram.

W(f, .) = IFFT[X(w) 2 exp(-(s w - w0)^2 / 2), w > 0] with w0 = 2 pi and s = 1/f, so that a cosine of amplitude A
at f gives |W| = A, and the integral of its |W|^2 over ln f is `TONE_ENERGY` A^2. A mean power over the valid time
of a voice is the sum over the whole ring (Parseval: no inverse transform) less the sum over the samples
outside it. Those lie at the two ends, so short transforms of the ends give them, on few samples, for |W|^2 is
band-limited. Where a voice is slow against the record, the ring itself is short after decimation
and is transformed directly.

Both agree with the full-rate transform to rounding, up to one thing: the transform is cut at zero frequency, where
its Gaussian is still exp(-w0^2/2) = 3e-9, and the bins of a short ring fall differently on that step. On
flux this moves a voice by less than 1e-9 of itself; `direct` transforms every octave on the ring instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import irfft, next_fast_len

from acquisition.model import Floats
from acquisition.signals.kit.arrays import numbers

W0 = 2.0 * math.pi
TONE_ENERGY = 0.285812773
"""Integral over ln f of |W|^2 of a cosine of amplitude 1 (w0 = 2 pi), by quadrature."""
CONE = math.sqrt(2.0)
"""Periods (s = 1/f) at each end of a record in which a voice is not trusted."""
REACH = 8.6
"""Where the Gaussian is below 1e-16: in standard deviations of frequency (above w0), and in s of time."""
TAIL = 6.1
"""Where the Gaussian's square is below 1e-16: what is left of |W|^2 that far outside a record, in s of time."""
BATCH_PAD, LIVE_PAD = 6.0, 4.0
"""Zeros behind the record, in periods of the slowest voice; wrap-around 3e-12 and 7e-8 of the worst voice."""
LEAST_PERIODS = 3.0
"""Valid periods below which a voice has no mean."""
NYQUIST_SHARE = 0.305
"""Of the sampling rate: a faster voice reaches beyond half the rate (4 standard deviations)."""

Complex = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Voices:
    """Frequencies 2^(k/per_octave) Hz whose cells reach into [low, high], from the fastest to the slowest."""

    low: float
    high: float
    per_octave: int = 16

    @property
    def frequencies(self) -> Floats:
        """Return (v,) Hz, falling."""
        half = 0.5
        first = math.floor(math.log2(self.low) * self.per_octave + half) if self.low > 0 else 0
        last = math.ceil(math.log2(self.high) * self.per_octave - half)
        f: Floats = 2.0 ** (np.arange(last, first - 1, -1) / self.per_octave)
        return f

    def share(self, low: float, high: float) -> Floats:
        """Return (v,) d ln f: how much of each voice's cell lies in [low, high]."""
        half = math.log(2.0) / (2 * self.per_octave)
        middle = np.log(self.frequencies)
        inside = np.minimum(middle + half, math.log(high)) - np.maximum(middle - half, math.log(low))
        share: Floats = np.maximum(inside, 0.0)
        return share


@dataclass(frozen=True, slots=True)
class VoicePower:
    """Mean |W|^2 of each voice (r, v) over its valid samples (v,), NaN where there are too few."""

    mean: Floats
    samples: Floats


class Plan:
    """All that the transform of n samples at `rate` Hz needs before it sees them; made once, used for ever.

    `cone` periods at each end count as not valid (0: the whole record). `direct`: see the module. With `keep` its
    working memory stays for the next call, which saves a third of the time of short records; such a plan is for one
    thread at a time.
    """

    def __init__(
        self, n: int, rate: float, voices: Voices, pad: float = BATCH_PAD, cone: float = CONE, direct: bool = False,
        keep: bool = False,
    ) -> None:  # fmt: skip
        self.n, self.rate, self.voices, self.cone = n, rate, voices, cone
        self.frequencies = voices.frequencies
        slowest = 1.0 / self.frequencies[-1]
        self.ring: int = next_fast_len(n + math.ceil(pad * slowest * rate), real=True)
        lead = np.ceil(cone * rate / self.frequencies - 1e-9)
        self.first = lead.astype(np.int64)
        self.valid = np.maximum(n - 2 * lead, 0.0)
        enough = self.valid >= LEAST_PERIODS * rate / self.frequencies
        self.computable = enough & (self.frequencies <= NYQUIST_SHARE * rate) & (self.valid > 0)
        self._memory = _Memory(keep)
        self._octaves: list[_Whole | _Ends] = []
        size = voices.per_octave
        for start in range(0, len(self.frequencies), size):
            part = slice(start, min(start + size, len(self.frequencies)))
            ends = _ends_length(float(self.frequencies[part][-1]), rate, cone)
            whole = _bins(float(self.frequencies[part][0]), self.ring, rate)
            # Direct work grows with the record, that of the ends does not; and the two ends must not meet.
            if not direct and 2 * whole > 4 * 2 * _bins(float(self.frequencies[part][0]), ends, rate) and 2 * ends < n:
                self._octaves.append(_Ends(self, part, ends))
            else:
                self._octaves.append(_Whole(self, part))

    def powers(self, values: ArrayLike) -> VoicePower:
        """Return the mean power of each voice of records (r, n) or one record (n,), values without NaN.

        Values should have no mean: the padding is zeros.
        """
        x = np.atleast_2d(numbers(values))
        if x.shape[-1] != self.n:
            raise ValueError(f"{x.shape[-1]} samples in a plan for {self.n}")
        memory = self._memory
        spectrum = _spectrum(x, self.ring, memory, "record")
        power = memory.floats("power", *spectrum.shape)
        np.square(spectrum.real, out=power)
        power += np.square(spectrum.imag, out=memory.floats("square", *spectrum.shape))
        total = np.concatenate([octave.sums(x, spectrum, power, memory) for octave in self._octaves], axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.where(self.computable, np.maximum(total, 0.0) / self.valid, np.nan)
        return VoicePower(mean, np.where(self.computable, self.valid, 0.0))

    def rings(self, values: ArrayLike) -> Iterator[tuple[slice, Complex]]:
        """Yield, for each octave, its voices and W (v, m) of one record: m points of the padded ring.

        As dense as |W|^2 needs, so each octave has its own m.
        """
        spectrum = _spectrum(numbers(values)[None, :], self.ring, _Memory(), "record")
        for octave in self._octaves:
            whole = octave if isinstance(octave, _Whole) else _Whole(self, octave.part)
            yield whole.part, whole.transform(spectrum, _Memory())[0]

    def octaves(self, values: ArrayLike) -> Iterator[tuple[slice, Floats, Complex]]:
        """Yield, for each octave: its voices, sample times (m,) in s inside the record, W (v, m) of one record."""
        for part, w in self.rings(values):
            time = np.arange(w.shape[-1], dtype=np.float64) * (self.ring / (w.shape[-1] * self.rate))
            inside = time <= (self.n - 1) / self.rate
            yield part, time[inside], w[:, inside]


@lru_cache(maxsize=8)
def plan(n: int, rate: float, voices: Voices, pad: float = BATCH_PAD, cone: float = CONE, direct: bool = False) -> Plan:
    """Return the plan, made once for each size."""
    return Plan(n, rate, voices, pad, cone, direct)


class _Memory:
    """Working arrays by name, of any content; with `keep` the same ones again and again."""

    def __init__(self, keep: bool = False) -> None:
        self._keep = keep
        self._held: dict[str, Floats] = {}

    def floats(self, name: str, *shape: int) -> Floats:
        """Return an array of that shape."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.size < size:
            held = np.empty(size)
            if self._keep:
                self._held[name] = held
        return held[:size].reshape(shape)

    def complexes(self, name: str, *shape: int) -> Complex:
        """Return a complex array of that shape."""
        return self.floats(name, *shape[:-1], 2 * shape[-1]).view(np.complex128)


def _spectrum(x: Floats, ring: int, memory: _Memory, name: str) -> Complex:
    """Return the spectrum (r, ring // 2 + 1) of records (r, n) with zeros behind them."""
    padded = memory.floats(f"{name} padded", len(x), ring)
    padded[:, : x.shape[-1]] = x
    padded[:, x.shape[-1] :] = 0.0
    return np.fft.rfft(padded, axis=-1, out=memory.complexes(name, len(x), ring // 2 + 1))


def _voices(spectrum: Complex, gains: Floats, m: int, memory: _Memory) -> Complex:
    """Return W (r, v, m) of spectra (r, k) by the gains (v, 2 K) of bins 1..K, each of them twice."""
    stop = gains.shape[-1] + 2
    shaped = memory.complexes("voices", len(spectrum), len(gains), m)
    # Real and imaginary part side by side, as they lie in memory: a product of real numbers is twice as fast.
    parts = shaped.view(np.float64)
    parts[:, :, :2] = 0.0
    np.multiply(spectrum.view(np.float64)[:, None, 2:stop], gains, out=parts[:, :, 2:stop])
    parts[:, :, stop:] = 0.0
    return np.fft.ifft(shaped, axis=-1, out=shaped)


def _bins(fastest: float, ring: int, rate: float) -> int:
    """Return how many bins above 0 the voices up to `fastest` reach, within half the sampling rate."""
    return min(math.ceil(fastest * (1.0 + REACH / W0) * ring / rate), (ring - 1) // 2)


def _gains(frequencies: Floats, bins: int, ring: int, rate: float) -> Floats:
    """Return 2 exp(-(s w - w0)^2 / 2) at bins 1..K, (v, K)."""
    f = np.arange(1, bins + 1) * (rate / ring)
    gains: Floats = 2.0 * np.exp(-0.5 * np.square(W0 * (f[None, :] / frequencies[:, None] - 1.0)))
    return gains


def _ends_length(slowest: float, rate: float, cone: float) -> int:
    """Return a ring that holds one end: the samples that the cone sees, and room for both of their tails."""
    return int(next_fast_len(math.ceil((cone + REACH + 2 * TAIL) * rate / slowest) + 2, real=True))


def _weights(first: NDArray[np.int64], stop: NDArray[np.int64], bins: int, ring: int, m: int) -> Floats:
    """Return (v, m) with sum over samples first <= n < stop of p[n] = weights . p at m points of the ring.

    True for every p whose spectrum lies within +-bins: the weights are the mask, band-limited (Dirichlet kernel).
    """
    k = np.arange(1, bins)
    angle = np.pi * k / ring
    length = (stop - first)[:, None]
    middle = (stop + first - 1)[:, None]
    # Angles of long rings are taken modulo one turn in integers, which keeps all digits.
    turn = (k * middle) % (2 * ring) * (np.pi / ring)
    swing = (k * length) % (2 * ring) * (np.pi / ring)
    kernel = np.exp(-1j * turn) * (np.sin(swing) / np.sin(angle))
    spectrum = np.zeros((len(first), m // 2 + 1), np.complex128)
    spectrum[:, 0] = length[:, 0]
    spectrum[:, 1:bins] = kernel
    weights: Floats = irfft(spectrum, m, axis=-1)
    return weights


class _Whole:
    """The voices of one octave, transformed on the whole ring at the octave's own rate."""

    def __init__(self, owner: Plan, part: slice) -> None:
        self.part = part
        f = owner.frequencies[part]
        self.bins = _bins(float(f[0]), owner.ring, owner.rate)
        self.m: int = next_fast_len(2 * self.bins + 1)
        self.gains = np.repeat(_gains(f, self.bins, owner.ring, owner.rate) * (self.m / owner.ring), 2, axis=1)
        self._first = owner.first[part]
        self._stop = np.maximum(owner.n - self._first, self._first)
        self._ring = owner.ring
        self._mask: Floats | None = None

    def transform(self, spectrum: Complex, memory: _Memory) -> Complex:
        """Return W (r, v, m)."""
        return _voices(spectrum, self.gains, self.m, memory)

    def sums(self, x: Floats, spectrum: Complex, power: Floats, memory: _Memory) -> Floats:  # noqa: ARG002
        """Return the sum of |W|^2 over the valid samples, (r, v); one shape for both kinds of octave."""
        if self._mask is None:
            weights = _weights(self._first, self._stop, self.bins, self._ring, self.m)
            self._mask = np.repeat(weights, 2, axis=1)
        return _weighted_power(self.transform(spectrum, memory), self._mask)


class _Ends:
    """The voices of one octave, summed by Parseval over the ring, less what the two ends hold."""

    def __init__(self, owner: Plan, part: slice, length: int) -> None:
        self.part, self.length = part, length
        f = owner.frequencies[part]
        slowest = float(f[-1])
        self._bins = _bins(float(f[0]), owner.ring, owner.rate)
        square = np.square(_gains(f, self._bins, owner.ring, owner.rate))
        self._density = np.ascontiguousarray(square.T / owner.ring)
        # Samples of one end that its cone can see, and beyond which sums are the ring's business.
        self._seen = min(math.ceil((owner.cone + REACH) * owner.rate / slowest) + 1, owner.n)
        self._end_bins = _bins(float(f[0]), length, owner.rate)
        self._m: int = next_fast_len(2 * self._end_bins + 1)
        self._gains = np.repeat(_gains(f, self._end_bins, length, owner.rate) * (self._m / length), 2, axis=1)
        # Outputs before the record lie at the end of the small ring: from -tail to the first valid sample.
        tail = math.ceil(TAIL * owner.rate / slowest)
        first = owner.first[part]
        before = np.full(len(f), -tail, np.int64)
        self._mask = np.repeat(_weights(before, first, self._end_bins, length, self._m), 2, axis=1)

    def sums(self, x: Floats, spectrum: Complex, power: Floats, memory: _Memory) -> Floats:  # noqa: ARG002
        """Return the sum of |W|^2 over the valid samples, (r, v)."""
        total: Floats = power[:, 1 : self._bins + 1] @ self._density
        # The end of a record, seen backwards, is the beginning of another: |W| does not change.
        both = memory.floats("ends", 2 * len(x), self._seen)
        both[: len(x)] = x[:, : self._seen]
        both[len(x) :] = x[:, : -self._seen - 1 : -1]
        end = _spectrum(both, self.length, memory, "end")
        lost = _weighted_power(_voices(end, self._gains, self._m, memory), self._mask)
        return total - lost[: len(x)] - lost[len(x) :]


def _weighted_power(w: Complex, mask: Floats) -> Floats:
    """Return the sum of |w|^2 times the mask over the last axis; the mask (v, 2 m) has each weight twice."""
    parts = w.view(np.float64)
    np.square(parts, out=parts)
    total: Floats = np.matmul(parts.transpose(1, 0, 2), mask[:, :, None])[..., 0].T
    return total
