"""Perfusion indices on one thread: band powers of an hour beside other programs, a thousand hyperaemias, live updates.

Times are processor time, which other work on the machine changes least.

The others return the whole scalogram (fCWT, where it is installed, in single precision), which band powers do not
need: their times are for more work. Agreement is the largest relative difference of a band energy (`voice`: of a single
voice) from the full-rate transform.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from acquisition.signals.artefacts import hampel
from acquisition.signals.hyperaemia import Settings
from acquisition.signals.hyperaemia import measure as measure_hyperaemia
from acquisition.signals.kit.bands import STEFANOVSKA
from acquisition.signals.wavelet import Plan, Voices
from benchmarks import live_indices
from tests.signals import peers
from tests.signals.curves import Hyperaemia
from tests.signals.waves import plain_powers, six_tones

RATE, HOUR = 40.0, 144_000
SIX = Voices(STEFANOVSKA.low, STEFANOVSKA.high)
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "SSQ_PARALLEL")


def measure() -> list[dict[str, Any]]:
    """Measure in a process of its own, whose libraries have one thread."""
    environment = {**os.environ, **dict.fromkeys(THREADS[:-1], "1"), "SSQ_PARALLEL": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.signals"], env=environment, capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _timed(work: Callable[[], Any], repeat: int = 5) -> tuple[float, Any]:
    """The best processor time of `repeat` runs in ms, and the result."""
    best, result = math.inf, None
    for _ in range(repeat):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return 1000 * best, result


def _energies(voices: np.ndarray) -> np.ndarray:
    return np.array([np.nansum(voices * SIX.share(band.low, band.high)) for band in STEFANOVSKA.bands])


def _bands() -> list[dict[str, Any]]:
    x = six_tones()
    x -= x.mean()
    made, plan = _timed(lambda: Plan(HOUR, RATE, SIX), 3)
    direct = Plan(HOUR, RATE, SIX, direct=True)
    plain, expected = _timed(lambda: plain_powers(x, RATE, SIX.frequencies), 1)
    plan.powers(x)
    direct.powers(x)
    rows = []

    def row(program: str, ms: float, voices: np.ndarray, note: str = "") -> None:
        ok = np.isfinite(expected)
        rows.append({
            "band_powers_of_an_hour_at_40_Hz": program,
            "ms": round(ms, 1),
            "difference_band": f"{np.abs(_energies(voices) / _energies(expected) - 1).max():.0e}",
            "difference_voice": f"{np.abs(voices[ok] / expected[ok] - 1).max():.0e}",
            "note": note,
        })  # fmt: skip

    ms, found = _timed(lambda: plan.powers(x), 10)
    row("perfusion", ms, found.mean[0], f"plan once {made:.0f} ms; aim 60 ms")
    ms, found = _timed(lambda: direct.powers(x))
    row("perfusion, direct", ms, found.mean[0], "octave-decimated inverse transforms")
    row("plain FFT", plain, expected, "139 inverse transforms at 40 Hz")
    for name, peer in (
        ("PyWavelets", peers.pywavelets),
        ("ssqueezepy", peers.ssqueezepy),
        ("fCWT", peers.fcwt),
    ):
        try:
            ms, voices = _timed(partial(peer, x, RATE, plan), 2)
        except ImportError:
            rows.append({**rows[0], "band_powers_of_an_hour_at_40_Hz": name, "ms": "", "difference_band": "",
                         "difference_voice": "", "note": "not installed"})  # fmt: skip
            continue
        row(name, ms, voices, "whole scalogram")
    return rows


def _offline() -> list[dict[str, Any]]:
    x = six_tones()
    curves = [Hyperaemia(peak=40 + k % 60, to_peak=10 + k % 20) for k in range(1000)]
    t = np.arange(0, 900, 0.1)
    rng = np.random.default_rng(0)
    values = np.stack([c.level(t) for c in curves]) + 0.3 * rng.normal(size=(1000, t.size))
    together, _ = _timed(lambda: measure_hyperaemia(values, 10.0, 0.0, 300.0, 480.0, Settings()), 2)
    alone, _ = _timed(lambda: [measure_hyperaemia(v, 10.0, 0.0, 300.0, 480.0) for v in values[:50]], 1)
    spikes, _ = _timed(lambda: hampel(x, RATE), 3)
    return [
        {"work": "hyperaemia, 1 000 records of 15 min at 10 Hz at once", "ms": round(together, 1)},
        {"work": "hyperaemia, one such record", "ms": round(alone / 50, 2)},
        {"work": "spikes of an hour at 40 Hz", "ms": round(spikes, 1)},
    ]


def _memory() -> list[dict[str, Any]]:
    x = six_tones()
    plan = Plan(HOUR, RATE, SIX)
    rows = []
    for name, work in (
        ("band powers of an hour at 40 Hz", lambda: plan.powers(x)),
        ("spikes of it", lambda: hampel(x, RATE)),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append({"memory_beyond_the_record_itself": name, "MB": round(peak / 1e6, 1)})
    return rows


if __name__ == "__main__":
    for line in (*_bands(), *_offline(), *_memory(), *live_indices.rows()):
        print(json.dumps(line), flush=True)
