"""Flowmotion: the power of each band of vasomotion in a record, and what record and instrument leave of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import irfft, rfft

from acquisition.model import Floats
from acquisition.signals.artefacts import NO_SIGNAL, Hampel, Screened, judge, screened, still
from acquisition.signals.kit.arrays import numbers
from acquisition.signals.kit.bands import STEFANOVSKA, Band, BandSet
from acquisition.signals.kit.plausible import PERFUSION, in_range
from acquisition.signals.kit.smoothing import amplitude_left
from acquisition.signals.kit.spectrum import welch
from acquisition.signals.kit.units import FLUX, fluctuation
from acquisition.signals.result import Result, Status, Trace, Window
from acquisition.signals.wavelet import BATCH_PAD, CONE, NYQUIST_SHARE, Plan, Voices, plan

VERSION = "1"
LITTLE_LEFT, LESS_LEFT = 0.25, 0.75
"""Shares of power that survive a time constant: below the first not computable, below the second low quality."""


@dataclass(frozen=True, slots=True)
class BandPowers:
    """Arrays (r, b), NaN where a band has no valid voice.

    `mean` |W|^2 pooled over voices and valid samples; `energy` integral over ln f of each voice's own
    mean |W|^2; `covered` (b,) the share of the band, in ln f, whose voices have a mean; `seconds` (b,) valid
    time of the band's slowest such voice.
    """

    mean: Floats
    energy: Floats
    covered: Floats
    seconds: Floats

    def relative(self, bands: Sequence[int] | None = None) -> Floats:
        """Return energy over the sum of the energies of `bands` (all); NaN where one of them is missing."""
        chosen = list(range(self.energy.shape[1])) if bands is None else list(bands)
        relative = np.full(self.energy.shape, np.nan)
        total = self.energy[:, chosen].sum(1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative[:, chosen] = self.energy[:, chosen] / total
        return relative


def band_powers(
    values: ArrayLike,
    rate: float,
    bands: BandSet = STEFANOVSKA,
    *,
    pad: float = BATCH_PAD,
    cone: float = CONE,
    per_octave: int = 16,
    direct: bool = False,
) -> BandPowers:
    """Return the band powers of records (r, n) or one (n,) at `rate` Hz, without mean and without NaN.

    Each voice is averaged over its own valid time: a common time would lose the slow bands. A voice at an edge
    counts with the share of its cell that lies in the band.
    """
    x = np.atleast_2d(numbers(values))
    chosen = plan(x.shape[-1], rate, Voices(bands.low, bands.high, per_octave), pad, cone, direct)
    return pooled(chosen, x, bands)


@lru_cache(maxsize=16)
def _shares(voices: Voices, bands: BandSet) -> Floats:
    """Return (b, v) how much of each voice's cell lies in each band."""
    return np.stack([voices.share(band.low, band.high) for band in bands.bands])


def pooled(chosen: Plan, values: Floats, bands: BandSet) -> BandPowers:
    """Return the band powers of records (r, n) by a plan that is at hand."""
    power = chosen.powers(values)
    shares = _shares(chosen.voices, bands)
    use = np.where(chosen.computable, shares, 0.0)
    mean = np.where(chosen.computable, power.mean, 0.0)
    weight = use * power.samples
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled_mean = mean @ weight.T / weight.sum(1)
        energy = np.where(use.sum(1) > 0, mean @ use.T, np.nan)
    valid = np.where((use > 0), power.samples, np.inf).min(1)
    return BandPowers(
        pooled_mean, energy, use.sum(1) / shares.sum(1), np.where(np.isfinite(valid), valid, 0.0) / chosen.rate
    )


