"""The public face of the package: what a program or a notebook needs to read a record.

>>> from perfusion import Store
>>> with Store("/var/lib/perfusion") as store:  # doctest: +SKIP
...     time, values, quality = store.read("ldf", ["flux"])

Nothing is imported before it is asked for, and what is imported is this installation's own: modules of the same name in
the working directory take no part.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from perfusion.installation import take

if TYPE_CHECKING:
    from acquisition import __version__ as __version__
    from acquisition.errors import PerfusionError as PerfusionError
    from acquisition.store import Store as Store
    from acquisition.store import check as verify

__all__ = ["PerfusionError", "Store", "verify"]

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
    take()
    module, attribute = _NAMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
