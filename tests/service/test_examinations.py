"""Whole examinations by the command line alone: simulated instruments, the daemon, a technician, and the outcomes."""

import json
import time

import numpy as np
import pytest

from acquisition.signals.occlusion import from_pressure
from acquisition.signals.porh import porh
from acquisition.signals.result import Trace
from acquisition.store import check
from simulators.patient.physiology import Participant
from tests.service.bench import WITH_CUFF, Bench, demo, perfusion, streaming
from tests.service.technician import Technician, later, truth

SPEED = 12
"""Slow enough for a technician who is busy: what the first mark is about comes ten seconds after the start."""
FLUX = "ldf/flux/flux"


def of_the_signal(kind, seed):
    """What the indices make of the participant's own signal, before any instrument."""
    one = Participant(kind, "porh", seed)
    t = np.arange(0, 700, 0.05)
    (cuff,) = from_pressure(Trace.of(t, one.values("cuff_pressure", t)))
    return {name: result.value for name, result in porh(Trace.of(t, one.values("flux", t)), cuff).items()}


def judge_hyperaemia(found, kind, seed):
    true = truth("porh", kind, seed)["porh"]
    ideal = of_the_signal(kind, seed)
    value = {name: each["value"] for (place, name), each in found.items() if place == FLUX}
    assert value["hyperaemia"] == 1.0
    assert value["rest_flow"] == pytest.approx(true["RF"], rel=0.15)
    assert value["biological_zero"] == pytest.approx(true["BZ"], abs=0.5)
    assert value["peak_flow"] == pytest.approx(true["PF"], rel=0.4)
    assert value["latency"] == pytest.approx(true["TL"], abs=1.0)
    assert value["time_to_peak"] == pytest.approx(true["TP"], abs=8.0)
    assert value["peak_flow"] == pytest.approx(ideal["peak_flow"], rel=0.03)
    assert value["time_to_peak"] == pytest.approx(ideal["time_to_peak"], abs=0.5)
    assert value["auc_60"] == pytest.approx(ideal["auc_60"], rel=0.03)
    assert found[FLUX, "peak_flow"]["settings"]["mark"] == "cuff"


def hyperaemia(technician, interrupted=lambda: None):
    technician.start("porh", "--site", "hallux")
    technician.mark("inflate")
    interrupted()
    opened = technician.shown("release")
    assert not technician.mark("release", opened)["warnings"]
    wrong = technician.correct("release", later(opened, 20))
    assert any("release (entry 2) is 20 s too late" in each for each in wrong["warnings"]), wrong["warnings"]
    technician.correct("release", opened)
    technician.wait(190)
    stopped = technician.stop()
    assert (stopped["state"], stopped["warnings"]) == ("completed", [])
    return technician.outcomes()


@pytest.mark.timeout(600)
def test_reactive_hyperaemia_from_the_first_command_to_its_truth(tmp_path):
    with demo("--data", tmp_path, "--scenario", "porh", "--seed", 3, "--speed", SPEED):
        found, whole = hyperaemia(Technician(tmp_path))
    judge_hyperaemia(found, "healthy", 3)
    assert whole["simulated"]
    assert perfusion("verify", tmp_path).returncode == 0


@pytest.mark.proof
def test_a_daemon_killed_in_the_occlusion_goes_on_and_comes_to_the_same_outcome(tmp_path):
    with Bench(tmp_path) as bench:
        t0 = time.time()
        common = ("--speed", SPEED, "--t0", f"{t0:.6f}")
        bench.simulate("daq970a", "--scenario", "porh", "--seed", 3, *common)
        bench.write({"daq970a": WITH_CUFF})
        daemons = [bench.run(*common)]
        daemons[0].until(bench.store, streaming)

        def kill():
            daemons[0].kill()
            daemons.append(bench.run(*common))
            daemons[1].until(bench.store, streaming)

        found, _ = hyperaemia(Technician(bench.store), kill)
        held = json.loads(perfusion("query", bench.store, "--json").stdout)
        assert daemons[1].stop() == 0
    judge_hyperaemia(found, "healthy", 3)
    assert all(stream["gaps"] for stream in held), "the kill left a hole, and the hole is on record"
    assert check(bench.store).ok


@pytest.mark.proof
@pytest.mark.parametrize(
    ("scenario", "protocol"), [("walk-constant", "walking-constant"), ("walk-gs", "walking-gardner-skinner")]
)
def test_a_walk_with_electrodes_from_the_first_command_to_its_truth(tmp_path, scenario, protocol):
    true = truth(scenario, "claudicant", 3)["walk"]
    with demo("--data", tmp_path, "--scenario", scenario, "--class", "claudicant", "--seed", 3, "--speed", SPEED):
        technician = Technician(tmp_path)
        technician.start(protocol)
        technician.mark_now("standing")
        started = technician.shown("start")
        technician.mark("start", started)
        technician.shown("stop")
        technician.mark("onset", later(started, true["t_ICD"] - true["start"]))
        technician.mark("stop", value="claudication")
        technician.wait(330)
        assert technician.stop()["state"] == "completed"
        found, whole = technician.outcomes()
    belt = {name: each for (place, name), each in found.items() if place == "treadmill/belt/speed"}
    calf = {name: each for (place, name), each in found.items() if place == "tcpo2/calf/tcpo2"}
    assert belt["icd_distance"]["value"] == pytest.approx(true["ICD"], abs=1.5)
    assert belt["acd_distance"]["value"] == pytest.approx(true["ACD"], abs=1.5)
    assert belt["acd_distance"]["status"] == "ok"
    assert belt["protocol_adherence"]["value"] > 95.0
    assert calf["drop_min"]["value"] == pytest.approx(true["DROP"], abs=5.0)
    assert calf["drop_positive"]["value"] == 1.0
    assert calf["drop_min"]["settings"]["protocol"] == protocol
    assert whole["eligibility"]["verdict"] != "hidden"
