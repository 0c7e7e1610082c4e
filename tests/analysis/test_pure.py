"""Purity of the analysis: each session once for any question, from what its session kept and from no file of today."""

import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition.analysis import visit
from acquisition.analysis.outcomes import outcomes
from acquisition.daemon.gateway import events
from acquisition.examination.session import replay
from acquisition.store import Store
from acquisition.study import collection
from tests.examination.patients import REST, Study

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
