"""docs/changes.md: the places that it names exist, and an index and a protocol are added as it says, end to end."""

import lzma
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "changes.md").read_text("utf-8")
ROWS = re.findall(r"^\| \*\*(.+?)\*\*.*? \| (.+) \|$", PAGE, re.MULTILINE)
DEFINED = '    _of("supine_flow", PU, '
NEW = '    _of("rest_in_tens", "1", "flux at rest in tens"),\n'
CALLED = "    results = posture.judged(data, [*results, *_decay("
MADE = '    results.append(replace(found["rest_flow"], name="rest_in_tens", unit="1"))\n'


def test_ten_changes_name_places_that_exist():
    assert len(ROWS) == 10
    named = {place for _, text in ROWS for place in re.findall(r"`((?:\w+/)+[\w.]*)`", text)}
    named -= {"protocols/"}  # beside a site's configuration
    assert len(named) > 25
    assert sorted(place for place in named if not (ROOT / place).exists()) == []


@pytest.fixture
def copy(tmp_path):
    """A copy of the project, which a change may touch."""
    for part in ("acquisition", "drivers", "simulators", "config", "benchmarks", "docs", "perfusion"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def run(copy, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=copy, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def changed(file, old, new):
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")


def test_an_index_is_added_in_the_places_that_the_page_names(copy):
    changed(copy / "acquisition/signals/catalogue/flux.py", DEFINED, NEW + DEFINED)
    changed(copy / "acquisition/analysis/indices.py", CALLED, MADE + CALLED)
    run(copy, "-m", "benchmarks.catalogue")
    assert "| `rest_in_tens` | flux at rest in tens |" in (copy / "docs/indices.md").read_text("utf-8")
    packed = ROOT / "tests/earlier/v0.1.0/examinations/record.db.xz"
    (copy / "record").mkdir()
    (copy / "record/record.db").write_bytes(lzma.decompress(packed.read_bytes()))
    code = "from acquisition.cli import main; main()"
    table = run(copy, "-c", code, "outcomes", "--attempts", "--csv", "--data", copy / "record")
    assert re.search(r",ldf/flux/flux,rest_in_tens,[\d.]+,1,ok,", table)


def test_a_protocol_of_a_site_is_a_file_beside_its_configuration(copy):
    site = copy / "site"
    (site / "protocols").mkdir(parents=True)
    shutil.copy(copy / "config/simulated_bench.toml", site / "bench.toml")
    shipped = (copy / "config/protocols/porh.toml").read_text("utf-8")
    title = re.search(r'^title = "(.+)"$', shipped, re.MULTILINE)[1]
    (site / "protocols/our-porh.toml").write_text(shipped.replace(title, "Ours"), "utf-8")
    code = "from acquisition.cli import main; main()"
    run(copy, "-c", code, "simulate-session", site / "rec", "-c", site / "bench.toml", "--protocol", "our-porh")
    table = run(copy, "-c", code, "outcomes", "--attempts", "--csv", "--data", site / "rec")
    assert re.search(r",our-porh,.*,peak_flow,[\d.]+,", table)
