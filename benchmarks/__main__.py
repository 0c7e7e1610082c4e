"""Runs every measurement and writes docs/performance.md; `python -m benchmarks NAME…` runs some and prints them."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"


def main(names: list[str]) -> None:
    """Measure, and write the page where all was measured."""
    known = [path.stem for path in sorted(HERE.glob("*.py")) if "\ndef measure(" in path.read_text("utf-8")]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no measurement {unknown[0]!r}; there are: {', '.join(known)}")
    sections = []
    for name in names or known:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"measuring {name}", file=sys.stderr, flush=True)
        rows = module.measure()
        for row in rows:
            print(json.dumps(row), flush=True)
        assert module.__doc__ is not None
        text = " ".join(module.__doc__.split("\n\n")[0].split())
        sections.append(f"## {name}\n\n{text}\n\n{_tables(rows)}")
    if not names:
        PAGE.write_text(_head() + "\n".join(sections), "utf-8")


def _head() -> str:
    return (
        "# Performance\n\n"
        f"Measured on {datetime.now(UTC):%Y-%m-%d} by `make bench` with Python {platform.python_version()} on "
        f"{os.cpu_count()} shared cores ({_processor()}).\n"
        "The machine is shared and noisy: ratios between rows of one table mean more than the figures themselves.\n\n"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _tables(rows: Iterable[dict[str, Any]]) -> str:
    """Rows with the same keys share a table."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row), []).append(row)
    return "\n".join(_table(keys, group) for keys, group in groups.items())


def _table(keys: tuple[str, ...], rows: list[dict[str, Any]]) -> str:
    lines = ["| " + " | ".join(key.replace("_", " ") for key in keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join(_cell(row[key]) for key in keys) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    return str(value)


if __name__ == "__main__":
    main(sys.argv[1:])
