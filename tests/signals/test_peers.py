"""Band powers against three independent implementations, each on the same signals in one run."""

import numpy as np
import pytest

from acquisition.signals.artefacts import screened
from acquisition.signals.kit.bands import STEFANOVSKA
from acquisition.signals.result import Trace
from acquisition.signals.wavelet import Plan, Voices
from tests import recordings
from tests.signals import peers
from tests.signals.waves import plain_powers, six_tones

SIX = Voices(STEFANOVSKA.low, STEFANOVSKA.high)


def agree(x, rate, pad=0):
    """Each voice as a plain FFT and ssqueezepy have it, each band as PyWavelets has it."""
    for peer in ("pywt", "ssqueezepy"):
        pytest.importorskip(peer, reason=f"{peer} is not installed")
    plan = Plan(len(x), rate, SIX)
    found = plan.powers(x).mean[0]
    direct = Plan(len(x), rate, SIX, direct=True).powers(x).mean[0]
    plain = plain_powers(x, rate, plan.frequencies)
    ok = plan.computable
    assert ok.sum() > 130

    def voices(one, other):
        return float(np.abs(one[ok] / other[ok] - 1).max())

    def energies(voices):
        return [float(np.nansum(voices * ok * SIX.share(band.low, band.high))) for band in STEFANOVSKA.bands]

    assert voices(direct, plain) < 1e-13
    assert voices(found, plain) < 1e-9
    assert voices(found, peers.ssqueezepy(x, rate, plan, pad)) < 2e-8
    peer = energies(peers.pywavelets(x, rate, plan))
    for band, own, other in zip(STEFANOVSKA.bands, energies(found), peer, strict=True):
        # Its wavelet is a table: with fewer than 20 samples a period that costs per cents, and in the slowest voices
        # drift comes in through its steps.
        close = band.high <= rate / 20 and band is not STEFANOVSKA.bands[-1]
        assert own == pytest.approx(other, rel=4e-3 if close else 5e-2), band.name


def test_six_tones_of_twenty_minutes():
    x = six_tones(rate=10.0, n=15_000)
    agree(x - x.mean(), 10.0, pad=10_000)


@pytest.mark.proof
def test_six_tones_of_an_hour_at_full_rate():
    x = six_tones()
    agree(x - x.mean(), 40.0, pad=40_000)


def test_a_real_forearm_at_rest():
    clean = screened(Trace.of(*recordings.forearm()))
    agree(clean.values - clean.values.mean(), clean.rate, pad=15_000)
