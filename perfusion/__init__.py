"""The public face of the package: what a program or a notebook needs to read a record.

>>> from perfusion import Store
>>> with Store("/var/lib/perfusion") as store:  # doctest: +SKIP
...     time, values, quality = store.read("ldf", ["flux"])

Nothing is imported before it is asked for, and what is imported is this installation's own: modules of the same name in
the working directory take no part.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acquisition import __version__ as __version__
    from acquisition.errors import PerfusionError as PerfusionError
    from acquisition.store import Store as Store
    from acquisition.store import check as verify

__all__ = ["PerfusionError", "Store", "verify"]

_HOME = Path(__file__).resolve().parents[1]
_OWN = ("acquisition", "drivers", "simulators")
_NAMES = {
    "PerfusionError": ("acquisition.errors", "PerfusionError"),
    "Store": ("acquisition.store", "Store"),
    "__version__": ("acquisition", "__version__"),
    "verify": ("acquisition.store", "check"),
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use; ImportError where a foreign module has taken this installation's place."""
    if name not in _NAMES:
        raise AttributeError(f"module 'perfusion' has no attribute {name!r}; it has {', '.join(sorted(_NAMES))}")
    for package in _OWN:
        _take(package)
    module, attribute = _NAMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})


def _take(package: str) -> None:
    """Import a package of this installation, whatever else of its name stands first on the path."""
    own = _HOME / package / "__init__.py"
    present = sys.modules.get(package)
    if present is None:
        spec = importlib.util.spec_from_file_location(package, own, submodule_search_locations=[str(own.parent)])
        if spec is None or spec.loader is None:
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
