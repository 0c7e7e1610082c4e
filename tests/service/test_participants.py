"""A participant of each class through the whole service, much faster than in life: outcomes against the truth."""

import pytest

from benchmarks.whole_way import results

pytestmark = pytest.mark.proof
KINDS = ("healthy", "diabetic", "claudicant", "cli")


@pytest.mark.parametrize("kind", KINDS)
def test_reactive_hyperaemia_of_a_class_comes_out_of_the_record(kind):
    truth, found = results(kind, "porh", 1)
    value = {name: found["ldf/flux/flux", name].value for place, name in found if place == "ldf/flux/flux"}
    true = truth["porh"]
    assert value["rest_flow"] == pytest.approx(true["RF"], rel=0.15)
    assert value["biological_zero"] == pytest.approx(true["BZ"], abs=0.3)
    assert value["occlusion_area"] == pytest.approx(true["AO"], rel=0.2)
    assert value["peak_flow"] == pytest.approx(true["PF"], rel=0.5)
    assert value["hyperaemia"] == (0.0 if kind == "cli" else 1.0)
    assert (value["time_to_peak"] is None) == (kind == "cli")


@pytest.mark.parametrize("kind", KINDS)
def test_resting_oxygen_of_a_class_comes_out_of_the_record(kind):
    truth, found = results(kind, "rest", 1)
    calf, ratio = (found["tcpo2/calf/tcpo2", name] for name in ("tcpo2_rest", "tcpo2_rpi"))
    assert calf.status == "ok", calf.reason
    assert calf.value == pytest.approx(truth["tcpo2"]["calf"], abs=2.0)
    assert ratio.value == pytest.approx(truth["tcpo2"]["RPI"], abs=0.05)


def test_a_walk_comes_out_of_the_record():
    truth, found = results("cli", "walk-constant", 1)
    belt = {name: found["treadmill/belt/speed", name] for name in ("icd_distance", "acd_distance")}
    assert belt["icd_distance"].value == pytest.approx(truth["walk"]["ICD"], abs=1.5)
    assert belt["acd_distance"].value == pytest.approx(truth["walk"]["ACD"], abs=1.5)
    assert found["tcpo2/calf/tcpo2", "drop_min"].value == pytest.approx(truth["walk"]["DROP"], abs=4.0)
