"""Power density by Welch's method: against the library's own, a tone's power, and white noise."""

import numpy as np
import pytest
import scipy.signal

from acquisition.signals.kit.spectrum import welch


@pytest.mark.parametrize(("n", "segment"), [(4000, 800), (4001, 801), (800, 800), (1000, 33), (50, 7)])
def test_it_is_that_of_the_library(n, segment):
    x = np.random.default_rng(n).normal(3.0, 2.0, n) + 0.01 * np.arange(n)
    frequency, density = welch(x, 40.0, segment)
    expected = scipy.signal.welch(x, 40.0, nperseg=segment, detrend="linear")
    np.testing.assert_allclose(frequency, expected[0], rtol=1e-12)
    np.testing.assert_allclose(density, expected[1], rtol=1e-9, atol=1e-12 * expected[1].max())


def test_a_tone_has_its_power():
    x = 2.0 * np.sin(2 * np.pi * 1.1 * np.arange(8000) / 40.0)
    frequency, density = welch(x, 40.0, 800)
    assert frequency[np.argmax(density)] == pytest.approx(1.1, abs=0.05)
    assert density.sum() * (frequency[1] - frequency[0]) == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("segment", [0, 1, 11])
def test_less_than_a_segment_is_refused(segment):
    with pytest.raises(ValueError, match="segments of"):
        welch(np.zeros(10), 1.0, segment)
