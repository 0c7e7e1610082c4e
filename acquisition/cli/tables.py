"""Tables for people on stdout: as wide as they need to be where that is no terminal, and brackets stay brackets."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from acquisition.text import clean

LONGEST = 20_000
"""Characters of a cell."""
UNBOUNDED = 10_000
"""Columns of a file or a pipe, which has no edge to wrap at."""


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str, unbroken: Sequence[str] = ()) -> None:
    """Show a table, or `empty` where there are no rows; a narrow terminal folds all columns but the `unbroken`."""
    kept = [[_plain(cell) for cell in row] for row in rows]
    if not kept:
        _console().print(escape(empty))
        return
    table = Table()
    for name in columns:
        table.add_column(name, no_wrap=name in unbroken)
    for row in kept:
        table.add_row(*row)
    _console().print(table)


def show_facts(heading: str, facts: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Show a heading and under it each name with its lines; a name without any is left out."""
    grid = Table.grid(padding=(0, 2))
    for name, lines in facts:
        for index, line in enumerate(lines):
            grid.add_row("", "" if index else _plain(name), _plain(line))
    console = _console()
    console.print(escape(heading), style="bold", highlight=False)
    console.print(grid, highlight=False)


def _plain(cell: str) -> str:
    """A cell that says what it holds and does nothing else, also where an old record or a broken one holds more."""
    return escape(clean(cell, LONGEST, lines=True))


class _Output(Console):
    """Leaves it to the command line what a reader's early end means."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _console() -> Console:
    return _Output(file=sys.stdout, width=None if sys.stdout.isatty() else UNBOUNDED)
