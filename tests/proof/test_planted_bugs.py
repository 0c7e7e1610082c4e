"""Each planted bug is caught by a test of the suite; all together write docs/planted_bugs.md."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proof.bugs import BUGS
from tests.proof.pages import ROWS, put

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "planted_bugs.md"
QUICK = ("missing-gap", "quality-lost", "unbounded-queue")
FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)
HEAD = """# Planted bugs

Each of these mistakes is made in the running code, one at a time (`tests/proof/bugs.py`), and the suite must notice.
`make proof` does it and writes this page.

| mistake | what it does | caught by |
|---|---|---|
"""


def catch(name):
    """The first test that fails with the bug in the code."""
    environment = {**os.environ, "PERFUSION_BUG": name, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", "-p", "tests.proof.plant", "-p", "no:cacheprovider", "-x", "-q"]
    command += ["--tb=no", "-rf", "-m", "not proof and not soak", *BUGS[name].tests]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    found = FAILED.search(done.stdout)
    assert done.returncode == 1, f"{name} went unnoticed:\n{done.stdout[-2000:]}{done.stderr[-1000:]}"
    assert found is not None, done.stdout[-2000:]
    return found[1].partition("[")[0]


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_caught(name):
    assert catch(name).startswith(BUGS[name].tests)


@pytest.mark.proof
@pytest.mark.parametrize("name", BUGS)
def test_every_planted_bug_is_caught(name):
    test = catch(name)
    put(PAGE, HEAD, ROWS, BUGS, name, f"| {name} | {BUGS[name].what} | `{test}` |\n")
    assert test.startswith(BUGS[name].tests)


def test_the_page_names_every_bug():
    assert all(f"| {name} | {BUGS[name].what} |" in PAGE.read_text("utf-8") for name in BUGS)
