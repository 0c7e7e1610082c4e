"""Runs every measurement and writes docs/performance.md; `python -m benchmarks NAME…` runs some and prints them."""

from __future__ import annotations

import importlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "performance.md"
FIRST = ("throughput", "latency", "ports", "store", "signals", "drivers")
"""What stands first on the page."""


def main(names: list[str]) -> None:
    """Measure some and print their rows; or each in a process of its own, and write the page after each."""
    known = [path.stem for path in sorted(HERE.glob("*.py")) if "\ndef measure(" in path.read_text("utf-8")]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no measurement {unknown[0]!r}; there are: {', '.join(known)}")
    for name in names:
        for row in importlib.import_module(f"benchmarks.{name}").measure():
            print(json.dumps(row), flush=True)
    if names:
        return
    sections = []
    for name in sorted(known, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
        sections.append(f"## {name}\n\n{_about(name)}\n\n{_measured(name)}")
        PAGE.write_text(_head() + "\n".join(sections), "utf-8")


def _measured(name: str) -> str:
    """The tables of one measurement, or what it failed of."""
    print(f"measuring {name}", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-m", "benchmarks", name], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr, flush=True)
        return f"Failed: {done.stderr.strip().splitlines()[-1]}\n"
    print(done.stdout, flush=True)
    return _tables([json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")])


def _about(name: str) -> str:
    text = importlib.import_module(f"benchmarks.{name}").__doc__
    assert text is not None
    return " ".join(text.split("\n\n")[0].split())


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
