"""A real recording as the analog output of a monitor: through SCPI, PyVISA, driver and store, every row once."""

import numpy as np
import pytest

from acquisition.store import Store, check
from tests.recordings import folder, read
from tests.service.bench import ENTRIES, Bench

SLOW, QUICK = 0.0051, 0.0151
"""PU: half a step of the simulated converter at 1 mV/PU, and the rounding of the wire. Rows every 0.5 s leave two
inputs 10 periods of the mains each, rows every 0.066 s one."""


def replay(place, name, column, speed):
    """Replay a recording; answers the stored block and the recording's time, values and interval."""
    time, values = read(name)[:2]
    interval = round(float(np.median(np.diff(time))), 3)
    with Bench(place) as bench:
        source = f"{folder() / name}.csv:{column}=flux"
        simulator = bench.simulate("daq970a", "--replay", source, "--speed", speed)
        entry = ENTRIES["daq970a"].replace("interval = 0.05", f"interval = {interval}")
        bench.write({"daq970a": entry})
        daemon = bench.run("--speed", speed)

        def all_there(seen):
            flux = [c for d in seen["devices"] for c in d["channels"] if c["name"] == "flux"]
            return bool(flux) and sum(row["stream"] == "flux" for row in simulator.rows()) >= len(values)

        daemon.until(bench.store, all_there, timeout=180)
        assert daemon.stop() == 0
    report = check(bench.store)
    assert report.ok, report.problems
    with Store(bench.store) as store:
        return store.read("ldf", ["flux"]), time, values, interval


def compare(step, speed, block, time, values, interval):
    stored = block.values[:, 0]
    assert len(stored) == len(values), "every row once"
    assert np.abs(stored - values).max() <= step, "in order, within the digitiser's resolution"
    assert not block.quality.any()
    # The sweeps are as regular as the recording; the scale is the recording's own.
    axis = (block.time - block.time[0]) / 1e9
    off = np.abs(np.diff(axis) - interval)
    assert np.quantile(off, 0.99) < 0.1 * interval + 0.002
    # Where an answer comes earlier than any before it, the scale moves at once: by less than 1 ms on the wall.
    assert off.max() < max(0.1 * interval + 0.002, 0.001 * speed)
    assert axis[-1] == pytest.approx((len(time) - 1) * interval, rel=2e-3)


@pytest.mark.parametrize("name", ["finger_pressure_008_j1_1"])
def test_every_row_of_a_recording_is_stored_once(tmp_path, name):
    compare(SLOW, 150, *replay(tmp_path, name, "flux_pu", 150))


@pytest.mark.proof
@pytest.mark.parametrize(
    ("name", "column", "step", "speed"),
    [("finger_pressure_026_j1_1", "flux_pu", SLOW, 100), ("forearm_baseline", "flux_au", QUICK, 25)],
)
@pytest.mark.timeout(300)
def test_every_row_of_two_more(tmp_path, name, column, step, speed):
    compare(step, speed, *replay(tmp_path, name, column, speed))