def flowmotion(
    flux: Trace,
    window: Window | None = None,
    bands: BandSet = STEFANOVSKA,
    *,
    biological_zero: float | None = None,
    tau: float | None = None,
    releases: Sequence[float] = (),
    rule: Hampel | None = None,
    detrend: bool = False,
    normalise: bool = True,
    per_octave: int = 16,
) -> dict[str, Result]:
    """Return the flowmotion of a record at rest, by name: BAND_power, _energy, _relative_energy and so on.

    In order: bridge gaps, uniform grid, Hampel (not around `releases`), optional cubic detrend, u = x/mean - 1,
    transform. `tau` s is the instrument's time constant: what it took away is not computable, never corrected.
    BAND_relative_energy is over the bands without the endothelial independent one,
    BAND_relative_energy_all over all of the set; BAND_median_ratio is the median power of the band over the
    median power of all (Ljubljana). With `normalise` false values stay in their unit, as a segment of hyperaemia
    that already is (x - fit)/d.
    """
    part = flux if window is None else flux.between(*window)
    reason = part.sparse()
    clean = screened(Trace.of([], []) if reason else in_range(part, PERFUSION), rule=rule, releases=releases)
    stored: dict[str, Any] = {
        "bands": bands.name,
        "edges_Hz": [[band.name, band.low, band.high] for band in bands.bands],
        "wavelet": "analytic Morlet, w0 = 2 pi, unit cosine gives 1",
        "voices_per_octave": per_octave,
        "cone_periods": CONE,
        "hampel": _plain(rule or Hampel()),
        "detrend": "cubic" if detrend else "none",
        "normalised": normalise,
        "biological_zero": biological_zero,
        "tau_s": tau,
    }
    common: dict[str, Any] = {
        "window": part.span if len(part) else window,
        "n_valid": int(np.count_nonzero(~clean.bad)),
        "pct_artefact": clean.pct_bad,
        "settings": stored,
        "version": VERSION,
    }
    if still(part):
        level = float(part.values[part.valid][0])
        why = "low_baseline" if normalise and not level > (biological_zero or 0.0) else NO_SIGNAL
        return {r.name: r for r in _none(bands, why, common, normalise)}
    if len(clean.values) < 2 or not np.isfinite(clean.values).all():
        why = f"hole_too_long ({reason})" if reason else "no_data"
        return {r.name: r for r in _none(bands, why, common, normalise)}
    x = _cubic_off(clean.values) if detrend else clean.values
    u = fluctuation(x, biological_zero) if normalise else x - x.mean()
    if not np.isfinite(u).all():
        return {r.name: r for r in _none(bands, "low_baseline", common, normalise)}
    # Rounded, so that a plan serves every record of its length.
    chosen = plan(len(u), float(f"{clean.rate:.8g}"), Voices(bands.low, bands.high, per_octave))
    return _results(u, chosen, bands, clean, tau, common, normalise)


def _results(
    u: Floats,
    chosen: Plan,
    bands: BandSet,
    clean: Screened,
    tau: float | None,
    common: Mapping[str, Any],
    normalise: bool,
) -> dict[str, Result]:
    powers = pooled(chosen, u[None, :], bands)
    voices = chosen.powers(u).mean[0]
    pixels = _pixels(chosen, u, bands)
    # The slowest band of the six needs 20 min and more, so the five are also related among themselves.
    five = list(range(min(5, len(bands.bands))))
    relative, relative_all = powers.relative(five)[0], powers.relative()[0]
    verdicts = [_verdict(band, k, powers, clean, tau) for k, band in enumerate(bands.bands)]
    square = _unit(normalise, 2)
    found: dict[str, Result] = {}

    def add(name: str, value: float, unit: str, reasons: Sequence[tuple[Status, str]], unless: str) -> None:
        result = Result.of(name, value, unit, unless=unless, **common)
        for status, reason in reasons:
            if result.value is not None:
                result = result.flagged(reason, status)
        found[name] = result

    for k, band in enumerate(bands.bands):
        own = verdicts[k]
        short = "sampled_too_slowly" if _too_fast(band, chosen.rate) else "record_too_short"
        add(f"{band.name}_power", powers.mean[0, k], square, own, short)
        add(f"{band.name}_energy", powers.energy[0, k], square, own, short)
        add(f"{band.name}_amplitude", pixels.amplitude[k], _unit(normalise, 1), own, short)
        if k in five:
            among = [verdict for i in five for verdict in verdicts[i]]
            add(f"{band.name}_relative_energy", relative[k], "1", among, "a_band_is_missing")
        among = [verdict for one in verdicts for verdict in one]
        if len(bands.bands) > len(five):
            add(f"{band.name}_relative_energy_all", relative_all[k], "1", among, "a_band_is_missing")
        add(f"{band.name}_median_ratio", pixels.median_ratio[k], "1", own, short)
        add(f"{band.name}_peak_frequency", _peak(chosen, voices, band), "Hz", own, "peak_at_the_edge")
    return found


