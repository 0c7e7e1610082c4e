"""Purity of the analysis: each session once for any question, from what its session kept and from no file of today."""

import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition.analysis import visit
from acquisition.analysis.outcomes import method, outcomes
from acquisition.config.resources import shipped
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.store import Store
from acquisition.study import collection
from acquisition.treadmill.protocol import frozen
from simulators.patient.physiology import Participant
from tests.examination.patients import REST, Study

TRUTH = Participant("claudicant", "walk-constant", 3).truth()["walk"]
WALK = (
    ("standing", TRUTH["start"] - 90.0), ("start", TRUTH["start"]), ("onset", TRUTH["t_ICD"]),
    ("stop", TRUTH["stop"], "claudication"),
)  # fmt: skip
COMMON = {"devices": ("tcpo2",)}


@pytest.fixture
def counted(monkeypatch):
    """The sessions that were analysed, in order."""
    seen, whole = [], visit.analyse
    monkeypatch.setattr(visit, "analyse", lambda data, known: seen.append(data.session.id) or whole(data, known))
    return seen


def test_a_visit_of_several_sessions_is_analysed_once_each_for_any_question(tmp_path, counted):
    made = Study()
    for seed in range(3):
        made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, seed=seed, **COMMON)
    folder = made.write(tmp_path / "rec")
    with Store(folder) as store:
        found = collection.attempts([("rec", store, replay(events(store)))])
    assert len(found) == 3
    assert counted == ["s1", "s2", "s3"]


def test_one_session_of_a_visit_asks_of_each_other_one_analysis(tmp_path, counted):
    made = Study()
    for seed in range(3):
        made.examine("cli", "rest", "tcpo2-rest", REST, 2200.0, seed=seed, **COMMON)
    folder = made.write(tmp_path / "rec")
    with Store(folder) as store:
        log = replay(events(store))
        outcomes(store, log, log.sessions["s2"])
    assert sorted(counted) == ["s1", "s2", "s3"]


def walked(folder, **about):
    """Adherence of a walk whose session says this of its belt's table."""
    made = Study()
    made.examine("claudicant", "walk-constant", "walking-constant", WALK, 900.0, devices=("treadmill",), **about)
    made.write(folder)
    with Store(folder) as store:
        log = replay(events(store))
        found = outcomes(store, log, log.sessions["s1"]).results
    return next(each for each in found if each.result.name == "protocol_adherence")


def test_a_table_of_the_site_is_read_from_the_session_and_is_part_of_the_method(tmp_path):
    old = walked(tmp_path / "old")
    table = frozen("walk-constant")["stages"]
    kept = walked(tmp_path / "kept", belt={"name": "walk-constant", "stages": table})
    faster = walked(tmp_path / "faster", belt={"name": "of the site", "stages": [[0.0, 6.0, 0.0]]})
    assert kept.result.value == old.result.value
    assert faster.result.value == 0.0
    assert len({method(each) for each in (old, kept, faster)}) == 3
    assert kept.result.settings["stages"] == table


def test_a_table_that_nobody_has_costs_its_index_alone(tmp_path):
    assert frozen("of-nobody")["stages"] == []
    found = walked(tmp_path, belt=frozen("of-nobody"))
    assert (found.result.value, found.result.reason) == (None, "belt_protocol_not_found")


def test_a_table_beside_the_configuration_is_kept_before_the_shipped_one(tmp_path):
    text = (shipped() / "protocols/belt/walk-constant.toml").read_text().replace("speed = 3.2", "speed = 2.0")
    (tmp_path / "protocols/belt").mkdir(parents=True)
    (tmp_path / "protocols/belt/walk-constant.toml").write_text(text)
    assert frozen("walk-constant", tmp_path)["stages"] != frozen("walk-constant")["stages"]
    assert frozen("walk-constant", tmp_path / "empty") == frozen("walk-constant")


HEAVY = """
import sys
from acquisition.cli import perfusion
perfusion.main(["outcomes", "--attempts", "--csv", "--data", sys.argv[1]], standalone_mode=False)
heavy = ("scipy.signal", "scipy.stats", "uvicorn", "starlette", "influxdb_client")
print([name for name in heavy if name in sys.modules])
"""


def test_outcomes_load_no_library_that_they_do_not_need(tmp_path):
    packed = Path(__file__).parents[1] / "earlier/v0.1.0/examinations/record.db.xz"
    (tmp_path / "record.db").write_bytes(lzma.decompress(packed.read_bytes()))
    done = subprocess.run(
        [sys.executable, "-c", HEAVY, tmp_path], capture_output=True, text=True, timeout=120, check=True
    )
    *table, loaded = done.stdout.splitlines()
    assert len(table) > 100
    assert loaded == "[]"
