"""Postural and respiratory reflexes on steps of known height."""

import numpy as np
import pytest

from acquisition.signals.reflexes import fall_after, postural, veno_arteriolar
from acquisition.signals.result import Status, Trace


def step(before, after, at=300.0, stop=700.0):
    t = np.arange(0, stop, 0.1)
    return Trace.of(t, np.where(t < at, before, after))


def test_dependent_flow_of_a_fifth_is_a_reflex_of_eighty_per_cent():
    found = veno_arteriolar(step(20.0, 3.6), (200, 290), 300.0)
    assert found["veno_arteriolar_reflex"].value == pytest.approx(82)
    assert found["veno_arteriolar_reflex_ratio"].value == pytest.approx(0.18)
    assert found["dependent_flow"].window == (480.0, 540.0)
    corrected = veno_arteriolar(step(20.0, 3.6), (200, 290), 300.0, biological_zero=2.0)
    assert corrected["veno_arteriolar_reflex"].value == pytest.approx(100 * (1 - 1.6 / 18))


@pytest.mark.parametrize(
    ("trace", "supine", "reason"),
    [
        (step(20, 4), (250, 350), "marks_out_of_order"),
        (step(1.5, 1.0), (200, 290), "low_baseline"),
        (step(20, 4, stop=400), (200, 290), "dependent_flow: no_data"),
        (step(20, 4), (-90, -10), "supine_flow: no_data"),
    ],
)
def test_what_cannot_be_said_of_a_reflex_is_not_said(trace, supine, reason):
    found = veno_arteriolar(trace, supine, 300.0)["veno_arteriolar_reflex"]
    assert (found.value, found.reason) == (None, reason)


def test_elevation_is_a_change_with_its_sign():
    assert postural(step(20, 14), (200, 290), (400, 460))["elevation_change"].value == pytest.approx(-30)
    risen = postural(step(20, 25), (200, 290), (400, 460), name="dependency")
    assert risen["dependency_change"].value == pytest.approx(25)
    assert risen["dependency_change_ratio"].value == pytest.approx(1.25)


def test_a_gasp_is_measured_at_the_pulp_within_fifteen_seconds():
    t = np.arange(0, 120, 0.05)
    dip = 40 - 28 * np.exp(-(((t - 66) / 3) ** 2))
    found = fall_after(Trace.of(t, dip), 60.0)
    assert found.value == pytest.approx(70, abs=6)
    assert found.value < 70
    assert found.status is Status.OK
    assert fall_after(Trace.of(t, dip), 60.0, site="forearm").reason == "site_is_no_pulp"
    late = 40 - 28 * np.exp(-(((t - 95) / 3) ** 2))
    assert fall_after(Trace.of(t, late), 60.0).value == pytest.approx(0, abs=1)
    assert fall_after(Trace.of(t, dip), 500.0).reason == "pre: no_data"
    assert fall_after(Trace.of(t, dip / 30), 60.0).reason == "low_baseline"
    assert fall_after(Trace.of([], []), 60.0).value is None