def _none(bands: BandSet, reason: str, common: Mapping[str, Any], normalise: bool) -> Iterator[Result]:
    square = _unit(normalise, 2)
    units = {
        "power": square,
        "energy": square,
        "amplitude": _unit(normalise, 1),
        "relative_energy": "1",
        "relative_energy_all": "1",
        "median_ratio": "1",
        "peak_frequency": "Hz",
    }
    for k, band in enumerate(bands.bands):
        for name, unit in units.items():
            if (name == "relative_energy" and k >= 5) or (name == "relative_energy_all" and len(bands.bands) <= 5):
                continue
            yield Result.missing(f"{band.name}_{name}", unit, reason, **common)


def _verdict(band: Band, k: int, powers: BandPowers, clean: Screened, tau: float | None) -> list[tuple[Status, str]]:
    """Return what is to be said against a band: coverage, length of record, artefacts, time constant."""
    against: list[tuple[Status, str]] = []
    if powers.covered[k] < 0.999:
        reason = "sampled_too_slowly" if _too_fast(band, clean.rate) else "record_too_short"
        half = Status.NOT_COMPUTABLE if powers.covered[k] < 0.5 else Status.LOW_QUALITY
        against.append((half, reason))
    seconds = len(clean.values) / clean.rate
    if seconds < band.least:
        against.append((Status.LOW_QUALITY, f"record_shorter_than_{band.least / 60:g}_min"))
    worth, reason = judge(clean.bad, clean.rate, band.low)
    if worth is not Status.OK:
        against.append((worth, reason))
    if tau:
        left = float(np.square(amplitude_left(band.typical, tau)))
        if left < LESS_LEFT:
            status = Status.NOT_COMPUTABLE if left < LITTLE_LEFT else Status.LOW_QUALITY
            against.append((status, f"time_constant_leaves_{100 * left:.0f}_per_cent"))
    return against


def _too_fast(band: Band, rate: float) -> bool:
    return band.high > NYQUIST_SHARE * rate


def _peak(chosen: Plan, voices: Floats, band: Band) -> float:
    """Return the frequency of the strongest voice whose centre lies in the band; NaN at its edges."""
    inside = np.flatnonzero((chosen.frequencies >= band.low) & (chosen.frequencies <= band.high) & chosen.computable)
    if len(inside) < 3:
        return float("nan")
    at = int(np.argmax(voices[inside]))
    return float(chosen.frequencies[inside[at]]) if 0 < at < len(inside) - 1 else float("nan")


@dataclass(frozen=True, slots=True)
class _Pixels:
    amplitude: list[float]
    median_ratio: list[float]


def _pixels(chosen: Plan, u: Floats, bands: BandSet) -> _Pixels:
    """Return mean |W| and the median power of each band over that of all, over time-frequency pixels.

    |W| is not band-limited and a median is no sum: both are taken at the octaves' own sampling, which is at
    least twice what |W|^2 needs, each sample weighted with the time and the d ln f that it stands for.
    """
    shares = _shares(chosen.voices, bands)
    power: list[Floats] = []
    weight: list[Floats] = []
    for part, time, w in chosen.octaves(u):
        step = time[1] - time[0] if len(time) > 1 else 1.0
        lead = chosen.first[part][:, None] / chosen.rate
        inside = (time >= lead) & (time < chosen.n / chosen.rate - lead) & chosen.computable[part][:, None]
        power.append(np.where(inside, np.square(w.real) + np.square(w.imag), np.nan))
        weight.append(inside * step)
    amplitude, middle = [], []
    everything = _weighted_median(power, weight, shares.sum(0), chosen)
    for share in shares:
        total = above = 0.0
        for k, (p, g) in enumerate(zip(power, weight, strict=True)):
            part = slice(k * chosen.voices.per_octave, k * chosen.voices.per_octave + len(p))
            cell = g * share[part][:, None]
            total += float(cell.sum())
            above += float(np.nansum(np.sqrt(p) * cell))
        amplitude.append(above / total if total > 0 else float("nan"))
        own = _weighted_median(power, weight, share, chosen)
        middle.append(own / everything if everything > 0 else float("nan"))
    return _Pixels(amplitude, middle)


