"""The digitisers' bytes as the programming guides print them, and conversations with the simulated instruments."""

import numpy as np
import pytest

from simulators.conversation import converse
from tests.digitiser import driver, simulator


def stream(said, name):
    """All samples of one stream: device time (n,), values (n,), quality (n,), and how many were lost."""
    readings = [r for r in said.readings if r.stream == name]
    if not readings:
        return np.empty(0), np.empty(0), np.empty(0), 0
    return (
        np.concatenate([r.device_time for r in readings]),
        np.concatenate([r.values[:, 0] for r in readings]),
        np.concatenate([r.quality[:, 0] for r in readings]),
        sum(r.lost for r in readings),
    )


@pytest.mark.parametrize("name", ["daq970a", "34970a", "34972a", "34980a", "34465a"])
def test_ten_minutes_lose_nothing(name):
    said = converse(host := driver(name), simulator(name), 600.0, start=7.0)
    for each in host.streams:
        time, values, quality, lost = stream(said, each.name)
        assert lost == 0
        assert len(time) in range(11_980, 12_001)
        assert np.diff(time) == pytest.approx(0.05, abs=0.0011)
        assert not quality.any()
        assert np.isfinite(values).all()
    time, flux, *_ = stream(said, "flux")
    base = said.readings[0].base
    truth = 100 + 20 * np.sin(time + base.origin)
    assert flux == pytest.approx(truth, abs=1.0)
    assert {n.kind for n in said.notices} <= {"identity", "warning"}
