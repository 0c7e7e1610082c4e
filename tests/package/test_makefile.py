"""The Makefile tells a Python that is too old in one line, before anything is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = f"""#!/bin/sh
if [ "$1" = -c ]; then exec "{sys.executable}" -c "import sys; sys.version_info = VERSION; $2"; fi
echo "$@" >> called
exit 9
"""


def make(folder, version, target):
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    python = folder / "python-of-this-computer"
    python.write_text(FAKE.replace("VERSION", str(version)))
    python.chmod(0o700)
    # As typed, also where these tests were started by `make` themselves.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", target, f"PYTHON={python}"], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["demo", "test", "lint"])
@pytest.mark.parametrize("version", [(2, 7, 18), (3, 10, 13)])
def test_an_old_python_is_told_and_not_used(tmp_path, version, target):
    done = make(tmp_path, version, target)
    assert done.returncode == 2
    told, made = done.stderr.splitlines()
    assert told.startswith("perfusion needs Python 3.11 or newer, and ")
    assert told.endswith(f"python-of-this-computer is {version[0]}.{version[1]}: try make PYTHON=python3.11")
    assert made.startswith("make: ***")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 13, 1)])
def test_a_python_that_is_new_enough_is_used(tmp_path, version):
    make(tmp_path, version, "demo")
    assert (tmp_path / "called").read_text() == "-m venv .venv\n"


def test_the_help_names_every_target(tmp_path):
    done = make(tmp_path, (3, 11, 0), "help")
    text = (ROOT / "Makefile").read_text()
    targets = next(line for line in text.splitlines() if line.startswith(".PHONY:")).split()[1:]
    shown = {line.split()[1] for line in done.stdout.splitlines()}
    assert set(targets) - {"help", "lock", "clean"} == shown
