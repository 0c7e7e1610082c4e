"""Marks that the trace itself shows: found near the truth, held against the person's, and never set by themselves."""

import json

import numpy as np
import pytest

from acquisition.analysis.session_data import SessionData
from acquisition.analysis.suggestions import describe, suggestions
from acquisition.cli import perfusion
from acquisition.daemon import gateway
from acquisition.examination.session import replay
from acquisition.store import Store
from simulators.patient.physiology import Participant
from tests.examination.patients import PORH, REST, Study


def suggested(directory):
    with Store(directory) as store:
        evidence = SessionData(store, list(replay(gateway.events(store)).sessions.values())[-1])
        return {each.mark: (each, describe(evidence, each)) for each in suggestions(evidence)}


def no_cuff(signal, t, values):
    return np.full(len(t), np.nan) if signal == "cuff_pressure" else values


def test_the_cuff_shows_both_marks_and_agrees_with_a_person_who_was_two_seconds_off(tmp_path):
    made = Study()
    made.examine("healthy", "porh", "porh", PORH, 700.0, devices=("ldf",))
    found = suggested(made.write(tmp_path))
    (inflate, _), (release, plain) = found["inflate"], found["release"]
    assert (inflate.at, release.at) == pytest.approx((180.0, 360.0), abs=0.3)
    assert release.marked == pytest.approx(362.0)
    assert release.agrees
    assert plain["confirm"] is None, "what agrees needs no correction"


def test_a_mark_far_from_the_cuff_is_answered_with_its_correction(tmp_path):
    made = Study()
    made.examine("healthy", "porh", "porh", (("inflate", 178.0), ("release", 372.0)), 700.0, devices=("ldf",))
    release, plain = suggested(made.write(tmp_path))["release"]
    assert release.agrees is False
    assert (
        plain["confirm"]
        == f'perfusion session correct 2 --at {plain["time"]} --reason "seen on the trace" --session s1'
    )


def test_without_a_cuff_channel_the_flux_shows_the_occlusion(tmp_path):
    made = Study()
    made.examine("healthy", "porh", "porh", (), 500.0, devices=("ldf",), change=no_cuff, stop=False)
    found = suggested(made.write(tmp_path))
    assert found["inflate"][0].at == pytest.approx(180.0, abs=8.0)
    assert found["release"][0].at == pytest.approx(360.0, abs=4.0)
    assert found["release"][0].error == 5.0
    assert found["inflate"][1]["confirm"].startswith("perfusion session mark inflate --at 2026-01-01T00:0")


def test_rest_without_an_occlusion_suggests_none(tmp_path):
    made = Study()
    made.examine("cli", "rest", "porh", (), 500.0, devices=("ldf",), change=no_cuff, stop=False)
    assert suggested(made.write(tmp_path)) == {}


def test_the_belt_shows_start_and_stop_and_the_reason_is_left_to_a_person(tmp_path):
    truth = Participant("claudicant", "walk-constant", 3).truth()["walk"]
    made = Study()
    made.examine("claudicant", "walk-constant", "walking-constant", (), truth["stop"] + 60.0, stop=False,
                 devices=("treadmill",))  # fmt: skip
    found = suggested(made.write(tmp_path))
    assert found["start"][0].at == pytest.approx(truth["start"], abs=0.5)
    assert found["stop"][0].at == pytest.approx(truth["stop"], abs=0.5)
    assert "--value claudication|dyspnoea" in found["stop"][1]["confirm"]


def test_the_heater_shows_its_stages(tmp_path):
    made = Study()
    made.examine("diabetic", "heating", "local-heating", (), 3400.0, devices=("ldf",), stop="marks forgotten")
    found = suggested(made.write(tmp_path))
    assert {mark: each.at for mark, (each, _) in found.items()} == pytest.approx(
        {"heat": 600.0, "maximum": 2400.0, "off": 3300.0}, abs=8.0
    )
    assert found["heat"][1]["confirm"] is None, "a session that is over takes no new mark"


def test_a_plateau_is_shown_where_every_electrode_is_stable_and_nowhere_else(tmp_path):
    made = Study()
    made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",))
    plateau, _ = suggested(made.write(tmp_path / "stable"))["plateau"]
    assert 900.0 < plateau.at < 2160.0

    def falling(signal, t, values):
        return values - np.maximum(t - 600.0, 0.0) / 60.0 if signal == "tcpo2_calf" else values

    made = Study()
    made.examine("healthy", "rest", "tcpo2-rest", REST, 2200.0, devices=("tcpo2",), change=falling)
    assert suggested(made.write(tmp_path / "falling")) == {}


def test_the_command_marks_nothing(tmp_path, capsys):
    made = Study()
    made.examine("healthy", "porh", "porh", (("inflate", 178.0),), 400.0, devices=("ldf",), stop=False)
    made.write(tmp_path)
    assert perfusion.main(["session", "suggest", "--data", str(tmp_path)], standalone_mode=False) == 0
    text = capsys.readouterr().out
    assert "release 2026-01-01T00:0" in text
    assert "  perfusion session mark release --at" in text
    assert perfusion.main(["session", "suggest", "--json", "--data", str(tmp_path)], standalone_mode=False) == 0
    assert [each["mark"] for each in json.loads(capsys.readouterr().out)] == ["inflate", "release"]
    assert [item.name for item in gateway.session_log(tmp_path).sessions["s1"].items] == ["inflate"]
