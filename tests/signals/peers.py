"""Other people's wavelet transforms, scaled as ours: mean |W|^2 of each voice within its cone."""

import math
import warnings

import numpy as np


def pywavelets(x, rate, plan):
    """PyWavelets' `cmor2.0-1.0`; its sampled wavelet costs some tenths of a per cent."""
    import pywt

    scales = rate / plan.frequencies
    w, _ = pywt.cwt(x, scales, "cmor2.0-1.0", method="fft")
    return means(2 * w / np.sqrt(scales)[:, None], plan)


def ssqueezepy(x, rate, plan, pad=0):
    """ssqueezepy's Morlet; it pads to a power of two, which may leave slow voices wrapped without `pad` more zeros."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ssqueezepy as ssq

        mu = 2 * math.pi
        wavelet = ssq.Wavelet(("morlet", {"mu": mu}), dtype="float64")
        longer = np.pad(x, pad)
        w, _ = ssq.cwt(longer, wavelet, scales=rate / plan.frequencies, padtype="zero", vectorized=True)
    scale = math.sqrt(2) * math.pi**0.25 / math.sqrt(1 + math.exp(-(mu**2)) - 2 * math.exp(-0.75 * mu**2)) / 2
    return means(w[:, pad : pad + len(x)] / scale, plan)


def fcwt(x, rate, plan):
    """fCWT's Morlet in single precision; its bandwidth of 1 is w0 = 2 pi, its unit tone has the power sqrt(pi) / 2."""
    import fcwt as peer

    voices, wavelet = plan.frequencies, peer.Morlet(1.0)
    scales = peer.Scales(wavelet, peer.FCWT_LOGSCALES, int(rate), voices[-1], voices[0], len(voices))
    w = np.zeros((len(voices), len(x)), "csingle")
    peer.FCWT(wavelet, 1, False, True).cwt(x.astype("single"), scales, w)
    return means(w, plan) * 2 / math.sqrt(math.pi)


def means(w, plan):
    """Mean |W|^2 (v,) of a scalogram (v, n) over the valid samples of each voice, NaN where the plan has none."""
    found = np.full(len(w), math.nan)
    for k in np.flatnonzero(plan.computable):
        lead = plan.first[k]
        found[k] = np.mean(np.abs(w[k, lead : plan.n - lead]) ** 2)
    return found
