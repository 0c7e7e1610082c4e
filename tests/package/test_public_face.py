"""The public face of the package, imported where the working directory has modules of the same names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from acquisition.cli import instruments
from acquisition.cli.instruments import _simulators
from acquisition.driverkit.registry import drivers
from acquisition.errors import PerfusionError
from simulators.bench.registry import simulators

ROOT = Path(__file__).parents[2]

LOOK = """
import sys
import perfusion
assert not [name for name in sys.modules if name.startswith("acquisition")], "imported before it was asked for"
from perfusion import PerfusionError, Store, verify
print(Store.__module__, verify.__module__, perfusion.__version__)
"""


def python(folder, code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def foreign(folder):
    """A folder of somebody whose own modules are called as the packages of this installation."""
    (folder / "acquisition.py").write_text("raise RuntimeError('foreign')")
    for name in ("drivers", "simulators"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('foreign')")


@pytest.mark.parametrize("make", [lambda folder: None, foreign], ids=["an empty folder", "a folder of the same names"])
def test_it_is_imported_in(tmp_path, make):
    make(tmp_path)
    done = python(tmp_path, LOOK)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:2] == ["acquisition.store.reader", "acquisition.store.check"]


def test_a_foreign_module_that_came_first_is_told(tmp_path):
    (tmp_path / "acquisition.py").write_text("")
    done = python(tmp_path, "import acquisition, perfusion; perfusion.Store")
    assert done.returncode == 1
    assert "another module called 'acquisition' was imported before perfusion's" in done.stderr


def test_an_unknown_name_says_which_there_are(tmp_path):
    done = python(tmp_path, "import perfusion; perfusion.Stores")
    assert "has no attribute 'Stores'; it has PerfusionError, Store" in done.stderr


def command(folder, *arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "perfusion", *arguments],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_command_lists_every_driver_and_simulator_in_a_folder_of_the_same_names(tmp_path):
    foreign(tmp_path)
    done = command(tmp_path, "devices", "--json", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    listed = {each["name"]: each["simulator"] for each in json.loads(done.stdout)["drivers"]}
    assert set(listed) == set(drivers())
    assert {name for name, simulator in listed.items() if simulator} == set(simulators())


def test_a_simulator_is_started_in_a_folder_of_the_same_names(tmp_path):
    foreign(tmp_path)
    done = command(tmp_path, "simulate", "trackmaster", "--truth", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["seed"] == 0


def test_what_stands_in_place_of_the_drivers_is_told_in_one_line_after_the_ports(tmp_path):
    other = tmp_path / "drivers" / "__init__.py"
    other.parent.mkdir()
    other.write_text("")
    code = "import sys; from acquisition.cli import main; sys.argv[1:] = ['devices']; main()"
    done = python(tmp_path, f"import sys; sys.path.append({str(ROOT)!r}); {code}")
    assert done.returncode == 3
    assert "serial port" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"perfusion: {other} stands on Python's path in place of this installation's package")
    assert str(ROOT / "drivers" / "__init__.py") in line
    assert "rename that one, take its folder off PYTHONPATH" in line


def test_a_simulator_that_cannot_be_listed_is_no_list_without_simulators(monkeypatch):
    _simulators.cache_clear()
    monkeypatch.setattr(instruments, "SIMULATORS", (sys.executable, "-c", "raise SystemExit('a part is missing')"))
    with pytest.raises(PerfusionError, match="the simulators cannot be listed: a part is missing"):
        _simulators()
