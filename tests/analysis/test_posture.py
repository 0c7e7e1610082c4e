"""Positions are marks: a leg that is raised or hung has reflexes, and rest ends where lying does."""

import numpy as np
import pytest

from tests.analysis.test_outcomes import by_name, compute
from tests.examination.patients import PORH, REST, Study

CALF, FLUX = "tcpo2/calf/tcpo2", "ldf/flux/flux"


@pytest.fixture
def examined(tmp_path):
    def examine(place, scenario, protocol, marks, seconds, device, change=lambda signal, t, x: x):
        made = Study()
        made.examine("diabetic", scenario, protocol, marks, seconds, devices=(device,), change=change)
        return by_name(compute(made.write(tmp_path), "s1"), place)

    return examine


def test_oxygen_falls_with_a_raised_leg_and_rises_with_one_that_hangs(examined):
    def posed(signal, t, x):
        gain = np.interp(t, [2000, 2030, 2240, 2270, 2400, 2430], [0, -12, -12, 0, 0, 15])
        return x + gain if signal == "tcpo2_calf" else x

    marks = (
        ("applied", 0.0), ("next", 901.0), ("position", 2000.0, "elevated"), ("position", 2240.0, "supine"),
        ("position", 2400.0, "dependent"), ("removed", 2800.0),
    )  # fmt: skip
    found = examined(CALF, "rest", "tcpo2-rest", marks, 2810.0, "tcpo2", posed)
    assert found["tcpo2_elevation"].value == pytest.approx(-12.0, abs=1.5)
    assert found["tcpo2_dependency"].value == pytest.approx(15.0, abs=1.5)
    assert found["tcpo2_rest"].value == pytest.approx(48.0, abs=2.0)


def test_an_electrode_whose_leg_was_raised_too_early_has_no_rest(examined):
    marks = (*REST[:2], ("position", 1000.0, "elevated"), ("removed", 1900.0))
    found = examined(CALF, "rest", "tcpo2-rest", marks, 1910.0, "tcpo2")
    assert found["tcpo2_rest"].status != "ok"


def test_a_foot_that_hangs_shows_its_reflex(examined):
    def hung(signal, t, x):
        return np.where(t > 1500.0, 4.5 + 0.3 * (x - 4.5), x) if signal == "flux" else x

    marks = (("next", 1.0), ("position", 1500.0, "dependent"))
    found = examined(FLUX, "rest", "flowmotion", marks, 1800.0, "ldf", hung)
    assert found["veno_arteriolar_reflex"].value == pytest.approx(100 * (1 - (4.5 + 0.3 * 7.5) / 12), abs=6.0)
    assert found["myogenic_power"].window[1] == pytest.approx(1500.0, abs=0.1)


def test_a_change_of_position_spoils_what_it_lies_in_and_nothing_else(examined):
    marks = (("position", 100.0, "sitting"), *PORH)
    found = examined(FLUX, "porh", "porh", marks, 700.0, "ldf")
    assert (found["rest_flow"].status, found["rest_flow"].reason) == ("low_quality", "position_changed")
    assert found["biological_zero"].status == "ok"
