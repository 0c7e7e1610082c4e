"""Made TcPO2 records whose truth is known: settling from air, plateau, slow noise, falls and detachments."""

import itertools

import numpy as np

from acquisition.signals.result import Trace


def settling(
    minutes=30.0, plateau=50.0, fall=0.0, fall_from=600.0, seed=None, rate=1.0, slow=0.6, white=0.25, air=155.0
):
    """An electrode applied at 0 s: exponential from air (205 s), minus `fall` mmHg/min from `fall_from` s on.

    With a seed: slow noise of SD `slow` with a time constant of 60 s, electrode of 9 s, white noise, 0.1 mmHg steps.
    """
    time = np.arange(round(minutes * 60 * rate)) / rate
    values = plateau + (air - plateau) * np.exp(-time / 205.0) - fall / 60.0 * np.maximum(time - fall_from, 0.0)
    if seed is not None:
        rng = np.random.default_rng(seed)
        values = values + slow * _ou(rng, len(time), 60.0 * rate)
        keep = np.exp(-1.0 / (9.0 * rate))
        values = _smooth(values, keep) + white * rng.standard_normal(len(time))
        values = np.round(values, 1)
    return Trace.of(time, values)


def _ou(rng, n, steps):
    phi = np.exp(-1.0 / steps)
    kicks = rng.standard_normal(n) * np.sqrt(1.0 - phi**2)
    kicks[0] = rng.standard_normal()
    return _filter(kicks, 1.0, phi, 0.0)


def _smooth(values, keep):
    return _filter(values, 1.0 - keep, keep, keep * values[0])


def _filter(values, gain, keep, state):
    from scipy.signal import lfilter

    return lfilter([gain], [1.0, -keep], values, zi=[state])[0]


def pieces(trace, cuts):
    """The same record in pieces, cut before the samples numbered `cuts`."""
    edges = [0, *sorted(cuts), len(trace)]
    return [Trace(trace.time[a:b], trace.values[a:b], trace.quality[a:b]) for a, b in itertools.pairwise(edges)]
