"""The packages of this installation, imported whatever else of their names stands first on Python's path."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("acquisition", "drivers", "simulators")


def take() -> None:
    """Import the packages from where this one lies; ImportError if another of their names is imported already."""
    for package in PACKAGES:
        _take(package)


def _take(package: str) -> None:
    own = HOME / package / "__init__.py"
    present = sys.modules.get(package)
    if present is None:
        spec = importlib.util.spec_from_file_location(package, own, submodule_search_locations=[str(own.parent)])
        if spec is None or spec.loader is None or not own.is_file():
            raise ImportError(f"perfusion is installed in part: {own} is missing; install it again")
        present = sys.modules[package] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(present)
        except BaseException:
            del sys.modules[package]
            raise
    where = getattr(present, "__file__", None)
    if where is None or Path(where).resolve() != own.resolve():
        raise ImportError(
            f"another module called {package!r} was imported before perfusion's ({where or 'a folder without code'}): "
            "rename it, or import perfusion first"
        )
