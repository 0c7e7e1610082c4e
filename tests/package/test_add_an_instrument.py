"""docs/add_an_instrument.md followed literally in a copy of the project: four files, its commands, no more."""

import contextlib
import csv
import io
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "add_an_instrument.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
TESTS, BENCH = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
PARTS = ("acquisition", "drivers", "perfusion", "simulators", "config", "tests", "docs")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    copy = tmp_path_factory.mktemp("project")
    for part in PARTS:
        shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for name, text in FILES.items():
        assert not (copy / name).exists()
        (copy / name).write_text(text, "utf-8")
    commands = copy / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name, python in (
        ("pytest", "-m pytest -q"),
        ("ruff", "-m ruff"),
        ("perfusion", "-P -m perfusion"),
    ):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {python} "$@"\n')
        (commands / name).chmod(stat.S_IRWXU)
    return copy


def follow(project, script):
    """Run a script of the page; answers what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(project), "PATH": f"{project}/.venv/bin:{os.environ['PATH']}"}
    with (project / "said").open("w+") as said:
        shell = subprocess.Popen(
            ["sh", "-e", "-c", script], cwd=project, env=environment, stdin=subprocess.DEVNULL, stdout=said,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            shell.wait(200)
        finally:
            # What the script left in the background goes with it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)
        said.seek(0)
        text = said.read()
    assert shell.returncode == 0, text[-5000:]
    return text


def test_the_page_has_a_driver_a_simulator_a_table_and_an_entry_and_nothing_else():
    assert list(FILES) == [
        "drivers/skintherm.py", "simulators/skintherm.py", "tests/drivers/test_skintherm.py", "skin.toml",
    ]  # fmt: skip


def test_its_files_are_as_well_kept_as_the_others(project):
    names = " ".join(name for name in FILES if name.endswith(".py"))
    follow(project, f".venv/bin/ruff check {names} && .venv/bin/ruff format --check {names}")
    follow(project, f'"{sys.executable}" -m mypy -p drivers.skintherm -p simulators.skintherm')


@pytest.mark.timeout(240)
def test_its_tests_pass_and_the_contract_tests_find_the_pair(project):
    said = follow(project, TESTS)
    own, contract = re.findall(r"(\d+) passed", said)
    assert int(own) == 5
    assert int(contract) > 20


def test_its_bench_records(project, tmp_path):
    link = str(tmp_path / "skintherm")
    entry = project / "skin.toml"
    entry.write_text("[page]\nport = 0\n" + entry.read_text().replace("/tmp/skintherm", link))
    said = follow(project, BENCH.replace("/tmp/skintherm", link).replace("&\n", "& sleep 3\n"))
    assert "skin_temperature (Cel)" in said
    rows = list(csv.DictReader(io.StringIO(said[said.index("time,device,") :])))
    assert len(rows) >= 5
    assert all(25 < float(row["skin_temperature"]) < 36 and row["quality"] == "GOOD" for row in rows)
