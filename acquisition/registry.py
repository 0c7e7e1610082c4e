"""Finds drivers by name: every module of the package `drivers`, and the entry points `perfusion.drivers`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType, ModuleType

from acquisition.driver import Driver
from acquisition.errors import ConfigurationError

GROUP = "perfusion.drivers"


@cache
def drivers() -> MappingProxyType[str, type[Driver]]:
    """Every driver by each of its names, sorted; a name that exists twice is an error."""
    found: dict[str, type[Driver]] = {}
    for driver in (*_own(), *_foreign()):
        for name in driver.about.names:
            other = found.get(name)
            if other is not None and other is not driver:
                raise ConfigurationError(
                    f"the driver name {name!r} exists twice: {_where(other)} and {_where(driver)}",
                    cause="an installed package uses the name of another driver",
                    remedy="uninstall one of them",
                )
            found[name] = driver
    return MappingProxyType(dict(sorted(found.items())))


def _own() -> Iterator[type[Driver]]:
    package = importlib.import_module("drivers")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            yield from _drivers_of(importlib.import_module(f"drivers.{module.name}"))


def _foreign() -> Iterator[type[Driver]]:
    for point in entry_points(group=GROUP):
        loaded = point.load()
        if isinstance(loaded, ModuleType):
            yield from _drivers_of(loaded)
        elif inspect.isclass(loaded) and issubclass(loaded, Driver):
            yield loaded
        else:
            raise ConfigurationError(
                f"the entry point {point.value!r} is neither a driver nor a module of drivers",
                f"entry-point group {GROUP}, name {point.name}",
                "a fault in the package that brings it",
                "uninstall that package",
            )


def _drivers_of(module: ModuleType) -> Iterator[type[Driver]]:
    for _, value in inspect.getmembers(module, inspect.isclass):
        if issubclass(value, Driver) and value.__module__ == module.__name__ and not inspect.isabstract(value):
            yield value


def _where(driver: type[Driver]) -> str:
    return f"{driver.__module__}.{driver.__qualname__}"
