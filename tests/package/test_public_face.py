"""The public face of the package, imported where the working directory has modules of the same names."""

import subprocess
import sys

import pytest

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


def test_the_command_lists_its_own_drivers_in_a_folder_of_the_same_names(tmp_path):
    foreign(tmp_path)
    code = "import sys; from acquisition.cli import main; sys.argv[1:] = ['devices', 'trackmaster']; main()"
    done = python(tmp_path, code, "-P")
    assert done.returncode == 0, done.stderr
    assert "trackmaster" in done.stdout
