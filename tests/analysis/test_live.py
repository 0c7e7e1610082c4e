"""Live numbers come from what is committed, say that they are provisional, and end where the outcomes begin."""

import json

import numpy as np
import pytest

from acquisition.analysis.live import provisional
from acquisition.analysis.outcomes import outcomes
from acquisition.analysis.session_data import SessionData
from acquisition.cli import perfusion
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.store import Store
from tests.analysis.test_outcomes import WALK, WALK_MARKS
from tests.examination.patients import PORH, REST, Study

HEAT = (("heat", 600.0), ("maximum", 2400.0))


def look(directory):
    with Store(directory) as store:
        session_log = replay(events(store))
        session = session_log.sessions["s1"]
        final = {(o.place, o.result.name): o.result for o in outcomes(store, session_log, session).results}
        return provisional(SessionData(store, session)), final


def resting(directory, seconds, marks=REST[:2]):
    made = Study()
    made.examine("healthy", "rest", "tcpo2-rest", marks, seconds, devices=("tcpo2",), stop=False)
    return made.write(directory)


def test_electrodes_that_still_warm_up_have_a_grey_lamp_and_a_countdown(tmp_path):
    now, _ = look(resting(tmp_path, 600.0, REST[:1]))
    assert {e["lamp"] for e in now["electrodes"]} == {"warming_up"}
    assert now["electrodes"][0]["countdown"] == pytest.approx(301.0)
    assert now["rpi"] == {"tcpo2/calf/tcpo2": None}
    assert now["provisional"]


def test_two_green_lamps_give_a_ratio_near_the_final_one(tmp_path):
    now, final = look(resting(tmp_path, 2160.0))
    assert {e["lamp"] for e in now["electrodes"]} == {"stable"}
    assert now["rpi"]["tcpo2/calf/tcpo2"] == pytest.approx(final["tcpo2/calf/tcpo2", "tcpo2_rpi"].value, abs=0.06)


def test_no_inclusion_limit_is_among_the_live_numbers(tmp_path):
    now, _ = look(resting(tmp_path, 600.0, REST[:1]))
    assert "eligib" not in json.dumps(now)


@pytest.fixture(scope="module")
def walking(tmp_path_factory):
    made = Study()
    made.examine(
        "claudicant",
        "walk-constant",
        "walking-constant",
        WALK_MARKS,
        1020.0,
        devices=("tcpo2", "treadmill"),
        stop=False,
    )
    return made.write(tmp_path_factory.mktemp("walking"))


def test_a_walk_shows_the_distances_and_the_drop_of_its_outcomes(walking):
    now, final = look(walking)
    belt = "treadmill/belt/speed"
    assert now["walk"]["distance"] == pytest.approx(WALK["ACD"], abs=1.0)
    assert now["walk"]["marks"]["onset"]["m"] == pytest.approx(final[belt, "icd_distance"].value, abs=0.5)
    least = now["drop"]["tcpo2/calf/tcpo2"]
    assert least["least"] == final["tcpo2/calf/tcpo2", "drop_min"].value
    assert least["least_s"] == final["tcpo2/calf/tcpo2", "drop_min_time"].value
    assert least["reached"]


def test_minutes_of_heat_are_counted_while_they_run(tmp_path):
    made = Study()
    made.examine("diabetic", "heating", "local-heating", HEAT, 2700.0, devices=("ldf",), stop=False)
    now, _ = look(made.write(tmp_path))
    assert now["heat"][0]["minutes"] == pytest.approx(5.0, abs=0.5)
    assert (now["heat"][0]["limit"], now["heat"][0]["alarm"]) == (None, False)


def test_skin_remembers_the_heat_of_the_sessions_before(tmp_path, capsys):
    made = Study()
    common = {"devices": ("ldf",), "site": "hallux", "settings": {"thermal_limit_minutes": 20.0}}
    made.examine("diabetic", "heating", "local-heating", (*HEAT, ("off", 3300.0)), 3400.0, **common)
    made.examine("diabetic", "heating", "local-heating", HEAT, 2760.0, stop=False, **common)
    made.write(tmp_path)
    assert perfusion.main(["session", "live", "--data", str(tmp_path)], standalone_mode=False) == 0
    assert "heat left hallux: 21 of 20 min, LIMIT REACHED" in capsys.readouterr().out


def occluded(directory, seconds, **more):
    made = Study()
    marks = [mark for mark in PORH if mark[1] < seconds]
    made.examine("healthy", "porh", "porh", marks, seconds, devices=("ldf",), stop=False, **more)
    return look(made.write(directory))


@pytest.mark.parametrize("cuff", [True, False])
def test_a_hyperaemia_is_followed_by_the_cuff_or_by_the_marks(tmp_path, cuff):
    blind = {} if cuff else {"change": lambda signal, t, x: x * (np.nan if signal == "cuff_pressure" else 1.0)}
    closed, _ = occluded(tmp_path / "closed", 300.0, **blind)
    assert closed["hyperaemia"]["phase"] == "occlusion"
    assert closed["hyperaemia"]["peak"] is None
    risen, final = occluded(tmp_path / "risen", 430.0, **blind)
    assert risen["hyperaemia"]["phase"] in ("hyperaemia", "recovery")
    for live, name in (("rest_flow", "rest_flow"), ("biological_zero", "biological_zero"), ("peak", "peak_flow")):
        assert risen["hyperaemia"][live] == pytest.approx(final["ldf/flux/flux", name].value, rel=1e-6), name
    assert risen["flux"]["value"] > 12.0


def test_resting_flux_has_a_pulse_and_the_bands_that_are_known_so_far(tmp_path, capsys):
    made = Study()
    made.examine("healthy", "rest", "flowmotion", (), 700.0, devices=("ldf",), stop=False)
    made.write(tmp_path)
    now, _ = look(tmp_path)
    assert now["flux"]["pulse"] == pytest.approx(66.0, abs=8.0)
    assert now["bands"]["cardiac"]["power"] > 0
    assert now["bands"]["endothelial_independent"]["power"] is None
    assert now["hyperaemia"] is None
    assert perfusion.main(["session", "live", "--data", str(tmp_path)], standalone_mode=False) == 0
    assert "endothelial_independent: not yet (28" in capsys.readouterr().out


def test_before_its_start_a_walk_shows_nothing(tmp_path):
    made = Study()
    made.examine("claudicant", "walk-constant", "walking-constant", WALK_MARKS[:1], 170.0, stop=False)
    now, _ = look(made.write(tmp_path))
    assert (now["walk"], now["drop"]) == (None, {})


def test_the_command_line_shows_them(walking, capsys):
    assert perfusion.main(["session", "live", "--data", str(walking)], standalone_mode=False) == 0
    text = capsys.readouterr().out
    assert "PROVISIONAL" in text
    assert "onset: 111" in text
    assert "DROP tcpo2/calf/tcpo2" in text