def _weighted_median(power: Sequence[Floats], weight: Sequence[Floats], share: Floats, chosen: Plan) -> float:
    values, weights = [], []
    for k, (p, g) in enumerate(zip(power, weight, strict=True)):
        part = slice(k * chosen.voices.per_octave, k * chosen.voices.per_octave + len(p))
        cell = g * share[part][:, None]
        use = cell > 0
        values.append(p[use])
        weights.append(cell[use])
    x, w = np.concatenate(values), np.concatenate(weights)
    if not len(x):
        return float("nan")
    order = np.argsort(x)
    running = np.cumsum(w[order])
    return float(x[order[np.searchsorted(running, 0.5 * running[-1])]])


def courses(
    values: ArrayLike, rate: float, bands: BandSet = STEFANOVSKA, per_second: float = 1.0
) -> tuple[Floats, Floats]:
    """Return time (m,) in s and the mean |W|^2 over each band's voices (b, m) of one record, `per_second` samples/s.

    Low-passed to that rate; NaN inside the cone of the band's slowest voice.
    """
    x = numbers(values)
    chosen = plan(len(x), rate, Voices(bands.low, bands.high))
    shares = _shares(chosen.voices, bands)
    seconds = chosen.ring / rate
    m = max(2, round(seconds * per_second))
    spectrum = np.zeros((len(bands.bands), m // 2 + 1), np.complex128)
    for part, w in chosen.rings(x):
        power = shares[:, part] @ (np.square(w.real) + np.square(w.imag))
        own = rfft(power, axis=-1) * (m / w.shape[-1])
        keep = min(own.shape[-1], spectrum.shape[-1])
        spectrum[:, :keep] += own[:, :keep]
    course = irfft(spectrum, m, axis=-1) / shares.sum(1)[:, None]
    time = np.arange(m, dtype=np.float64) * (seconds / m)
    inside = time <= (len(x) - 1) / rate
    for k, share in enumerate(shares):
        slowest = 1.0 / chosen.frequencies[share > 0][-1]
        course[k, (time < CONE * slowest) | (time > len(x) / rate - CONE * slowest)] = np.nan
    return time[inside], course[:, inside]


def power_density(
    values: ArrayLike, rate: float, low: float = 0.009, high: float = 1.6, segment: float = 200.0
) -> tuple[Floats, Floats]:
    """Return frequency (Hz) and power density (unit^2/Hz) by Welch's method, Hann segments of `segment` s.

    The Fourier alternative to band powers; its lowest bin is 1/segment, so slow bands hold few bins.
    """
    x = numbers(values)
    frequency, density = welch(x, rate, min(len(x), round(segment * rate)))
    inside = (frequency >= low) & (frequency <= high)
    return frequency[inside], density[inside]


def envelope_area(values: ArrayLike, rate: float) -> float:
    """Return the area between the upper and the lower envelope, unit times s: Orozco's simple measure of flowmotion.

    The envelopes are lines through the local maxima and minima; NaN with fewer than two of either.
    """
    from scipy.signal import find_peaks  # a second to load, for this alone

    x = numbers(values)
    top, bottom = find_peaks(x)[0], find_peaks(-x)[0]
    if len(top) < 2 or len(bottom) < 2:
        return float("nan")
    k = np.arange(max(top[0], bottom[0]), min(top[-1], bottom[-1]) + 1)
    upper, lower = np.interp(k, top, x[top]), np.interp(k, bottom, x[bottom])
    between = upper - lower
    return float((between.sum() - 0.5 * (between[0] + between[-1])) / rate)


def _cubic_off(x: Floats) -> Floats:
    """Return x without its cubic trend, its mean kept."""
    t = np.linspace(-1.0, 1.0, len(x), dtype=np.float64)
    trend = np.polynomial.legendre.legval(t, np.polynomial.legendre.legfit(t, x, 3))
    level: Floats = np.asarray(x - trend + x.mean(), np.float64)
    return level


def _unit(normalise: bool, power: int) -> str:
    if normalise:
        return "1"
    return FLUX if power == 1 else f"{FLUX}{power}"


def _plain(rule: Hampel) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in Hampel.__slots__}
