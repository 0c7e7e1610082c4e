"""Finds drivers by name: every module of the package `drivers`, and the entry points `perfusion.drivers`."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TypeVar

from acquisition.driverkit.driver import Driver
from acquisition.errors import ConfigurationError

GROUP = "perfusion.drivers"
HOME = Path(__file__).resolve().parents[2]
"""Where the packages of this installation lie, beside each other."""
T = TypeVar("T")


@cache
def drivers() -> MappingProxyType[str, type[Driver]]:
    """Every driver by each of its names, sorted; a name that exists twice is an error."""
    return catalogue("driver", "drivers", GROUP, Driver, lambda driver: driver.about.names)  # type: ignore[type-abstract]


def catalogue(
    noun: str, package: str, group: str, base: type[T], names: Callable[[type[T]], Iterable[str]]
) -> MappingProxyType[str, type[T]]:
    """Every concrete `base` in the modules of a package and in an entry-point group, by each of its names, sorted.

    Modules whose name begins with an underscore are left out. ConfigurationError where two classes use
    one name, where an entry point is something else, or where another package has the place of this one.
    """
    found: dict[str, type[T]] = {}
    for each in (*_own(package, base), *_foreign(noun, group, base)):
        for name in names(each):
            other = found.get(name)
            if other is not None and other is not each:
                raise ConfigurationError(
                    f"the {noun} name {name!r} exists twice: {_where(other)} and {_where(each)}",
                    cause=f"an installed package uses the name of another {noun}",
                    remedy="uninstall one of them",
                )
            found[name] = each
    return MappingProxyType(dict(sorted(found.items())))


def _own(package: str, base: type[T]) -> Iterator[type[T]]:
    _told_if_shadowed(package)
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.name.startswith("_"):
            yield from _classes_of(importlib.import_module(f"{package}.{module.name}"), base)


def _told_if_shadowed(package: str) -> None:
    own = HOME / package / "__init__.py"
    spec = importlib.util.find_spec(package)
    origin = None if spec is None else spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    if origin is None or Path(origin).resolve() != own.resolve():
        raise ConfigurationError(
            f"{origin or 'nothing'} stands on Python's path in place of this installation's package {package!r}, {own}",
            cause="a module or folder of this name in the working directory, in PYTHONPATH or of another package",
            remedy="rename that one, take its folder off PYTHONPATH, or install perfusion in an environment of its own",
        )


def _foreign(noun: str, group: str, base: type[T]) -> Iterator[type[T]]:
    for point in entry_points(group=group):
        loaded = point.load()
        if isinstance(loaded, ModuleType):
            yield from _classes_of(loaded, base)
        elif inspect.isclass(loaded) and issubclass(loaded, base):
            yield loaded
        else:
            raise ConfigurationError(
                f"the entry point {point.value!r} is neither a {noun} nor a module of {noun}s",
                f"entry-point group {group}, name {point.name}",
                "a fault in the package that brings it",
                "uninstall that package",
            )


def _classes_of(module: ModuleType, base: type[T]) -> Iterator[type[T]]:
    for _, value in inspect.getmembers(module, inspect.isclass):
        if issubclass(value, base) and value.__module__ == module.__name__ and not inspect.isabstract(value):
            yield value


def _where(found: type[object]) -> str:
    return f"{found.__module__}.{found.__qualname__}"
